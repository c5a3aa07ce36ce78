//! The door of a plugin: environment and stdin in, one JSON document and an exit code out.
//!
//! Everything is handed in, so tests drive the protocol without a process. Nothing is written to
//! stdout before the verb has ended: a document is printed whole or not at all.

use std::io::Read;
use std::panic;
use std::process::ExitCode;

use serde_json::json;

use super::error::{CniError, Code};
use super::plugin::Plugin;
use super::request::{Env, Request, Verb};
use super::result::CniResult;
use super::version::{SUPPORTED, Version};
use crate::outlet;

/// The largest configuration that is read, in bytes: far above any, far below what would hurt.
const STDIN_MAX: u64 = 16 << 20;

/// Answers one question: what to print, or the error and the version to print it in.
pub fn answer(
    plugin: &dyn Plugin,
    env: &Env,
    stdin: &mut dyn Read,
) -> Result<Option<String>, (CniError, String)> {
    let newest = |error| (error, Version::NEWEST.to_string());
    let verb = Request::verb(env).map_err(newest)?;
    let bytes = read_all(stdin).map_err(newest)?;
    let seen = seen_version(&bytes);
    let told = |error| (error, seen.clone());
    if verb == Verb::Version {
        return version(&bytes).map(Some).map_err(told);
    }
    let request = Request::read(verb, env, &bytes).map_err(told)?;
    let nothing = |()| None;
    match verb {
        Verb::Add => plugin
            .add(&request)
            .and_then(|result| print(&result, request.version))
            .map(Some),
        Verb::Del => plugin.del(&request).map(nothing),
        Verb::Check => plugin.check(&request).map(nothing),
        Verb::Gc => plugin.gc(&request).map(nothing),
        Verb::Status => plugin.status(&request).map(nothing),
        Verb::Version => Ok(None),
    }
    .map_err(told)
}

/// Runs a plugin over the process's own environment, stdin and stdout.
pub fn serve(plugin: &dyn Plugin) -> ExitCode {
    panic_as_json();
    let env: Env = std::env::vars_os()
        .map(|(key, value)| {
            (
                key.to_string_lossy().into_owned(),
                value.to_string_lossy().into_owned(),
            )
        })
        .collect();
    let (text, code, matter) = match answer(plugin, &env, &mut std::io::stdin().lock()) {
        Ok(None) => return ExitCode::SUCCESS,
        Ok(Some(text)) => (text, ExitCode::SUCCESS, "the result".to_owned()),
        Err((error, version)) => {
            let matter = format!("the error \"{error}\"");
            (error.to_json(&version), ExitCode::FAILURE, matter)
        }
    };
    match outlet::has_stdout().and_then(|()| outlet::print(&(text + "\n"))) {
        Ok(()) => code,
        Err(error) => {
            outlet::remark(&format!(
                "vxlan-cni: {matter} cannot be written to stdout: {error}\n"
            ));
            ExitCode::FAILURE
        }
    }
}

/// Lets a panic end as one JSON error on stdout; the place goes to stderr. Neither has to be there: a panic in here
/// would be a second one.
fn panic_as_json() {
    panic::set_hook(Box::new(|panic| {
        let error = CniError::new(Code::INTERNAL, "internal error: please report it")
            .details(crate::sanitize::printable(&panic.to_string()));
        let text = error.to_json(Version::NEWEST.as_str()) + "\n";
        let told = outlet::print(&text).err();
        let lost = told.map(|error| format!("vxlan-cni: stdout cannot be written to: {error}\n"));
        outlet::remark(&format!("{panic}\n{}", lost.unwrap_or_default()));
        std::process::exit(1);
    }));
}

/// Reads everything there is, of whatever line length, up to a bound.
fn read_all(stdin: &mut dyn Read) -> Result<Vec<u8>, CniError> {
    let mut bytes = Vec::new();
    match stdin.take(STDIN_MAX + 1).read_to_end(&mut bytes) {
        Err(error) => Err(CniError::new(
            Code::IO,
            format!("cannot read stdin: {error}"),
        )),
        Ok(read) if read as u64 > STDIN_MAX => Err(CniError::new(
            Code::IO,
            "the network configuration on stdin is larger than 16 MiB",
        )),
        Ok(_) => Ok(bytes),
    }
}

/// The version in which to answer when the request itself cannot be read: the configuration's, where
/// it says one that is spoken, else the newest.
fn seen_version(stdin: &[u8]) -> String {
    let config: serde_json::Value = serde_json::from_slice(stdin).unwrap_or_default();
    match config
        .get("cniVersion")
        .and_then(|version| version.as_str())
    {
        Some(text) => Version::of(text).unwrap_or(Version::NEWEST).to_string(),
        None if config.is_object() => Version::OLDEST.to_string(),
        None => Version::NEWEST.to_string(),
    }
}

/// VERSION: needs no configuration; echoes its version where there is one (CNI 1.1.0, section 2, VERSION).
fn version(stdin: &[u8]) -> Result<String, CniError> {
    let config: serde_json::Value = match stdin.iter().all(u8::is_ascii_whitespace) {
        true => json!({}),
        false => serde_json::from_slice(stdin).map_err(|error| {
            CniError::new(Code::DECODING, format!("stdin is not JSON: {error}"))
        })?,
    };
    let version = config
        .get("cniVersion")
        .and_then(|version| version.as_str());
    let version = version
        .filter(|text| !text.is_empty())
        .unwrap_or(Version::NEWEST.as_str());
    Ok(json!({ "cniVersion": version, "supportedVersions": SUPPORTED }).to_string())
}

/// Prints a result for the reader's version.
fn print(result: &CniResult, version: Version) -> Result<String, CniError> {
    result
        .to_json(version)
        .map(|value| value.to_string())
        .map_err(|error| {
            CniError::new(
                Code::INTERNAL,
                format!("the result cannot be written: {error}"),
            )
        })
}
