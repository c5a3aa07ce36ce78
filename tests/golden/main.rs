//! Golden files: what is expected stands in files that read as a manual.
//!
//! `commands/` has every command of the builder, `records/` and `stderr/` what the real `ip` printed, that of each
//! suite of Debian, `plans/` what an ADD, a repair and a roll-back run. The script `capture` fills in what comes from
//! the kernel; `UPDATE_GOLDEN=1 cargo test --test golden` writes the rest, to be read in `git diff`.

#![allow(clippy::unwrap_used)]

mod commands;
mod compare;
mod plans;
mod records;
mod stderr;
mod transcript;
