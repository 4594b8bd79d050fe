//! The container: a 24-byte header and one zlib stream that holds the bare frame.

use flate2::{Compress, Decompress, FlushCompress, FlushDecompress, Status};

use crate::checksum::Checksum;
use crate::cursor::Cursor;
use crate::error::{ErrorClass, FrameError};

/// The first four bytes of every container.
pub const MAGIC: [u8; 4] = *b"TLFC";
/// Bytes before the zlib stream.
pub const HEADER_LEN: usize = 24;
const VERSION: u8 = 1;
const DEFLATE: u8 = 1;
/// The level upstream uses. Other levels, and other deflate implementations, give other bytes.
const LEVEL: u32 = 1;
/// The first step of the growing output buffer.
const FIRST_STEP: usize = 64 << 10;

/// Whether the input is a container. A bare frame could only begin like this with a record of type 0x54.
pub fn is_container(input: &[u8]) -> bool {
    input.starts_with(&MAGIC)
}

/// The better explanation for input that is no bare frame and begins with the magic in big-endian order.
pub(crate) fn explain_swapped_magic(input: &[u8]) -> Option<FrameError> {
    let swapped = input.iter().take(MAGIC.len()).eq(MAGIC.iter().rev());
    swapped
        .then(|| FrameError::at(ErrorClass::Container, 0, "the container's magic stands the wrong way round"))
}

/// The better explanation for what a container holds and is no bare frame, but begins like another container.
pub(crate) fn explain_nested(frame: &[u8]) -> Option<FrameError> {
    is_container(frame)
        .then(|| FrameError::at(ErrorClass::Container, HEADER_LEN as u64, "containers do not nest"))
}

/// An opened container.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) checksum: Checksum,
    pub(crate) frame: Vec<u8>,
}

/// Checks the header and inflates at most `frame_limit` bytes.
pub(crate) fn open(input: &[u8], frame_limit: u32) -> Result<Opened, FrameError> {
    let mut cursor = Cursor::new(input, 0, ErrorClass::Container);
    cursor.array::<4>("container magic")?;
    expect_byte(&mut cursor, "container version", VERSION, ErrorClass::Container)?;
    expect_byte(&mut cursor, "container compression", DEFLATE, ErrorClass::Container)?;
    let number = cursor.u8("container checksum")?;
    let checksum = Checksum::from_number(number).ok_or_else(|| {
        FrameError::at(ErrorClass::Container, 6, format!("checksum {number} is not defined"))
    })?;
    expect_byte(&mut cursor, "reserved byte", 0, ErrorClass::ContainerReserved)?;
    let raw_size = cursor.u64("raw size")?;
    let compressed_size = cursor.u64("compressed size")?;
    let raw_size = match u32::try_from(raw_size) {
        Ok(size) if size <= frame_limit => size as usize,
        _ => {
            let message = format!("a frame of {raw_size} bytes is announced, {frame_limit} are allowed");
            return Err(FrameError::at(ErrorClass::Limit, 8, message));
        }
    };
    let stream = cursor.take(compressed_size, "compressed size")?;
    let end = cursor.offset();
    cursor.finish(ErrorClass::ContainerTrailing, "container")?;
    let (frame, used) = inflate(stream, raw_size)
        .map_err(|message| FrameError::at(ErrorClass::Container, HEADER_LEN as u64, message))?;
    if used != stream.len() {
        let left = stream.len().saturating_sub(used);
        let message = format!("{left} bytes follow the end of the zlib stream");
        return Err(FrameError::at(ErrorClass::ContainerTrailing, end.saturating_sub(left as u64), message));
    }
    Ok(Opened { checksum, frame })
}

fn expect_byte(
    cursor: &mut Cursor<'_>,
    what: &'static str,
    expected: u8,
    class: ErrorClass,
) -> Result<(), FrameError> {
    let at = cursor.offset();
    match cursor.u8(what)? {
        byte if byte == expected => Ok(()),
        byte => Err(FrameError::at(class, at, format!("{what} is {byte} instead of {expected}"))),
    }
}

/// Inflates one zlib stream that must hold exactly `size` bytes: those bytes and how much input they took.
pub(crate) fn inflate(stream: &[u8], size: usize) -> Result<(Vec<u8>, usize), String> {
    let (out, used) = inflate_at_most(stream, size)?;
    if out.len() != size {
        return Err(format!("the stream holds {} bytes instead of the announced {size}", out.len()));
    }
    Ok((out, used))
}

/// Inflates one zlib stream of at most `size` bytes: those bytes and how much input they took. The buffer grows with
/// what the stream really yields and never beyond `size` and one byte.
pub(crate) fn inflate_at_most(stream: &[u8], size: usize) -> Result<(Vec<u8>, usize), String> {
    let ceiling = size.saturating_add(1);
    let mut inflater = Decompress::new(true);
    let mut out = Vec::new();
    loop {
        if out.len() == out.capacity() {
            let step = out.capacity().max(FIRST_STEP).min(ceiling.saturating_sub(out.len()));
            out.try_reserve_exact(step).map_err(|error| format!("no memory for {ceiling} bytes: {error}"))?;
        }
        let used = usize::try_from(inflater.total_in()).unwrap_or(usize::MAX);
        let before = (inflater.total_in(), inflater.total_out());
        let input = stream.get(used..).unwrap_or_default();
        let status = inflater
            .decompress_vec(input, &mut out, FlushDecompress::None)
            .map_err(|error| format!("not a zlib stream: {error}"))?;
        if out.len() > size {
            return Err(format!("the stream holds more than the announced {size} bytes"));
        }
        if status == Status::StreamEnd {
            break;
        }
        if before == (inflater.total_in(), inflater.total_out()) {
            return Err("the zlib stream ends too early".to_owned());
        }
    }
    Ok((out, usize::try_from(inflater.total_in()).unwrap_or(usize::MAX)))
}

/// Compresses as one zlib stream at `level`. The bytes are those of zlib itself.
pub(crate) fn deflate(bytes: &[u8], level: u32) -> Result<Vec<u8>, FrameError> {
    let mut deflater = Compress::new(flate2::Compression::new(level), true);
    // zlib's own upper bound, so that one call is enough.
    let bound = bytes.len().saturating_add(bytes.len() >> 8).saturating_add(64);
    let mut out = Vec::with_capacity(bound);
    match deflater.compress_vec(bytes, &mut out, FlushCompress::Finish) {
        Ok(Status::StreamEnd) => Ok(out),
        Ok(status) => Err(FrameError::new(ErrorClass::Writer, format!("zlib stopped early: {status:?}"))),
        Err(error) => Err(FrameError::new(ErrorClass::Writer, format!("zlib refused: {error}"))),
    }
}

/// Puts a bare frame into a container.
pub(crate) fn wrap(frame: &[u8], checksum: Checksum) -> Result<Vec<u8>, FrameError> {
    let stream = deflate(frame, LEVEL)?;
    let mut out = Vec::with_capacity(HEADER_LEN.saturating_add(stream.len()));
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&[VERSION, DEFLATE, checksum.number(), 0]);
    out.extend_from_slice(&(frame.len() as u64).to_le_bytes());
    out.extend_from_slice(&(stream.len() as u64).to_le_bytes());
    out.extend_from_slice(&stream);
    Ok(out)
}
