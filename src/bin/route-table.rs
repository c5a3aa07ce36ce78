//! The IPAM plugin `route-table`; without `CNI_COMMAND`, its command line.

#![warn(clippy::print_stdout, clippy::print_stderr)]

use std::process::ExitCode;

use vxlan_cni::cni::serve::serve;
use vxlan_cni::ctl;
use vxlan_cni::route_table::RouteTable;

fn main() -> ExitCode {
    if std::env::var_os("CNI_COMMAND").is_none() && std::env::args_os().len() > 1 {
        return ctl::route_table();
    }
    serve(&RouteTable)
}
