//! Why the API's answer could not be had, and what to check. No text of a server or a plugin is repeated
//! here, and none that may hold a secret.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::kubeconfig::Fault;
use super::pod::AnswerError;
use crate::cni::{CniError, Code};
use crate::exec::ExecError;

/// Why a look-up failed.
#[derive(Debug, Error)]
pub enum LookupError {
    /// There is neither a kubeconfig nor a pod around this program.
    #[error(
        "k8sConfigPath is not set, and this is no pod: KUBERNETES_SERVICE_HOST is not set either"
    )]
    Nowhere,
    /// The kubeconfig cannot be.
    #[error("kubeconfig {}: {fault}", path.display())]
    Kubeconfig {
        /// Its path.
        path: PathBuf,
        /// What is wrong.
        fault: Fault,
    },
    /// Something in the environment cannot be.
    #[error("{0}")]
    Environment(String),
    /// A file cannot be read.
    #[error("cannot read {what} {}: {source}", path.display())]
    File {
        /// What it should hold.
        what: &'static str,
        /// Its path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// What a file or a value holds cannot be used.
    #[error("{place}: {why}")]
    Credential {
        /// The file, or the path in the kubeconfig.
        place: String,
        /// What was wanted.
        why: String,
    },
    /// A credential plugin gave nothing.
    #[error("the credential plugin {command} {why}")]
    Plugin {
        /// Its path or name, without arguments.
        command: String,
        /// What it did.
        why: String,
    },
    /// The server's certificate is not what it must be, or the server did not like ours.
    #[error("{server}: {why}")]
    Tls {
        /// Who.
        server: String,
        /// Why.
        why: String,
        /// What to do.
        advice: &'static str,
    },
    /// No answer came, however often it was asked.
    #[error("{server} gave no answer within {allowed} ms, asked {tries}: {why}")]
    Unanswered {
        /// Who.
        server: String,
        /// `once`, `3 times`.
        tries: String,
        /// What was seen the last time.
        why: String,
        /// `k8sTimeoutMs`.
        allowed: u128,
    },
    /// It answered that it does not answer.
    #[error("{server} answered {status}{}", .why)]
    Refused {
        /// Who.
        server: String,
        /// The status.
        status: u16,
        /// What that means here.
        why: &'static str,
        /// What to do.
        advice: String,
    },
    /// It is not an answer of the API.
    #[error("{server}: its answer {why}")]
    Answer {
        /// Who.
        server: String,
        /// What it is.
        why: String,
    },
    /// It is about something else.
    #[error("{server}: its answer {error}")]
    OtherPod {
        /// Who.
        server: String,
        /// What.
        error: AnswerError,
    },
    /// This program was told to end.
    #[error("told to end (SIGTERM) while the Kubernetes API was asked")]
    Interrupted,
}

impl LookupError {
    /// The error of the protocol about what was asked for. 7 where only a change of the configuration can mend it,
    /// else 11: the runtime tries again, and the pod joins no network meanwhile.
    pub fn about(self, what: &str) -> CniError {
        let code = match &self {
            Self::Nowhere | Self::Kubeconfig { .. } | Self::Environment(_) => {
                Code::INVALID_CONFIGURATION
            }
            _ => Code::TRY_AGAIN,
        };
        let msg = format!("cannot read {what} from the Kubernetes API: {self}");
        CniError::new(code, msg).details(self.advice())
    }

    fn advice(&self) -> String {
        match self {
            Self::Nowhere => "set k8sConfigPath to a kubeconfig that may get pods, and list nodes where peers are to be known from it".to_owned(),
            Self::Kubeconfig { path, .. } => {
                format!("kubectl --kubeconfig {} get pods shows what kubectl makes of it", path.display())
            }
            Self::Environment(_) => "systemctl show -p Environment containerd shows what the runtime hands over".to_owned(),
            Self::File { path, .. } => format!("ls -l {}", path.display()),
            Self::Credential { .. } => "it must be whole, in PEM, and the key must be the certificate's".to_owned(),
            Self::Plugin { .. } => "run it as root, as the kubeconfig has it; what it says is not repeated here, it may be a secret".to_owned(),
            Self::Tls { advice, .. } => (*advice).to_owned(),
            Self::Unanswered { .. } => {
                "is the address right, the server up, a proxy or firewall in between? k8sTimeoutMs bounds the whole look-up".to_owned()
            }
            Self::Refused { advice, .. } => advice.clone(),
            Self::Answer { .. } => "is this the address of a Kubernetes API server, and no login page or proxy before it?".to_owned(),
            Self::OtherPod { error: AnswerError::Recreated { .. }, .. } => {
                "nothing to do: the runtime takes the older pod away".to_owned()
            }
            Self::OtherPod { .. } => "something between here and the API server answers for it".to_owned(),
            Self::Interrupted => "nothing was made; try again".to_owned(),
        }
    }
}

impl From<ExecError> for LookupError {
    /// Of a pause: that of a plugin is told without its line, which has its arguments.
    fn from(_: ExecError) -> Self {
        Self::Interrupted
    }
}
