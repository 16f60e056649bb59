//! Why a CA command fails, and the way out.

use std::io;
use std::path::PathBuf;

/// Why a CA command failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertsError {
    /// The system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// A file that must not be replaced is there already.
    #[error("{}: is there already and is not overwritten; move it away, or choose another name or directory", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The directory holds no CA.
    #[error("{}: holds no CA; make one with `xinhub certs init`", dir.display())]
    NoAuthority {
        /// The directory.
        dir: PathBuf,
    },
    /// A file of the CA's isn't as it was written.
    #[error("{}: {fault}; restore it from a copy", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        fault: String,
    },
    /// Not a trust domain.
    #[error("trust domain: expected 1 to 64 of a-z 0-9 . - _ without scheme or path, as in demo.xinhub.invalid")]
    TrustDomain,
    /// Not a client id.
    #[error("client id: expected 1 to 64 of A-Z a-z 0-9 . - _, not beginning with a dot, as in court-leizhou")]
    ClientId,
    /// A server certificate without a name would fit no address.
    #[error("a server needs at least one --dns or --ip, as clients call it")]
    ServerNames,
    /// Not a DNS name.
    #[error("dns name: expected letters, digits, - and . only, as in hub.example.org")]
    DnsName,
    /// Not a serial number.
    #[error("serial: expected 2 to 40 hex digits, as in the first column of index.tsv")]
    Serial,
    /// Nothing to revoke.
    #[error("index.tsv has no such certificate that isn't revoked already")]
    NothingToRevoke,
    /// A time beyond what a certificate can say.
    #[error("the time of validity is too long")]
    Validity,
    /// Making a key, certificate or list failed.
    #[error("making a certificate or list failed: {0}")]
    Make(#[from] rcgen::Error),
    /// No randomness.
    #[error("the system gives no random numbers")]
    Random,
}
