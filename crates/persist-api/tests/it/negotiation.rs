//! The laws of negotiation, and of `select`.

use persist_api::{
    Caps, Durability, FormatGrant, Grant, Layer, Offer, Refusal, Request, negotiate, renegotiate, select,
};
use proptest::prelude::*;

use crate::kit::caps;
use crate::kit::{config, layer_grant, limits, offer, request};

/// What the request names, the durability's own bits included.
fn asked(request: &Request) -> Caps {
    let by_durability = match request.durability {
        Durability::Volatile => Caps::empty(),
        Durability::Buffered => Caps::BUFFERED,
        Durability::Durable => Caps::DURABLE | Caps::BUFFERED,
    };
    request.required | request.preferred | by_durability
}

fn provided(grant: &Grant) -> Caps {
    grant.format.layers.iter().fold(Caps::empty(), |set, layer| set | layer.provides)
}

/// Everything that a grant must be, whatever led to it.
fn check_grant(offer: &Offer, request: &Request, grant: &Grant) -> Result<(), TestCaseError> {
    let session = &grant.session;
    prop_assert!(asked(request).contains(session.caps), "N-2: nothing that was not asked for");
    prop_assert!(session.caps.contains(request.required), "N-3: all that is required");
    let native = session.caps - session.emulated;
    prop_assert!(offer.caps.contains(native), "what is native is offered");
    prop_assert!(provided(grant).contains(session.emulated), "what is emulated has a named layer");
    prop_assert!(!offer.caps.intersects(session.emulated), "native is preferred to emulated");
    prop_assert!(session.durability <= offer.durability_max() && session.durability <= request.durability);
    if let Some(pending) = session.durability_pending {
        prop_assert!(request.durability_may_pend);
        prop_assert_eq!(pending, request.durability);
        prop_assert!(session.durability < pending);
    } else {
        prop_assert_eq!(session.durability, request.durability);
    }
    for ((name, floor), (_, granted)) in request.limits.named().into_iter().zip(session.limits.named()) {
        prop_assert!(granted >= floor, "{} {} of {}", name, granted, floor);
    }
    for ((name, offered), (_, granted)) in offer.limits.named().into_iter().zip(session.limits.named()) {
        prop_assert!(granted <= offered, "{} {} of {}", name, granted, offered);
    }
    Ok(())
}

/// A refusal names exactly what is missing, all of it.
fn check_refusal(offer: &Offer, request: &Request, refusal: &Refusal) -> Result<(), TestCaseError> {
    let ready = request.layers.iter().fold(Caps::empty(), |set, layer| set | layer.grant.provides);
    prop_assert_eq!(
        refusal.missing,
        request.required
            - (offer.caps - lost(offer, request))
            - (ready & refusal_layers_used(offer, request))
    );
    let too_low = offer.durability_max() < request.durability && !request.durability_may_pend;
    prop_assert_eq!(refusal.durability, too_low.then_some((request.durability, offer.durability_max())));
    let (mut key, mut value) = (0, 0);
    for layer in used(offer, request) {
        key += layer.grant.key_overhead;
        value += layer.grant.value_overhead;
    }
    let net = offer.limits.net_of(key, value);
    let mut short = Vec::new();
    for ((name, asked), (_, available)) in request.limits.named().into_iter().zip(net.named()) {
        if asked > available {
            short.push((name, asked, available));
        }
    }
    let named: Vec<_> =
        refusal.limits.iter().map(|limit| (limit.name, limit.asked, limit.available)).collect();
    prop_assert_eq!(named, short);
    let empty = refusal.missing.is_empty() && refusal.limits.is_empty() && refusal.durability.is_none();
    prop_assert!(!empty || !refusal.layers.is_empty(), "a refusal has a reason");
    let text = refusal.to_string();
    for cap in refusal.missing.rows() {
        prop_assert!(text.contains(cap.name), "{}", text);
    }
    Ok(())
}

/// The layers that apply: always, or because something wanted is still missing when their turn comes.
fn used<'r>(offer: &Offer, request: &'r Request) -> Vec<&'r Layer> {
    let mut have = offer.caps;
    let mut used = Vec::new();
    for layer in &request.layers {
        let missing = layer.grant.provides - have;
        let harms = layer.removes.intersects(request.required) && !missing.intersects(request.required);
        if layer.always || (missing.intersects(asked(request)) && !harms) {
            have |= layer.grant.provides;
            used.push(layer);
        }
    }
    used
}

/// What the used layers take from the engine.
fn lost(offer: &Offer, request: &Request) -> Caps {
    used(offer, request).iter().fold(Caps::empty(), |set, layer| set | layer.removes)
}

fn refusal_layers_used(offer: &Offer, request: &Request) -> Caps {
    used(offer, request).iter().fold(Caps::empty(), |set, layer| set | layer.grant.provides)
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn deterministic(offer in offer(), request in request()) {
        let (one, two) = (negotiate(&offer, &request), negotiate(&offer.clone(), &request.clone()));
        prop_assert_eq!(&one, &two);
        if let (Ok(one), Ok(two)) = (one, two) {
            prop_assert_eq!(one.canonical_text(), two.canonical_text());
        }
    }

    #[test]
    fn a_grant_is_sound_or_a_refusal_is_complete(offer in offer(), request in request()) {
        match negotiate(&offer, &request) {
            Ok(grant) => check_grant(&offer, &request, &grant)?,
            Err(refusal) => check_refusal(&offer, &request, &refusal)?,
        }
    }

    /// Asking for exactly what a refusal left over is granted: nothing else stood in the way.
    #[test]
    fn without_what_was_missing_there_is_a_grant(offer in offer(), request in request()) {
        let Err(refusal) = negotiate(&offer, &request) else { return Ok(()) };
        let mut less = request.clone();
        less.required -= refusal.missing;
        less.preferred -= refusal.missing;
        less.durability = less.durability.min(offer.durability_max());
        less.limits = persist_api::Limits::NO_NEED;
        prop_assert!(negotiate(&offer, &less).is_ok());
    }

    #[test]
    fn a_richer_offer_never_shrinks_a_grant(
        offer in offer(), request in request(), more_caps in caps(), more_limits in limits()
    ) {
        let Ok(grant) = negotiate(&offer, &request) else { return Ok(()) };
        let mut richer = offer.clone();
        richer.caps |= more_caps & Caps::offerable();
        richer.limits.key_bytes_max = richer.limits.key_bytes_max.max(more_limits.key_bytes_max);
        richer.limits.value_bytes_max = richer.limits.value_bytes_max.max(more_limits.value_bytes_max);
        richer.limits.beat_bytes_max = richer.limits.beat_bytes_max.max(more_limits.beat_bytes_max);
        richer.limits.views_max = richer.limits.views_max.max(more_limits.views_max);
        richer.limits.store_bytes_max = richer.limits.store_bytes_max.max(more_limits.store_bytes_max);
        let richer_grant = match negotiate(&richer, &request) {
            Ok(grant) => grant,
            Err(refusal) => return Err(TestCaseError::fail(refusal.to_string())),
        };
        prop_assert!(richer_grant.session.caps.contains(grant.session.caps));
        prop_assert!(richer_grant.session.durability >= grant.session.durability);
        for ((name, less), (_, more)) in grant.session.limits.named().into_iter().zip(richer_grant.session.limits.named()) {
            prop_assert!(more >= less, "{} {} of {}", name, more, less);
        }
        // The same holds on the format that was stamped.
        let renewed = renegotiate(&richer, &request, &grant.format);
        prop_assert!(renewed.is_ok_and(|renewed| renewed.session.caps.contains(grant.session.caps)));
    }

    #[test]
    fn reopening_with_the_same_offer_gives_the_same_grant(offer in offer(), request in request()) {
        let Ok(grant) = negotiate(&offer, &request) else { return Ok(()) };
        prop_assert_eq!(renegotiate(&offer, &request, &grant.format), Ok(grant));
    }

    #[test]
    fn a_stamped_format_stands_and_a_layer_that_is_not_ready_is_refused(
        offer in offer(), request in request(), layers in proptest::collection::vec(layer_grant(), 0..3)
    ) {
        let stamped = FormatGrant { layers };
        let unknown: Vec<_> = stamped
            .layers
            .iter()
            .filter(|layer| request.layers.iter().all(|ready| !ready.grant.is_same_layer(layer)))
            .map(persist_api::LayerGrant::id)
            .collect();
        match renegotiate(&offer, &request, &stamped) {
            Ok(grant) => {
                prop_assert!(unknown.is_empty());
                prop_assert_eq!(&grant.format, &stamped);
                check_grant(&offer, &request, &grant)?;
            }
            Err(refusal) => prop_assert_eq!(refusal.layers, unknown),
        }
    }

    #[test]
    fn canonical_text_round_trip(layers in proptest::collection::vec(layer_grant(), 0..5)) {
        let format = FormatGrant { layers };
        let text = format.canonical_text();
        prop_assert_eq!(FormatGrant::parse(&text).unwrap(), format);
    }

    #[test]
    fn canonical_text_is_the_only_text(
        layers in proptest::collection::vec(layer_grant(), 0..3), at: prop::sample::Index, with in "[ -~\n]{0,2}"
    ) {
        let text = FormatGrant { layers }.canonical_text();
        let at = at.index(text.len());
        let changed = [&text[..at], with.as_str(), &text[at + 1..]].concat();
        if let Ok(read) = FormatGrant::parse(&changed) {
            prop_assert_eq!(read.canonical_text(), changed);
        }
    }

    #[test]
    fn arbitrary_text_never_panics(text in "\\PC{0,80}", lines in "(layer |[a-z/0-9+ -]{0,6}|\n){0,20}") {
        let _ = FormatGrant::parse(&text);
        let _ = FormatGrant::parse(&format!("persist-format-grant 1\n{lines}"));
    }

    #[test]
    fn select_does_not_depend_on_the_order(
        offers in proptest::collection::vec(offer(), 0..5), request in request(), turn in 0..5_usize
    ) {
        let mut turned = offers.clone();
        turned.rotate_left(turn % offers.len().max(1));
        turned.reverse();
        match (select(&offers, &request), select(&turned, &request)) {
            (Ok(one), Ok(two)) => {
                prop_assert_eq!(offers[one.index].engine, turned[two.index].engine);
                prop_assert_eq!(&one.grant, &two.grant);
                prop_assert_eq!(one.grant, negotiate(&offers[one.index], &request).unwrap());
            }
            (Err(one), Err(two)) => {
                prop_assert_eq!(one.len(), offers.len());
                prop_assert_eq!(two.len(), offers.len());
            }
            (one, two) => prop_assert!(false, "{one:?} but {two:?}"),
        }
    }

    #[test]
    fn select_picks_one_that_none_beats(offers in proptest::collection::vec(offer(), 1..5), request in request()) {
        let Ok(best) = select(&offers, &request) else { return Ok(()) };
        let worth = |grant: &Grant| (grant.session.durability, (grant.session.caps & request.preferred).bits().count_ones());
        for offer in &offers {
            if let Ok(grant) = negotiate(offer, &request) {
                prop_assert!(worth(&grant) <= worth(&best.grant));
            }
        }
    }
}

#[test]
fn a_layer_is_not_used_where_the_engine_can() {
    let layer = persist_api::LayerGrant {
        name: "crc32c".into(),
        version: 1,
        provides: Caps::CRC32C,
        key_overhead: 0,
        value_overhead: 4,
        parameter: "".into(),
    };
    let request = Request {
        required: Caps::CRC32C,
        durability: Durability::Volatile,
        layers: vec![Layer { grant: layer, always: false, removes: Caps::empty() }],
        ..Request::default()
    };
    let offer = |caps| Offer {
        engine: "one",
        library: String::new(),
        format: 1,
        caps,
        limits: persist_api::Limits::UNLIMITED,
    };
    let emulated = negotiate(&offer(Caps::empty()), &request).unwrap();
    assert_eq!((emulated.format.layers.len(), emulated.session.emulated), (1, Caps::CRC32C));
    let native = negotiate(&offer(Caps::CRC32C), &request).unwrap();
    assert_eq!((native.format.layers.len(), native.session.emulated), (0, Caps::empty()));
    let golden = "persist-format-grant 1\n\
        layer crc32c/1 key+0 value+4 provides CRC32C\n\
        native \n\
        emulated CRC32C\n\
        durability volatile\n\
        limit key_bytes_max 18446744073709551615\n\
        limit value_bytes_max 18446744073709551615\n\
        limit beat_bytes_max 18446744073709551615\n\
        limit views_max 18446744073709551615\n\
        limit store_bytes_max 18446744073709551615\n";
    assert_eq!(emulated.canonical_text(), golden);
}
