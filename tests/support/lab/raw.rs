//! Packets that a pod may write itself where it has `CAP_NET_RAW`: raw sockets, opened in its namespace.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, OwnedFd};

use rustix::net::{AddressFamily, SendFlags, SocketType, bind, ipproto, sendto, socket, sockopt};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::ns::Ns;

/// Runs something in a thread that is in a namespace, and ends with it.
pub fn within<T: Send>(ns: &Ns, work: impl FnOnce() -> T + Send) -> T {
    let enter = || {
        let file = std::fs::File::open(ns.path()).unwrap();
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
        work()
    };
    std::thread::scope(|scope| scope.spawn(enter).join().unwrap())
}

/// Where ICMPv6 is sent from: an address of a device, with a hop limit that says "from this link".
pub struct Icmp6 {
    socket: OwnedFd,
    scope: u32,
}

impl Icmp6 {
    /// In the caller's namespace, on a device's number.
    pub fn on(scope: u32, from: Ipv6Addr) -> Self {
        let family = AddressFamily::INET6;
        let socket = socket(family, SocketType::RAW, Some(ipproto::ICMPV6)).unwrap();
        sockopt::set_ipv6_unicast_hops(&socket, Some(255)).unwrap();
        sockopt::set_ipv6_multicast_hops(&socket, 255).unwrap();
        bind(&socket, &SocketAddrV6::new(from, 0, 0, scope)).unwrap();
        Self { socket, scope }
    }

    /// Sends a message; the kernel puts the checksum in.
    pub fn send(&self, to: Ipv6Addr, message: &[u8]) {
        let to = SocketAddrV6::new(to, 0, 0, self.scope);
        // A full queue on its way is none of the sender's business.
        let _ = sendto(&self.socket, message, SendFlags::empty(), &to);
    }
}

/// A router's advertisement: a default route, and a prefix to make addresses of.
pub fn advertisement(prefix: Ipv6Addr) -> Vec<u8> {
    let mut message = vec![134, 0, 0, 0, 64, 0, 0x07, 0x08, 0, 0, 0, 0, 0, 0, 0, 0];
    // Prefix information: 64 bits, on this link, autonomous; valid and preferred for an hour.
    message.extend([
        3, 4, 64, 0xc0, 0, 0, 0x0e, 0x10, 0, 0, 0x0e, 0x10, 0, 0, 0, 0,
    ]);
    message.extend(prefix.octets());
    message
}

/// A router's word that a destination is to be reached by another one.
pub fn redirect6(destination: Ipv6Addr, by: Ipv6Addr) -> Vec<u8> {
    let mut message = vec![137, 0, 0, 0, 0, 0, 0, 0];
    message.extend(by.octets());
    message.extend(destination.octets());
    message
}

/// Sends the same of IPv4, in the name of a router, to who is to believe it.
pub fn redirect4(router: Ipv4Addr, victim: Ipv4Addr, destination: Ipv4Addr, by: Ipv4Addr) {
    // What the victim is said to have sent: an echo's answer, of which no socket needs to know.
    let mut echo = header4(victim, destination, 28);
    echo.extend([0; 8]);
    let mut message = vec![5, 1, 0, 0];
    message.extend(by.octets());
    message.extend(echo);
    let sum = checksum(&message).to_be_bytes();
    message[2..4].copy_from_slice(&sum);
    let mut packet = header4(router, victim, 20 + message.len() as u16);
    packet.extend(message);
    let raw = socket(AddressFamily::INET, SocketType::RAW, Some(ipproto::RAW)).unwrap();
    let to = SocketAddrV4::new(victim, 0);
    sendto(&raw, &packet, SendFlags::empty(), &to).unwrap();
}

fn header4(from: Ipv4Addr, to: Ipv4Addr, length: u16) -> Vec<u8> {
    let mut header = vec![0x45, 0, 0, 0, 0, 1, 0, 0, 64, 1, 0, 0];
    header[2..4].copy_from_slice(&length.to_be_bytes());
    header.extend(from.octets());
    header.extend(to.octets());
    let sum = checksum(&header).to_be_bytes();
    header[10..12].copy_from_slice(&sum);
    header
}

/// RFC 1071, of an even number of bytes.
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes
        .chunks(2)
        .map(|word| u32::from(word[0]) << 8 | u32::from(word[1]));
    let mut sum: u32 = words.sum();
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}
