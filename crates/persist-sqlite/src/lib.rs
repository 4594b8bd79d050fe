//! SQLite (WAL) as a persist engine
