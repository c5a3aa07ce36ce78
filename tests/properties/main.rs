//! Properties: what must hold for every input, tried with many that are wrong in a place or two.
//!
//! In process, without root and without a kernel. `PROPTEST_CASES` sets how many are tried (256).

#![allow(clippy::unwrap_used)]

mod golden;
mod journal;
mod laws;
mod nearly;
mod outside;
mod thoughts;
mod words;

/// As many as the environment says; what fails is shown, shrunk, and becomes an example in a test, not a
/// file of seeds.
fn tried() -> proptest::test_runner::Config {
    proptest::test_runner::Config {
        failure_persistence: None,
        ..proptest::test_runner::Config::default()
    }
}
