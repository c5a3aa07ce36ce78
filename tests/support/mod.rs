//! What the tests share: a built program asked as a runtime asks it (`plugin`), also without
//! a whole stdin, stdout or stderr (`streams`), and clusters of network namespaces to ask it in (`lab`).

#![allow(
    dead_code,
    unused_imports,
    reason = "each test program uses its own part of what the tests share"
)]

pub mod frames;
pub mod lab;
pub mod plugin;
pub mod program;
pub mod streams;
