//! The CNI plugin `vxlan`; without `CNI_COMMAND`, its command line.

#![warn(clippy::print_stdout, clippy::print_stderr)]

use std::process::ExitCode;

use vxlan_cni::cni::serve::serve;
use vxlan_cni::ctl;
use vxlan_cni::ops::Vxlan;

fn main() -> ExitCode {
    // A runtime never waits for the command line to be made.
    if std::env::var_os("CNI_COMMAND").is_none() {
        if std::env::args_os().len() > 1 {
            return ctl::vxlan();
        }
        if let Some(code) = ctl::welcome() {
            return code;
        }
    }
    serve(&Vxlan)
}
