//! What ADD asks the Kubernetes API, and when: before any lock, only if so configured, only for what is
//! not known yet.

use crate::cni::{Args, CniError, Code};
use crate::config::{ApiAnnotations, Config};
use crate::exec::System;
use crate::kube::credentials::Place;
use crate::kube::{self, pod::Pod};
use crate::select::{lacks_an_annotation, names_a_network};

/// The configuration with what the Kubernetes API says of the pod.
///
/// # Errors
/// Code 11 when the API does not tell, 7 when it cannot be asked, 4 when there is no pod to ask about.
pub fn with_annotations(config: Config, system: &System, args: &Args) -> Result<Config, CniError> {
    if !config.reads_annotations || !lacks_an_annotation(&config) {
        return Ok(config);
    }
    let kubernetes = &config.kubernetes;
    let Some(pod) = Pod::of(args)? else {
        return match names_a_network(&config) {
            true => Ok(config),
            false => Err(no_pod(&config)),
        };
    };
    let path = kubernetes.config_path.as_deref();
    let place = Place::of(path).map_err(|error| error.about(&kube::of_pod(&pod)))?;
    let annotations = kube::annotations(system, &place, &pod, kubernetes.timeout)?;
    Ok(Config {
        api_annotations: Some(ApiAnnotations {
            source: format!("annotation of pod {pod} (Kubernetes API)"),
            annotations,
        }),
        ..config
    })
}

/// A container that no runtime calls a pod: on a node of the kubelet it is podman's, or a pod whose runtime does
/// not say so. The second may have chosen a network that cannot be looked up, so neither gets the default one.
fn no_pod(config: &Config) -> CniError {
    let msg = "k8sReadAnnotations: CNI_ARGS has neither K8S_POD_NAMESPACE nor K8S_POD_NAME, so there is no pod \
               whose annotations could name the network";
    CniError::new(Code::INVALID_ENVIRONMENT, msg).details(format!(
        "for containers that are no pods, name the network in a configuration of their own: \
         \"args\": {{\"annotations\": {{\"{}\": NETWORK}}}}, or one without k8sReadAnnotations",
        config.keys.network
    ))
}
