//! Tests of the runtime, over memory and over a small durable engine whose every disk operation can fail.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::cast_possible_truncation,
    unreachable_pub,
    reason = "tests"
)]

mod backup;
mod beat_limits;
mod beats;
mod bundle;
mod bundle_beat;
mod bundle_book;
mod bundle_bounds;
mod bundle_crash;
mod bundle_flips;
mod bundle_forge;
mod bundle_forged;
mod bundle_refuse;
mod bundle_since;
mod bundle_since_forged;
mod crash;
mod digest;
mod encryption;
mod encryption_lost;
mod faulty;
mod feed;
mod feed_edges;
mod feed_lost;
mod feed_model;
mod fussy;
mod futures;
mod grant;
mod group;
mod home;
mod home_above;
mod isolation;
mod kit;
mod layered;
mod layers;
mod log;
mod observe;
mod queue;
mod stamp;
mod swap;
mod toy;
mod transact;
mod transact_model;
mod verify;
mod views;
