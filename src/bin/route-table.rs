//! The IPAM plugin `route-table`.

fn main() {}
