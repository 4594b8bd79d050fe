//! Negotiating with the engine's own offer.

use std::borrow::Cow;

use persist_api::{Caps, Durability, FormatGrant, Grant, Layer, LayerGrant, Limits, Offer, Request};

use crate::kit::{Stand, offer};
use crate::{CaseResult, Failure, Fixture, check, check_eq};

fn quiet() -> Request {
    Request { durability: Durability::Volatile, ..Request::default() }
}

fn checksum_layer() -> Layer {
    let grant = LayerGrant {
        name: Cow::Borrowed("crc32c"),
        version: 1,
        provides: Caps::CRC32C,
        key_overhead: 0,
        value_overhead: 4,
        parameter: Cow::Borrowed(""),
    };
    Layer { grant, always: false, removes: Caps::empty() }
}

fn granted(fx: &dyn Fixture, offer: &Offer, request: &Request) -> Result<Grant, Failure> {
    fx.negotiate(offer, request).map_err(|refusal| Failure::new(format!("refused: {refusal}")))
}

/// The same offer and request give the same text, byte for byte.
pub(crate) fn same_input_same_grant(fx: &dyn Fixture) -> CaseResult {
    let offer = offer(fx);
    let request = Request { preferred: Caps::all(), layers: vec![checksum_layer()], ..quiet() };
    let first = granted(fx, &offer, &request)?.canonical_text();
    check_eq!(granted(fx, &offer, &request)?.canonical_text(), first, "the text of the second grant");
    Ok(())
}

/// A request for nothing is granted nothing.
pub(crate) fn nothing_asked_nothing_granted(fx: &dyn Fixture) -> CaseResult {
    let grant = granted(fx, &offer(fx), &quiet())?;
    check!(grant.session.caps.is_empty(), "granted unasked: {}", grant.session.caps.names());
    check_eq!(grant.session.durability, Durability::Volatile, "the durability granted unasked");
    Ok(())
}

/// Of what is offered, only what was asked for is granted.
pub(crate) fn only_what_was_asked(fx: &dyn Fixture) -> CaseResult {
    let offer = offer(fx);
    for cap in offer.caps.rows() {
        let grant = granted(fx, &offer, &Request { required: cap.bit, ..quiet() })?;
        check_eq!(grant.session.caps, cap.bit, "what is granted for {}", cap.name);
    }
    Ok(())
}

/// Everything offered can be required at once.
pub(crate) fn all_that_is_offered_is_granted(fx: &dyn Fixture) -> CaseResult {
    let offer = offer(fx);
    let request = Request { required: offer.caps, durability: offer.durability_max(), ..quiet() };
    let grant = granted(fx, &offer, &request)?;
    check!(
        grant.session.caps.contains(offer.caps),
        "not granted: {}",
        (offer.caps - grant.session.caps).names()
    );
    check_eq!(grant.session.durability, offer.durability_max(), "the durability granted");
    Ok(())
}

/// A refusal names every bit that is missing.
pub(crate) fn refusal_names_every_bit(fx: &dyn Fixture) -> CaseResult {
    let offer = offer(fx);
    let missing = Caps::all() - offer.caps;
    match fx.negotiate(&offer, &Request { required: Caps::all(), ..quiet() }) {
        Ok(_) => check!(missing.is_empty(), "granted although missing: {}", missing.names()),
        Err(refusal) => {
            check_eq!(refusal.missing, missing, "the bits named as missing");
            for cap in missing.rows() {
                check!(refusal.to_string().contains(cap.name), "the sentence leaves out {}", cap.name);
            }
        }
    }
    Ok(())
}

/// A refusal names every limit that is too low.
pub(crate) fn refusal_names_every_limit(fx: &dyn Fixture) -> CaseResult {
    let offer = offer(fx);
    let more = |limit: u64| limit.saturating_add(1);
    let limits = Limits {
        key_bytes_max: more(offer.limits.key_bytes_max),
        value_bytes_max: more(offer.limits.value_bytes_max),
        beat_bytes_max: more(offer.limits.beat_bytes_max),
        views_max: more(offer.limits.views_max),
        store_bytes_max: more(offer.limits.store_bytes_max),
    };
    let bounded = offer.limits.named().into_iter().filter(|(_, limit)| *limit < u64::MAX).count();
    let named =
        fx.negotiate(&offer, &Request { limits, ..quiet() }).err().map_or(0, |refusal| refusal.limits.len());
    check_eq!(named, bounded, "limits named as too low");
    Ok(())
}

/// The limits of the offer are enough for a request of just these.
pub(crate) fn limits_at_the_offer_are_granted(fx: &dyn Fixture) -> CaseResult {
    let offer = offer(fx);
    let grant = granted(fx, &offer, &Request { limits: offer.limits, ..quiet() })?;
    check_eq!(grant.session.limits, offer.limits, "the limits granted");
    Ok(())
}

/// A durability beyond the offer is refused; one that may pend waits.
pub(crate) fn durability_is_refused_or_pends(fx: &dyn Fixture) -> CaseResult {
    let most = offer(fx).durability_max();
    let poorer = Offer { caps: offer(fx).caps - Caps::DURABLE - Caps::BUFFERED, ..offer(fx) };
    let mut request = Request { durability: Durability::Durable, ..Request::default() };
    check!(fx.negotiate(&poorer, &request).is_err(), "durable was granted over a volatile offer");
    request.durability_may_pend = true;
    let grant = granted(fx, &poorer, &request)?;
    check_eq!(grant.session.durability, Durability::Volatile, "the durability granted now");
    check_eq!(grant.session.durability_pending, Some(Durability::Durable), "the durability that waits");
    let own = granted(fx, &offer(fx), &request)?.session;
    check_eq!(own.durability, most, "the durability granted over the engine's own offer");
    Ok(())
}

/// Adding a bit to the offer takes none away from the grant.
pub(crate) fn richer_offer_shrinks_nothing(fx: &dyn Fixture) -> CaseResult {
    let whole = offer(fx);
    for preferred in [Caps::all(), Caps::ORDERED | Caps::CRC32C, Caps::CHECKPOINT | Caps::BACKUP] {
        let request = Request { preferred, layers: vec![checksum_layer()], ..quiet() };
        let mut poorer = Offer { caps: Caps::empty(), ..whole.clone() };
        let mut before = granted(fx, &poorer, &request)?.session.caps;
        for cap in whole.caps.rows() {
            poorer.caps |= cap.bit;
            let after = granted(fx, &poorer, &request)?.session.caps;
            check!(after.contains(before), "offering {} takes away {}", cap.name, (before - after).names());
            before = after;
        }
    }
    Ok(())
}

/// A bit that the engine lacks comes from a layer, which is named in the grant.
pub(crate) fn layer_fills_in_and_is_named(fx: &dyn Fixture) -> CaseResult {
    let bare = Offer { caps: offer(fx).caps - Caps::CRC32C, ..offer(fx) };
    let request = Request { required: Caps::CRC32C, layers: vec![checksum_layer()], ..quiet() };
    let grant = granted(fx, &bare, &request)?;
    check_eq!(grant.session.emulated, Caps::CRC32C, "what the grant marks as emulated");
    check!(grant.format.layer("crc32c").is_some(), "the layer is not named in the format grant");
    Ok(())
}

/// Limits in the grant are net of what layers add.
pub(crate) fn layer_costs_come_off_the_limits(fx: &dyn Fixture) -> CaseResult {
    let bare = Offer { caps: offer(fx).caps - Caps::CRC32C, ..offer(fx) };
    let request = Request { required: Caps::CRC32C, layers: vec![checksum_layer()], ..quiet() };
    let net = granted(fx, &bare, &request)?.session.limits;
    check_eq!(net, bare.limits.net_of(0, 4), "the limits under a layer that adds four bytes");
    Ok(())
}

/// The text of a format grant reads back as the same grant.
pub(crate) fn format_text_reads_back(fx: &dyn Fixture) -> CaseResult {
    let bare = Offer { caps: offer(fx).caps - Caps::CRC32C, ..offer(fx) };
    let request = Request { required: Caps::CRC32C, layers: vec![checksum_layer()], ..quiet() };
    let format = granted(fx, &bare, &request)?.format;
    check_eq!(FormatGrant::parse(&format.canonical_text())?, format, "the format grant read back");
    check_eq!(format.layers.len(), 1, "the layers of the format");
    Ok(())
}

/// What is granted is what the open engine takes: a beat at the granted durability begins.
pub(crate) fn granted_durability_is_taken(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let asked = engine.offer().durability_max();
    let grant = granted(fx, engine.offer(), &Request { durability: asked, ..Request::default() })?;
    let header = engine.view()?.header().next(1, grant.session.durability, None)?;
    engine.begin_beat(header)?.commit_beat()?;
    Ok(())
}
