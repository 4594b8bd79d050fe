//! Negotiation: an offer and a request become a grant or a refusal. Pure: no I/O, no clock, no environment.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use crate::{Caps, Durability, Error, ErrorKind, Limits, Offer, Result};

/// A layer that the runtime can put between the caller and an engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// What it would be granted as.
    pub grant: LayerGrant,
    /// In every store, whatever is asked for.
    pub always: bool,
    /// Capabilities of the engine that are lost under it, as ZERO_COPY under a layer that changes bytes. Never one that a
    /// layer provides.
    pub removes: Caps,
}

/// A layer as granted and stamped.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LayerGrant {
    /// Stable name: lower-case letters, digits, `-`.
    pub name: Cow<'static, str>,
    /// Version of its format.
    pub version: u16,
    /// The capabilities it provides.
    pub provides: Caps,
    /// Bytes it adds to each key.
    pub key_overhead: u64,
    /// Bytes it may add to each value.
    pub value_overhead: u64,
    /// What the layer was given when the store was created, in its own notation: lower-case letters, digits, `.` and `-`.
    /// Empty for a layer that takes nothing. Negotiation leaves it alone.
    pub parameter: Cow<'static, str>,
}

/// What a caller needs and likes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Without these: refusal.
    pub required: Caps,
    /// Granted where available.
    pub preferred: Caps,
    /// The highest durability that beats will ask for.
    pub durability: Durability,
    /// A durability that the engine lacks is granted as pending and turns active after a swap.
    pub durability_may_pend: bool,
    /// At least these limits, net of prefixes and layers.
    pub limits: Limits,
    /// The layers that the runtime has ready, in the order in which they would apply.
    pub layers: Vec<Layer>,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            required: Caps::empty(),
            preferred: Caps::empty(),
            durability: Durability::Durable,
            durability_may_pend: false,
            limits: Limits::NO_NEED,
            layers: Vec::new(),
        }
    }
}

/// What both sides agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// What the stored bytes depend on. Stamped at creation and authoritative ever after.
    pub format: FormatGrant,
    /// What this session may do. Negotiated at each open.
    pub session: SessionGrant,
}

/// The part of a grant that lives in the stamp.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct FormatGrant {
    /// The layers between caller and engine, outermost first.
    pub layers: Vec<LayerGrant>,
}

/// The part of a grant that lives as long as the handle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionGrant {
    /// What may be used. Nothing that was not asked for is in here.
    pub caps: Caps,
    /// Those of `caps` that a layer provides because the engine does not.
    pub emulated: Caps,
    /// The highest durability that a beat may ask for now.
    pub durability: Durability,
    /// The durability that was asked for and waits for a swap.
    pub durability_pending: Option<Durability>,
    /// Limits, net of prefixes and layers.
    pub limits: Limits,
}

/// A limit that is too low.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitShortfall {
    /// Name of the limit, as in [`Limits::named`].
    pub name: &'static str,
    /// What was asked for.
    pub asked: u64,
    /// What is available.
    pub available: u64,
}

/// Why there is no grant: everything that is missing, at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The engine that was asked.
    pub engine: &'static str,
    /// Required capabilities that neither the engine nor a layer provides.
    pub missing: Caps,
    /// Limits that are too low.
    pub limits: Vec<LimitShortfall>,
    /// The durability asked for and the one offered, where it is too low.
    pub durability: Option<(Durability, Durability)>,
    /// Stamped layers that this build cannot apply, as `name/version`.
    pub layers: Vec<String>,
}

/// Negotiates for a new store.
///
/// Laws, each a property test: the same input gives the same output; nothing is granted that was not asked for; every
/// required bit is granted, natively or by a named layer, or the refusal names all that is missing; a richer offer
/// never shrinks a grant.
///
/// # Errors
/// The refusal.
pub fn negotiate(offer: &Offer, request: &Request) -> Result<Grant, Refusal> {
    let wanted = wanted_caps(request);
    let mut provided = offer.caps;
    let mut layers = Vec::new();
    for layer in &request.layers {
        let adds = layer.grant.provides & !provided;
        // What is only preferred must not cost what is required.
        let harms = layer.removes.intersects(request.required) && !adds.intersects(request.required);
        if layer.always || (adds.intersects(wanted) && !harms) {
            provided |= layer.grant.provides;
            layers.push(layer.grant.clone());
        }
    }
    conclude(offer, request, FormatGrant { layers }, Vec::new())
}

/// Negotiates for a store that exists: its stamped format stands, and the session is what the offer allows on it.
///
/// # Errors
/// The refusal; it also names stamped layers that `request.layers` does not contain.
pub fn renegotiate(offer: &Offer, request: &Request, stamped: &FormatGrant) -> Result<Grant, Refusal> {
    let unknown = stamped
        .layers
        .iter()
        .filter(|layer| !request.layers.iter().any(|ready| ready.grant.is_same_layer(layer)))
        .map(LayerGrant::id)
        .collect();
    conclude(offer, request, stamped.clone(), unknown)
}

/// All bits that the request names, the durability's included.
fn wanted_caps(request: &Request) -> Caps {
    request.required | request.preferred | durability_caps(request.durability)
}

/// A durability stands for itself and every lower one.
fn durability_caps(durability: Durability) -> Caps {
    match durability {
        Durability::Volatile => Caps::empty(),
        Durability::Buffered => Caps::BUFFERED,
        Durability::Durable => Caps::DURABLE | Caps::BUFFERED,
    }
}

fn conclude(
    offer: &Offer,
    request: &Request,
    format: FormatGrant,
    unknown: Vec<String>,
) -> Result<Grant, Refusal> {
    let by_layers = format.layers.iter().fold(Caps::empty(), |set, layer| set | layer.provides);
    let applied = request
        .layers
        .iter()
        .filter(|ready| format.layers.iter().any(|layer| layer.is_same_layer(&ready.grant)));
    let lost = applied.fold(Caps::empty(), |set, layer| set | layer.removes);
    let caps = wanted_caps(request) & ((offer.caps - lost) | by_layers);
    let limits = offer.limits.net_of(format.key_overhead(), format.value_overhead());
    let durability = request.durability.min(offer.durability_max());
    let pending = (durability < request.durability).then_some(request.durability);
    let refusal = Refusal {
        engine: offer.engine,
        missing: request.required - caps,
        limits: shortfalls(&request.limits, &limits),
        durability: pending
            .filter(|_| !request.durability_may_pend)
            .map(|asked| (asked, offer.durability_max())),
        layers: unknown,
    };
    if !refusal.is_empty() {
        return Err(refusal);
    }
    let emulated = caps - offer.caps;
    Ok(Grant {
        format,
        session: SessionGrant { caps, emulated, durability, durability_pending: pending, limits },
    })
}

fn shortfalls(floor: &Limits, available: &Limits) -> Vec<LimitShortfall> {
    floor
        .named()
        .into_iter()
        .zip(available.named())
        .filter(|((_, asked), (_, available))| asked > available)
        .map(|((name, asked), (_, available))| LimitShortfall { name, asked, available })
        .collect()
}

impl LayerGrant {
    /// `name/version`.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{}/{}", self.name, self.version)
    }

    /// True if both stand for one layer, whatever their parameters.
    #[must_use]
    pub fn is_same_layer(&self, other: &Self) -> bool {
        let facts = |layer: &Self| (layer.version, layer.provides, layer.key_overhead, layer.value_overhead);
        self.name == other.name && facts(self) == facts(other)
    }
}

impl FormatGrant {
    const HEAD: &'static str = "persist-format-grant 1";

    /// Bytes that the layers add to each key.
    #[must_use]
    pub fn key_overhead(&self) -> u64 {
        self.layers.iter().fold(0, |sum, layer| sum.saturating_add(layer.key_overhead))
    }

    /// Bytes that the layers may add to each value.
    #[must_use]
    pub fn value_overhead(&self) -> u64 {
        self.layers.iter().fold(0, |sum, layer| sum.saturating_add(layer.value_overhead))
    }

    /// The layer of this name, if granted.
    #[must_use]
    pub fn layer(&self, name: &str) -> Option<&LayerGrant> {
        self.layers.iter().find(|layer| layer.name == name)
    }

    /// The canonical text: equal grants give equal bytes. Its digest is made by the runtime.
    #[must_use]
    pub fn canonical_text(&self) -> String {
        let mut text = format!("{}\n", Self::HEAD);
        for layer in &self.layers {
            let _ = write!(
                text,
                "layer {} key+{} value+{} provides {}",
                layer.id(),
                layer.key_overhead,
                layer.value_overhead,
                if layer.provides.is_empty() { "-".to_owned() } else { layer.provides.names() }
            );
            if !layer.parameter.is_empty() {
                let _ = write!(text, " with {}", layer.parameter);
            }
            text.push('\n');
        }
        text
    }

    /// Reads a canonical text back. Anything but the exact bytes that [`canonical_text`](Self::canonical_text) gives is
    /// refused.
    ///
    /// # Errors
    /// `Corrupt` naming the line.
    pub fn parse(text: &str) -> Result<Self> {
        let corrupt =
            |line: &str| Error::new(ErrorKind::Corrupt, "read_grant", format!("cannot read line {line:?}"));
        let mut lines = text.lines();
        let head = lines.next().unwrap_or_default();
        if head != Self::HEAD {
            return Err(corrupt(head));
        }
        let layers =
            lines.map(|line| parse_layer(line).ok_or_else(|| corrupt(line))).collect::<Result<Vec<_>>>()?;
        let grant = Self { layers };
        if grant.canonical_text() != text {
            return Err(corrupt(text));
        }
        Ok(grant)
    }
}

fn parse_layer(line: &str) -> Option<LayerGrant> {
    let line = line.strip_prefix("layer ")?;
    let (line, parameter) = line.split_once(" with ").unwrap_or((line, ""));
    if !parameter.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-')) {
        return None;
    }
    let mut words = line.split(' ');
    let (name, version) = words.next()?.split_once('/')?;
    let key_overhead = words.next()?.strip_prefix("key+")?.parse().ok()?;
    let value_overhead = words.next()?.strip_prefix("value+")?.parse().ok()?;
    if words.next()? != "provides" {
        return None;
    }
    let mut provides = Caps::empty();
    for word in words.filter(|word| *word != "-") {
        provides |= Caps::named(word)?;
    }
    let version = version.parse().ok()?;
    let (name, parameter) = (Cow::Owned(name.to_owned()), Cow::Owned(parameter.to_owned()));
    Some(LayerGrant { name, version, provides, key_overhead, value_overhead, parameter })
}

impl Grant {
    /// The canonical text of the whole grant, for logs and tests.
    #[must_use]
    pub fn canonical_text(&self) -> String {
        let session = &self.session;
        let mut text = self.format.canonical_text();
        let _ = writeln!(text, "native {}", (session.caps - session.emulated).names());
        let _ = writeln!(text, "emulated {}", session.emulated.names());
        let _ = writeln!(text, "durability {}", session.durability);
        if let Some(pending) = session.durability_pending {
            let _ = writeln!(text, "durability-pending {pending}");
        }
        for (name, value) in session.limits.named() {
            let _ = writeln!(text, "limit {name} {value}");
        }
        text
    }
}

impl Refusal {
    fn is_empty(&self) -> bool {
        self.missing.is_empty()
            && self.limits.is_empty()
            && self.durability.is_none()
            && self.layers.is_empty()
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let missing = (!self.missing.is_empty()).then(|| format!("missing {}", self.missing.names()));
        let limits = self
            .limits
            .iter()
            .map(|limit| format!("{} {} of {} asked", limit.name, limit.available, limit.asked));
        let durability =
            self.durability.map(|(asked, offered)| format!("durability {offered} instead of {asked}"));
        let layers = self.layers.iter().map(|layer| format!("layer {layer} is not in this build"));
        let all: Vec<_> = missing.into_iter().chain(limits).chain(durability).chain(layers).collect();
        write!(f, "{} cannot give what is required: {}", self.engine, all.join("; "))
    }
}

impl std::error::Error for Refusal {}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::new(ErrorKind::Refused, "negotiate", refusal.to_string())
            .with_engine(refusal.engine)
            .with_source(refusal)
    }
}
