//! The CNI plugin `vxlan`; without `CNI_COMMAND`, its command line.

use std::process::ExitCode;

use clap::Parser;
use vxlan_cni::cni::serve::serve;
use vxlan_cni::ops::Vxlan;

/// CNI plugin: layer-2 networks that span the cluster, every node their gateway.
///
/// A container runtime starts it with CNI_COMMAND set and the network configuration on stdin.
#[derive(Parser)]
#[command(name = "vxlan", version)]
struct Arguments {}

fn main() -> ExitCode {
    if std::env::var_os("CNI_COMMAND").is_none() && std::env::args_os().len() > 1 {
        // Ends the program for --help and --version, and for what it does not know.
        let Arguments {} = Arguments::parse();
    }
    serve(&Vxlan)
}
