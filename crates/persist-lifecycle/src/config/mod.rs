//! Configuration: which stores there are, where they lie and how they are opened and kept in shape.
//!
//! One type, [`Config`], in TOML or JSON. It is strict: an unknown key, a wrong type and a name that refers to nothing are
//! [`Problem`]s that name key and line, and the right key where one is near; all of them are told at once. Variables of
//! the environment that begin with `PERSIST__` override single keys, and are as strict. `docs/configuration.md` is made
//! from the comments in this file, which are also what `persist config default` prints.

mod check;
mod environment;
mod file;
mod outline;
mod problem;
mod serial;
mod setting;
mod source;
mod stores;
mod tree;
mod units;
mod values;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use persist_api::{Caps, Durability, OpenMode, OpenOptions};
use persist_store::{CommitOptions, ViewOptions, default_request};

pub use environment::VARIABLE_PREFIX;
pub use file::{CONFIG_BYTES_MAX, Loaded};
pub use outline::{reference, template};
pub use problem::{ConfigError, Problem};
pub use source::Format;
pub use tree::Place;
pub use units::Bytes;
pub use values::{Trigger, is_store_name};

use setting::{Reading, Row, Section, Setting, join, sections};
use tree::{Node, Tree};

sections! {
    /// The whole file.
    pub struct Config {
        /// The directory below which stores lie. A relative one is meant from the directory of the file.
        pub data_dir: PathBuf = PathBuf::from("data"),
        /// The thread that keeps all stores in shape.
        pub maintenance: UpkeepConfig = UpkeepConfig::default(),
        /// A store, by its name: lower-case letters, digits and single `_` between them, beginning with a letter.
        pub stores: BTreeMap<String, StoreConfig> = BTreeMap::new(),
    }

    /// The thread that keeps all stores in shape.
    pub struct UpkeepConfig {
        /// Whether there is such a thread. Without it, only the engines' own upkeep is done.
        pub enabled: bool = true,
        /// How often the thresholds of all stores are looked at. Looking is cheap.
        pub look_every: Duration = Duration::from_secs(10),
    }

    /// A store.
    pub struct StoreConfig {
        /// Whether the store is opened. No other store may come after one that is not.
        pub enabled: bool = true,
        /// The engine of a new store. A store that exists and belongs to another engine is refused, so that a swap of the engine asks for a change of this key; without this key, the
        /// store's stamp tells the engine.
        pub engine: Option<String> = None,
        /// Its directory; the name of the store if there is no such key. A relative one is meant from `data_dir`.
        pub path: Option<PathBuf> = None,
        /// Whether opening may create the store, must find it, or must create it.
        pub mode: OpenMode = OpenMode::OpenOrCreate,
        /// Stores that are opened before this one and closed after it. Stores without an order among them are opened in the
        /// order of their names.
        pub after: Vec<String> = Vec::new(),
        /// How long opening waits while another process holds the store.
        pub open_wait: Duration = Duration::ZERO,
        /// How long closing waits for open views, running verbs and queued commits.
        pub close_wait: Duration = OpenOptions::default().close_wait,
        /// Memory for caches; the engine's own default if there is no such key.
        pub cache_bytes: Option<Bytes> = None,
        /// About how much memory the engine takes in all, caches and what waits to be written; the engine's own defaults if
        /// there is no such key. `cache_bytes` and `knobs` go before it.
        pub memory_bytes: Option<Bytes> = None,
        /// Ceiling of the store on disk; the engine's own default if there is no such key.
        pub store_bytes_max: Option<Bytes> = None,
        /// Most views open at once; the engine's own default if there is no such key.
        pub views_max: Option<u64> = None,
        /// The file with the keys of an encrypted store (`docs/layers.md`); nobody but its owner may be able to read it. A
        /// relative one is meant from the directory of the configuration. A new store is encrypted if `AEAD` is asked for.
        pub key_file: Option<PathBuf> = None,
        /// Further settings of the engine. Which there are, and what they take, stands in `docs/engines`.
        pub knobs: BTreeMap<String, String> = BTreeMap::new(),
        /// What is asked of the engine. What it cannot give refuses the opening.
        pub request: RequestConfig = RequestConfig::default(),
        /// Bounds of group commit and transactions (`docs/commits.md`).
        pub commit: CommitConfig = CommitConfig::default(),
        /// Bounds of views (`docs/views.md`).
        pub views: ViewsConfig = ViewsConfig::default(),
        /// When this store is kept in shape.
        pub maintenance: MaintenanceConfig = MaintenanceConfig::default(),
    }

    /// What is asked of the engine.
    pub struct RequestConfig {
        /// The highest durability that commits may ask for.
        pub durability: Durability = Durability::Durable,
        /// Whether an engine that cannot promise that durability, as `memory`, is good enough. Receipts say what was reached.
        pub durability_may_pend: bool = false,
        /// Capabilities without which opening is refused.
        pub required: Caps = default_request().required,
        /// Capabilities that are taken where they are to be had. Some are fixed when the store is created.
        pub preferred: Caps = default_request().preferred,
        /// Limits that must be at least so high; 0 asks for nothing.
        pub at_least: LimitsConfig = LimitsConfig::default(),
    }

    /// Limits that are needed.
    pub struct LimitsConfig {
        /// Longest key.
        pub key_bytes_max: Bytes = Bytes(0),
        /// Longest value.
        pub value_bytes_max: Bytes = Bytes(0),
        /// Most bytes in one beat.
        pub beat_bytes_max: Bytes = Bytes(0),
        /// Most views open at once.
        pub views_max: u64 = 0,
        /// Ceiling of the store on disk.
        pub store_bytes_max: Bytes = Bytes(0),
    }

    /// Bounds of group commit and transactions.
    pub struct CommitConfig {
        /// How long a commit waits for room in the queue, or for an explicit beat, before it is refused as busy.
        pub wait: Duration = CommitOptions::default().wait,
        /// Most commits in the queue.
        pub queue_commits_max: u64 = CommitOptions::default().queue_commits_max as u64,
        /// Most bytes in the queue.
        pub queue_bytes_max: Bytes = Bytes(CommitOptions::default().queue_bytes_max),
        /// Most commits in one beat.
        pub beat_commits_max: u64 = CommitOptions::default().beat_commits_max as u64,
        /// Most bytes that the commits of one beat stage.
        pub beat_bytes_max: Bytes = Bytes(CommitOptions::default().beat_bytes_max),
        /// How long a leader waits at most for company that the last beat had.
        pub gather: Duration = CommitOptions::default().gather,
        /// How often a transaction is redone after a conflict.
        pub redos_max: u32 = CommitOptions::default().redos_max,
        /// Most bytes that are remembered of what a transaction read, and of what was committed meanwhile.
        pub reads_bytes_max: Bytes = Bytes(CommitOptions::default().reads_bytes_max),
    }

    /// Bounds of views.
    pub struct ViewsConfig {
        /// How long a view may stay open before it is recalled.
        pub age_max: Trigger<Duration> = Trigger(ViewOptions::default().age_max),
    }

    /// When a store is kept in shape. Times count from the opening, or from a swap of the engine.
    pub struct MaintenanceConfig {
        /// A checkpoint is due when so many bytes were committed since the last one.
        pub checkpoint_bytes: Trigger<Bytes> = Trigger::at(Bytes::mib(64)),
        /// A checkpoint is due so long after the first commit that the last one does not hold.
        pub checkpoint_after: Trigger<Duration> = Trigger::at(Duration::from_secs(300)),
        /// A compaction is due when the store has grown on disk by so many hundredths since the last one, or since it was
        /// opened or its engine swapped.
        pub compact_growth_percent: Trigger<u32> = Trigger::at(100),
        /// No compaction for growth below so many bytes on disk.
        pub compact_bytes_min: Bytes = Bytes::mib(64),
        /// A compaction is due so long after the last one, if anything was committed since.
        pub compact_after: Trigger<Duration> = Trigger::never(),
        /// How many of the newest beats a compaction leaves readable as history, where the engine has one.
        pub compact_keep_beats: u64 = 64,
        /// How long to wait before a run that failed is tried again; twice as long after each further failure.
        pub retry_after: Duration = Duration::from_secs(10),
        /// The longest of these waits.
        pub retry_after_max: Duration = Duration::from_secs(3600),
        /// How long to wait before a run is tried again that found the store busy: a backup, another compaction, an open
        /// beat, and with some engines open views.
        pub busy_after: Duration = Duration::from_secs(1),
    }
}
