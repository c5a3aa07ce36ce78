//! A server that says what it is told to say, request after request, and writes down what it was asked.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

/// What it says to one request.
#[derive(Debug, Clone)]
pub enum Say {
    /// A status, headers, a body with its length.
    Answer(u16, Vec<(&'static str, &'static str)>, String),
    /// These bytes, then nothing until the other end has gone.
    AndWait(String),
    /// These bytes, then the end.
    AndEnd(String),
    /// A body that never ends.
    Endless,
}

/// 200 with a body.
pub fn ok(body: &Value) -> Say {
    Say::Answer(
        200,
        vec![("content-type", "application/json")],
        body.to_string(),
    )
}

/// A status with a body as the API has it.
pub fn status(code: u16) -> Say {
    let body =
        json!({"kind": "Status", "status": "Failure", "code": code, "message": "NOT REPEATED"});
    Say::Answer(code, vec![], body.to_string())
}

/// The pod `shop/web-1` with uid `u1` and annotations.
pub fn pod(annotations: &Value) -> Value {
    json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": {
        "namespace": "shop", "name": "web-1", "uid": "u1", "annotations": annotations}})
}

/// The same, of the network `green`.
pub fn green() -> Value {
    pod(&json!({"vxlan-cni.phdata.io/NetworkName": "green"}))
}

/// One request.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The first line.
    pub line: String,
    /// The headers, names in small letters.
    pub headers: BTreeMap<String, String>,
    /// The client's certificate.
    pub certificate: Option<Vec<u8>>,
    /// The name the client greeted with (SNI).
    pub greeted: Option<String>,
}

/// What a server saw.
#[derive(Debug, Default)]
pub struct Seen {
    /// Connections that were accepted.
    pub connections: usize,
    /// Requests, in order.
    pub requests: Vec<Asked>,
}

/// A server; it goes with its value.
pub struct Api {
    /// Where it listens.
    pub address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    over: Arc<AtomicBool>,
}

/// What all connections of a server share.
struct Script {
    tls: Option<Arc<ServerConfig>>,
    says: Vec<Say>,
    seen: Arc<Mutex<Seen>>,
}

impl Api {
    /// Listens with TLS. The last of what it says is said to all further requests too.
    pub fn start(tls: ServerConfig, says: Vec<Say>) -> Self {
        Self::at("127.0.0.1:0", Some(tls), says)
    }

    /// Listens somewhere, with or without TLS.
    pub fn at(address: &str, tls: Option<ServerConfig>, says: Vec<Say>) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let api = Self {
            address: listener.local_addr().unwrap(),
            seen: Arc::default(),
            over: Arc::default(),
        };
        let (over, script) = (
            Arc::clone(&api.over),
            Arc::new(Script {
                tls: tls.map(Arc::new),
                says,
                seen: Arc::clone(&api.seen),
            }),
        );
        thread::spawn(move || {
            for stream in listener.incoming() {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                script.seen.lock().unwrap().connections += 1;
                let script = Arc::clone(&script);
                // A client that breaks off is what many tests are about.
                thread::spawn(move || drop(script.serve(stream.unwrap())));
            }
        });
        api
    }

    /// What it saw so far.
    pub fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap()
    }

    /// How many connections and requests it saw.
    pub fn counts(&self) -> (usize, usize) {
        let seen = self.seen();
        (seen.connections, seen.requests.len())
    }

    /// The one request that it saw.
    pub fn asked(&self) -> Asked {
        let seen = self.seen();
        assert_eq!(seen.requests.len(), 1, "{seen:?}");
        seen.requests[0].clone()
    }

    /// Its address as a URL.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address));
    }
}

impl Script {
    fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
        let Some(tls) = &self.tls else {
            return self.talk(stream, |_| (None, None));
        };
        let connection = ServerConnection::new(Arc::clone(tls)).unwrap();
        self.talk(StreamOwned::new(connection, stream), |stream| {
            let certificates = stream.conn.peer_certificates();
            let certificate = certificates.map(|chain| chain[0].to_vec());
            (certificate, stream.conn.server_name().map(str::to_owned))
        })
    }

    /// Reads request after request and says what is next.
    fn talk<S: Read + Write>(
        &self,
        stream: S,
        of: impl Fn(&S) -> (Option<Vec<u8>>, Option<String>),
    ) -> std::io::Result<()> {
        let mut stream = BufReader::new(stream);
        while let Some((line, headers)) = read(&mut stream)? {
            let (certificate, greeted) = of(stream.get_ref());
            let say = {
                let mut seen = self.seen.lock().unwrap();
                seen.requests.push(Asked {
                    line,
                    headers,
                    certificate,
                    greeted,
                });
                let next = seen.requests.len().min(self.says.len()) - 1;
                self.says[next].clone()
            };
            if !say.to(stream.get_mut())? {
                return Ok(());
            }
        }
        Ok(())
    }
}

impl Say {
    /// Says it; whether the connection goes on.
    fn to(&self, stream: &mut (impl Read + Write)) -> std::io::Result<bool> {
        match self {
            Self::Answer(code, headers, body) => {
                let headers: String = headers
                    .iter()
                    .map(|(name, value)| format!("{name}: {value}\r\n"))
                    .collect();
                let length = body.len();
                let head =
                    format!("HTTP/1.1 {code} X\r\n{headers}content-length: {length}\r\n\r\n");
                stream.write_all((head + body).as_bytes())?;
                stream.flush()?;
                Ok(true)
            }
            Self::AndWait(bytes) => {
                stream.write_all(bytes.as_bytes())?;
                stream.flush()?;
                let _ = stream.read(&mut [0; 1]);
                Ok(false)
            }
            Self::AndEnd(bytes) => {
                stream.write_all(bytes.as_bytes())?;
                stream.flush()?;
                Ok(false)
            }
            Self::Endless => {
                stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")?;
                loop {
                    stream.write_all(format!("1000\r\n{}\r\n", " ".repeat(0x1000)).as_bytes())?;
                }
            }
        }
    }
}

/// Reads the head of a request; `None` at the end of the connection.
pub fn read(
    stream: &mut impl BufRead,
) -> std::io::Result<Option<(String, BTreeMap<String, String>)>> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let first = lines.remove(0);
    let header = |line: &String| {
        let (name, value) = line.split_once(':').unwrap();
        (name.to_ascii_lowercase(), value.trim().to_owned())
    };
    Ok(Some((first, lines.iter().map(header).collect())))
}
