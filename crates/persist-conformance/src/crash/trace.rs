//! Reads what `strace -f -v -xx` wrote: joins calls that were interrupted by other threads, splits arguments, decodes
//! strings. It knows the form of the lines and nothing of what the calls mean.

use std::collections::HashMap;
use std::io::BufRead;

use super::report::CrashError;

/// One finished system call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) name: String,
    pub(crate) args: Vec<String>,
    /// What it returned; `None` when it did not return.
    pub(crate) ret: Option<i64>,
    /// Line at which it was entered, from 1.
    pub(crate) begin: usize,
    /// Line at which it returned.
    pub(crate) end: usize,
}

/// Reads a whole trace. Calls are in the order in which they returned; `close` in that in which it was called, for another thread
/// may be given its number before it returns.
pub(crate) fn read(lines: impl BufRead) -> Result<Vec<Call>, CrashError> {
    let mut calls = Vec::new();
    let mut open: HashMap<String, (usize, String)> = HashMap::new();
    for (index, line) in lines.lines().enumerate() {
        let number = index.saturating_add(1);
        let bad = |why: &str| CrashError::Trace { line: number, why: why.to_owned() };
        let line = line.map_err(|source| CrashError::io("the trace", source))?;
        let Some((thread, text)) = line.split_once(' ') else { continue };
        let text = text.trim();
        if text.starts_with("+++") || text.starts_with("---") || text.is_empty() {
            continue;
        }
        if let Some(head) = text.strip_suffix("<unfinished ...>") {
            open.insert(thread.to_owned(), (number, head.trim_end().to_owned()));
            continue;
        }
        let (begin, whole) = if text.starts_with("<... ") {
            let (_, tail) = text.split_once(" resumed>").ok_or_else(|| bad("a resumed call without end"))?;
            let (begin, head) = open.remove(thread).ok_or_else(|| bad("a call resumes that never began"))?;
            (begin, head + tail)
        } else {
            (number, text.to_owned())
        };
        calls.push(parse(&whole, begin, number).ok_or_else(|| bad("not a system call"))?);
    }
    // No line is the beginning of one call and the end of another.
    calls.sort_by_key(|call: &Call| if call.name == "close" { call.begin } else { call.end });
    Ok(calls)
}

fn parse(text: &str, begin: usize, end: usize) -> Option<Call> {
    let (name, rest) = text.split_once('(')?;
    let (args, tail) = split_args(rest)?;
    let ret = tail.trim_start().strip_prefix('=')?.split_whitespace().next()?;
    Some(Call { name: name.trim().to_owned(), args, ret: number(ret), begin, end })
}

/// Splits at commas outside of quotes and brackets, up to the closing parenthesis; also gives what follows it.
fn split_args(text: &str) -> Option<(Vec<String>, &str)> {
    let (mut args, mut depth, mut quoted, mut from) = (Vec::new(), 0_u32, false, 0);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            // With -xx a quote never occurs inside a string.
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'(' | b'[' | b'{' => depth = depth.saturating_add(1),
            b')' if depth == 0 => {
                let last = text.get(from..at)?.trim();
                if !(last.is_empty() && args.is_empty()) {
                    args.push(last.to_owned());
                }
                return Some((args, text.get(at.saturating_add(1)..)?));
            }
            b')' | b']' | b'}' => depth = depth.checked_sub(1)?,
            b',' if depth == 0 => {
                args.push(text.get(from..at)?.trim().to_owned());
                from = at.saturating_add(1);
            }
            _ => {}
        }
    }
    None
}

/// A decimal or hexadecimal number; `None` for `?`.
pub(crate) fn number(text: &str) -> Option<i64> {
    match text.strip_prefix("0x") {
        // Raw arguments are printed as the register holds them.
        Some(hex) => u64::from_str_radix(hex, 16).ok().map(u64::cast_signed),
        None => text.parse().ok(),
    }
}

/// The bytes of one quoted string; `None` if it was cut short or is none.
pub(crate) fn string(text: &str) -> Option<Vec<u8>> {
    let inner = text.strip_prefix('"')?.strip_suffix('"')?;
    let mut out = Vec::with_capacity(inner.len() / 4);
    let mut rest = inner.as_bytes();
    while let [b'\\', b'x', high, low, tail @ ..] = rest {
        out.push(hex(*high)? << 4 | hex(*low)?);
        rest = tail;
    }
    rest.is_empty().then_some(out)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// The bytes of a vector of buffers, one after the other.
pub(crate) fn vector(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    for part in text.split("iov_base=").skip(1) {
        if part.starts_with("NULL") {
            continue;
        }
        let end = part.get(1..)?.find('"')?.saturating_add(2);
        if part.get(end..)?.starts_with("...") {
            return None;
        }
        out.extend(string(part.get(..end)?)?);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls(text: &str) -> Vec<Call> {
        read(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_plain_call() {
        let got = calls("17 pwrite64(4, \"\\x61\\x00\", 2, 4096) = 2\n");
        assert_eq!(got[0].name, "pwrite64");
        assert_eq!(got[0].args, ["4", "\"\\x61\\x00\"", "2", "4096"]);
        assert_eq!((got[0].ret, got[0].begin, got[0].end), (Some(2), 1, 1));
        assert_eq!(string(&got[0].args[1]).unwrap(), b"a\0");
    }

    #[test]
    fn calls_of_threads_are_joined_in_the_order_of_their_returns() {
        let got = calls(
            "1 fsync(4 <unfinished ...>\n2   write(5, \"\\x62\", 1) = 1\n2 +++ exited with 0 +++\n\
             1 <... fsync resumed>)              = 0\n",
        );
        let order: Vec<_> = got.iter().map(|call| (call.name.as_str(), call.begin, call.end)).collect();
        assert_eq!(order, [("write", 2, 2), ("fsync", 1, 4)]);
        assert_eq!(got[1].args, ["4"]);
    }

    #[test]
    fn a_number_is_free_as_soon_as_its_file_begins_to_be_closed() {
        let got = calls(
            "1 close(4 <unfinished ...>\n2 openat(AT_FDCWD, \"\\x61\", O_RDWR) = 4\n1 <... close resumed>) = 0\n\
             2 pwrite64(4, \"\\x61\", 1, 0 <unfinished ...>\n1 fsync(5) = 0\n2 <... pwrite64 resumed>) = 1\n",
        );
        let order: Vec<_> = got.iter().map(|call| call.name.as_str()).collect();
        assert_eq!(order, ["close", "openat", "fsync", "pwrite64"]);
    }

    #[test]
    fn failures_structures_and_raw_numbers() {
        let got = calls(
            "1 openat(AT_FDCWD, \"\\x2f\", O_RDONLY) = -1 ENOENT (No such file)\n\
             1 clone3({flags=CLONE_VM|CLONE_FILES, tls=0x7f} => {parent_tid=[9]}, 88) = 9\n\
             1 read(0x3, 0x7ffe, 0x10) = 0x1f\n1 exit_group(0) = ?\n1 sync() = 0\n",
        );
        let got: Vec<_> = got.iter().map(|call| (call.args.len(), call.ret)).collect();
        assert_eq!(got, [(3, Some(-1)), (2, Some(9)), (3, Some(31)), (1, None), (0, Some(0))]);
    }

    #[test]
    fn vectors_of_buffers() {
        let text =
            r#"[{iov_base="\x61\x62", iov_len=2}, {iov_base=NULL, iov_len=0}, {iov_base="\x63", iov_len=1}]"#;
        assert_eq!(vector(text).unwrap(), b"abc");
        assert_eq!(vector(r#"[{iov_base="\x61"..., iov_len=9}]"#), None);
        assert_eq!(string(r#""\x61"..."#), None);
    }

    #[test]
    fn nonsense_is_an_error() {
        assert!(matches!(read(&b"1 what is this\n"[..]), Err(CrashError::Trace { line: 1, .. })));
        assert!(read(&b"1 <... fsync resumed>) = 0\n"[..]).is_err());
    }
}
