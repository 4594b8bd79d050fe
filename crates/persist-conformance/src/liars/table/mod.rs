//! Every liar, by the topic of the cases that catch it. A new row needs a name, what is broken, who must catch it, what
//! it is before it lies, and the lie itself.

mod beats;
mod cursors;
mod damage;
mod feed;
mod help;
mod history;
mod keeping;
mod maintenance;
mod open;
mod ranges;
mod reads;
mod reopen;
mod rest;
mod scans;
mod staging;
mod views;

use std::sync::LazyLock;

use super::Liar;

/// Every liar.
pub static LIARS: LazyLock<Vec<&'static Liar>> = LazyLock::new(|| {
    let tables = [
        open::OPEN,
        reopen::REOPEN,
        damage::DAMAGE,
        beats::BEATS,
        staging::STAGING,
        reads::READS,
        scans::SCANS,
        ranges::RANGES,
        cursors::CURSORS,
        views::VIEWS,
        history::HISTORY,
        feed::FEED,
        keeping::KEEPING,
        maintenance::MAINTENANCE,
        rest::REST,
    ];
    tables.into_iter().flatten().collect()
});
