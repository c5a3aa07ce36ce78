//! Certificates and keys in PEM become a TLS configuration; what rustls says becomes a sentence.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};

use super::error::LookupError;
use super::secret::Secret;

/// Where distributions keep the authorities that a node trusts (Go, `crypto/x509/root_linux.go`).
const SYSTEM: [&str; 6] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// PEM and where it came from.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The file, or the path in the kubeconfig.
    pub place: String,
    /// What it holds.
    pub pem: Secret<Vec<u8>>,
}

/// What vouches for the server, read.
#[derive(Debug, Clone)]
pub enum Roots {
    /// These authorities.
    Authority(Loaded),
    /// The node's.
    System,
    /// Nothing is asked for.
    Nothing,
}

/// A TLS configuration.
///
/// # Errors
/// [`LookupError`] for what cannot be used, by its place.
pub fn config(
    roots: &Roots,
    pair: Option<&(Loaded, Loaded)>,
) -> Result<Arc<ClientConfig>, LookupError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| LookupError::Credential {
            place: "TLS".to_owned(),
            why: error.to_string(),
        })?
        .dangerous()
        .with_custom_certificate_verifier(verifier(roots, provider)?);
    let config = match pair {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => builder
            .with_client_auth_cert(certificates(certificate)?, private_key(key)?)
            .map_err(|error| of_pair(certificate, key, &error))?,
    };
    Ok(Arc::new(config))
}

/// Why a certificate and a key do not go together.
fn of_pair(certificate: &Loaded, key: &Loaded, error: &rustls::Error) -> LookupError {
    let (place, why) = match error {
        rustls::Error::InconsistentKeys(_) => {
            let place = format!("{} with {}", certificate.place, key.place);
            (place, "the key is not the certificate's".to_owned())
        }
        rustls::Error::General(_) => {
            let known = "a key of another kind: RSA, ECDSA P-256 and P-384 and Ed25519 are known";
            (key.place.clone(), known.to_owned())
        }
        error => (certificate.place.clone(), error.to_string()),
    };
    LookupError::Credential { place, why }
}

fn verifier(
    roots: &Roots,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, LookupError> {
    let loaded = match roots {
        Roots::Nothing => return Ok(Arc::new(Anybody(provider))),
        Roots::Authority(loaded) => loaded.clone(),
        Roots::System => system()?,
    };
    let wrong = |why: String| LookupError::Credential {
        place: loaded.place.clone(),
        why,
    };
    let mut store = RootCertStore::empty();
    let (added, _) = store.add_parsable_certificates(certificates(&loaded)?);
    if added == 0 {
        return Err(wrong("no certificate in it can be read".to_owned()));
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider).build();
    Ok(verifier.map_err(|error| wrong(error.to_string()))?)
}

/// The authorities of the node, for a cluster that names none: `SSL_CERT_FILE`, else the distribution's.
fn system() -> Result<Loaded, LookupError> {
    let given = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    let path = given.or_else(|| SYSTEM.iter().map(PathBuf::from).find(|path| path.is_file()));
    let path = path.ok_or_else(|| LookupError::Credential {
        place: "certificate-authority".to_owned(),
        why:
            "not set, and this node has no list of authorities of its own (package ca-certificates)"
                .to_owned(),
    })?;
    load("the node's certificate authorities", path)
}

/// Reads a file of PEM.
///
/// # Errors
/// [`LookupError::File`].
pub fn load(what: &'static str, path: PathBuf) -> Result<Loaded, LookupError> {
    match std::fs::read(&path) {
        Ok(pem) => Ok(Loaded {
            place: path.display().to_string(),
            pem: Secret::new(pem),
        }),
        Err(source) => Err(LookupError::File { what, path, source }),
    }
}

fn certificates(loaded: &Loaded) -> Result<Vec<CertificateDer<'static>>, LookupError> {
    let wrong = || LookupError::Credential {
        place: loaded.place.clone(),
        why: "holds no certificate in PEM".to_owned(),
    };
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(loaded.pem.exposed()).collect();
    found
        .ok()
        .filter(|found| !found.is_empty())
        .ok_or_else(wrong)
}

/// A key of PKCS#1, SEC1 or PKCS#8.
fn private_key(loaded: &Loaded) -> Result<PrivateKeyDer<'static>, LookupError> {
    PrivateKeyDer::from_pem_slice(loaded.pem.exposed()).map_err(|_| LookupError::Credential {
        place: loaded.place.clone(),
        why: "holds no private key in PEM that can be read; one with a passphrase cannot"
            .to_owned(),
    })
}

/// Takes any certificate (`insecure-skip-tls-verify`), but still only from who has its key.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// What a failed handshake says, and what to do about it.
pub fn explained(error: &rustls::Error) -> (String, &'static str) {
    use CertificateError as C;
    let certificate = |why: &str| format!("its certificate cannot be trusted: {why}");
    match error {
        rustls::Error::InvalidCertificate(C::UnknownIssuer | C::BadSignature) => (
            certificate("no certificate authority that is known here has signed it"),
            "set certificate-authority to the cluster's own (/etc/kubernetes/pki/ca.crt on its control plane)",
        ),
        rustls::Error::InvalidCertificate(C::Expired | C::ExpiredContext { .. }) => (
            certificate("it has expired"),
            "renew it on the control plane (kubeadm certs renew apiserver); is this node's clock right?",
        ),
        rustls::Error::InvalidCertificate(C::NotValidYet | C::NotValidYetContext { .. }) => (
            certificate("it is not valid yet"),
            "is this node's clock right?",
        ),
        rustls::Error::InvalidCertificate(
            C::NotValidForName | C::NotValidForNameContext { .. },
        ) => (
            certificate("it is for another name than the server's"),
            "use a name of the certificate in server, or set tls-server-name to one",
        ),
        rustls::Error::InvalidCertificate(_) => (
            certificate(&error.to_string()),
            "openssl s_client -connect HOST:PORT -showcerts shows it",
        ),
        rustls::Error::AlertReceived(_) => (
            format!("it ended the TLS connection: {error}"),
            "does it take this client certificate? openssl x509 -noout -dates -issuer shows whether it has expired and who has signed it",
        ),
        _ => (
            format!("no TLS connection came to be: {error}"),
            "is this the address of a Kubernetes API server?",
        ),
    }
}
