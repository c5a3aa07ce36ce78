//! A node with a pod to be tried on, and beside it pods that must not notice.

use std::cell::{OnceCell, RefCell};
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::fault::Fault;
use crate::stand_in::{Fired, StandIns, newer_host_local};
use crate::support::lab::{Ask, Config, Lab, Net, Node, Pod, Snapshot, address, nft, until};
use crate::support::plugin::Said;

/// Whose addresses the pods get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ipam {
    HostLocal,
    RouteTable,
    /// A stand-in for `dhcp`, which is asked once the link is there.
    Dhcp,
}

impl Ipam {
    /// Both, by the names of the plugins.
    pub const ALL: [(Self, &str); 2] = [
        (Self::HostLocal, "host-local"),
        (Self::RouteTable, "route-table"),
    ];

    /// A node's configuration with it.
    pub fn config(self, node: &Node, nets: &[&Net]) -> Config {
        let config = node.config(nets);
        match self {
            Self::HostLocal => config,
            Self::RouteTable => config
                .ipam(node.route_table())
                .with(json!({"ipam": {"propagationTimeoutMs": 5}})),
            Self::Dhcp => config.with(json!({"ipam": {"type": "dhcp"}})),
        }
    }
}

/// Who is on the network beside the pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beside {
    /// None: the host side comes and goes with the pod.
    Nobody,
    /// A pod of this node, which one of another node talks to all the time.
    Another,
}

/// What is so of the definitions and records when the verb is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// All pods are by one definition, and recorded.
    Plain,
    /// The definition was edited since the other pod joined.
    Edited,
    /// The definition was edited since the pod joined, and it is the last by the former.
    Former,
    /// There is no record of the pod, as where another program started it.
    Unrecorded,
}

/// A node with everything, as it was before the first fault.
pub struct Scene {
    ipam: Ipam,
    beside: Beside,
    way: Way,
    /// A pod by the other definition, which makes that the latest again.
    touch: Option<(Pod, Ask)>,
    /// The result of ADD, where a runtime has it and no record is left.
    known: RefCell<Option<Value>>,
    /// The question to the plugin about the pod.
    pub ask: Ask,
    /// Everything there was.
    pub before: Snapshot,
    attached: OnceCell<(Value, Snapshot)>,
    stand_ins: StandIns,
    config: Config,
    stay: Option<Stay>,
    inside: Inside,
    pod: Pod,
    lab: Lab,
}

/// A pod that stays, and the talk with it.
struct Stay {
    pod: Pod,
    ask: Ask,
    _far: Pod,
    talk: Child,
}

impl Scene {
    pub fn new(ipam: Ipam, beside: Beside) -> Self {
        Self::by(ipam, beside, Way::Plain)
    }

    /// The same where more is so.
    pub fn by(ipam: Ipam, beside: Beside, way: Way) -> Self {
        let lab = Lab::new(if beside == Beside::Another { 2 } else { 1 });
        let node = lab.node(0);
        let rules = json!({"antiSpoof": beside == Beside::Nobody && nft::kernel_has_egress()});
        let blue = Net::new("blue", 100).dual().with(rules);
        let edit = json!({"cidr": "10.100.0.9/16", "mtu": 1300});
        let edited = blue.clone().with(edit);
        let (its, the_others) = match way {
            Way::Plain | Way::Unrecorded => (&blue, &blue),
            Way::Edited => (&edited, &blue),
            Way::Former => (&blue, &edited),
        };
        let config = ipam.config(node, &[its]);
        // One that is entered by path, and one that goes by name.
        let pod = match beside {
            Beside::Nobody => node.process_pod("tried"),
            Beside::Another => node.pod("tried"),
        };
        let ask = node
            .ask(&config, &pod)
            .plugins_first(&newer_host_local(&lab));
        // What a first pod leaves for ever (forwarding, the IPAM's folders) is there before.
        ask.add();
        ask.del();
        let stay = (beside == Beside::Another).then(|| Stay::new(&lab, ipam, the_others));
        let touch = matches!(way, Way::Edited | Way::Former).then(|| {
            let (config, pod) = (ipam.config(node, &[the_others]), node.pod("touch"));
            let ask = node.ask(&config, &pod);
            (pod, ask.plugins_first(&newer_host_local(&lab)))
        });
        Self {
            ipam,
            beside,
            way,
            touch,
            known: RefCell::default(),
            ask,
            stand_ins: StandIns::new(&lab),
            before: node.snapshot(),
            attached: OnceCell::new(),
            inside: Inside::new(&pod),
            pod,
            config,
            stay,
            lab,
        }
    }

    /// The id of the pod's container.
    pub fn container(&self) -> &str {
        &self.pod.container
    }

    /// The same, as it was in the beginning.
    pub fn anew(&self) -> Self {
        Self::by(self.ipam, self.beside, self.way)
    }

    pub fn node(&self) -> &Node {
        self.lab.node(0)
    }

    /// The question to the plugin, with a list of the pods that live where the verb wants one.
    pub fn question(&self, verb: &str) -> Ask {
        let living = self.stay.iter().map(|stay| &stay.pod.container);
        let living: Vec<Value> = living
            .map(|id| json!({"containerID": id, "ifname": "eth0"}))
            .collect();
        let newest = self.config.clone().with(json!({"cniVersion": "1.1.0"}));
        let ask = self.ask.clone();
        match verb {
            "GC" => ask.config(&newest.with(json!({"cni.dev/valid-attachments": living}))),
            "STATUS" => ask.config(&newest),
            "DEL" => match &*self.known.borrow() {
                Some(result) => ask.after(result),
                None => ask,
            },
            _ => ask,
        }
    }

    /// Makes the pod what it is when a runtime puts the question. For what changes nothing it is attached
    /// once and stays.
    pub fn prepare(&self, verb: &str) -> Ask {
        let ask = self.question(verb);
        match verb {
            "DEL" if self.way == Way::Unrecorded => {
                self.known.replace(Some(self.ask.add()));
                self.forget();
                return self.question(verb);
            }
            "DEL" | "GC" => drop(self.ask.add()),
            "CHECK" => return ask.after(&self.attached().0),
            "STATUS" => drop(self.attached()),
            _ => {}
        }
        if self.way == Way::Former && verb == "DEL" {
            self.touch();
        }
        ask
    }

    /// Makes the other pod's definition the latest, which stays so.
    fn touch(&self) {
        if let Some((_, ask)) = &self.touch {
            ask.add();
            ask.del();
        }
    }

    /// Removes all that is remembered of the pod.
    fn forget(&self) {
        for folder in [self.node().data(), self.node().run_dir()] {
            std::fs::remove_dir_all(&folder).unwrap();
            std::fs::create_dir(folder).unwrap();
        }
    }

    /// The result of ADD, and everything there was then.
    fn attached(&self) -> &(Value, Snapshot) {
        let attach = || (self.ask.add(), self.node().snapshot());
        self.attached.get_or_init(attach)
    }

    /// Nothing has changed since the pod was attached.
    pub fn assert_untouched(&self, what: &str) {
        let changes = self.node().snapshot().changes_since(&self.attached().1);
        assert!(changes.is_empty(), "{what}: {}", changes.join("\n"));
    }

    /// Starts a verb with a fault at one call.
    pub fn start_at(&self, ask: &Ask, verb: &str, at: u32, fault: Fault) -> Child {
        self.stand_ins.arm(at, fault);
        self.stand_ins.around(ask).verb(verb).start()
    }

    /// The process that hangs.
    pub fn hung(&self) -> Option<u32> {
        self.stand_ins.hung()
    }

    /// Where the fault was; none while there was none.
    pub fn fired(&self) -> Option<Fired> {
        self.stand_ins.fired()
    }

    /// Puts a question with a fault at one call, and sees to it that it ends.
    pub fn try_at(&self, ask: &Ask, verb: &str, at: u32, fault: Fault) -> (Said, Option<Fired>) {
        let mut child = self.start_at(ask, verb, at, fault);
        if fault.hangs() {
            until("the plugin hangs or has ended", || {
                self.hung().is_some() || child.try_wait().unwrap().is_some()
            });
        }
        let hung = self.hung();
        match (hung, verb) {
            // These carry through, and do not wait long; here the command is ended at once.
            (Some(pid), "DEL" | "GC") => signal("KILL", pid),
            (Some(_), _) => signal("TERM", child.id()),
            (None, _) => {}
        }
        let said = Said::by(child);
        if let Some(pid) = hung {
            let gone = !Path::new("/proc").join(pid.to_string()).exists();
            signal("KILL", pid);
            assert!(gone, "what hung is still there after {verb} {at}: {said:?}");
        }
        (said, self.fired())
    }

    /// What ended badly is cleaned up by the verb that a runtime asks for next.
    pub fn recover(&self, verb: &str, what: &str) {
        if verb == "GC" {
            self.wait_for_the_record();
        }
        let said = self.question(verb).say(verb);
        assert_eq!(said.code, 0, "{what}: then {verb}: {said:?}");
        if self.way == Way::Edited {
            self.touch();
        }
        self.assert_as_before(&format!("{what}, then {verb}"));
    }

    /// GC leaves an attachment alone whose record a verb has locked. A child that a killed verb had forked, but that
    /// had not yet executed its program, holds the lock for a moment longer.
    fn wait_for_the_record(&self) {
        let record = self.node().record("blue", &self.pod, "eth0");
        until("nothing holds the record", || {
            File::open(&record).map_or(true, |file| file.try_lock().is_ok())
        });
    }

    /// The node is as before and the pod has nothing.
    pub fn assert_as_before(&self, what: &str) {
        let changes = self.node().snapshot().changes_since(&self.before);
        let left = self.inside.devices();
        if changes.is_empty() && left == ["lo"] {
            return;
        }
        let journal = self.node().journal();
        let start = journal.lines().count().saturating_sub(40);
        let last: Vec<&str> = journal.lines().skip(start).collect();
        panic!(
            "{what}: the node is not as before:\n{}\nthe pod has {left:?}\nthe journal ends\n{}",
            changes.join("\n"),
            last.join("\n")
        );
    }

    /// The last DEL leaves nothing. The pod that stays has all that it had, and was reached all the time.
    pub fn end(mut self) {
        self.recover("DEL", "in the end");
        if let Some(stay) = self.stay.take() {
            stay.end();
        }
    }
}

impl fmt::Display for Scene {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} beside {:?}, {:?}",
            self.ipam, self.beside, self.way
        )
    }
}

/// A process in a pod, through which is seen what devices the pod has.
struct Inside(Child);

impl Inside {
    fn new(pod: &Pod) -> Self {
        let mut waiting = pod.command(&["cat"]);
        let waiting = waiting.stdin(Stdio::piped()).spawn().unwrap();
        let entered = format!("/proc/{}/comm", waiting.id());
        until("a process is in the pod", || {
            std::fs::read_to_string(&entered).unwrap() == "cat\n"
        });
        Self(waiting)
    }

    fn devices(&self) -> Vec<String> {
        let text = std::fs::read_to_string(format!("/proc/{}/net/dev", self.0.id())).unwrap();
        let names = text.lines().filter_map(|line| line.split_once(':'));
        names.map(|(name, _)| name.trim().to_owned()).collect()
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Stay {
    fn new(lab: &Lab, ipam: Ipam, blue: &Net) -> Self {
        let (here, there) = (lab.node(0), lab.node(1));
        let (pod, far) = (here.pod("stay"), there.pod("far"));
        let ask = here.ask(&ipam.config(here, &[blue]), &pod);
        let result = ask.add();
        there.ask(&ipam.config(there, &[blue]), &far).add();
        let address = address(&result, 0);
        far.ping(&address);
        let talk = ["ping", "-n", "-q", "-i", "0.1", &address];
        let talk = far.command(&talk).stdout(Stdio::piped()).spawn().unwrap();
        Self {
            ask: ask.after(&result),
            pod,
            _far: far,
            talk,
        }
    }

    /// No echo but the one under way may be missing.
    fn end(mut self) {
        self.ask.say("CHECK").ok();
        signal("INT", self.talk.id());
        let mut text = String::new();
        let mut stdout = self.talk.stdout.take().unwrap();
        stdout.read_to_string(&mut text).unwrap();
        let number = |word: &str| {
            let before = text.split(word).next().unwrap();
            let last = before.rsplit([' ', '\n']).find(|word| !word.is_empty());
            last.unwrap().parse::<u32>().unwrap()
        };
        let (sent, received) = (number(" packets transmitted"), number(" received"));
        assert!(sent > 0 && received + 1 >= sent, "{text}");
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        let _ = self.talk.kill();
        let _ = self.talk.wait();
    }
}

/// Sends a signal to a process.
pub fn signal(name: &str, pid: u32) {
    let _ = Command::new("kill")
        .args(["-s", name, &pid.to_string()])
        .stderr(Stdio::null())
        .status();
}
