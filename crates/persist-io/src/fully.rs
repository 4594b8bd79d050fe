//! Reading and writing all of it: operating systems may do less than asked, or be interrupted.

use std::io;

/// Reads until `into` is full or the file ends; answers how many bytes there were. `raw` reads some bytes at an offset.
pub(crate) fn read(
    offset: u64,
    into: &mut [u8],
    mut raw: impl FnMut(u64, &mut [u8]) -> io::Result<usize>,
) -> io::Result<usize> {
    let mut done = 0;
    while let Some(rest) = into.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match raw(offset.saturating_add(done as u64), rest) {
            Ok(0) => break,
            Ok(n) => done += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// Writes all of `bytes`. `raw` writes some bytes at an offset.
pub(crate) fn write(
    offset: u64,
    bytes: &[u8],
    mut raw: impl FnMut(u64, &[u8]) -> io::Result<usize>,
) -> io::Result<()> {
    let mut done = 0;
    while let Some(rest) = bytes.get(done..).filter(|rest| !rest.is_empty()) {
        match raw(offset.saturating_add(done as u64), rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => done += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
