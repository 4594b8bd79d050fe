//! Reading everything back.

use std::ops::ControlFlow;

use persist_api::{
    BeatHeader, BeatNo, Caps, Error, ErrorKind, Finding, FindingCode, Observer, Progress, Result, Scan,
    Severity, VerifyStat, View,
};

use crate::create::stored_format;
use crate::digest::ROWS_PER_STEP;
use crate::feed::FeedCheck;
use crate::layers::{FORMAT_KEY, KEY_CHECKS, OWN, Scratch, USER, logical_key, show_key};
use crate::shared::{Active, Running, Shared, Terms};
use crate::{DigestBuilder, StoreDigest};

/// What `verify` read and found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifyReport {
    /// The beat at which the runtime's checks looked.
    pub beat: BeatNo,
    /// What the engine's own checker read.
    pub engine: VerifyStat,
    /// Users' records that were read back through the layers, damaged ones included.
    pub records: u64,
    /// Findings of severity `Damage`, the engine's included.
    pub damaged: u64,
    /// Findings of severity `Unchecked`, the engine's included.
    pub unchecked: u64,
    /// The digest of the content; `None` when a record did not verify.
    pub digest: Option<StoreDigest>,
}

/// Passes findings on and counts them.
struct Findings<'f> {
    found: &'f mut dyn FnMut(Finding),
    damaged: u64,
    unchecked: u64,
}

impl Findings<'_> {
    fn add(&mut self, finding: Finding) {
        match finding.severity {
            Severity::Damage => self.damaged = self.damaged.saturating_add(1),
            Severity::Unchecked => self.unchecked = self.unchecked.saturating_add(1),
            Severity::Note => {}
        }
        (self.found)(finding);
    }

    fn damage(&mut self, code: FindingCode, what: impl Into<String>, place: impl Into<String>) {
        self.add(Finding::damage(code, what, place));
    }
}

pub(crate) fn verify(
    shared: &Shared,
    found: &mut dyn FnMut(Finding),
    seen: &dyn Observer,
) -> Result<VerifyReport> {
    shared.with_running("verify", |active, running| verify_running(active, running, found, seen))
}

fn verify_running(
    active: &Active,
    running: &Running,
    found: &mut dyn FnMut(Finding),
    seen: &dyn Observer,
) -> Result<VerifyReport> {
    let mut findings = Findings { found, damaged: 0, unchecked: 0 };
    let terms = active.terms.as_ref();
    // Below the layers, so that damage in one value does not hide the next.
    let engine = running.engine.inner();
    let native = engine.offer().caps;
    let checking_layer = terms.codec.checking_layer().filter(|_| !native.contains(Caps::CRC32C));
    let mut bare = None;
    let stat = engine.verify(
        &mut |finding| {
            if checking_layer.is_some() && bare.is_none() && finding.code == FindingCode::NoChecksums {
                bare = Some(finding);
            } else {
                findings.add(finding);
            }
        },
        seen,
    )?;
    let layered = running.engine.layered_view()?;
    let view = layered.below();
    let header = *view.header();
    let feed = FeedCheck::run(&layered, &mut |finding| findings.add(finding), seen)?;
    check_header(terms, &header, feed.newest_root, &mut findings);
    check_format(terms, view, &mut findings);
    if !native.contains(Caps::CRC32C) && checking_layer.is_none() {
        let what = "values carry no checksum: neither the engine nor a layer makes one, so changed bytes can go unnoticed";
        findings.add(Finding::unchecked(FindingCode::NoChecksums, what, "every record"));
    }
    let digest = read_back(terms, view, &feed, &mut findings, seen)?;
    if let (Some(finding), Some(layer)) = (bare, checking_layer) {
        // The layer covers keys and values. Where it could not read all of them, the engine's word stands.
        findings.add(if digest.whole.is_some() && stat.damaged == 0 {
            let what = format!("{}; the layer {layer} checked every record", finding.what);
            Finding { severity: Severity::Note, what, ..finding }
        } else {
            finding
        });
    }
    Ok(VerifyReport {
        beat: header.beat,
        engine: stat,
        records: digest.records,
        damaged: findings.damaged,
        unchecked: findings.unchecked,
        digest: digest.whole,
    })
}

fn check_header(terms: &Terms, header: &BeatHeader, root_checked: bool, findings: &mut Findings<'_>) {
    let place = format!("header of beat {}", header.beat);
    if header.beat.0 == 0 {
        return;
    }
    match (terms.codec.merkle, header.root) {
        (true, None) => findings.damage(FindingCode::Header, "the Merkle root is missing", place),
        (false, Some(_)) => {
            findings.damage(FindingCode::Header, "there is a Merkle root that was never granted", place);
        }
        (true, Some(_)) if root_checked => {}
        (true, Some(_)) => {
            let what = "the Merkle root cannot be computed again: the commits of the beat are not kept";
            findings.add(Finding::unchecked(FindingCode::RootNotComputed, what, place));
        }
        (false, None) => {}
    }
}

fn check_format(terms: &Terms, view: &dyn View, findings: &mut Findings<'_>) {
    match stored_format(view) {
        Ok(Some(format)) if format != terms.grant.format => {
            let what = "the engine's copy of the format grant is not the one in force";
            findings.damage(FindingCode::Header, what, show_key(FORMAT_KEY));
        }
        Ok(_) => {}
        Err(error) => findings.damage(FindingCode::Header, error.context(), show_key(FORMAT_KEY)),
    }
}

/// A record that could not be opened: damaged, or sealed with a key that nobody gave.
pub(crate) fn unread(error: &Error, place: String) -> Finding {
    match error.kind() {
        ErrorKind::Refused => Finding::unchecked(FindingCode::NotRead, error.context(), place),
        _ => Finding::damage(FindingCode::Record, error.context(), place),
    }
}

struct ReadBack {
    records: u64,
    whole: Option<StoreDigest>,
}

/// Reads every record of the engine's key space through the layers.
fn read_back(
    terms: &Terms,
    view: &dyn View,
    feed: &FeedCheck,
    findings: &mut Findings<'_>,
    seen: &dyn Observer,
) -> Result<ReadBack> {
    let mut digest = DigestBuilder::new();
    let mut stopped: Option<Error> = None;
    let (mut rows, mut records, mut whole) = (0_u64, 0_u64, true);
    let mut scratch = Scratch::default();
    let scanned = view.scan(Scan::all().without_fill_cache(), &mut |key, stored| {
        if rows.is_multiple_of(ROWS_PER_STEP) {
            let progress = Progress { phase: "layers", done: rows, total: None, unit: "records" };
            if let Err(error) = seen.step("verify", progress) {
                stopped = Some(error);
                return ControlFlow::Break(());
            }
        }
        rows += 1;
        match key.first() {
            Some(&USER) => {
                records += 1;
                let user = logical_key(key);
                match terms.codec.open(key, stored, &mut scratch) {
                    Ok(place) => digest.add(user, place.of(stored, &scratch)),
                    Err(error) => {
                        whole = false;
                        findings.add(unread(&error, show_key(user)));
                    }
                }
            }
            Some(&OWN) if key == FORMAT_KEY || feed.knows(key) => {}
            Some(&OWN) if key.starts_with(KEY_CHECKS) && terms.codec.is_encrypted() => {
                if let Err(error) = terms.codec.prove(key, stored) {
                    findings.damage(FindingCode::Header, error.context(), show_key(key));
                }
            }
            Some(&OWN) => {
                let what = "a record of the runtime that this build does not know".to_owned();
                let (severity, code) = (Severity::Note, FindingCode::Unknown);
                findings.add(Finding { severity, code, what, place: show_key(key) });
            }
            _ => findings.damage(
                FindingCode::Record,
                "a record outside the spaces of this store",
                show_key(key),
            ),
        }
        ControlFlow::Continue(())
    });
    if let Some(error) = stopped {
        return Err(error);
    }
    if let Err(error) = scanned {
        whole = false;
        findings.damage(
            FindingCode::Structure,
            format!("reading stopped: {error}"),
            format!("after {rows} records"),
        );
    }
    Ok(ReadBack { records, whole: whole.then(|| digest.finish()) })
}
