//! The conformance suite of persist engines: cases, liars, model, kill and power-cut tests

pub mod crash;
