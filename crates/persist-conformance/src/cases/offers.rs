//! What is offered, by driver and handle.

use persist_api::Caps;

use crate::kit::{Stand, offer, put};
use crate::{CaseResult, Fixture, check, check_eq};

/// The same options give the same offer.
pub(crate) fn offer_is_pure(fx: &dyn Fixture) -> CaseResult {
    check_eq!(offer(fx), offer(fx), "two offers for the same options");
    Ok(())
}

/// Making an offer touches no disk: it does not even know where.
pub(crate) fn open_engine_offers_what_its_driver_does(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    check_eq!(*at.open()?.offer(), offer(fx), "the offer of the open engine");
    Ok(())
}

/// With options that change limits, too.
pub(crate) fn open_offer_follows_the_options(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let change = |options: &mut persist_api::OpenOptions| {
        options.views_max = Some(3);
        options.store_bytes_max = Some(64 << 20);
    };
    let engine = at.open_with(change)?;
    check_eq!(*engine.offer(), at.driver().offer(&at.options_with(change)), "the offer with limits set");
    Ok(())
}

/// The offer of a handle does not change while beats come and views go.
pub(crate) fn open_offer_is_constant(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let before = engine.offer().clone();
    for beat in 0..3_u8 {
        let _view = engine.view()?;
        put(&*engine, [(vec![beat + 1], vec![beat; 500])])?;
    }
    check_eq!(*engine.offer(), before, "the offer after three beats");
    Ok(())
}

/// An offer holds only rows of the registry that engines own.
pub(crate) fn offer_holds_only_engine_bits(fx: &dyn Fixture) -> CaseResult {
    let strange = offer(fx).caps - Caps::offerable();
    check!(strange.is_empty(), "bits that no engine may offer: {} ({:#x})", strange.names(), strange.bits());
    Ok(())
}

/// What nothing works without is offered.
pub(crate) fn offer_holds_the_floor(fx: &dyn Fixture) -> CaseResult {
    let missing = (Caps::BEAT_ATOMIC | Caps::SNAPSHOT) - offer(fx).caps;
    check!(missing.is_empty(), "an engine without {} cannot be used or tested", missing.names());
    Ok(())
}

/// The limits are numbers that can be true, and LONG_KEYS agrees with them.
pub(crate) fn offer_limits_make_sense(fx: &dyn Fixture) -> CaseResult {
    let offer = offer(fx);
    for (name, value) in offer.limits.named() {
        check!(value > 0, "the offered limit {name} is 0");
    }
    let long = offer.limits.key_bytes_max >= 65_535;
    let key = offer.limits.key_bytes_max;
    check_eq!(offer.caps.contains(Caps::LONG_KEYS), long, "LONG_KEYS with keys up to {key} bytes");
    Ok(())
}

/// The offer names the scheme of its driver, in lower-case letters, and the library.
pub(crate) fn offer_names_its_engine(fx: &dyn Fixture) -> CaseResult {
    let offer = offer(fx);
    check_eq!(offer.engine, fx.driver().scheme(), "the engine of the offer");
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
    check!(!offer.engine.is_empty() && offer.engine.bytes().all(plain), "the scheme {:?}", offer.engine);
    check!(!offer.library.trim().is_empty(), "the offer names no library");
    Ok(())
}
