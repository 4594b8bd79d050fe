//! What a swap of the engine tells, under the labels of the engine that it leaves.

use std::time::Duration;

use metrics::Key;

use super::table::{Metric, SWAP_BYTES, SWAP_FENCE, SWAP_FOLLOWED, SWAP_LAG, SWAP_RECORDS, SWAP_STATE};
use super::{METADATA, count, record};

/// What a swap is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SwapStep {
    /// Nobody works on one.
    None,
    Copy,
    Follow,
    Verify,
    Fence,
}

impl SwapStep {
    /// Its stable number.
    const fn number(self) -> f64 {
        match self {
            Self::None => 0.0,
            Self::Copy => 1.0,
            Self::Follow => 2.0,
            Self::Verify => 3.0,
            Self::Fence => 4.0,
        }
    }
}

pub(crate) struct SwapMeters {
    state: Key,
    records: Key,
    bytes: Key,
    followed: Key,
    lag: Key,
    fence: Key,
}

impl SwapMeters {
    pub(super) fn new(key: impl Fn(Metric) -> Key) -> Self {
        Self {
            state: key(SWAP_STATE),
            records: key(SWAP_RECORDS),
            bytes: key(SWAP_BYTES),
            followed: key(SWAP_FOLLOWED),
            lag: key(SWAP_LAG),
            fence: key(SWAP_FENCE),
        }
    }

    pub(crate) fn step(&self, step: SwapStep) {
        gauge(&self.state, step.number());
    }

    pub(crate) fn copied(&self, records: u64, bytes: u64) {
        metrics::with_recorder(|recorder| {
            count(recorder, &self.records, records);
            count(recorder, &self.bytes, bytes);
        });
    }

    pub(crate) fn followed(&self, commits: u64) {
        metrics::with_recorder(|recorder| count(recorder, &self.followed, commits));
    }

    #[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
    pub(crate) fn lag(&self, commits: u64) {
        gauge(&self.lag, commits as f64);
    }

    pub(crate) fn fence(&self, pause: Duration) {
        metrics::with_recorder(|recorder| record(recorder, &self.fence, pause.as_secs_f64()));
    }
}

fn gauge(key: &Key, value: f64) {
    metrics::with_recorder(|recorder| recorder.register_gauge(key, &METADATA).set(value));
}
