//! Values too large for a frame, in files of their own.
