//! LMDB as a persist engine
