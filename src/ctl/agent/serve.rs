//! What is answered on loopback: `/healthz` and `/metrics`, one answer a connection.
//!
//! Written out, since anything on the node can connect: a library that waits for a body, keeps idle connections, or ends its listener when
//! files run out, would let it stop the agent's repairs. Here a client has a moment, a few kilobytes and one of a few connections.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::state::State;
use crate::cni::{CniError, Code};
use crate::ctl::args::Shared;
use crate::ctl::metrics;
use crate::exec::System;

/// The text format of Prometheus, by its content type.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// How long a client may take to ask, and to read each part of the answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// The longest head of a request in bytes.
const HEAD_MAX: usize = 8 << 10;

/// The most clients at a time; Prometheus and a health check are two.
const CLIENTS_MAX: usize = 8;

/// The pause where no connection can be taken, as when files have run out.
const PAUSE: Duration = Duration::from_millis(200);

/// Who answers.
#[derive(Clone)]
struct Answers {
    system: System,
    shared: Shared,
    state: State,
}

/// Listens from now on, by a thread.
///
/// # Errors
/// Code 5 where the address cannot be listened on.
pub fn start(
    system: &System,
    shared: &Shared,
    listen: SocketAddr,
    state: &State,
) -> Result<(), CniError> {
    let listener = TcpListener::bind(listen).map_err(|error| {
        let msg = format!("cannot listen on {listen}: {error}");
        CniError::new(Code::IO, msg)
            .details("another agent may run already: ss -ltnp; or --listen another address")
    })?;
    let answers = Answers {
        system: system.again(),
        shared: shared.clone(),
        state: state.clone(),
    };
    std::thread::spawn(move || answers.listen(&listener));
    Ok(())
}

impl Answers {
    /// For as long as the program runs.
    fn listen(&self, listener: &TcpListener) {
        let clients = Arc::new(AtomicUsize::new(0));
        loop {
            let Ok((stream, _)) = listener.accept() else {
                // What is wrong passes.
                std::thread::sleep(PAUSE);
                continue;
            };
            if clients.fetch_add(1, Ordering::SeqCst) >= CLIENTS_MAX {
                clients.fetch_sub(1, Ordering::SeqCst);
                continue;
            }
            let (answers, done) = (self.clone(), Arc::clone(&clients));
            let served = std::thread::Builder::new().spawn(move || {
                // A client that has gone misses nothing.
                let _ = answers.serve(stream);
                done.fetch_sub(1, Ordering::SeqCst);
            });
            if served.is_err() {
                clients.fetch_sub(1, Ordering::SeqCst);
            }
        }
    }

    fn serve(&self, mut stream: TcpStream) -> io::Result<()> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let head = head(&mut stream)?;
        let (code, kind, body) = self.answer(&head);
        let length = body.len();
        let head = format!(
            "HTTP/1.1 {code}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(head.as_bytes())?;
        stream.write_all(body.as_bytes())
    }

    /// Status, content type and body.
    fn answer(&self, head: &str) -> (&'static str, &'static str, String) {
        let line = head.lines().next().unwrap_or_default();
        let words: Vec<&str> = line.split(' ').collect();
        let [method, target, version] = words[..] else {
            return ("400 Bad Request", "text/plain", String::new());
        };
        if !version.starts_with("HTTP/1.") {
            return ("400 Bad Request", "text/plain", String::new());
        }
        if method != "GET" {
            return (
                "405 Method Not Allowed",
                "text/plain",
                "GET alone\n".to_owned(),
            );
        }
        match target.split('?').next().unwrap_or_default() {
            "/healthz" => {
                let (alive, document) = self.state.health();
                let code = if alive {
                    "200 OK"
                } else {
                    "503 Service Unavailable"
                };
                (code, "application/json", format!("{document}\n"))
            }
            "/metrics" => {
                let own = self.state.families();
                match metrics::of_the_agent(&self.system.again(), &self.shared, own) {
                    Ok(text) => ("200 OK", TEXT, text),
                    Err(error) => (
                        "500 Internal Server Error",
                        "text/plain",
                        format!("{error}\n"),
                    ),
                }
            }
            _ => {
                let there = "there are /healthz and /metrics\n".to_owned();
                ("404 Not Found", "text/plain", there)
            }
        }
    }
}

/// The head of a request: up to its empty line. What comes behind is not read.
fn head(stream: &mut TcpStream) -> io::Result<String> {
    let start = Instant::now();
    let mut bytes = Vec::new();
    let mut part = [0; 1 << 10];
    while !bytes.windows(4).any(|four| four == b"\r\n\r\n") {
        if bytes.len() > HEAD_MAX || start.elapsed() > PATIENCE {
            return Err(io::ErrorKind::InvalidData.into());
        }
        match stream.read(&mut part)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => bytes.extend(&part[..read]),
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
