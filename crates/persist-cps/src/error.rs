//! How refusals of frames become errors of the substrate.

use persist_api::{Advice, Error, ErrorKind};
use persist_frame::{ErrorClass, FrameError};

/// The kind of error that a refused frame gives: policy is `Refused` (code -4, CAPABILITY_MISMATCH), a limit of the
/// reader is `TooLarge`, everything else means that the frame's bytes are not what a writer made: `Corrupt`.
pub fn kind_of(class: ErrorClass) -> ErrorKind {
    match class {
        ErrorClass::CapabilityMismatch | ErrorClass::UnsupportedRecord => ErrorKind::Refused,
        ErrorClass::Limit => ErrorKind::TooLarge,
        _ => ErrorKind::Corrupt,
    }
}

/// A refusal as an error of the verb `ingest`: class, sentence and offset in the context, the refusal as its source.
pub(crate) fn refused(error: FrameError) -> Error {
    let kind = kind_of(error.class());
    let context = match kind {
        ErrorKind::Refused => format!("CAPABILITY_MISMATCH: {error}"),
        _ => error.to_string(),
    };
    advised(Error::new(kind, "ingest", context).with_source(error))
}

/// Whose input is not what a writer made can only give another one: no backup of the store helps.
pub(crate) fn advised(error: Error) -> Error {
    if error.kind() == ErrorKind::Corrupt { error.with_advice(Advice::FixPath) } else { error }
}

/// `Corrupt`: what is kept of a frame does not fit together.
pub(crate) fn corrupt(op: &'static str, what: impl Into<String>) -> Error {
    Error::new(ErrorKind::Corrupt, op, what)
}
