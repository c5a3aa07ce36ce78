//! `CNI_ARGS`: split without loss, and never more than an address, a MAC and a namespace.

use vxlan_cni::cni::{Args, Code};

use super::door::{ADDS, Picks, ask, env, sample};

/// Keeps the law for a value of the variable.
pub fn holds(text: &str) {
    let stdin = sample().to_string();
    let said = ask(&ADDS, &env("ADD", text), stdin.as_bytes());
    let code = said.unwrap_err().code;
    match Args::parse(text) {
        Err(error) => assert_eq!((code, error.code), (Code::INVALID_ENVIRONMENT, code)),
        Ok(args) => {
            // What was asked for cannot be, or the namespace was looked at, which is not there.
            assert!([Code::INVALID_CONFIGURATION, Code::UNKNOWN_CONTAINER].contains(&code));
            pairs_are_kept(text, &args);
        }
    }
    let own =
        r#"{"cniVersion":"1.1.0","name":"demo","type":"vxlan","ipam":{"type":"route-table"}}"#;
    let _ = ask(&Picks, &env("ADD", text), own.as_bytes());
    let _ = ask(&Picks, &env("DEL", text), own.as_bytes());
}

/// Every pair can be asked for; of two with one key the last counts.
fn pairs_are_kept(text: &str, args: &Args) {
    let pairs = || text.split(';').filter_map(|pair| pair.split_once('='));
    for (key, _) in pairs() {
        let last = pairs().rfind(|(other, _)| *other == key);
        let wanted = last
            .map(|(_, value)| value)
            .filter(|value| !value.is_empty());
        assert_eq!(args.get(key), wanted, "{key:?} in {text:?}");
    }
}
