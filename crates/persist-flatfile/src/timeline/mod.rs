//! The timeline: one frame a beat, in segments.
