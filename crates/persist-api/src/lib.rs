//! The contract of persist: engines, beats, views, capabilities, negotiation, errors
