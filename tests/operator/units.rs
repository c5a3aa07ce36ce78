//! The systemd units that run a repair now and then, and that tell Prometheus of the node.

use std::path::Path;
use std::process::Command;

use crate::support::plugin::Program;

/// A folder that goes with the test.
struct Folder(std::path::PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn installed_units_are_sound_and_run_the_installed_command() {
    let folder = Folder(std::env::temp_dir().join(format!("vxt{}-units", std::process::id())));
    let place = |name: &str| folder.0.join(name).to_str().unwrap().to_owned();
    let (bin, prefix, units) = (place("bin"), place("prefix"), place("units"));
    let built = Path::new(Program::Vxlan.path()).parent().unwrap();
    let install = |more: &[&str]| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/install");
        let mut command = Command::new(script);
        command.args(["--from", built.to_str().unwrap(), "--link"]);
        command.args(["--cni-bin", &bin, "--prefix", &prefix, "--units", &units]);
        let output = command.args(more).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    install(&[]);
    assert!(
        !Path::new(&units).exists(),
        "units are installed only when they are asked for"
    );
    let timed = &["service", "timer"][..];
    for (option, unit, kinds, runs) in [
        ("--timer", "vxlan-cni-repair", timed, "vxlan repair\n"),
        (
            "--metrics",
            "vxlan-cni-metrics",
            timed,
            "vxlan metrics --output /",
        ),
        ("--agent", "vxlan-cni-agent", &["service"], "vxlan agent\n"),
    ] {
        let said = install(&[option]);
        let enabled = kinds.last().unwrap();
        let enable = format!("systemctl enable --now {unit}.{enabled}");
        assert!(said.contains(&enable), "{said}");
        let files: Vec<String> = kinds
            .iter()
            .map(|kind| format!("{units}/{unit}.{kind}"))
            .collect();
        let service = std::fs::read_to_string(&files[0]).unwrap();
        let start = format!("ExecStart={prefix}/sbin/{runs}");
        assert!(service.contains(&start), "{service}");
        let output = Command::new("systemd-analyze")
            .arg("verify")
            .args(&files)
            .output()
            .unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success() && !told.contains(unit), "{told}");
    }
}
