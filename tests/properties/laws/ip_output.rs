//! What `ip` prints: read as what it is or refused, and never a reason for a command that is none.

use serde_json::Value;
use vxlan_cni::cni::{Args, CniError, CniResult, Version};
use vxlan_cni::config::Config;
use vxlan_cni::exec::ExecError;
use vxlan_cni::ip::batch::{Answers, Batch, OnError, is_read};
use vxlan_cni::ip::json::{documents, without_fan_maps};
use vxlan_cni::ip::stderr::failures;
use vxlan_cni::ip::{Netns, Program};
use vxlan_cni::plan::container::Container;
use vxlan_cni::plan::{self, Observed, Probe, Read, Side, host, underlay};
use vxlan_cni::select::{Selection, select};
use vxlan_cni::session::line::Failed;
use vxlan_cni::session::not_true;

use super::commands;
use super::door::{presentable, sample};

/// Keeps the law for a process's stdout, stderr and exit code.
pub fn holds(stdout: &[u8], stderr: &str, code: Option<i32>) {
    fan_maps_are_taken_out_of_no_string(stdout);
    remarks_say_nothing_of_failures(stderr);
    let config = Config::read(&sample()).unwrap();
    for name in ["blue", "green"] {
        let network = config.network(name).unwrap();
        let selection = Selection {
            network,
            ..select(&config, &Args::default()).unwrap()
        };
        let wanted = Wanted::of(&selection);
        for on_error in [OnError::Stop, OnError::Continue] {
            sorted_to_lines(&wanted.batch(on_error), stdout, stderr, code);
        }
        believed(&wanted, stdout);
    }
}

/// What Ubuntu's `ip` prints between values is taken out, and nothing else: no string is touched, what is JSON is read
/// as it is, and with such words in all places of a value's end it reads the same.
fn fan_maps_are_taken_out_of_no_string(stdout: &[u8]) {
    let left = without_fan_maps(stdout);
    let strings = |text| {
        let (inside, outside) = apart(text);
        (inside, outside.len())
    };
    let ((before, length), (after, left)) = (strings(stdout), strings(&left));
    assert!(before == after && left <= length, "{stdout:?}");
    let plain = serde_json::Deserializer::from_slice(stdout).into_iter::<Value>();
    let Ok(plain) = plain.collect::<Result<Vec<_>, _>>() else {
        return;
    };
    assert_eq!(documents(stdout).as_ref(), Ok(&plain));
    for word in [
        "fan-map ",
        "fan-map 10.0.0.0/8:10.1.0.0/16 11.0.0.0/8:10.2.0.0/16 ",
    ] {
        let mut odd = Vec::new();
        let mut is_string = false;
        for (index, byte) in stdout.iter().enumerate() {
            if !is_string && b",]}".contains(byte) {
                odd.extend_from_slice(word.as_bytes());
            }
            is_string ^= *byte == b'"' && !is_escaped(&stdout[..index]);
            odd.push(*byte);
        }
        assert_eq!(documents(&odd).as_ref(), Ok(&plain), "{word}");
    }
}

/// The bytes of a text's strings, quotes included, and those between them.
fn apart(text: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let (mut inside, mut outside, mut is_string) = (Vec::new(), Vec::new(), false);
    for (index, byte) in text.iter().enumerate() {
        let ends = *byte == b'"' && !(is_string && is_escaped(&text[..index]));
        match is_string || ends {
            true => inside.push(*byte),
            false => outside.push(*byte),
        }
        is_string ^= ends;
    }
    (inside, outside)
}

/// Whether a character behind this is escaped: an odd number of backslashes is before it.
fn is_escaped(before: &[u8]) -> bool {
    let backslashes = before.iter().rev().take_while(|byte| **byte == b'\\');
    backslashes.count() % 2 == 1
}

/// Whatever is said beside the matter, and wherever: the failures are the same.
fn remarks_say_nothing_of_failures(stderr: &str) {
    for remark in ["info: this is new", "Warning: this is not as it was."] {
        let with: String = stderr
            .lines()
            .map(|line| format!("{remark}\n{line}\n{remark}\n"))
            .collect();
        assert_eq!(failures(&with), failures(stderr));
    }
}

/// A network and a lease on it.
struct Wanted<'a> {
    selection: &'a Selection<'a>,
    lease: CniResult,
}

impl<'a> Wanted<'a> {
    fn of(selection: &'a Selection<'a>) -> Self {
        let address = |cidr: &ipnetwork::IpNetwork| {
            let (_, last) = selection.network.pool(*cidr).unwrap();
            serde_json::json!({"address": format!("{last}/{}", cidr.prefix())})
        };
        let ips: Vec<Value> = selection.network.cidrs.iter().map(address).collect();
        let said = serde_json::json!({"cniVersion": "1.1.0", "ips": ips});
        let lease = CniResult::from_json(&said, Version::NEWEST).unwrap();
        Self { selection, lease }
    }

    fn container(&self, mtu: Option<u32>) -> Container<'_> {
        Container {
            network: self.selection.network,
            ifname: "eth0".parse().unwrap(),
            made_as: "eth0".parse().unwrap(),
            mtu,
            ipv6: true,
            gateway_mac: None,
            mac: None,
            lease: &self.lease,
        }
    }

    /// Every question of an ADD or CHECK, in the order in which a batch may ask.
    fn reads(&self) -> Vec<Read> {
        let mut reads = Vec::new();
        for look in [Probe::Lookup, Probe::List] {
            reads.extend(host::reads(self.selection.network, look));
            reads.extend(plan::reads(&self.container(None).facts(), look));
        }
        reads.push(Read::Vxlans);
        reads.push(Read::Maddr(self.selection.network.vx.clone()));
        reads.push(Read::Neigh(
            Side::Host,
            self.selection.network.mv.clone(),
            [10, 1, 0, 9].into(),
        ));
        reads.sort();
        reads.dedup();
        reads
    }

    /// The questions about the node that share a process, with a change among them.
    fn batch(&self, on_error: OnError) -> Batch {
        let shared = |read: &Read| {
            let command = read.command();
            let alone = matches!(command.program(), Program::Sysctl | Program::Nft)
                || command.selected_family().is_some();
            read.side() == Side::Host && !alone
        };
        let reads = self.reads().into_iter().filter(shared);
        let mut lines: Vec<_> = reads.map(|read| read.command()).collect();
        let up = vxlan_cni::ip::link::Setting::Up;
        lines.insert(1, vxlan_cni::ip::link::set(&self.selection.network.vx, &up));
        Batch::new(&Netns::Own, on_error, lines)
    }
}

/// A batch has one answer for each line that reads, or an error.
fn sorted_to_lines(batch: &Batch, stdout: &[u8], stderr: &str, code: Option<i32>) {
    match batch.answers(code, stdout, stderr) {
        Err(source) => {
            let line = "ip -batch -".to_owned();
            presentable(&CniError::from(ExecError::Unreadable { line, source }));
        }
        Ok(answers) => {
            assert_eq!(answers.documents.len(), batch.lines().len());
            for (line, document) in batch.lines().iter().zip(&answers.documents) {
                assert!(
                    document.is_none() || is_read(line),
                    "{line} answered {document:?}"
                );
            }
            // Whatever it says: an exit code other than 0 is a failure.
            assert!(
                code == Some(0) || answers.failure().is_some(),
                "{answers:?}"
            );
            are_told(&answers);
        }
    }
}

/// Each failure as the error a runtime gets.
fn are_told(answers: &Answers) {
    for failure in &answers.failures {
        let failed = Failed {
            command: "ip link set dev vx_blue up".to_owned(),
            program: Program::Ip,
            failure: failure.clone(),
            because: None,
            code: answers.code,
        };
        presentable(&failed.error("network \"blue\""));
    }
}

/// Every question gets the first document; what is then planned is made of sound commands, and what is
/// not true can be told.
fn believed(wanted: &Wanted<'_>, stdout: &[u8]) {
    let documents = serde_json::Deserializer::from_slice(stdout).into_iter::<Value>();
    let documents: Vec<Value> = documents.map_while(Result::ok).collect();
    let mut seen = Observed::default();
    for (index, read) in wanted.reads().iter().enumerate() {
        let document = documents.get(index % documents.len().max(1)).cloned();
        if let Err(error) = seen.take(read, document) {
            let told = CniError::new(vxlan_cni::cni::Code::COMMAND_FAILED, error.to_string());
            presentable(&told);
        }
    }
    let network = wanted.selection.network;
    match host::facts(network, &seen) {
        Err(error) => presentable(&error.into()),
        Ok(mut facts) => {
            let mtu = underlay::mtu(network, &seen).unwrap();
            facts.extend(wanted.container(mtu).facts());
            let pod = Netns::from_path("/run/netns/pod").unwrap();
            let steps = plan::plan(&facts, &seen, &pod);
            commands::are_sound(&steps);
            let broken = plan::broken(&facts, &seen);
            assert!(steps.is_empty() || !broken.is_empty());
            if !broken.is_empty() {
                presentable(&not_true(&broken, &pod));
            }
        }
    }
}
