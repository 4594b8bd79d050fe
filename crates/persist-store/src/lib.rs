//! The runtime of persist: negotiated stores over any engine, home layout, beats, digest
