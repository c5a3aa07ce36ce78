//! What must hold whatever comes in: one law for each thing that comes from outside, as bytes.
//!
//! Two drivers keep them: proptest here, with inputs that are nearly right, and libFuzzer in `fuzz/`, with
//! inputs that grew towards whatever had not been reached yet.

pub mod annotations;
pub mod arguments;
pub mod commands;
pub mod compare;
pub mod config;
pub mod door;
pub mod ip_output;
pub mod prev_result;
pub mod records;
