//! The client's side of mutual TLS: read at each connection, so that a rotated certificate needs no restart.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::{Config, Error};

/// Larger than any certificate chain; keeps a mistaken path from filling memory.
const MAX_PEM_BYTES: u64 = 4 * 1024 * 1024;

/// The files, and the last set of them that was good.
pub(crate) struct TlsFiles {
    config: Config,
    /// Taken while a rotation is under way and the files don't match each other.
    last_good: Mutex<Arc<ClientConfig>>,
}

impl TlsFiles {
    /// Reads the files for the first time.
    pub(crate) fn open(config: Config) -> Result<Self, Error> {
        let first = Arc::new(read(&config)?);
        Ok(Self { config, last_good: Mutex::new(first) })
    }

    /// What to connect with now. Blocks while it reads.
    pub(crate) fn current(&self) -> Arc<ClientConfig> {
        let mut last_good = self.last_good.lock().unwrap_or_else(PoisonError::into_inner);
        match read(&self.config) {
            Ok(config) => *last_good = Arc::new(config),
            Err(error) => {
                tracing::warn!(%error, "certificate files can't be taken; connecting with those read before");
            }
        }
        Arc::clone(&last_good)
    }
}

fn read(config: &Config) -> Result<ClientConfig, Error> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&config.ca_pem_path)? {
        roots.add(certificate).map_err(|error| refuse(&config.ca_pem_path, &error.to_string()))?;
    }
    let chain = certificates(&config.cert_path)?;
    let key = PrivateKeyDer::from_pem_slice(&contents(&config.key_path)?)
        .map_err(|_| refuse(&config.key_path, "holds no private key in PEM (PKCS #8, SEC 1 or PKCS #1)"))?;
    // The provider's first group is X25519MLKEM768 (feature `prefer-post-quantum`).
    let mut tls = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| Error::Config(error.to_string()))?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .map_err(|error| {
            refuse(&config.key_path, &format!("is not the key of {}: {error}", config.cert_path.display()))
        })?;
    tls.alpn_protocols = vec![b"h2".to_vec()];
    // The hub sends no tickets: resumption would skip its check of the certificate.
    tls.resumption = Resumption::disabled();
    Ok(tls)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let pem = contents(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) | Err(_) => Err(refuse(path, "holds no certificate in PEM")),
    }
}

fn contents(path: &Path) -> Result<Vec<u8>, Error> {
    let length = std::fs::metadata(path).map_err(|error| refuse(path, &error.to_string()))?.len();
    if length > MAX_PEM_BYTES {
        return Err(refuse(path, "is larger than 4 MiB; is it the right file?"));
    }
    std::fs::read(path).map_err(|error| refuse(path, &error.to_string()))
}

fn refuse(path: &Path, problem: &str) -> Error {
    Error::Config(format!("{}: {problem}", path.display()))
}
