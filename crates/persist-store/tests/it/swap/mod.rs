//! Swapping the engine: SWP-1 to SWP-26 of the protocol.

mod abort;
mod back;
mod crash;
mod example;
mod fails;
mod holds;
mod homes;
mod load;
mod migrate;
mod plain;
mod progress;
mod refused;
mod relied;
mod room;
mod signpost;
mod stand;
mod steps;
mod take_back;
mod upkeep;
mod volatile;
