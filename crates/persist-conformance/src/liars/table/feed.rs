//! Lies about the feed.

use std::ops::ControlFlow;

use persist_api::{BeatHeader, BeatNo, ErrorKind, FeedItem, FeedStat};

use super::help::{fault, liars};

liars! { FEED:
    feed_leaves_out_deletes "The feed leaves deletes out."
        ["feed::shows_operations_as_staged"] Full
        { feed: |_, inner, after, visit| inner.feed(after, &mut |item| match item {
            FeedItem::Delete { .. } => ControlFlow::Continue(()),
            item => visit(item),
        }) }
    feed_leaves_out_ranges "The feed leaves deletes of ranges out."
        ["feed::shows_deleted_ranges"] Full
        { feed: |_, inner, after, visit| inner.feed(after, &mut |item| match item {
            FeedItem::DeleteRange { .. } => ControlFlow::Continue(()),
            item => visit(item),
        }) }
    feed_has_no_roots "The headers in the feed have lost their roots."
        ["feed::begins_after_a_beat"] Full
        { feed: |_, inner, after, visit| inner.feed(after, &mut |item| match item {
            FeedItem::Beat(header) => visit(FeedItem::Beat(BeatHeader { root: None, ..header })),
            item => visit(item),
        }) }
    feed_begins_with_a_beat_zero "The feed of an empty store has a beat."
        ["feed::ends_at_the_newest_beat"] Full
        { feed: |ctx, inner, after, visit| {
            if ctx.notes().newest.beat == BeatNo(0) && visit(FeedItem::Beat(BeatHeader::default())).is_break() {
                return Ok(());
            }
            inner.feed(after, visit)
        } }
    feed_goes_on "The feed goes on although it was told to end."
        ["feed::ends_when_told"] Full
        { feed: |_, inner, after, visit| inner.feed(after, &mut |item| {
            let _ = visit(item);
            ControlFlow::Continue(())
        }) }
    feed_has_a_gap "Where beats are no longer kept, the feed begins with those that are."
        ["feed::is_whole_or_stale"] Full
        { feed: |ctx, inner, after, visit| {
            let newest = ctx.notes().newest.beat;
            let begin = (after.0..=newest.0).find(|from| {
                inner.feed(BeatNo(*from), &mut |_| ControlFlow::Break(())).is_ok()
            });
            inner.feed(begin.map_or(after, BeatNo), visit)
        } }
    feed_promises_too_much "keep_feed says that the feed goes back to the beginning, whatever was given up."
        ["feed::is_whole_or_stale"] Full
        { keep_feed: |ctx, inner, after| {
            let kept = inner.keep_feed(after)?;
            let asked_for_all = after == Some(BeatNo(0)) && ctx.notes().newest.beat > BeatNo(0);
            Ok(if asked_for_all { FeedStat { after: BeatNo(0), ..kept } } else { kept })
        } }
    feed_ends_with_a_checkpoint "After a checkpoint, the feed no longer goes back to the beginning."
        ["feed::outlives_compact"] Full
        { feed: |ctx, inner, after, visit| {
            let gone = ctx.notes().checkpoints > 0 && after == BeatNo(0);
            if gone { Err(fault(ErrorKind::Stale, "feed")) } else { inner.feed(after, visit) }
        } }
    feed_begins_with_the_open "After reopening, the feed no longer goes back to the beginning."
        ["feed::outlives_reopening"] Full
        { feed: |ctx, inner, after, visit| {
            let gone = ctx.reopened && after == BeatNo(0);
            if gone { Err(fault(ErrorKind::Stale, "feed")) } else { inner.feed(after, visit) }
        } }
    feed_is_kept_for_good "What is kept for the feed is kept on when nobody needs it."
        ["feed::gives_back"] Full
        { keep_feed: |_, inner, after| {
            let kept = inner.keep_feed(after)?;
            Ok(FeedStat { bytes: kept.bytes + u64::from(after.is_none()), ..kept })
        } }
    bare_feed_is_empty "Without FEED, the feed is empty."
        ["twin::FEED"] Bare
        { feed: |_, _, _, _| Ok(()) }
}
