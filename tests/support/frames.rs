//! Frames as a program with CAP_NET_RAW writes them: made here, sent and received by packet sockets of Python's, since
//! neither the standard library nor a crate that the tests have speaks of these.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::process::{Child, Stdio};

use super::lab::Ns;

/// A MAC.
pub type Octets = [u8; 6];

/// Everybody on the segment.
pub const BROADCAST: Octets = [0xff; 6];

/// ICMPv6, as a protocol of IPv6.
const ICMP6: u8 = 58;

/// A frame, and what the socket says that it is.
#[derive(Debug, Clone)]
pub struct Frame {
    /// Everything behind the socket.
    pub bytes: Vec<u8>,
    /// `sll_protocol` of packet(7); the frame's own type, unless it lies.
    pub taken_for: u16,
}

impl Frame {
    /// A frame of Ethernet.
    pub fn new(to: Octets, from: Octets, ethertype: u16, payload: &[u8]) -> Self {
        let bytes = [&to[..], &from, &ethertype.to_be_bytes(), payload].concat();
        Self {
            bytes,
            taken_for: ethertype,
        }
    }

    /// The same, given out as another protocol.
    pub fn taken_for(self, taken_for: u16) -> Self {
        Self { taken_for, ..self }
    }

    /// The same with a text behind it, by which it is known where it arrives.
    pub fn marked(mut self, name: &str) -> Self {
        self.bytes.extend(format!("<{name}>").bytes());
        self
    }
}

/// ARP: question (1) or answer (2) of one about another (RFC 826).
pub fn arp(operation: u16, (mac, ip): (Octets, Ipv4Addr), about: (Octets, Ipv4Addr)) -> Vec<u8> {
    let head = [0, 1, 8, 0, 6, 4];
    let sender = [&mac[..], &ip.octets()].concat();
    let target = [&about.0[..], &about.1.octets()].concat();
    [&head[..], &operation.to_be_bytes(), &sender, &target].concat()
}

/// A packet of IPv4 with UDP.
pub fn udp4(from: (Ipv4Addr, u16), to: (Ipv4Addr, u16), payload: &[u8]) -> Vec<u8> {
    let udp = udp(from.1, to.1, payload);
    let length = u16::try_from(20 + udp.len()).unwrap();
    let mut head = vec![0x45, 0];
    head.extend(length.to_be_bytes());
    head.extend([0, 0, 0, 0, 64, 17, 0, 0]);
    head.extend(from.0.octets());
    head.extend(to.0.octets());
    let sum = checksum(&head);
    head[10..12].copy_from_slice(&sum.to_be_bytes());
    [head, udp].concat()
}

/// A datagram without a checksum, which IPv4 allows (RFC 768).
fn udp(from: u16, to: u16, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(8 + payload.len()).unwrap();
    let words = [from, to, length, 0];
    let head: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
    [head, payload.to_vec()].concat()
}

/// A packet of IPv6 with UDP.
pub fn udp6(from: (Ipv6Addr, u16), to: (Ipv6Addr, u16), payload: &[u8]) -> Vec<u8> {
    ip6(from.0, to.0, 17, udp(from.1, to.1, payload), 6)
}

/// A packet of IPv6 with ICMPv6: type, and what is behind the checksum.
pub fn icmp6(from: Ipv6Addr, to: Ipv6Addr, kind: u8, body: &[u8]) -> Vec<u8> {
    ip6(from, to, ICMP6, [&[kind, 0, 0, 0], body].concat(), 2)
}

/// A neighbour advertisement that nobody asked for: router's flag unset, overriding (RFC 4861, 4.4).
pub fn advertises(from: Ipv6Addr, target: Ipv6Addr, mac: Octets) -> Vec<u8> {
    let flags = [0x20, 0, 0, 0];
    let body = [&flags[..], &target.octets(), &[2, 1], &mac].concat();
    icmp6(from, all_nodes(), 136, &body)
}

/// Every node of the segment.
pub fn all_nodes() -> Ipv6Addr {
    "ff02::1".parse().unwrap()
}

fn ip6(from: Ipv6Addr, to: Ipv6Addr, next: u8, mut body: Vec<u8>, sum_at: usize) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap().to_be_bytes();
    let ends = [from.octets(), to.octets()].concat();
    let pseudo = [&ends[..], &[0, 0], &length, &[0, 0, 0, next], &body].concat();
    let sum = checksum(&pseudo);
    body[sum_at..sum_at + 2].copy_from_slice(&sum.to_be_bytes());
    let head = [&[0x60, 0, 0, 0][..], &length, &[next, 255]].concat();
    [head, ends, body].concat()
}

/// The checksum of the Internet's protocols (RFC 1071).
fn checksum(bytes: &[u8]) -> u16 {
    let word = |pair: &[u8]| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
    let mut sum: u32 = bytes.chunks(2).map(word).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap()
}

/// Sends one frame for each line, `PROTOCOL HEX`. What a rule drops is an error of the call (ENOBUFS): the next follows.
const SEND: &str = "
import socket, sys
out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
for line in sys.stdin:
    protocol, frame = line.split()
    try:
        out.sendto(bytes.fromhex(frame), ('eth0', int(protocol)))
    except OSError as error:
        print(error.strerror)
";

/// Prints the marks of the frames that come in, up to all of the last ones.
const RECEIVE: &str = r"
import re, socket, sys
last = set(sys.argv[1:])
come = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
come.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
come.bind(('eth0', 3))
come.settimeout(20)
print('ready', flush=True)
while last:
    frame, where = come.recvfrom(65535)
    if where[2] == socket.PACKET_OUTGOING:
        continue
    for mark in re.findall(rb'<([a-z0-9 -]+)>', frame):
        print(mark.decode(), flush=True)
        last.discard(mark.decode())
";

/// Answers every ARP question about the addresses of a prefix, each with the MAC that follows from the address; or, told to,
/// with a random one.
const FORGE: &str = r"
import ipaddress, random, socket, sys
lies, derived = ipaddress.ip_network(sys.argv[1]), sys.argv[2] == 'derived'
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x806))
wire.bind(('eth0', 0x806))
print('ready', flush=True)
while True:
    asked, where = wire.recvfrom(65535)
    target = asked[38:42]
    if where[2] == socket.PACKET_OUTGOING or asked[20:22] != b'\0\1' or ipaddress.ip_address(target) not in lies:
        continue
    mac = (b'\x0a\x58' + target) if derived else (b'\2' + random.randbytes(5))
    wire.send(asked[22:28] + mac + asked[12:20] + b'\0\2' + mac + target + asked[22:32])
";

/// Sends one frame, given in hex, by an AF_XDP socket (linux/if_xdp.h).
const SEND_BY_XDP: &str = r"
import ctypes, mmap, socket, struct, sys
SOL_XDP, TX_RING, UMEM_REG, FILL, COMPLETION, OFFSETS = 283, 3, 4, 5, 6, 1
COPY, TX_AT = 2, 0x80000000
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]
frame = bytes.fromhex(sys.argv[1])
out = socket.socket(44, socket.SOCK_RAW, 0)
memory = libc.mmap(None, 65536, 3, 0x22, -1, 0)
ctypes.memmove(memory, frame, len(frame))
out.setsockopt(SOL_XDP, UMEM_REG, struct.pack('QQIIII', memory, 65536, 4096, 0, 0, 0))
for ring in (FILL, COMPLETION, TX_RING):
    out.setsockopt(SOL_XDP, ring, 16)
producer, _, entries, _ = struct.unpack('QQQQ', out.getsockopt(SOL_XDP, OFFSETS, 128)[32:64])
ring = mmap.mmap(out.fileno(), 4096, offset=TX_AT)
where = struct.pack('HHIII', 44, COPY, socket.if_nametoindex('eth0'), 0, 0)
if libc.bind(out.fileno(), where, len(where)):
    raise OSError(ctypes.get_errno(), 'bind')
ring[entries:entries + 16] = struct.pack('QII', 0, len(frame), 0)
ring[producer:producer + 4] = struct.pack('I', 1)
libc.sendto(out.fileno(), None, 0, socket.MSG_DONTWAIT, None, 0)
";

/// The interpreter: Debian's, whatever is before it in PATH.
const PYTHON: &str = "/usr/bin/python3";

/// What starts a program as a user who may do nothing but open packet sockets (CAP_NET_RAW).
const USER: [&str; 12] = [
    "setpriv",
    "--reuid",
    "65534",
    "--regid",
    "65534",
    "--clear-groups",
    "--inh-caps",
    "-all,+net_raw",
    "--ambient-caps",
    "-all,+net_raw",
    "--bounding-set",
    "-all,+net_raw",
];

/// Sends a frame by `eth0` of a namespace as that user, by a socket that no rule of nftables sees.
pub fn send_by_xdp(ns: &Ns, frame: &Frame) {
    ns.run(&[&USER[..], &[PYTHON, "-c", SEND_BY_XDP, &hex(frame)]].concat());
}

fn hex(frame: &Frame) -> String {
    frame
        .bytes
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Sends frames by `eth0` of a namespace as that user.
pub fn send(ns: &Ns, frames: &[Frame]) {
    let argv = [&USER[..], &[PYTHON, "-c", SEND]].concat();
    let mut child = ns
        .command(&argv)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    for frame in frames {
        writeln!(stdin, "{} {}", frame.taken_for, hex(frame)).unwrap();
    }
    drop(stdin);
    assert!(child.wait().unwrap().success());
}

/// What answers on `eth0` of a namespace for addresses that are not its own; it ends with this.
pub struct Forger(Child);

impl Forger {
    /// As that user; each answer has a MAC of its own, derived from the address or random.
    pub fn of(ns: &Ns, prefix: &str, macs: &str) -> Self {
        let argv = [&USER[..], &[PYTHON, "-c", FORGE, prefix, macs]].concat();
        let mut child = ns.command(&argv).stdout(Stdio::piped()).spawn().unwrap();
        let mut ready = String::new();
        let stdout = child.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut ready).unwrap();
        assert_eq!(ready, "ready\n");
        Self(child)
    }
}

impl Drop for Forger {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What listens on `eth0` of a namespace.
pub struct Receiver {
    child: Child,
    stdout: BufReader<std::process::ChildStdout>,
}

impl Receiver {
    /// Begins to listen, until frames with all of these marks have come.
    pub fn until(ns: &Ns, last: &[&str]) -> Self {
        let argv = [&[PYTHON, "-c", RECEIVE], last].concat();
        let mut child = ns.command(&argv).stdout(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut ready = String::new();
        stdout.read_line(&mut ready).unwrap();
        assert_eq!(ready, "ready\n");
        Self { child, stdout }
    }

    /// The marks of the frames that came, each once, sorted.
    pub fn received(mut self) -> Vec<String> {
        let mut marks: Vec<String> = self.stdout.by_ref().lines().map(Result::unwrap).collect();
        assert!(
            self.child.wait().unwrap().success(),
            "it waited for frames that did not come: {marks:?}"
        );
        marks.sort();
        marks.dedup();
        marks
    }
}
