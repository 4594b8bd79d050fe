//! Picking one engine from several, deterministically.

use std::cmp::Reverse;

use crate::{Grant, Offer, Refusal, Request, negotiate};

/// The engine that was picked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// Its place in the list of offers.
    pub index: usize,
    /// What it grants.
    pub grant: Grant,
}

/// Picks the best of several offers: highest active durability, most preferred capabilities granted, fewest of them
/// emulated, then the name of the engine, the largest limits, and the text of the grant. The order of the list does not
/// matter: it decides only which of two equal grants is named.
///
/// # Errors
/// All refusals, in the order of the list, when none can grant.
pub fn select(offers: &[Offer], request: &Request) -> Result<Selection, Vec<Refusal>> {
    let mut refusals = Vec::new();
    let mut best: Option<(_, Selection)> = None;
    for (index, offer) in offers.iter().enumerate() {
        let grant = match negotiate(offer, request) {
            Ok(grant) => grant,
            Err(refusal) => {
                refusals.push(refusal);
                continue;
            }
        };
        let session = &grant.session;
        let rank = (
            Reverse(session.durability),
            Reverse((session.caps & request.preferred).bits().count_ones()),
            session.emulated.bits().count_ones(),
            offer.engine,
            // Two offers of one engine: the larger limits. With equal texts, both grant the same.
            Reverse(session.limits.named().map(|(_, limit)| limit)),
            grant.canonical_text(),
        );
        if best.as_ref().is_none_or(|(best_rank, _)| rank < *best_rank) {
            best = Some((rank, Selection { index, grant }));
        }
    }
    best.map(|(_, selection)| selection).ok_or(refusals)
}
