//! Following: what the source commits meanwhile is applied to the target, in order.

use persist_api::{BeatHeader, CommitNo, Engine as _, Error, ErrorKind, Observer, Progress, Result};

use super::compare::{at_the_same_commit, same_digest};
use super::target::Stroke;
use super::{HOLD_NAME, Stage, Swap};
use crate::feed::{Carry, FeedCommit, Wanted, read_commit};

use super::pinned::Pinned;
use crate::merkle::beat_root;
use crate::observe::{SwapStep, told};

/// Something that can end a round.
pub(super) type Check<'c> = dyn Fn() -> Result<()> + 'c;

impl Swap {
    /// Applies what was committed since copying began, until little is left. Writers and readers go on. After
    /// [`verify`](Self::verify), everything that is applied is also compared.
    ///
    /// # Errors
    /// `Busy` when the writers are faster, `Stale` when more was committed than the source keeps for the swap, `TooLarge`
    /// naming a key or value that the target cannot take, `Full`, `Corrupt`, `Cancelled`, `Io`: the store is as it was, and
    /// the swap may be gone on with or aborted. `Invalid` before everything is copied.
    pub fn follow(&mut self, seen: &dyn Observer) -> Result<()> {
        let _span = tracing::info_span!("persist.swap.follow").entered();
        told(self.follow_all(seen))
    }

    fn follow_all(&mut self, seen: &dyn Observer) -> Result<()> {
        self.need(Stage::Copied)?;
        self.tell(SwapStep::Follow);
        let mut no_nearer = 0_u32;
        let mut nearest = u64::MAX;
        loop {
            let done = self.figures.followed;
            let total = Some(done.saturating_add(self.lag()));
            let check = || seen.step("swap", Progress { phase: "follow", done, total, unit: "commits" });
            check()?;
            // What was committed while that was told counts too.
            let lag = self.lag();
            self.shared.active().meters.swap.lag(lag);
            if lag <= self.options.lag_max {
                return Ok(());
            }
            if lag < nearest {
                (nearest, no_nearer) = (lag, 0);
            } else {
                no_nearer = no_nearer.saturating_add(1);
                if no_nearer >= self.options.rounds_max {
                    return Err(too_fast(lag, self.figures.rounds));
                }
            }
            self.round(&check)?;
            self.target()?.sync()?;
            self.pass_hold()?;
        }
    }

    /// Compares everything on both sides, by digest, and from then on everything that is followed. Writers and readers go
    /// on.
    ///
    /// # Errors
    /// `Corrupt` naming the first key that differs: the source stays the store, abort the swap. As
    /// [`follow`](Self::follow).
    pub fn verify(&mut self, seen: &dyn Observer) -> Result<()> {
        let _span = tracing::info_span!("persist.swap.verify").entered();
        told(self.verify_all(seen))
    }

    fn verify_all(&mut self, seen: &dyn Observer) -> Result<()> {
        self.need(Stage::Copied)?;
        self.tell(SwapStep::Verify);
        let progress =
            Progress { phase: "follow", done: self.figures.followed, total: None, unit: "commits" };
        let view = self.catch_up(&|| seen.step("swap", progress))?;
        let target = self.target()?.view()?;
        at_the_same_commit(&view, &target)?;
        let digest = same_digest(&view, &target, seen)?;
        drop(target);
        self.touched = super::compare::Touched::default();
        self.verified = Some((digest, view.header().last_commit()));
        Ok(())
    }

    /// Commits that the target does not have yet.
    pub fn lag(&self) -> u64 {
        self.shared.last_commit().0.saturating_sub(self.cursor.position.0)
    }

    /// One round: as far as the source is now; what was verified is compared again.
    pub(super) fn round(&mut self, check: &Check<'_>) -> Result<()> {
        let view = self.catch_up(check)?;
        self.figures.rounds = self.figures.rounds.saturating_add(1);
        if self.verified.is_none() {
            return Ok(());
        }
        let target = self.target()?.view()?;
        at_the_same_commit(&view, &target)?;
        self.figures.compared = self.figures.compared.saturating_add(self.touched.len());
        self.touched.compare(&view, &target, check)
    }

    /// Applies every commit that the source shows now. Gives the view that shows them.
    fn catch_up(&mut self, check: &Check<'_>) -> Result<Pinned> {
        let view = self.shared.pinned_durably("swap")?;
        let until = view.header().last_commit();
        let commits = until.0.saturating_sub(self.cursor.position.0);
        self.figures.followed = self.figures.followed.saturating_add(commits);
        let wanted = Wanted::read(view.raw(), HOLD_NAME)?;
        while self.cursor.position < until {
            check()?;
            self.apply_some(&view, until)?;
        }
        while self.carry_some(&view, &wanted)? {
            check()?;
        }
        self.shared.active().meters.swap.followed(commits);
        Ok(view)
    }

    /// Stores commits that holds need and that were made before the copy began, as many as one beat of the target takes.
    /// False when there are none.
    fn carry_some(&self, view: &Pinned, wanted: &Wanted) -> Result<bool> {
        let target = self.target()?;
        let until = self.cursor.position;
        let chunk_bytes = target.chunk_bytes(self.options.chunk_bytes);
        let shown = target.engine.view()?;
        let mut carry = Carry::load(shown.as_ref())?;
        let Some(next) = carry.next(wanted).filter(|next| *next <= until.0) else { return Ok(false) };
        let mut stroke = target.begin(&target.header_of(view.header()), target.on_the_way())?;
        // A hold that moved meanwhile leaves behind what nobody needs any more. That goes first.
        let ready = !carry.is_cut_off(next) || carry.free(shown.as_ref(), stroke.beat(), chunk_bytes)?;
        while ready
            && stroke.bytes < chunk_bytes
            && let Some(next) = carry.next(wanted).filter(|next| *next <= until.0)
        {
            let read = Self::read(view, CommitNo(next.saturating_sub(1)))?;
            stroke.bytes = stroke.bytes.saturating_add(carry.store(&target.terms, &read, stroke.beat())?);
        }
        carry.write(stroke.beat())?;
        stroke.commit(Some(&self.cursor))?;
        Ok(true)
    }

    /// Applies whole beats, as many as one beat of the target takes.
    fn apply_some(&mut self, view: &Pinned, until: CommitNo) -> Result<()> {
        let target = self.target.as_ref().ok_or_else(super::gone)?;
        let chunk_bytes = target.chunk_bytes(self.options.chunk_bytes);
        let mut stroke: Option<Stroke<'_>> = None;
        let mut cursor = self.cursor.clone();
        let mut beat = Vec::new();
        while cursor.position < until {
            let next = Self::read(view, cursor.position)?;
            let more = next.log.canonical_bytes().len() as u64;
            let full = |stroke: &Stroke<'_>| stroke.bytes.saturating_add(more) > chunk_bytes;
            if beat.is_empty() && stroke.as_ref().is_some_and(full) {
                break;
            }
            let open = match &mut stroke {
                Some(open) => open,
                // The number of the last beat in it stands for all of it; nobody looks at a target on the way.
                None => stroke.insert(target.begin(&target.header_of(view.header()), target.on_the_way())?),
            };
            open.apply(&next.log)?;
            if self.verified.is_some() {
                self.touched.add(&next.log);
            }
            cursor.position = next.commit;
            beat.push(next.log.leaf());
            if next.ends_beat() {
                check_root(&next.header, &beat)?;
                beat.clear();
            }
        }
        if let Some(stroke) = stroke {
            stroke.commit(Some(&cursor))?;
        }
        self.cursor = cursor;
        if self.touched.is_too_much() {
            // A digest of everything takes its place.
            self.verified = None;
            self.touched = super::compare::Touched::default();
        }
        Ok(())
    }
}

impl Swap {
    /// The commit after `position`, from the source's feed.
    fn read(view: &Pinned, position: CommitNo) -> Result<FeedCommit> {
        let next = position.0.saturating_add(1);
        read_commit(view.raw(), next)?.ok_or_else(|| {
            let context = format!(
                "the source does not keep commit {next} for the swap any more: more was committed than feed_bytes_max \
                 allows; abort the swap, or resume it to copy anew"
            );
            Error::new(ErrorKind::Stale, "swap", context)
        })
    }

    /// Lets the source free what the target has durably.
    fn pass_hold(&self) -> Result<()> {
        match &self.hold {
            Some(hold) => hold.advance(self.cursor.position),
            None => Ok(()),
        }
    }
}

/// Checks that the commits of a beat are those that its header is over.
fn check_root(header: &BeatHeader, leaves: &[[u8; 32]]) -> Result<()> {
    if leaves.len() as u64 != header.commits || header.root.is_none_or(|root| root == beat_root(leaves)) {
        return Ok(());
    }
    let context = format!("the commits of beat {} are not those that its root is over", header.beat);
    Err(Error::new(ErrorKind::Corrupt, "swap", context).with_beat(header.beat))
}

fn too_fast(lag: u64, rounds: u64) -> Error {
    let context = format!(
        "the writers are faster than the swap: {lag} commits are left after {rounds} rounds; nothing was changed. Go on \
         when less is written, or abort"
    );
    Error::new(ErrorKind::Busy, "swap", context)
}
