//! Annotations: written by whoever may write pods, so they choose among what is allowed and nothing else.

use serde_json::{Value, json};
use vxlan_cni::cni::{Args, Code};
use vxlan_cni::config::{CRI_ANNOTATIONS, Config};
use vxlan_cni::select::select;

use super::door::{ADDS, ask, env, presentable, sample};

/// The pod's namespace: one that the network `shop` does not take.
const ARGS: &str = "K8S_POD_NAMESPACE=bank;K8S_POD_NAME=b";

/// Keeps the law for a map of annotations as JSON.
pub fn holds(bytes: &[u8]) {
    let Ok(annotations) = serde_json::from_slice::<Value>(bytes) else {
        return;
    };
    for (place, key) in [("args", "annotations"), ("runtimeConfig", CRI_ANNOTATIONS)] {
        let mut config = sample();
        config[place] = json!({ key: annotations });
        let _ = ask(&ADDS, &env("ADD", ARGS), config.to_string().as_bytes());
        if let Ok(config) = Config::read(&config) {
            choose_what_is_allowed(&config);
        }
    }
}

/// The choice is a network that takes the pod, with addresses it may have, or an error.
fn choose_what_is_allowed(config: &Config) {
    match select(config, &Args::parse(ARGS).unwrap()) {
        Ok(chosen) => {
            assert_ne!(chosen.network.name, "shop");
            for address in &chosen.addresses {
                assert_eq!(chosen.network.refuses(address.ip()), None);
                let cidr = chosen
                    .network
                    .cidrs
                    .iter()
                    .find(|cidr| cidr.contains(address.ip()));
                assert_eq!(cidr.unwrap().prefix(), address.prefix());
            }
        }
        Err(error) => {
            presentable(&error);
            assert!([Code::INVALID_CONFIGURATION, Code::REFUSED_BY_POLICY].contains(&error.code));
        }
    }
}
