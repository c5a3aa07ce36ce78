//! What is answered on loopback: `/healthz` and `/metrics`.

use std::net::SocketAddr;

use tiny_http::{Header, Method, Request, Response, Server};

use super::state::State;
use crate::cni::{CniError, Code};
use crate::ctl::args::Shared;
use crate::ctl::metrics;
use crate::exec::System;

/// The text format of Prometheus, by its content type.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

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
    let server = Server::http(listen).map_err(|error| {
        let msg = format!("cannot listen on {listen}: {error}");
        CniError::new(Code::IO, msg)
            .details("another agent may run already: ss -ltnp; or --listen another address")
    })?;
    let (system, shared, state) = (system.again(), shared.clone(), state.clone());
    std::thread::spawn(move || {
        for request in server.incoming_requests() {
            answer(&system, &shared, &state, request);
        }
    });
    Ok(())
}

fn answer(system: &System, shared: &Shared, state: &State, request: Request) {
    let path = request.url().split('?').next().unwrap_or_default();
    let (code, kind, body) = match (request.method(), path) {
        (Method::Get | Method::Head, "/healthz") => {
            let (alive, document) = state.health();
            let code = if alive { 200 } else { 503 };
            (code, "application/json", format!("{document}\n"))
        }
        (Method::Get | Method::Head, "/metrics") => {
            match metrics::of_the_agent(&system.again(), shared, state.families()) {
                Ok(text) => (200, TEXT, text),
                Err(error) => (500, "text/plain", format!("{error}\n")),
            }
        }
        (Method::Get | Method::Head, _) => (
            404,
            "text/plain",
            "there are /healthz and /metrics\n".to_owned(),
        ),
        _ => (405, "text/plain", "GET alone\n".to_owned()),
    };
    let mut response = Response::from_string(body).with_status_code(code);
    if let Ok(header) = Header::from_bytes("Content-Type", kind) {
        response.add_header(header);
    }
    // A client that has gone misses nothing.
    let _ = request.respond(response);
}
