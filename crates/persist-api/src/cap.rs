//! The registry of capabilities. Numbers are append-only: a number is never changed, reused or removed.

use bitflags::bitflags;

/// Who provides a capability.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CapOwner {
    /// The engine itself. Only these appear in offers.
    Engine,
    /// The engine, or a named layer of the runtime where the engine cannot.
    EngineOrLayer,
    /// A layer of the runtime.
    Layer,
    /// A service above the runtime.
    Service,
}

/// What emulation by a layer costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CostWhenEmulated {
    /// No layer emulates it.
    Never,
    /// A small constant for each record.
    PerRecord,
    /// In proportion to the bytes.
    PerByte,
}

/// One row of the registry: what a capability means and what its absence means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cap {
    /// Bit number. 0 to 12 are those of CEP persistent storage.
    pub number: u8,
    /// The stable name.
    pub name: &'static str,
    /// The bit as a set.
    pub bit: Caps,
    /// Who provides it.
    pub owner: CapOwner,
    /// What holds where it is granted.
    pub meaning: &'static str,
    /// What is refused, or different, without it.
    pub without: &'static str,
    /// What a layer's emulation costs.
    pub cost: CostWhenEmulated,
}

macro_rules! registry {
    ($( $number:literal $name:ident $owner:ident $cost:ident, $meaning:literal, $without:literal; )*) => {
        bitflags! {
            /// A set of capabilities. The meaning of each bit is its row in [`REGISTRY`].
            #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
            pub struct Caps: u64 {
                $( #[doc = $meaning] const $name = 1 << $number; )*
            }
        }

        /// Every capability, by number.
        pub const REGISTRY: &[Cap] = &[$( Cap {
            number: $number,
            name: stringify!($name),
            bit: Caps::$name,
            owner: CapOwner::$owner,
            meaning: $meaning,
            without: $without,
            cost: CostWhenEmulated::$cost,
        }, )*];
    };
}

registry! {
    0 BEAT_ATOMIC Engine Never, "A beat becomes visible and durable whole or not at all.", "no engine of ours lacks it";
    1 PREFIX_SCAN Engine Never, "The keys with a prefix can be scanned without reading others.", "scan_prefix is refused";
    2 CHECKPOINT Engine Never, "checkpoint bounds the work of the next open.", "checkpoint is refused";
    3 COMPACTION Engine Never, "compact gives unused space back.", "compact is refused";
    4 CRC32C EngineOrLayer PerRecord, "Every record that is read was checked with CRC-32C.", "damage may go unnoticed";
    5 MERKLE Layer PerByte, "The receipt and the header of a beat carry a Merkle root over its commits.", "no root";
    6 AEAD Layer PerByte, "Values are encrypted and authenticated at rest.", "values are stored in clear";
    7 DEFLATE Layer PerByte, "Values are compressed at rest, with DEFLATE.", "another compression, or none";
    8 CAS_DEDUP Service Never, "Equal blobs are stored once, under their BLAKE3 name.", "blobs are refused";
    9 REMOTE Engine Never, "The medium is on another machine.", "the store is local";
    10 HISTORY_PAYLOAD Service Never, "Earlier payloads of a cell are kept.", "frames that carry them are refused";
    11 HISTORY_MANIFEST Service Never, "Earlier child lists of a cell are kept.", "frames that carry them are refused";
    12 NAMEPOOL_MAP Service Never, "Name references of frames are kept with their texts.", "frames that carry them are refused";
    13 ORDERED Engine Never, "Ranges are scanned in unsigned byte order of keys, both ways.", "scan and cursor are refused";
    14 SNAPSHOT Engine Never, "A view stays at its beat while later beats commit.", "view is refused";
    15 DURABLE Engine Never, "A beat can be made to survive power loss before commit returns.", "durable beats and sync are refused";
    16 BUFFERED Engine Never, "A beat can survive the process at less than the price of a durable one.", "buffered beats are refused or made durable";
    17 ZERO_COPY Engine Never, "A read hands out the engine's own memory.", "reads copy";
    18 READ_OWN Engine Never, "An open beat can be read.", "peek_record is refused";
    19 DELETE_RANGE Engine Never, "A range is deleted in one operation.", "delete_range is refused";
    20 LONG_KEYS Engine Never, "Keys of at least 65,535 bytes.", "only shorter keys; the limit is in the offer";
    21 MULTI_PROCESS Engine Never, "Several processes may hold the store at once.", "a second process gets Locked";
    22 HISTORY Engine Never, "Earlier beats can be viewed within a window.", "view_at is refused";
    23 BACKUP Engine Never, "A consistent copy at one beat can be made while writers go on.", "backup is refused";
    24 FEED Engine Never, "Earlier commits are served from the engine's own files.", "the runtime stores them";
    25 COMPRESSION Layer PerByte, "Values are compressed at rest.", "values are stored as they are";
}

impl Caps {
    /// The rows of this set, by number. Bits without a row are left out.
    pub fn rows(self) -> impl Iterator<Item = &'static Cap> {
        REGISTRY.iter().filter(move |cap| self.contains(cap.bit))
    }

    /// The names of this set, by number, separated by one space.
    #[must_use]
    pub fn names(self) -> String {
        self.rows().map(|cap| cap.name).collect::<Vec<_>>().join(" ")
    }

    /// The bit with this registry name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        REGISTRY.iter().find(|cap| cap.name == name).map(|cap| cap.bit)
    }

    /// Every bit that an engine may offer.
    #[must_use]
    pub fn offerable() -> Self {
        REGISTRY
            .iter()
            .filter(|cap| matches!(cap.owner, CapOwner::Engine | CapOwner::EngineOrLayer))
            .fold(Self::empty(), |set, cap| set | cap.bit)
    }
}
