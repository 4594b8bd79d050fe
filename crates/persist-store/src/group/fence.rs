//! The fence of a swap: the lane, taken from everybody.

use std::time::Duration;

use persist_api::{Error, ErrorKind, Result};

use super::queue::{FenceAt, Gate};
use super::wake_all;
use crate::seat::Seat;
use crate::shared::{Core, closed};
use crate::sync::{Budget, wait_for};

/// While it exists, nobody commits: what is queued waits. Dropping it lets everybody go on, on whatever engine its seat
/// leads to.
pub(crate) struct Fence<'c> {
    core: &'c Core,
    seat: Option<Box<Seat>>,
}

impl Fence<'_> {
    /// The seat, while the fence stands.
    ///
    /// # Errors
    /// Never; the seat is there until the fence is dropped.
    pub(crate) fn seat(&mut self) -> Result<&mut Seat> {
        self.seat.as_deref_mut().ok_or_else(|| closed("swap"))
    }
}

impl Drop for Fence<'_> {
    fn drop(&mut self) {
        let mut queue = self.core.group.lock();
        queue.fence = FenceAt::Away;
        match self.seat.take() {
            Some(seat) => wake_all(self.core.group.put_back(queue, seat)),
            // It never got the lane: whoever was kept from it may go on.
            None => self.core.group.pass_on(queue),
        }
    }
}

impl Core {
    /// Takes the lane from everybody: no beat begins after this one asked, and it waits for the one under way.
    ///
    /// # Errors
    /// `Busy` when that takes longer than `within`: everybody goes on then. `Closed`.
    pub(crate) fn raise_fence(&self, within: Duration) -> Result<Fence<'_>> {
        let group = &self.group;
        let mut budget = Budget::default();
        let mut queue = group.lock();
        if queue.gate != Gate::Open {
            return Err(closed("swap"));
        }
        if queue.fence != FenceAt::Away {
            return Err(Error::new(ErrorKind::Busy, "swap", "another swap is at its fence"));
        }
        queue.fence = FenceAt::Waiting;
        group.end_gathering(&mut queue);
        let mut fence = Fence { core: self, seat: None };
        loop {
            if let Some(seat) = queue.seat.take() {
                queue.fence = FenceAt::InLane;
                group.hold_up(&queue);
                fence.seat = Some(seat);
                return Ok(fence);
            }
            let Some(left) = budget.left(within) else {
                drop(queue);
                let context = "an explicit beat of the writer took longer than the fence of the swap may";
                return Err(Error::new(ErrorKind::Busy, "swap", context));
            };
            queue.want_lane += 1;
            queue = wait_for(&group.lane, queue, left);
            queue.want_lane -= 1;
        }
    }
}
