//! `persist maintain`: the stores of a configuration opened in their order, kept in shape, and closed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use persist::lifecycle::config::Config;
use persist::lifecycle::maintenance::{Task, UpkeepRun};
use persist::lifecycle::{Closed, Registry, RegistryOptions, Step, StoreOpened};
use persist::{Caps, Error, ErrorKind, OpenMode, Progress, Store};
use serde::Serialize;

use crate::args::Global;
use crate::fail::{Failure, Result};
use crate::out::Out;
use crate::target;
use crate::text::size;
use crate::watch::Watch;

/// What to do.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only these stores, and those that they come after
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Also give unused space back
    #[arg(long)]
    compact: bool,
}

#[derive(Serialize)]
struct OpenJson<'r> {
    step: &'static str,
    store: &'r str,
    engine: &'static str,
    home: Option<String>,
    created: bool,
    beat: String,
    phases: Vec<PhaseJson>,
    recovered: BTreeMap<&'static str, u64>,
    strangers: Vec<String>,
    milliseconds: u64,
}

#[derive(Serialize)]
struct PhaseJson {
    phase: &'static str,
    done: u64,
    total: Option<u64>,
    unit: &'static str,
}

#[derive(Serialize)]
struct RunJson<'r> {
    step: &'static str,
    store: &'r str,
    ok: bool,
    bytes: Option<u64>,
    error: Option<ErrorJson<'r>>,
    milliseconds: u64,
}

#[derive(Serialize)]
struct ClosedJson<'r> {
    step: &'static str,
    store: &'r str,
    ok: bool,
    error: Option<ErrorJson<'r>>,
    milliseconds: u64,
}

#[derive(Serialize)]
struct ErrorJson<'e> {
    kind: &'static str,
    code: i32,
    message: &'e str,
}

pub(crate) fn run(args: &Args, global: &Global, out: &mut Out) -> Result<()> {
    let none = || Failure::Usage("which stores? use --config or PERSIST_CONFIG".to_owned());
    let file = global.config.as_deref().ok_or_else(none)?;
    let mut config = chosen(target::load(file)?.config, &args.names)?;
    if let Some(keys) = &global.key_file {
        // For those that name no file of their own: one file seldom fits all.
        for store in config.stores.values_mut() {
            store.key_file.get_or_insert_with(|| keys.clone());
        }
    }
    if !config.stores.values().any(|store| store.enabled) && !out.is_json() {
        out.line("no store is enabled")?;
    }
    let watch = Watch::new(global.quiet);
    let options = RegistryOptions::new(persist::drivers());
    let mut registry = Registry::open(&config, options, Vec::new(), &watch).map_err(Error::from)?;
    let worked = work(args, &registry, &watch, out);
    let closed = registry.close();
    let told = closed.iter().try_for_each(|step| tell_closed(step, &watch, out));
    // The first failure counts; each was told where it happened.
    let failed = closed.iter().find_map(|step| step.result.as_ref().err()).map(Error::kind);
    let first = worked?.or(failed);
    told?;
    first.map_or(Ok(()), |kind| Err(Failure::Told(kind)))
}

/// The configuration with these stores only, and those that they need; nothing is created, and nothing is done unasked.
fn chosen(mut config: Config, names: &[String]) -> Result<Config> {
    let mut wanted: BTreeSet<String> = BTreeSet::new();
    let mut next: Vec<String> = names.iter().map(|name| name.trim_start_matches('@').to_owned()).collect();
    while let Some(name) = next.pop() {
        let Some(store) = config.stores.get(&name).filter(|store| store.enabled) else {
            let known = config.opening_order();
            let near = persist_api::nearest(&name, known.iter().copied());
            let near = near.map(|near| format!("did you mean {near}? ")).unwrap_or_default();
            return Err(Failure::Usage(format!("no store {name}; {near}there are: {}", known.join(", "))));
        };
        if wanted.insert(name) {
            next.extend(store.after.iter().cloned());
        }
    }
    if !names.is_empty() {
        config.stores.retain(|name, _| wanted.contains(name));
    }
    for store in config.stores.values_mut() {
        store.mode = OpenMode::MustExist;
    }
    config.maintenance.enabled = false;
    Ok(config)
}

/// Does the upkeep of each store. Answers the kind of the first failure.
fn work(args: &Args, registry: &Registry, watch: &Watch, out: &mut Out) -> Result<Option<ErrorKind>> {
    for opened in registry.store_reports() {
        watch.aside(|| tell_opened(opened, out))?;
    }
    let tasks = if args.compact { &Task::ALL[..] } else { &[Task::Checkpoint] };
    let mut first = None;
    for opened in registry.store_reports() {
        let store = registry.store(&opened.name)?;
        for task in tasks.iter().filter(|task| granted(&store, **task)) {
            Watch::check("maintain")?;
            let run = registry.maintenance().run(&opened.name, *task, watch)?;
            watch.aside(|| tell_run(&run, out))?;
            match &run.outcome {
                Err(error) if error.kind() == ErrorKind::Cancelled => return Ok(Some(error.kind())),
                Err(error) => first = first.or(Some(error.kind())),
                Ok(_) => {}
            }
        }
    }
    Ok(first)
}

fn granted(store: &Store, task: Task) -> bool {
    let cap = match task {
        Task::Checkpoint => Caps::CHECKPOINT,
        Task::Compact => Caps::COMPACTION,
    };
    store.grant().session.caps.contains(cap)
}

fn tell_opened(opened: &StoreOpened, out: &mut Out) -> Result<()> {
    let home = opened.home.as_ref().map(|home| home.display().to_string());
    if out.is_json() {
        let phase =
            |at: &Progress| PhaseJson { phase: at.phase, done: at.done, total: at.total, unit: at.unit };
        return out.object(&OpenJson {
            step: "open",
            store: &opened.name,
            engine: opened.engine,
            home,
            created: opened.created,
            beat: opened.beat.to_string(),
            phases: opened.phases.iter().map(phase).collect(),
            recovered: opened.recovered.iter().copied().collect(),
            strangers: opened.strangers.iter().map(|name| name.to_string_lossy().into_owned()).collect(),
            milliseconds: millis(opened.took),
        });
    }
    let phases: Vec<String> =
        opened.phases.iter().map(|at| format!("{} {} {}", at.phase, at.done, at.unit)).collect();
    let did = if phases.is_empty() { "nothing to recover".to_owned() } else { phases.join(", ") };
    let (name, engine, beat) = (&opened.name, opened.engine, opened.beat);
    out.line(format_args!("{name}: {engine}, beat {beat}; {did}; {} ms", millis(opened.took)))
}

fn tell_run(run: &UpkeepRun, out: &mut Out) -> Result<()> {
    if out.is_json() {
        return out.object(&RunJson {
            step: run.task.name(),
            store: &run.store,
            ok: run.outcome.is_ok(),
            bytes: run.outcome.as_ref().ok().copied(),
            error: run.outcome.as_ref().err().map(|error| of(error)),
            milliseconds: millis(run.took),
        });
    }
    match (&run.outcome, run.task) {
        (Ok(bytes), Task::Checkpoint) => {
            out.line(format_args!("{}: checkpoint, {} moved", run.store, size(*bytes)))
        }
        (Ok(bytes), Task::Compact) => {
            out.line(format_args!("{}: compacted, {} given back", run.store, size(*bytes)))
        }
        (Err(error), task) => out.line(format_args!("{}: {task} failed: {error}", run.store)),
    }
}

fn tell_closed(closed: &Closed, watch: &Watch, out: &mut Out) -> Result<()> {
    if closed.step != Step::CloseStore {
        return Ok(());
    }
    watch.aside(|| {
        if out.is_json() {
            return out.object(&ClosedJson {
                step: closed.step.name(),
                store: &closed.name,
                ok: closed.result.is_ok(),
                error: closed.result.as_ref().err().map(of),
                milliseconds: millis(closed.took),
            });
        }
        match &closed.result {
            Ok(()) => out.line(format_args!("{}: closed", closed.name)),
            Err(error) => out.line(format_args!("{}: closing failed: {error}", closed.name)),
        }
    })
}

fn of(error: &Error) -> ErrorJson<'_> {
    ErrorJson { kind: error.kind().name(), code: error.code(), message: error.context() }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
