//! Tests of the flatfile engine.
