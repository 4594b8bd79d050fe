//! The list itself. A new row here reaches every engine that uses the suite, by [`conformance!`](crate::conformance) and
//! by [`main`](crate::main) alike.

use super::{Case, Need};

/// Makes the table of cases and the macro that names them as tests, from one list. The first argument is a dollar sign:
/// a macro that writes a macro cannot have one otherwise.
macro_rules! registry {
    (($d:tt) $( $topic:ident { $( $name:ident $clauses:literal $([$($need:ident)+])?; )+ } )+) => {
        /// Every case, by topic.
        pub static CASES: &[Case] = &[$($(
            Case {
                name: concat!(stringify!($topic), "::", stringify!($name)),
                clauses: $clauses,
                needs: &[$($(Need::$need),+)?],
                body: crate::cases::$topic::$name,
            },
        )+)+];

        /// One `#[test]` for each case, in a module `conformance` with a module for each topic. The argument is an
        /// expression for a [`Fixture`](crate::Fixture).
        #[macro_export]
        macro_rules! conformance {
            ($d fixture:expr) => {
                mod conformance {
                    #[allow(unused_imports, reason = "for the names in the fixture's expression")]
                    use super::*;
                    $(
                        mod $topic {
                            #[allow(unused_imports, reason = "for the names in the fixture's expression")]
                            use super::*;
                            $(
                                #[test]
                                fn $name() {
                                    let name = concat!(stringify!($topic), "::", stringify!($name));
                                    $crate::assert_case(&$d fixture, name);
                                }
                            )+
                        }
                    )+
                }
            };
        }
    };
}

registry! { ($)
    probe {
        missing_home_probes_empty "O-2";
        bare_home_probes_empty "O-2";
        own_home_probes_mine "O-2";
        own_home_without_beats_probes_mine "O-2";
        foreign_file_probes_foreign "O-2" [DISK];
        foreign_folder_probes_foreign "O-2" [DISK];
        creates_nothing "O-1";
        writes_nothing "O-1" [DISK];
        of_an_open_store_is_harmless "O-1 O-5";
        locks_nothing "O-1 O-5";
    }
    open {
        foreign_open_is_mismatch "O-3" [DISK];
        foreign_open_touches_nothing "O-3" [DISK];
        home_that_is_a_file_is_refused "O-3 L-3" [DISK];
        home_name_may_hold_odd_characters "O-8";
        open_or_create_uses_a_bare_directory "O-4";
        must_exist_refuses_nothing "O-4";
        must_exist_refuses_a_bare_directory "O-4";
        must_exist_creates_nothing "O-4";
        must_exist_opens_a_store "O-4";
        must_create_creates "O-4";
        must_create_conflicts_with_a_store "O-4";
        must_create_conflict_keeps_the_store "O-4";
        unknown_knob_is_invalid "O-9";
        unknown_knob_is_named "O-9";
        unknown_knob_creates_nothing "O-9";
        open_after_a_beat_was_left_open "O-8 B-8";
    }
    locks {
        second_open_is_locked "O-5";
        second_open_disturbs_nothing "O-5";
        third_open_is_locked_too "O-5";
        lock_goes_with_close "O-5";
        lock_goes_with_drop "O-5";
        lock_stays_with_a_view "O-5 V-4";
        lock_goes_with_the_last_view "O-5";
        refused_open_leaves_no_lock "O-5 O-9";
    }
    offers {
        offer_is_pure "O-6";
        open_engine_offers_what_its_driver_does "O-6";
        open_offer_follows_the_options "O-6";
        open_offer_is_constant "O-6";
        offer_holds_only_engine_bits "O-7";
        offer_holds_the_floor "O-7";
        offer_limits_make_sense "O-7";
        offer_names_its_engine "O-7";
    }
    reopen {
        finds_every_record "O-8";
        finds_the_header "O-8 B-4";
        finds_no_deleted_record "O-8";
        finds_no_deleted_range "O-8" [DELETE_RANGE];
        finds_the_last_overwrite "O-8";
        finds_all_after_a_drop "O-8";
        continues_the_numbers "O-8 B-2";
        many_times "O-8";
        finds_an_empty_last_beat "O-8 B-11";
        forgets_an_aborted_beat "O-8 B-8";
        finds_a_large_value "O-8";
        finds_rows_in_order "O-8" [ORDERED];
        a_copied_directory_opens "O-8" [DISK];
    }
    damage {
        halved_files_are_noticed "O-10" [DISK];
        emptied_files_are_noticed "O-10" [DISK];
        files_short_of_a_byte_are_noticed "O-10" [DISK];
        missing_files_are_noticed "O-10" [DISK];
        trailing_garbage_never_panics "O-10" [DISK];
        flipped_bytes_never_panic "O-10" [DISK];
        flipped_bytes_are_noticed "O-10" [CRC32C DISK];
        beneath_an_open_store_is_found "M-4" [CRC32C DISK];
    }
    negotiation {
        same_input_same_grant "N-1";
        nothing_asked_nothing_granted "N-2";
        only_what_was_asked "N-2";
        all_that_is_offered_is_granted "N-3 O-7";
        refusal_names_every_bit "N-3";
        refusal_names_every_limit "N-3";
        limits_at_the_offer_are_granted "N-3";
        durability_is_refused_or_pends "N-3 D-4";
        richer_offer_shrinks_nothing "N-4";
        layer_fills_in_and_is_named "N-3";
        layer_costs_come_off_the_limits "N-3";
        format_text_reads_back "N-1";
        granted_durability_is_taken "O-7";
    }
    numbers {
        count_from_one "B-2";
        skipped_number_conflicts "B-2";
        repeated_number_conflicts "B-2";
        earlier_number_conflicts "B-2";
        beat_zero_conflicts "B-2";
        greatest_number_conflicts "B-2";
        commit_hole_conflicts "B-2";
        commit_overlap_conflicts "B-2";
        commits_adjoin "B-2";
        beat_without_commits "B-2";
        importing_may_repeat "B-3";
        importing_again_is_shown "B-3 V-2";
        importing_may_skip "B-3";
        importing_never_goes_back "B-3";
        importing_ends_with_reopening "B-3";
        fifty_in_a_row "B-2 V-2";
    }
    headers {
        comes_back_with_root "B-4";
        comes_back_without_root "B-4";
        root_of_zeros_is_a_root "B-4";
        counts_many_commits "B-4";
        root_does_not_linger "B-4";
        is_outside_the_key_space "B-4" [ORDERED];
        is_out_of_reach "B-4";
    }
    beats {
        refused_begin_leaves_the_gate_open "B-2 B-5";
        second_beat_is_busy "B-5";
        second_beat_elsewhere_is_busy "B-5";
        busy_leaves_the_open_beat_alone "B-5";
        busy_holds_for_any_header "B-5";
        dropped_beat_changes_nothing "B-8";
        aborted_beat_changes_nothing "B-8";
        aborted_number_is_free "B-8";
        dropped_number_is_free "B-8";
        abort_does_not_leak_into_the_next_beat "B-8";
        open_beat_is_invisible "B-1";
        commit_shows_all_of_the_beat "B-1";
        empty_beat_is_ordinary "B-11";
        empty_beat_keeps_the_records "B-11";
        receipt_carries_the_header "B-12";
        volatile_is_always_accepted "B-12 D-4";
        three_thousand_records "B-1";
    }
    staging {
        last_put_wins "B-6";
        delete_after_put "B-6";
        put_after_delete "B-6";
        delete_of_nothing "B-6";
        delete_twice "B-6";
        delete_takes_one_key "B-6";
        shorter_value_replaces "B-6";
        longer_value_replaces "B-6";
        empty_value_replaces "B-6 R-5";
        same_value_again "B-6";
    }
    poison {
        refuses_puts "B-7";
        refuses_deletes "B-7";
        refuses_ranges "B-7" [DELETE_RANGE];
        refuses_peeks "B-7 B-10" [READ_OWN];
        refuses_commit "B-7";
        changes_nothing "B-7";
        failed_delete_poisons "B-7";
        poison_ends_with_the_beat "B-7";
    }
    delete_range {
        half_open "B-9" [DELETE_RANGE];
        closed "B-9" [DELETE_RANGE];
        open "B-9" [DELETE_RANGE];
        to_the_start "B-9" [DELETE_RANGE];
        to_the_end "B-9" [DELETE_RANGE];
        of_all "B-9" [DELETE_RANGE];
        between_keys "B-9" [DELETE_RANGE];
        of_one "B-9" [DELETE_RANGE];
        empty "B-9" [DELETE_RANGE];
        inverted "B-9" [DELETE_RANGE];
        from_the_empty_key "B-9" [DELETE_RANGE];
        up_to_the_empty_key "B-9" [DELETE_RANGE];
        with_long_bounds "B-9" [DELETE_RANGE];
        of_an_ff_prefix "B-9" [DELETE_RANGE];
        takes_own_puts "B-9" [DELETE_RANGE];
        spares_later_puts "B-9" [DELETE_RANGE];
        after_range "B-9" [DELETE_RANGE];
        is_undone_by_abort "B-9" [DELETE_RANGE];
        of_a_thousand "B-9" [DELETE_RANGE];
        is_gone_from_scans "B-9" [DELETE_RANGE ORDERED];
    }
    peek {
        sees_own_put "B-10" [READ_OWN];
        sees_the_last_put "B-10" [READ_OWN];
        sees_own_delete "B-10" [READ_OWN];
        sees_the_state_before "B-10" [READ_OWN];
        sees_deleted_range "B-10" [READ_OWN DELETE_RANGE];
        of_impossible_keys "B-10 R-4" [READ_OWN];
        leaves_no_trace "B-10" [READ_OWN];
    }
    reads {
        present_and_absent "R-6";
        empty_store_has_nothing "R-6";
        prefix_is_not_the_key "R-1";
        case_matters "R-1";
        empty_value_is_a_value "R-5";
        zero_bytes_in_keys "R-5";
        zero_bytes_in_values "R-5";
        every_byte_is_a_key "R-1";
        bytes_need_not_be_text "R-5";
        values_of_awkward_lengths "R-5";
        value_of_a_megabyte "R-5";
        empty_key_finds_nothing "R-4";
        too_long_key_finds_nothing "R-4";
        reading_twice_gives_the_same "R-6";
        values_stay_while_held "R-5";
        values_stay_while_beats_commit "V-1";
        reading_inside_a_scan "R-6" [ORDERED];
        zero_copy_copies_nothing "R-9" [ZERO_COPY];
    }
    scans {
        bytes_are_unsigned "R-1" [ORDERED];
        shorter_comes_first "R-1" [ORDERED];
        order_is_not_by_length "R-1" [ORDERED];
        order_is_not_by_letters "R-1" [ORDERED];
        empty_store_has_no_rows "R-2" [ORDERED];
        reverse_turns_round "R-2" [ORDERED];
        limit_takes_the_first "R-2" [ORDERED];
        limit_backwards_takes_the_last "R-2" [ORDERED];
        limit_of_zero_is_none "R-2" [ORDERED];
        limit_that_fits_exactly "R-2" [ORDERED];
        limit_beyond_the_rows "R-2" [ORDERED];
        limit_within_a_range "R-2" [ORDERED];
        break_ends_at_once "R-2" [ORDERED];
        break_ends_backwards "R-2" [ORDERED];
        keys_only_shows_the_keys "R-8" [ORDERED];
        keys_only_shows_no_wrong_value "R-8" [ORDERED];
        prefix_finds_its_keys "R-2" [ORDERED PREFIX_SCAN];
        prefix_that_ends_in_ff "R-2 R-3" [ORDERED PREFIX_SCAN];
        prefix_of_ff_only "R-2 R-3" [ORDERED PREFIX_SCAN];
        prefix_beyond_the_keys "R-2" [ORDERED PREFIX_SCAN];
        prefix_backwards "R-2" [ORDERED PREFIX_SCAN];
        prefix_of_ff_backwards "R-2 R-3" [ORDERED PREFIX_SCAN];
        scan_prefix_is_a_scan "R-2" [ORDERED PREFIX_SCAN];
        scans_nest "R-2" [ORDERED];
        a_thousand_rows "R-2" [ORDERED];
        rows_with_large_values "R-2" [ORDERED];
        rows_with_empty_values "R-2" [ORDERED];
        deleted_rows_are_skipped "R-2" [ORDERED];
        rows_of_many_beats_merge "R-2" [ORDERED];
        range_of_the_immediate_successor "R-2" [ORDERED];
    }
    ranges {
        half_open "R-2" [ORDERED];
        closed "R-2" [ORDERED];
        open "R-2" [ORDERED];
        open_closed "R-2" [ORDERED];
        from_a_key "R-2" [ORDERED];
        after_a_key "R-2" [ORDERED];
        up_to_a_key "R-2" [ORDERED];
        before_a_key "R-2" [ORDERED];
        everything "R-2" [ORDERED];
        bounds_between_keys "R-3" [ORDERED];
        empty_lower_bound "R-3" [ORDERED];
        empty_lower_bound_excluded "R-3" [ORDERED];
        empty_upper_bound "R-3" [ORDERED];
        empty_upper_bound_included "R-3" [ORDERED];
        empty_bounds "R-3" [ORDERED];
        one_key "R-3" [ORDERED];
        one_key_half_open "R-3" [ORDERED];
        one_key_open "R-3" [ORDERED];
        inverted "R-3" [ORDERED];
        inverted_closed "R-3" [ORDERED];
        upper_bound_of_ff "R-3" [ORDERED];
        beyond_all_keys "R-3" [ORDERED];
        long_bounds "R-3" [ORDERED];
        long_bounds_of_ff "R-3" [ORDERED];
        trailing_zero_bounds "R-3" [ORDERED];
        every_pair_by_visitor "R-2 R-3 R-6" [ORDERED];
        every_pair_by_cursor "R-2 R-3 R-6" [ORDERED];
    }
    cursors {
        starts_before_the_first_row "R-6" [ORDERED];
        starts_after_the_last_row_backwards "R-6" [ORDERED];
        shows_what_the_visitor_shows "R-6" [ORDERED];
        shows_what_the_visitor_shows_backwards "R-6" [ORDERED];
        shows_what_get_finds "R-6" [ORDERED];
        stays_at_the_end "R-6" [ORDERED];
        stays_at_the_end_backwards "R-6" [ORDERED];
        shows_nothing_at_the_end "R-8" [ORDERED];
        over_nothing "R-6" [ORDERED];
        over_an_inverted_range "R-3 R-6" [ORDERED];
        limit_ends_it "R-6" [ORDERED];
        keys_only_shows_no_wrong_value "R-8" [ORDERED];
        two_do_not_disturb_each_other "R-6" [ORDERED];
        reads_do_not_move_it "R-6" [ORDERED];
        beats_do_not_move_it "R-6 V-1" [ORDERED];
        a_thousand_rows "R-6" [ORDERED];
    }
    seek {
        a_key "R-6" [ORDERED];
        between_keys "R-6" [ORDERED];
        before_all_keys "R-6" [ORDERED];
        beyond_all_keys "R-6" [ORDERED];
        a_key_backwards "R-6" [ORDERED];
        between_keys_backwards "R-6" [ORDERED];
        beyond_all_keys_backwards "R-6" [ORDERED];
        before_all_keys_backwards "R-6" [ORDERED];
        before_the_range "R-6" [ORDERED];
        beyond_the_range "R-6" [ORDERED];
        beyond_the_range_backwards "R-6" [ORDERED];
        before_the_range_backwards "R-6" [ORDERED];
        an_excluded_start "R-6" [ORDERED];
        an_excluded_end_backwards "R-6" [ORDERED];
        the_empty_key "R-6" [ORDERED];
        the_empty_key_backwards "R-6" [ORDERED];
        a_long_key "R-6" [ORDERED];
        a_long_key_backwards "R-6" [ORDERED];
        under_a_limit_of_zero "R-6" [ORDERED];
        goes_on_after_seek "R-6" [ORDERED];
        goes_on_after_seek_backwards "R-6" [ORDERED];
        goes_back "R-6" [ORDERED];
        leads_back_from_the_end "R-6" [ORDERED];
        limit_counts_anew_after_seek "R-6" [ORDERED];
    }
    views {
        does_not_see_later_overwrites "V-1";
        does_not_see_later_deletes "V-1";
        does_not_see_later_records "V-1";
        is_pinned_before_its_first_read "V-1";
        stays_over_many_beats "V-1" [ORDERED];
        scans_stay_at_their_beat "V-1" [ORDERED];
        does_not_see_a_later_delete_range "V-1" [DELETE_RANGE];
        header_stays "V-1";
        shows_the_newest_beat "V-2";
        older_views_do_not_hold_back_newer "V-2";
        is_not_one_that_was_dropped "V-2";
        header_and_records_agree "V-3";
        many_at_different_beats "V-1 V-3" [ORDERED];
        outlives_its_engine "V-4" [ORDERED];
        moves_to_another_thread "V-4 C-2";
        outlives_its_engine_elsewhere "V-4";
        beyond_the_limit_is_busy "V-5";
        limit_is_offered "V-5 O-6";
        dropping_makes_room "V-5";
        refused_view_does_not_count "V-5";
        taken_views_do_not_stop_beats "V-7";
        writer_does_not_wait_for_a_scan "V-7" [ORDERED];
        readers_do_not_wait_for_the_writer "V-7";
        opened_beside_a_beat_stays_before_it "V-1 V-3";
    }
    closing {
        is_busy_with_a_view "V-6";
        hands_the_engine_back "V-6";
        without_views "V-6";
        waits_for_a_view "V-6";
        leaves_the_directory_free "O-5 V-6";
    }
    history {
        at_an_earlier_beat "V-8" [HISTORY];
        at_the_newest_beat "V-8" [HISTORY];
        at_a_beat_that_is_not_kept "V-8" [HISTORY];
        before_the_first_beat "V-8" [HISTORY];
        shows_every_beat_by_key "V-8" [HISTORY];
        shows_every_beat_by_scan "V-8 R-6" [HISTORY ORDERED];
        shows_the_header_of_the_beat "V-8 B-4" [HISTORY];
        knows_deleted_ranges "V-8 B-9" [HISTORY DELETE_RANGE];
        goes_on_beside_beats "V-8 V-1" [HISTORY];
        is_kept_over_reopening "V-8 O-8" [HISTORY];
        is_kept_by_a_checkpoint "V-8 M-1" [HISTORY CHECKPOINT];
        is_kept_by_compact_as_asked "V-8 M-3" [HISTORY COMPACTION];
        is_right_or_stale_after_compact "V-8 M-3" [HISTORY COMPACTION];
        views_of_it_outlive_compact "V-8 V-1" [HISTORY COMPACTION];
        ends_somewhere_and_stays_ended "V-8" [HISTORY];
    }
    feed {
        shows_operations_as_staged "F-1" [FEED];
        shows_deleted_ranges "F-1 B-9" [FEED DELETE_RANGE];
        begins_after_a_beat "F-1 B-4 B-11" [FEED];
        ends_at_the_newest_beat "F-1" [FEED];
        ends_when_told "F-1" [FEED];
        is_whole_or_stale "F-2" [FEED COMPACTION];
        outlives_compact "F-3" [FEED CHECKPOINT COMPACTION];
        outlives_reopening "F-3 O-8" [FEED DISK];
        gives_back "F-4" [FEED CHECKPOINT];
    }
    durability {
        highest_on_offer_is_reached "B-12";
        durable_is_reached "B-12" [DURABLE];
        buffered_is_reached "B-12" [BUFFERED];
        levels_may_alternate "B-12" [DISK];
        beyond_the_offer_is_refused "D-4";
        sync_names_the_last_beat "D-3" [DURABLE];
        sync_of_a_new_store "D-3" [DURABLE];
        sync_twice "D-3" [DURABLE];
        sync_after_reopening "D-3" [DURABLE];
        durable_after_buffered "D-3" [DURABLE];
        sync_after_buffered "D-3" [DURABLE];
    }
    limits {
        longest_key_works "L-1";
        longest_key_is_scanned_whole "L-1" [ORDERED];
        longer_key_is_too_large "L-1";
        longer_key_is_too_large_to_delete "L-1";
        too_large_names_the_limit "L-1";
        too_large_poisons_its_beat_only "L-1 B-7";
        empty_key_can_not_be_put "L-1";
        empty_key_can_not_be_deleted "L-1";
        long_keys_are_ordinary "L-1" [LONG_KEYS];
        longest_value_works "L-1";
        longer_value_is_too_large "L-1" [VALUE_EDGE];
        beat_of_the_largest_size "L-1" [BEAT_EDGE];
        ceiling_is_offered "L-2" [CEILING];
        ceiling_is_full "L-2" [CEILING];
        full_beat_is_invisible "L-2" [CEILING];
        full_store_reads_on "L-2" [CEILING];
        full_store_reopens "L-2" [CEILING];
        deleting_makes_room "L-2" [CEILING];
        odd_arguments_break_nothing "L-3";
    }
    long_keys {
        are_deleted "L-1 B-6" [LONG_KEYS];
        bound_deleted_ranges "L-1 B-9" [LONG_KEYS DELETE_RANGE];
        are_kept_over_reopening "L-1 O-8" [LONG_KEYS];
    }
    errors {
        conflict_speaks "L-4";
        busy_beat_speaks "L-4";
        invalid_put_speaks "L-4";
        invalid_delete_speaks "L-4";
        poisoned_commit_speaks "L-4";
        poisoned_operation_speaks "L-4";
        busy_view_speaks "L-4";
        busy_close_speaks "L-4";
        missing_store_speaks "L-4";
        existing_store_speaks "L-4";
        locked_store_speaks "L-4";
        foreign_directory_speaks "L-4" [DISK];
        unsupported_speaks "L-4 L-5";
    }
    checkpoint {
        keeps_the_records "M-1" [CHECKPOINT];
        names_the_newest_beat "M-1" [CHECKPOINT];
        is_no_beat "M-1" [CHECKPOINT];
        of_a_new_store "M-1" [CHECKPOINT];
        then_reopen "M-1" [CHECKPOINT];
        beside_a_view "M-1" [CHECKPOINT];
        after_every_beat "M-1" [CHECKPOINT];
    }
    backup {
        opens_by_itself "M-2" [BACKUP];
        holds_the_header "M-2" [BACKUP];
        names_its_beat "M-2" [BACKUP];
        into_an_empty_directory "M-2" [BACKUP];
        into_a_used_directory_is_refused "M-2" [BACKUP];
        refused_touches_nothing "M-2" [BACKUP];
        over_a_backup_is_refused "M-2" [BACKUP];
        into_the_store_is_refused "M-2" [BACKUP];
        is_apart_from_the_store "M-2" [BACKUP];
        outlives_the_store "M-2" [BACKUP];
        beside_an_open_beat "M-2" [BACKUP];
        of_a_new_store "M-2" [BACKUP];
        continues_the_numbers "M-2" [BACKUP];
        progress_goes_on "M-6" [BACKUP];
        stops_when_asked "M-6" [BACKUP];
        stopped_is_no_store "M-6" [BACKUP];
    }
    compact {
        keeps_the_records "M-3" [COMPACTION];
        is_no_beat "M-3" [COMPACTION];
        does_not_grow_the_store "M-3" [COMPACTION];
        then_reopen "M-3" [COMPACTION];
        beside_a_view "M-3" [COMPACTION];
        of_a_new_store "M-3" [COMPACTION];
        revives_nothing "M-3" [COMPACTION DELETE_RANGE];
        progress_goes_on "M-6" [COMPACTION];
        stops_when_asked "M-6" [COMPACTION];
    }
    verify {
        counts_the_records "M-4";
        counts_the_bytes "M-4";
        finds_no_damage "M-4";
        of_a_new_store "M-4";
        is_harmless "M-4";
        beside_an_open_beat "M-4";
        after_reopening "M-4";
        progress_goes_on "M-6";
        stops_when_asked "M-6";
    }
    stats {
        name_the_newest_beat "M-5";
        count_records "M-5";
        count_views "M-5";
        know_the_oldest_view "M-5";
        know_the_bytes_on_disk "M-5" [DISK];
        do_not_count_an_open_beat "M-5";
    }
    concurrency {
        readers_see_whole_beats "C-1 V-3";
        scans_see_whole_beats "C-1 V-3" [ORDERED];
        readers_never_go_back "C-1 V-2";
        commits_are_seen_elsewhere "V-2";
        many_views_at_once "C-1";
        one_of_two_gets_the_beat "B-5 C-1";
        writers_take_turns "C-1";
        writers_compete "C-1 B-5";
        views_wander "C-2 V-4";
        engine_wanders "C-2";
        stats_beside_beats "C-1";
        backup_beside_beats "C-1" [BACKUP];
        verify_beside_beats "C-1";
        long_scan_beside_beats "C-1" [ORDERED];
    }
    routes {
        through_everything "M-1 M-2 M-3 M-4" [CHECKPOINT COMPACTION BACKUP ORDERED];
        one_beat_in_order "B-6 R-1" [ORDERED];
        one_beat_backwards "B-6 R-1" [ORDERED];
        ten_beats_dealt_out "B-6 R-1" [ORDERED];
        overwritten "B-6 R-1" [ORDERED];
        with_others_deleted "B-6 R-1" [ORDERED];
        after_a_deleted_range "B-9" [ORDERED DELETE_RANGE];
        read_by_cursors "R-6" [ORDERED];
        read_by_prefixes "R-2" [ORDERED PREFIX_SCAN];
        read_by_pages "R-2 R-3" [ORDERED];
        reopened_between_beats "O-8" [ORDERED];
        through_a_checkpoint "M-1" [ORDERED CHECKPOINT];
        through_compacting "M-3" [ORDERED COMPACTION];
        through_two_backups "M-2" [ORDERED BACKUP];
        copied_row_by_row "B-3" [ORDERED];
    }
    model {
        agrees_with_memory "B-1 B-6 B-9 R-2 R-6 V-1" [ORDERED];
    }
}
