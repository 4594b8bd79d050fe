//! Reading a source in one thread while another fills the target.

use std::ops::ControlFlow;
use std::panic::resume_unwind;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use persist_api::{Error, ErrorKind, Result, Scan};

use super::pinned::Pinned;

/// Rows that are handed over at once take so many bytes, or are one.
const BLOCK_BYTES: usize = 256 << 10;
/// Blocks that there are: one is being read, one waits, one is being filled from.
const BLOCKS: usize = 3;

/// Rows in key order, in one piece of memory.
#[derive(Default)]
struct Block {
    bytes: Vec<u8>,
    /// How long each key and each value is.
    lengths: Vec<(usize, usize)>,
}

impl Block {
    fn push(&mut self, key: &[u8], value: &[u8]) {
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(value);
        self.lengths.push((key.len(), value.len()));
    }

    fn rows(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let mut rest = self.bytes.as_slice();
        self.lengths.iter().map_while(move |&(key_len, value_len)| {
            let (key, after) = rest.split_at_checked(key_len)?;
            let (value, after) = after.split_at_checked(value_len)?;
            rest = after;
            Some((key, value))
        })
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.lengths.clear();
    }
}

/// Visits the rows of a scan, read by a thread that is a few blocks ahead. As long as what is left fits into one block, nothing
/// is read any more while a row is visited.
///
/// # Errors
/// What `visit` gave, or else what the scan gave; `Io` when no thread can be had.
pub(super) fn read_ahead(
    view: Pinned,
    scan: &Scan<'_>,
    mut visit: impl FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>>,
) -> Result<()> {
    let (full, blocks) = sync_channel(BLOCKS);
    let (empty, used) = sync_channel(BLOCKS);
    for _ in 0..BLOCKS {
        // There is room for all of them.
        let _ = empty.send(Block::default());
    }
    thread::scope(|scope| {
        let reading = thread::Builder::new().name("persist-swap".to_owned()).spawn_scoped(scope, move || {
            let read = read(&view, scan, &full, &used);
            (read, view)
        });
        let reading = reading.map_err(|error| {
            Error::new(ErrorKind::Io, "swap", "no thread to read the source with").with_source(error)
        })?;
        let visited = visit_blocks(&blocks, &empty, &mut visit);
        // Whoever still reads finds nobody to read for.
        drop((blocks, empty));
        let (read, view) = reading.join().unwrap_or_else(|panic| resume_unwind(panic));
        drop(view);
        visited.and(read)
    })
}

/// Reads until the end, or until nobody wants more.
fn read(view: &Pinned, scan: &Scan<'_>, full: &SyncSender<Block>, used: &Receiver<Block>) -> Result<()> {
    let Ok(mut block) = used.recv() else { return Ok(()) };
    let mut wanted = true;
    view.scan(scan, |key, value| {
        let more = key.len() + value.len();
        if !block.lengths.is_empty() && block.bytes.len() + more > BLOCK_BYTES {
            let Ok(next) = used.recv() else {
                wanted = false;
                return ControlFlow::Break(());
            };
            wanted = full.send(std::mem::replace(&mut block, next)).is_ok();
        }
        block.push(key, value);
        if wanted { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    if wanted {
        let _ = full.send(block);
    }
    Ok(())
}

fn visit_blocks(
    blocks: &Receiver<Block>,
    empty: &SyncSender<Block>,
    visit: &mut impl FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>>,
) -> Result<()> {
    for mut block in blocks {
        for (key, value) in block.rows() {
            if visit(key, value)?.is_break() {
                return Ok(());
            }
        }
        block.clear();
        // Whoever reads has come to the end, or waits for it.
        let _ = empty.send(block);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::path::Path;

    use persist_api::{BeatHeader, Cursor, Driver, Durability, OpenOptions, Quiet, Value, View, Visit};
    use persist_memory::MemoryDriver;

    use super::*;
    use crate::layers::user_key;

    /// More rows than all blocks take, one of them larger than a block.
    const ROWS: u32 = 5_000;

    fn value(row: u32) -> Vec<u8> {
        let len = if row == 7 { BLOCK_BYTES + 1 } else { 4 * BLOCK_BYTES / 1_000 };
        vec![row.to_le_bytes()[0]; len]
    }

    fn view() -> Pinned {
        let engine = MemoryDriver::new().open(Path::new("one"), &OpenOptions::default(), &Quiet).unwrap();
        let header = BeatHeader::default().next(1, Durability::Volatile, None).unwrap();
        let mut beat = engine.begin_beat(header).unwrap();
        for row in 0..ROWS {
            beat.put_record(user_key(&row.to_be_bytes(), &mut Vec::new()), &value(row)).unwrap();
        }
        beat.commit_beat().unwrap();
        Pinned::new(engine.view().unwrap())
    }

    /// Shows so many rows, and then damage.
    struct Damaged(BeatHeader, u32);

    impl View for Damaged {
        fn header(&self) -> &BeatHeader {
            &self.0
        }

        fn get_record(&self, _: &[u8]) -> Result<Option<Value<'_>>> {
            Ok(None)
        }

        fn scan(&self, _: Scan<'_>, visit: &mut Visit<'_>) -> Result<()> {
            for row in 0..self.1 {
                if visit(user_key(&row.to_be_bytes(), &mut Vec::new()), &value(row)).is_break() {
                    return Ok(());
                }
            }
            Err(Error::new(ErrorKind::Corrupt, "scan", "damage"))
        }

        fn cursor<'v>(&'v self, _: Scan<'v>) -> Result<Box<dyn Cursor + 'v>> {
            Err(Error::new(ErrorKind::Unsupported, "cursor", "none"))
        }
    }

    #[test]
    fn damage_of_the_source_is_told_however_far_it_was_read() {
        for rows in [0, 1, ROWS] {
            let damaged = Pinned::new(Box::new(Damaged(BeatHeader::default(), rows)));
            let read = read_ahead(damaged, &Scan::all(), |_, _| Ok(ControlFlow::Continue(())));
            assert_eq!(read.unwrap_err().kind(), ErrorKind::Corrupt, "{rows}");
        }
    }

    #[test]
    fn every_row_comes_in_order() {
        let mut expected = 0..ROWS;
        read_ahead(view(), &Scan::all(), |key, found| {
            let row = expected.next().unwrap();
            assert_eq!((key, found), (row.to_be_bytes().as_slice(), value(row).as_slice()));
            Ok(ControlFlow::Continue(()))
        })
        .unwrap();
        assert_eq!(expected.next(), None);
    }

    #[test]
    fn whoever_wants_no_more_gets_no_more_and_nobody_waits() {
        for stop in [0, 1, ROWS / 2, ROWS - 1] {
            let left = Cell::new(stop);
            let more = || left.replace(left.get().saturating_sub(1)) > 0;
            let broken = read_ahead(view(), &Scan::all(), |_, _| {
                Ok(if more() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
            });
            broken.unwrap();
            left.set(stop);
            let failed = read_ahead(view(), &Scan::all(), |_, _| {
                if more() {
                    return Ok(ControlFlow::Continue(()));
                }
                Err(Error::new(ErrorKind::Full, "swap", "enough"))
            });
            assert_eq!(failed.unwrap_err().kind(), ErrorKind::Full);
            left.set(stop);
            let panicked = catch_unwind(AssertUnwindSafe(|| {
                read_ahead(view(), &Scan::all(), |_, _| {
                    assert!(more(), "no more");
                    Ok(ControlFlow::Continue(()))
                })
            }));
            assert!(panicked.is_err());
        }
    }
}
