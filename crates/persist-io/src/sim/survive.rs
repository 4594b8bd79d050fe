//! What a file holds after a crash, given which of its units survive.

use std::collections::HashMap;
use std::ops::Range;

use super::Rng;
use super::content::Content;
use super::crash::{Fate, Rest, Tear, Unit, UnitKind};
use super::node::{FileNode, SECTOR, What, piece, sectors};

/// What becomes of one sector.
#[derive(Clone, Copy, Default)]
struct Plan {
    /// Writes up to this unit are there whole.
    whole: Option<usize>,
    /// And then this one is torn.
    torn: Option<usize>,
}

/// What the file holds. `units` are those of this file, in the order of its pending changes.
pub(super) fn survive(file: &FileNode, units: &[(Unit, Fate)]) -> Content {
    let kept = |fate: &Fate| matches!(fate, Fate::Kept | Fate::Follow);
    if !file.diverged && units.iter().all(|(_, fate)| kept(fate)) {
        return file.live.clone();
    }
    let mut build = Build { content: file.durable.clone(), plans: plans(units), torn: HashMap::new() };
    if units.iter().all(|(_, fate)| *fate == Fate::Lost) {
        return build.content;
    }
    let mut len = build.content.len;
    let mut next = units.iter().enumerate().peekable();
    for change in &file.pending {
        match &change.what {
            What::Write { offset, lands, bytes, asked } => {
                let end = offset.saturating_add(bytes.len() as u64);
                let grows = |unit: &Unit| matches!(unit.what, UnitKind::Growth { len, .. } if len == end);
                let growth = next.next_if(|(_, (unit, _))| grows(unit));
                let mut reach = 0;
                for sector in lands.map_or(0..0, |lands| sectors(lands, bytes.len())) {
                    let Some((index, (_, fate))) = next.next() else { break };
                    let (at, part) = piece(lands.unwrap_or(0), bytes, sector);
                    build.sector(index, sector, *fate, (at, part), asked);
                    if *fate != Fate::Lost {
                        reach = at.saturating_add(part.len() as u64);
                    }
                }
                match growth.map(|(_, (_, fate))| fate) {
                    Some(Fate::Kept) => len = len.max(end),
                    Some(Fate::Follow) => len = len.max(reach.min(end)),
                    _ => {}
                }
            }
            What::Len(new) => {
                if next.next().is_some_and(|(_, (_, fate))| kept(fate)) {
                    len = *new;
                    build.content.resize(len);
                }
            }
            What::Grow(new) => {
                if next.next().is_some_and(|(_, (_, fate))| kept(fate)) {
                    len = len.max(*new);
                }
            }
        }
    }
    build.content.resize(len);
    build.content
}

fn plans(units: &[(Unit, Fate)]) -> HashMap<u64, Plan> {
    let mut plans: HashMap<u64, Plan> = HashMap::new();
    for (index, (unit, fate)) in units.iter().enumerate() {
        if let UnitKind::Sector { sector, .. } = unit.what {
            match fate {
                Fate::Lost => {}
                Fate::Kept | Fate::Follow => {
                    plans.insert(sector, Plan { whole: Some(index), torn: None });
                }
                Fate::Torn(_) => plans.entry(sector).or_default().torn = Some(index),
            }
        }
    }
    plans
}

struct Build<'f> {
    content: Content,
    plans: HashMap<u64, Plan>,
    /// Of sectors that will be torn: what was written to them since they were whole.
    torn: HashMap<u64, Vec<(u64, &'f [u8])>>,
}

impl<'f> Build<'f> {
    /// Lets unit `index`, which wrote `part` at `at` within `sector`, happen as planned.
    fn sector(
        &mut self,
        index: usize,
        sector: u64,
        fate: Fate,
        (at, part): (u64, &'f [u8]),
        asked: &Range<u64>,
    ) {
        let Some(plan) = self.plans.get(&sector).copied() else { return };
        if plan.whole.is_some_and(|whole| index <= whole) {
            self.content.write(at, part);
        } else if let Some(torn) = plan.torn.filter(|torn| index <= *torn) {
            let parts = self.torn.entry(sector).or_default();
            parts.push((at, part));
            if index == torn
                && let Fate::Torn(tear) = fate
            {
                let parts = std::mem::take(parts);
                self.tear(sector, &parts, asked, tear);
            }
        }
    }

    /// Makes a sector partly new; the last of `parts` is the write that tears, of which a program `asked` for these bytes.
    fn tear(&mut self, sector: u64, parts: &[(u64, &[u8])], asked: &Range<u64>, tear: Tear) {
        let start = sector.saturating_mul(SECTOR);
        let mut old = [0; 512];
        self.content.read(start, &mut old);
        let mut new = old;
        let mut written = 0..0;
        for (at, part) in parts {
            let from = usize::try_from(at.saturating_sub(start)).unwrap_or(0);
            written = from..from.saturating_add(part.len());
            if let Some(into) = new.get_mut(written.clone()) {
                into.copy_from_slice(part);
            }
        }
        let mut rng = Rng::new(match tear.rest {
            Rest::Garbage(seed) => seed,
            Rest::Old | Rest::Zeros => 0,
        });
        for (place, (byte, new)) in old.iter_mut().zip(new).enumerate() {
            let is_new = (place >= usize::from(tear.at)) == tear.back;
            if is_new {
                *byte = new;
            } else if written.contains(&place) && asked.contains(&start.saturating_add(place as u64)) {
                match tear.rest {
                    Rest::Old => {}
                    Rest::Zeros => *byte = 0,
                    Rest::Garbage(_) => *byte = rng.next().to_le_bytes()[0],
                }
            }
        }
        self.content.write(start, &old);
    }
}
