//! Certificates and keys: authorities of the tests, and keys of every kind and form, which `openssl` makes.

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, PKCS_ECDSA_P256_SHA256,
    PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256, SignatureAlgorithm,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};

/// Kinds and forms of keys: a name, how `openssl` makes it in PKCS#8, what turns it into the form, how it starts.
pub const KEYS: [(&str, &str, Option<&str>, &str); 7] = [
    (
        "RSA, PKCS#8",
        "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048",
        None,
        "BEGIN PRIVATE KEY",
    ),
    (
        "RSA, PKCS#1",
        "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048",
        Some("rsa -traditional"),
        "BEGIN RSA PRIVATE KEY",
    ),
    (
        "P-256, PKCS#8",
        "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256",
        None,
        "BEGIN PRIVATE KEY",
    ),
    (
        "P-256, SEC1",
        "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256",
        Some("ec"),
        "BEGIN EC PRIVATE KEY",
    ),
    (
        "P-384, PKCS#8",
        "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384",
        None,
        "BEGIN PRIVATE KEY",
    ),
    (
        "P-384, SEC1",
        "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384",
        Some("ec"),
        "BEGIN EC PRIVATE KEY",
    ),
    (
        "Ed25519, PKCS#8",
        "genpkey -algorithm ED25519",
        None,
        "BEGIN PRIVATE KEY",
    ),
];

/// A key, in the form that is asked for and as what signs and is signed.
pub struct Key {
    /// In PEM.
    pub pem: String,
    pair: KeyPair,
}

impl Key {
    /// Any key.
    pub fn new() -> Self {
        let pair = KeyPair::generate().unwrap();
        Self {
            pem: pair.serialize_pem(),
            pair,
        }
    }

    /// A key of a kind and form.
    pub fn of(name: &str) -> Self {
        let (_, make, turn, start) = KEYS.into_iter().find(|key| key.0 == name).unwrap();
        let pkcs8 = openssl(make, "");
        let pem = turn.map_or_else(|| pkcs8.clone(), |turn| openssl(turn, &pkcs8));
        assert!(pem.contains(start), "{name} starts otherwise");
        let kind: &SignatureAlgorithm = match name.split(',').next().unwrap() {
            "RSA" => &PKCS_RSA_SHA256,
            "P-256" => &PKCS_ECDSA_P256_SHA256,
            "P-384" => &PKCS_ECDSA_P384_SHA384,
            _ => &PKCS_ED25519,
        };
        let pair = KeyPair::from_pkcs8_pem_and_sign_algo(&pkcs8, kind).unwrap();
        Self { pem, pair }
    }
}

/// What `openssl` prints.
pub fn openssl(line: &str, stdin: &str) -> String {
    let mut child = Command::new("openssl")
        .args(line.split(' '))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("these tests need openssl: scripts/prerequisites test");
    child
        .stdin
        .take()
        .unwrap()
        .write_all(stdin.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "openssl {line}");
    String::from_utf8(output.stdout).unwrap()
}

/// A certificate authority.
pub struct Authority {
    /// Its certificate in PEM.
    pub pem: String,
    params: CertificateParams,
    key: KeyPair,
}

impl Authority {
    /// One with a name.
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, params, key }
    }

    /// One that another vouches for.
    pub fn below(&self, name: &str) -> Self {
        let mut below = Self::new(name);
        let issuer = Issuer::from_params(&self.params, &self.key);
        below.pem = below.params.signed_by(&below.key, &issuer).unwrap().pem();
        below
    }

    /// A certificate for names and addresses.
    pub fn issue(&self, names: &[&str], key: &Key) -> String {
        self.issue_with(names, key, |_| {})
    }

    /// The same, with changes.
    pub fn issue_with(
        &self,
        names: &[&str],
        key: &Key,
        change: impl FnOnce(&mut CertificateParams),
    ) -> String {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).unwrap();
        change(&mut params);
        let issuer = Issuer::from_params(&self.params, &self.key);
        params.signed_by(&key.pair, &issuer).unwrap().pem()
    }

    /// A server's configuration with a certificate of this authority.
    pub fn server(&self, names: &[&str]) -> ServerConfig {
        let key = Key::new();
        server(&self.issue(names, &key), &key.pem)
    }

    /// The same, and it wants a client certificate of an authority.
    pub fn server_for(&self, clients: &Self) -> ServerConfig {
        let key = Key::new();
        let mut roots = RootCertStore::empty();
        roots.add(certificates(&clients.pem).remove(0)).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone());
        ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier.build().unwrap())
            .with_single_cert(
                certificates(&self.issue(&["127.0.0.1"], &key)),
                PrivateKeyDer::from_pem_slice(key.pem.as_bytes()).unwrap(),
            )
            .unwrap()
    }
}

/// A server's configuration.
pub fn server(chain: &str, key: &str) -> ServerConfig {
    server_of(chain, key, rustls::ALL_VERSIONS)
}

/// The same, with some versions of TLS only.
pub fn server_of(
    chain: &str,
    key: &str,
    versions: &[&'static SupportedProtocolVersion],
) -> ServerConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            certificates(chain),
            PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
        )
        .unwrap()
}

/// The certificates in PEM.
pub fn certificates(pem: &str) -> Vec<CertificateDer<'static>> {
    let certificates: Result<_, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    certificates.unwrap()
}
