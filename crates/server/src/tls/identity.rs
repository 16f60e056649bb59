//! The client's name, read from its certificate: exactly one URI SAN `spiffe://<trust-domain>/client/<id>` (SPIFFE X509-SVID
//! §2: one URI SAN and no more). The common name is never looked at: it isn't unique and CAs don't vouch for it.
//!
//! Nothing here proves anything: callers verify the chain, and then read the name.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest;
use rustls_pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Longest client id, in bytes: it travels in every audit record.
const MAX_CLIENT_ID_BYTES: usize = 64;

/// A checked SPIFFE trust domain: lower-case letters, digits, `.`, `-`, `_`; 1 to 255 bytes (SPIFFE-ID §2.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TrustDomain(String);

impl TrustDomain {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_');
        ((1..=255).contains(&text.len()) && text.bytes().all(allowed)).then(|| Self(text.to_owned()))
    }
}

/// What a verified client certificate says of its holder.
#[derive(Clone)]
pub(crate) struct ClientCertificate {
    pub(crate) client_id: Arc<str>,
    /// Lower-case hex.
    pub(crate) serial: Box<str>,
    /// SHA-256 of the DER.
    pub(crate) fingerprint: [u8; 32],
    /// The earliest end in the presented chain.
    pub(crate) not_after_unix_s: u64,
}

/// Why a certificate names no client. Carries none of the certificate's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IdentityError {
    Malformed,
    /// webpki lets a certificate without the extension pass for any usage; the hub doesn't.
    NoClientAuthUsage,
    NoUriSan,
    SeveralUriSans,
    OtherTrustDomain,
    NotAClientName,
}

impl fmt::Display for IdentityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "the certificate can't be read; have it issued again",
            Self::NoClientAuthUsage => "extended key usage lacks clientAuth; have it issued as a client certificate",
            Self::NoUriSan => "no URI SAN; expected exactly one, spiffe://<trust-domain>/client/<id>",
            Self::SeveralUriSans => "several URI SANs; expected exactly one, spiffe://<trust-domain>/client/<id>",
            Self::OtherTrustDomain => "the URI SAN is not in the hub's trust domain",
            Self::NotAClientName => {
                "the URI SAN is not spiffe://<trust-domain>/client/<id> with id [A-Za-z0-9._-]{1,64}"
            }
        })
    }
}

impl std::error::Error for IdentityError {}

impl ClientCertificate {
    /// Reads the leaf of `chain` (leaf first, as presented).
    pub(crate) fn read(chain: &[CertificateDer<'_>], trust_domain: &TrustDomain) -> Result<Self, IdentityError> {
        let (leaf, rest) = chain.split_first().ok_or(IdentityError::Malformed)?;
        let certificate = parse(leaf)?;
        let client_id = client_id(&certificate, trust_domain)?;
        let mut not_after_unix_s = not_after(&certificate)?;
        for intermediate in rest {
            not_after_unix_s = not_after_unix_s.min(not_after(&parse(intermediate)?)?);
        }
        let mut fingerprint = [0; 32];
        fingerprint.copy_from_slice(digest::digest(&digest::SHA256, leaf).as_ref());
        let serial = certificate.raw_serial().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        Ok(Self { client_id: client_id.into(), serial: serial.into(), fingerprint, not_after_unix_s })
    }

    /// The client id that a leaf *claims*, for policy's list of pinned courts and for logs.
    pub(crate) fn claimed_id(leaf: &CertificateDer<'_>, trust_domain: &TrustDomain) -> Option<String> {
        let certificate = parse(leaf).ok()?;
        client_id(&certificate, trust_domain).ok()
    }
}

fn parse<'a>(der: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, IdentityError> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        Ok(_) | Err(_) => Err(IdentityError::Malformed),
    }
}

fn not_after(certificate: &X509Certificate<'_>) -> Result<u64, IdentityError> {
    u64::try_from(certificate.validity().not_after.timestamp()).map_err(|_| IdentityError::Malformed)
}

fn client_id(certificate: &X509Certificate<'_>, trust_domain: &TrustDomain) -> Result<String, IdentityError> {
    let usage = certificate.extended_key_usage().map_err(|_| IdentityError::Malformed)?;
    if !usage.is_some_and(|usage| usage.value.client_auth) {
        return Err(IdentityError::NoClientAuthUsage);
    }
    let names = certificate.subject_alternative_name().map_err(|_| IdentityError::Malformed)?;
    let mut uris = names.iter().flat_map(|names| &names.value.general_names).filter_map(|name| match name {
        GeneralName::URI(uri) => Some(*uri),
        _ => None,
    });
    let uri = uris.next().ok_or(IdentityError::NoUriSan)?;
    if uris.next().is_some() {
        return Err(IdentityError::SeveralUriSans);
    }
    let name = uri.strip_prefix("spiffe://").ok_or(IdentityError::NotAClientName)?;
    let (domain, path) = name.split_once('/').ok_or(IdentityError::NotAClientName)?;
    if domain != trust_domain.0 {
        return Err(IdentityError::OtherTrustDomain);
    }
    let id = path.strip_prefix("client/").ok_or(IdentityError::NotAClientName)?;
    if valid_client_id(id) { Ok(id.to_owned()) } else { Err(IdentityError::NotAClientName) }
}

/// SPIFFE-ID §2.2: letters, digits, `.`, `-`, `_`, and no segment of dots alone.
fn valid_client_id(id: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    (1..=MAX_CLIENT_ID_BYTES).contains(&id.len()) && id.bytes().all(allowed) && id != "." && id != ".."
}
