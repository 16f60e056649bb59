//! The TLS files, read and checked as one set before any of them takes effect.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, UnixTime};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::TlsSettings;
use super::crl::{CrlFacts, CrlFault};
use super::identity::TrustDomain;

/// Larger than any sane list (a million revoked certificates take some 40 MB), small enough not to exhaust memory.
const MAX_FILE_BYTES: u64 = 64 * 1024 * 1024;

/// Why TLS files can't be put in force. Names files and shapes, never contents.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file can't be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file is larger than the hub reads.
    #[error("{}: larger than {MAX_FILE_BYTES} bytes; is it the right file?", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// A file doesn't hold what it should.
    #[error("{}: {expected}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        expected: &'static str,
    },
    /// The private key's file is open to others.
    #[error("{}: mode is {mode:04o}; let its owner alone read it (chmod 0600)", path.display())]
    KeyPermissions {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Private key and certificate don't belong together, or the key is of an unsupported kind.
    #[error("{}: not the key of the certificate in cert_chain_path: {source}", path.display())]
    KeyMismatch {
        /// The key's file.
        path: PathBuf,
        /// What rustls said.
        source: rustls::Error,
    },
    /// The hub's certificate has ended or not begun.
    #[error("{}: the hub's certificate is valid from {from_unix_s} to {until_unix_s} (Unix seconds), not now; renew it", path.display())]
    ServerValidity {
        /// The file.
        path: PathBuf,
        /// `notBefore`, seconds since 1970-01-01 UTC.
        from_unix_s: i64,
        /// `notAfter`, seconds since 1970-01-01 UTC.
        until_unix_s: i64,
    },
    /// `trust_domain` isn't one.
    #[error("trust_domain: expected 1 to 255 of a-z 0-9 . - _ without scheme or path, as in demo.xinhub.invalid")]
    TrustDomain,
    /// A CA that no list covers would admit nobody.
    #[error("{}: certificate {position} has no revocation list in crl_paths; add one, an empty one if nothing is revoked", path.display())]
    CrlMissing {
        /// The CA file.
        path: PathBuf,
        /// Counted from 1 in the file.
        position: usize,
    },
    /// A list isn't acceptable.
    #[error("{}: revocation list {fault}", path.display())]
    Crl {
        /// The list's file.
        path: PathBuf,
        /// What is wrong.
        fault: String,
    },
    /// Two lists of one issuer: only the first would count.
    #[error("{}: second revocation list of one issuer; keep the newer one alone", path.display())]
    CrlTwice {
        /// The second list's file.
        path: PathBuf,
    },
    /// A reload would put an older list in force.
    #[error("{}: revocation list is older than the one in force, and would bring revoked certificates back; fetch the current one", path.display())]
    CrlOlder {
        /// The list's file.
        path: PathBuf,
    },
    /// The verifier can't be built.
    #[error("{}: {source}", path.display())]
    Verifier {
        /// The CA file.
        path: PathBuf,
        /// What rustls said.
        source: rustls::server::VerifierBuilderError,
    },
    /// The cryptographic provider lacks TLS 1.3.
    #[error("TLS provider: {0}")]
    Provider(rustls::Error),
}

/// One checked set of files.
pub(super) struct Material {
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) key: PrivateKeyDer<'static>,
    pub(super) roots: RootCertStore,
    pub(super) crls: Vec<(CrlFacts, Crl)>,
    pub(super) trust_domain: TrustDomain,
    pub(super) server_not_after_unix_s: u64,
}

pub(super) struct Crl {
    path: PathBuf,
    der: CertificateRevocationListDer<'static>,
}

/// aws-lc-rs with the groups the hub takes, in its order of preference; said here and not left to a crate feature.
pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider {
        kx_groups: vec![
            aws_lc_rs::kx_group::X25519MLKEM768,
            aws_lc_rs::kx_group::X25519,
            aws_lc_rs::kx_group::SECP256R1,
            aws_lc_rs::kx_group::SECP384R1,
        ],
        ..aws_lc_rs::default_provider()
    })
}

impl Material {
    pub(super) fn read(settings: &TlsSettings) -> Result<Self, TlsError> {
        let trust_domain = TrustDomain::parse(&settings.trust_domain).ok_or(TlsError::TrustDomain)?;
        let chain = certificates(&settings.cert_chain_path)?;
        let server_not_after_unix_s = check_server_validity(&chain, &settings.cert_chain_path)?;
        let key = private_key(&settings.key_path)?;
        let (roots, crls) = client_trust(settings)?;
        Ok(Self { chain, key, roots, crls, trust_domain, server_not_after_unix_s })
    }

    pub(super) fn crl_ders(&self) -> Vec<CertificateRevocationListDer<'static>> {
        self.crls.iter().map(|(_, crl)| crl.der.clone()).collect()
    }

    pub(super) fn refuse_older_crls(&self, in_force: &Self) -> Result<(), TlsError> {
        for (facts, crl) in &self.crls {
            let held = in_force.crls.iter().find(|(held, _)| held.issuer == facts.issuer);
            if held.is_some_and(|(held, _)| facts.is_older_than(held)) {
                return Err(TlsError::CrlOlder { path: crl.path.clone() });
            }
        }
        Ok(())
    }
}

fn client_trust(settings: &TlsSettings) -> Result<(RootCertStore, Vec<(CrlFacts, Crl)>), TlsError> {
    let ca_path = &settings.client_ca_path;
    let mut roots = RootCertStore::empty();
    for certificate in certificates(ca_path)? {
        roots.add(certificate).map_err(|_| malformed(ca_path, "holds a certificate that can't serve as a CA"))?;
    }
    let algorithms = provider().signature_verification_algorithms;
    let mut crls: Vec<(CrlFacts, Crl)> = Vec::new();
    for path in &settings.crl_paths {
        for der in revocation_lists(path)? {
            let facts = CrlFacts::read(&der, &roots.roots, &algorithms)
                .map_err(|fault| TlsError::Crl { path: path.clone(), fault: fault.to_string() })?;
            if crls.iter().any(|(held, _)| held.issuer == facts.issuer) {
                return Err(TlsError::CrlTwice { path: path.clone() });
            }
            crls.push((facts, Crl { path: path.clone(), der }));
        }
    }
    for (index, anchor) in roots.roots.iter().enumerate() {
        if !crls.iter().any(|(facts, _)| facts.issuer == anchor.subject.as_ref()) {
            return Err(TlsError::CrlMissing { path: ca_path.clone(), position: index + 1 });
        }
    }
    Ok((roots, crls))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let expected = "expected one or more PEM certificates";
    let bytes = read(path)?;
    let all = CertificateDer::pem_slice_iter(&bytes).collect::<Result<Vec<_>, _>>();
    match all {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) | Err(_) => Err(malformed(path, expected)),
    }
}

fn revocation_lists(path: &Path) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
    let bytes = read(path)?;
    // A DER SEQUENCE begins with 0x30; CAs publish lists over HTTP in this form (RFC 5280 §4.2.1.13).
    if bytes.first() == Some(&0x30) {
        return Ok(vec![bytes.into()]);
    }
    match CertificateRevocationListDer::pem_slice_iter(&bytes).collect::<Result<Vec<_>, _>>() {
        Ok(lists) if !lists.is_empty() => Ok(lists),
        Ok(_) | Err(_) => Err(TlsError::Crl { path: path.to_owned(), fault: CrlFault::Malformed.to_string() }),
    }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let bytes = read(path)?;
    let read_error = |source| TlsError::Read { path: path.to_owned(), source };
    let mode = std::fs::metadata(path).map_err(read_error)?.permissions().mode() & 0o7777;
    // Group read is left open for a `tls` group of the machine's; systemd's LoadCredential shows such a mode too.
    if mode & 0o037 != 0 {
        return Err(TlsError::KeyPermissions { path: path.to_owned(), mode });
    }
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|_| malformed(path, "expected one PEM private key, not encrypted"))
}

fn check_server_validity(chain: &[CertificateDer<'_>], path: &Path) -> Result<u64, TlsError> {
    let unreadable = || malformed(path, "the first certificate can't be read");
    let leaf = chain.first().ok_or_else(unreadable)?;
    let (_, certificate) = X509Certificate::from_der(leaf).map_err(|_| unreadable())?;
    let validity = certificate.validity();
    let (from_unix_s, until_unix_s) = (validity.not_before.timestamp(), validity.not_after.timestamp());
    let now = i64::try_from(UnixTime::now().as_secs()).unwrap_or(i64::MAX);
    if now < from_unix_s || now >= until_unix_s {
        return Err(TlsError::ServerValidity { path: path.to_owned(), from_unix_s, until_unix_s });
    }
    u64::try_from(until_unix_s).map_err(|_| unreadable())
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let read_error = |source| TlsError::Read { path: path.to_owned(), source };
    if std::fs::metadata(path).map_err(read_error)?.len() > MAX_FILE_BYTES {
        return Err(TlsError::TooLarge { path: path.to_owned() });
    }
    std::fs::read(path).map_err(read_error)
}

fn malformed(path: &Path, expected: &'static str) -> TlsError {
    TlsError::Malformed { path: path.to_owned(), expected }
}
