//! Figures of an open store.

use persist_api::{Result, Stats};

use crate::core::Core;

impl Core {
    /// Figures; cheap.
    pub(crate) fn stats(&self) -> Result<Stats> {
        let published = self.published();
        let state = &published.state;
        let tables = state.tables().fold(0_u64, |sum, table| sum.saturating_add(table.bytes()));
        let (current, timeline, reused) = {
            let log = self.log.lock();
            (log.timeline.current_bytes(), log.timeline.disk_bytes(), log.timeline.reused())
        };
        let runs = state.runs.iter().map(|run| run.run.stat().file_len).sum();
        let mut payloads = 0_u64;
        for file in state.payloads.iter() {
            payloads = payloads.saturating_add(file.len()?);
        }
        let (slowed, stopped) = self.owed.waits();
        let mut stats = Stats {
            beat: published.header.beat,
            records: None,
            bytes_on_disk: self.disk_bytes()?,
            engine: vec![
                ("frames", published.frame),
                ("memtables", state.tables().count() as u64),
                ("memtable_bytes", tables),
                ("memtable_bytes_in_views", self.pins.bytes()),
                ("runs", state.runs.len() as u64),
                ("run_bytes", runs),
                ("runs_not_merged", state.runs.iter().filter(|run| run.is_border()).count() as u64),
                ("timeline_bytes", timeline),
                ("timeline_segment_bytes", current),
                ("timeline_segments_reused", reused),
                ("payload_segments", state.payloads.iter().count() as u64),
                ("payload_bytes", payloads),
                ("recovered_frames", self.recovered.frames),
                ("recovered_bytes_aside", self.recovered.bytes_aside),
                ("recovered_frames_aside", self.recovered.frames_aside),
                ("recovered_beats_aside", self.recovered.beats_aside),
                ("recovered_damaged_spans", self.recovered.damaged_spans),
                ("recovered_notes", self.recovered.notes),
                ("recovered_runs_rebuilt", self.recovered.rebuilt),
                ("commits_slowed", slowed),
                ("commits_stopped", stopped),
                ("poisoned", u64::from(self.health.is_poisoned())),
            ],
            ..Stats::default()
        };
        self.ledger.fill(&mut stats);
        Ok(stats)
    }
}
