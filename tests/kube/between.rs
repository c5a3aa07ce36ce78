//! What stands between a node and the API server: a CONNECT proxy and a SOCKS5 proxy that pass everything on to
//! one address, whatever name they are asked for, and write that name down.

use std::io::{BufReader, Read, Write, copy};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::api::read;

/// Which proxy.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// HTTP CONNECT.
    Connect,
    /// HTTP that refuses to connect.
    Refusing,
    /// SOCKS5.
    Socks5,
}

/// A proxy; it goes with its value.
pub struct Between {
    /// Where it listens.
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<(String, String)>>>,
    over: Arc<AtomicBool>,
}

impl Between {
    /// One that leads to an address.
    pub fn start(kind: Kind, to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let between = Self {
            address: listener.local_addr().unwrap(),
            asked: Arc::default(),
            over: Arc::default(),
        };
        let (asked, over) = (Arc::clone(&between.asked), Arc::clone(&between.over));
        thread::spawn(move || {
            for stream in listener.incoming() {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                let (stream, asked) = (stream.unwrap(), Arc::clone(&asked));
                thread::spawn(move || drop(pass_on(kind, stream, to, &asked)));
            }
        });
        between
    }

    /// The targets it was asked for, each with what proved who asks.
    pub fn asked(&self) -> Vec<(String, String)> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for Between {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address));
    }
}

fn pass_on(
    kind: Kind,
    mut client: TcpStream,
    to: SocketAddr,
    asked: &Mutex<Vec<(String, String)>>,
) -> std::io::Result<()> {
    let (target, proof) = match kind {
        Kind::Socks5 => greet(&mut client)?,
        Kind::Connect | Kind::Refusing => {
            let (line, headers) = read(&mut BufReader::new(&client))?.unwrap();
            let proof = headers.get("proxy-authorization").cloned();
            (line, proof.unwrap_or_default())
        }
    };
    asked.lock().unwrap().push((target, proof));
    match kind {
        Kind::Connect => client.write_all(b"HTTP/1.1 200 Connected\r\n\r\n")?,
        Kind::Socks5 => client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0])?,
        Kind::Refusing => {
            return client.write_all(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n");
        }
    }
    let mut server = TcpStream::connect(to)?;
    let (mut from_client, mut to_server) = (client.try_clone()?, server.try_clone()?);
    thread::spawn(move || {
        let _ = copy(&mut from_client, &mut to_server);
        let _ = to_server.shutdown(Shutdown::Write);
    });
    copy(&mut server, &mut client)?;
    client.shutdown(Shutdown::Write)
}

/// The server's side of RFC 1928 and RFC 1929: the target, and name and password.
fn greet(client: &mut TcpStream) -> std::io::Result<(String, String)> {
    let [_, count] = bytes::<2>(client)?;
    let methods = text(client, count)?;
    let mut proof = String::new();
    if methods.contains('\u{2}') {
        client.write_all(&[5, 2])?;
        let [_, length] = bytes::<2>(client)?;
        let name = text(client, length)?;
        let [length] = bytes::<1>(client)?;
        proof = format!("{name}:{}", text(client, length)?);
        client.write_all(&[1, 0])?;
    } else {
        client.write_all(&[5, 0])?;
    }
    let [_, _, _, kind] = bytes::<4>(client)?;
    let host = match kind {
        1 => Ipv4Addr::from(bytes::<4>(client)?).to_string(),
        4 => Ipv6Addr::from(bytes::<16>(client)?).to_string(),
        _ => {
            let [length] = bytes::<1>(client)?;
            text(client, length)?
        }
    };
    let port = u16::from_be_bytes(bytes(client)?);
    Ok((format!("{host}:{port}"), proof))
}

fn bytes<const N: usize>(client: &mut TcpStream) -> std::io::Result<[u8; N]> {
    let mut bytes = [0; N];
    client.read_exact(&mut bytes).map(|()| bytes)
}

fn text(client: &mut TcpStream, length: u8) -> std::io::Result<String> {
    let mut bytes = vec![0; length.into()];
    client.read_exact(&mut bytes)?;
    Ok(String::from_utf8(bytes).unwrap())
}
