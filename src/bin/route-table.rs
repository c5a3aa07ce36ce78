//! The IPAM plugin `route-table`; without `CNI_COMMAND`, its command line.

use std::process::ExitCode;

use clap::Parser;
use vxlan_cni::cni::serve::serve;
use vxlan_cni::route_table::RouteTable;

/// CNI IPAM plugin: the kernel's routing table as the cluster's address database.
///
/// A CNI plugin starts it with CNI_COMMAND set and the network configuration on stdin.
#[derive(Parser)]
#[command(name = "route-table", version)]
struct Arguments {}

fn main() -> ExitCode {
    if std::env::var_os("CNI_COMMAND").is_none() && std::env::args_os().len() > 1 {
        // Ends the program for --help and --version, and for what it does not know.
        let Arguments {} = Arguments::parse();
    }
    serve(&RouteTable)
}
