//! Why a connection is refused or cut: a closed list, for counters and logs. None of it carries text of the peer's.

use rustls::{AlertDescription, CertificateError, Error};

use super::identity::IdentityError;

/// The reason for a failed handshake, or for the end of a connection whose certificate no longer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The client sent no certificate.
    NoCertificate,
    /// Signed by no CA that the hub trusts: self-signed, or another CA, perhaps of the same name.
    UnknownIssuer,
    /// Past its `notAfter`.
    Expired,
    /// Before its `notBefore`.
    NotYetValid,
    /// On its issuer's revocation list.
    Revoked,
    /// No list covers it.
    RevocationUnknown,
    /// Its list is past `nextUpdate`, and policy doesn't pin the client.
    CrlExpired,
    /// Not issued for client authentication.
    WrongUsage,
    /// No URI SAN; a common name doesn't count.
    NoName,
    /// Several URI SANs.
    SeveralNames,
    /// The URI SAN belongs to another trust domain.
    OtherTrustDomain,
    /// The URI SAN isn't of the form `spiffe://<trust-domain>/client/<id>`.
    NotAClientName,
    /// Otherwise unacceptable: malformed, wrong signature, weak algorithm.
    BadCertificate,
    /// The client speaks no TLS 1.3, or has no algorithm in common with the hub.
    Incompatible,
    /// The client doesn't offer HTTP/2 (ALPN `h2`).
    NoHttp2,
    /// The client broke off, with an alert: often it doesn't trust the hub's certificate.
    PeerAlert,
    /// Not a valid TLS handshake.
    Protocol,
    /// The connection closed or failed before the handshake was over.
    Io,
    /// The handshake took longer than allowed.
    Timeout,
    /// The hub is shutting down.
    ShuttingDown,
}

impl Refusal {
    /// Every reason, in the order of the counters.
    pub const ALL: [Self; 20] = [
        Self::NoCertificate,
        Self::UnknownIssuer,
        Self::Expired,
        Self::NotYetValid,
        Self::Revoked,
        Self::RevocationUnknown,
        Self::CrlExpired,
        Self::WrongUsage,
        Self::NoName,
        Self::SeveralNames,
        Self::OtherTrustDomain,
        Self::NotAClientName,
        Self::BadCertificate,
        Self::Incompatible,
        Self::NoHttp2,
        Self::PeerAlert,
        Self::Protocol,
        Self::Io,
        Self::Timeout,
        Self::ShuttingDown,
    ];

    /// The label for metrics and logs, `snake_case`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoCertificate => "no_certificate",
            Self::UnknownIssuer => "unknown_issuer",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::Revoked => "revoked",
            Self::RevocationUnknown => "revocation_unknown",
            Self::CrlExpired => "crl_expired",
            Self::WrongUsage => "wrong_usage",
            Self::NoName => "no_name",
            Self::SeveralNames => "several_names",
            Self::OtherTrustDomain => "other_trust_domain",
            Self::NotAClientName => "not_a_client_name",
            Self::BadCertificate => "bad_certificate",
            Self::Incompatible => "incompatible",
            Self::NoHttp2 => "no_http2",
            Self::PeerAlert => "peer_alert",
            Self::Protocol => "protocol",
            Self::Io => "io",
            Self::Timeout => "timeout",
            Self::ShuttingDown => "shutting_down",
        }
    }

    pub(crate) fn of(error: &Error) -> Self {
        match error {
            Error::NoCertificatesPresented => Self::NoCertificate,
            Error::InvalidCertificate(error) => Self::of_certificate(error),
            // A list that doesn't verify says nothing of the certificate's status.
            Error::InvalidCertRevocationList(_) => Self::RevocationUnknown,
            Error::PeerIncompatible(_) | Error::AlertReceived(AlertDescription::ProtocolVersion) => Self::Incompatible,
            Error::NoApplicationProtocol => Self::NoHttp2,
            Error::AlertReceived(_) => Self::PeerAlert,
            _ => Self::Protocol,
        }
    }

    fn of_certificate(error: &CertificateError) -> Self {
        match error {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Self::NotYetValid,
            CertificateError::Revoked => Self::Revoked,
            CertificateError::UnknownIssuer => Self::UnknownIssuer,
            // What another CA of the same name has signed: the name fits an anchor, the key doesn't.
            CertificateError::BadSignature => Self::UnknownIssuer,
            CertificateError::UnknownRevocationStatus => Self::RevocationUnknown,
            CertificateError::ExpiredRevocationList | CertificateError::ExpiredRevocationListContext { .. } => {
                Self::CrlExpired
            }
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => Self::WrongUsage,
            CertificateError::Other(other) => {
                other.0.downcast_ref::<IdentityError>().map_or(Self::BadCertificate, |fault| match fault {
                    IdentityError::Malformed => Self::BadCertificate,
                    IdentityError::NoClientAuthUsage => Self::WrongUsage,
                    IdentityError::NoUriSan => Self::NoName,
                    IdentityError::SeveralUriSans => Self::SeveralNames,
                    IdentityError::OtherTrustDomain => Self::OtherTrustDomain,
                    IdentityError::NotAClientName => Self::NotAClientName,
                })
            }
            _ => Self::BadCertificate,
        }
    }
}
