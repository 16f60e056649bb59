//! Revocation lists as the hub accepts them: signed by a CA it trusts, one per issuer, never older than the one in force.
//!
//! webpki checks a list's signature only when a client connects, and takes the first list that names the issuer. A damaged,
//! forged or doubled file would so shut everybody out, or hide a revocation, after it had been loaded "successfully";
//! checking at load keeps the last good list in force instead.

use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls_pki_types::{CertificateRevocationListDer, TrustAnchor};
use x509_parser::asn1_rs::{Any, FromDer};
use x509_parser::num_bigint::BigUint;
use x509_parser::revocation_list::CertificateRevocationList;

/// How long before a list's `nextUpdate` health turns amber: time enough, over a weekend, to get the next one.
pub const CRL_AMBER_S: u64 = 72 * 3600;

/// How much time the revocation lists leave. Times are seconds since 1970-01-01 UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrlHealth {
    /// Every list has at least [`CRL_AMBER_S`] to go.
    Green,
    /// The first list to end does so at `until_unix_s`: fetch its successor and reload.
    Amber {
        /// The earliest `nextUpdate`.
        until_unix_s: u64,
    },
    /// A list ended at `since_unix_s`: its issuer's clients are refused, except courts pinned in policy, who may lift.
    Expired {
        /// The earliest `nextUpdate`.
        since_unix_s: u64,
    },
}

impl CrlHealth {
    pub(super) fn at(now_unix_s: u64, earliest_next_update_unix_s: u64) -> Self {
        // webpki refuses from `nextUpdate` itself on.
        match earliest_next_update_unix_s.checked_sub(now_unix_s) {
            None | Some(0) => Self::Expired { since_unix_s: earliest_next_update_unix_s },
            Some(left) if left < CRL_AMBER_S => Self::Amber { until_unix_s: earliest_next_update_unix_s },
            Some(_) => Self::Green,
        }
    }
}

/// What the hub remembers of a list in force.
#[derive(Clone, Debug)]
pub(super) struct CrlFacts {
    /// The issuer's name, DER, contents of the SEQUENCE.
    pub(super) issuer: Vec<u8>,
    pub(super) next_update_unix_s: u64,
    this_update_unix_s: i64,
    number: Option<BigUint>,
}

/// Why a list isn't accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum CrlFault {
    #[error("not a DER or PEM certificate revocation list (RFC 5280 §5)")]
    Malformed,
    #[error("has no nextUpdate, which RFC 5280 §5.1.2.5 requires")]
    NoNextUpdate,
    #[error("its signature is not by the CA of its issuer's name in client_ca_path")]
    Signature,
}

impl CrlFacts {
    /// Reads one list and checks its signature where its issuer is among `anchors`. A list of an intermediate CA, whose
    /// certificate only clients bring, is left to the check at the handshake, which fails closed.
    pub(super) fn read(
        der: &CertificateRevocationListDer<'_>,
        anchors: &[TrustAnchor<'_>],
        algorithms: &WebPkiSupportedAlgorithms,
    ) -> Result<Self, CrlFault> {
        let list = match CertificateRevocationList::from_der(der) {
            Ok(([], list)) => list,
            Ok(_) | Err(_) => return Err(CrlFault::Malformed),
        };
        let issuer = contents(list.issuer().as_raw()).ok_or(CrlFault::Malformed)?.to_vec();
        let next_update = list.next_update().ok_or(CrlFault::NoNextUpdate)?.timestamp();
        let same_name = || anchors.iter().filter(|anchor| anchor.subject.as_ref() == issuer);
        if same_name().next().is_some()
            && !same_name().any(|anchor| signed_by(der, anchor.subject_public_key_info.as_ref(), algorithms))
        {
            return Err(CrlFault::Signature);
        }
        Ok(Self {
            issuer,
            next_update_unix_s: u64::try_from(next_update).map_err(|_| CrlFault::Malformed)?,
            this_update_unix_s: list.last_update().timestamp(),
            number: list.crl_number().cloned(),
        })
    }

    /// Whether taking this list for `held` would bring revoked certificates back: CRL numbers only grow (RFC 5280 §5.2.3);
    /// where one lacks a number, `thisUpdate` decides.
    pub(super) fn is_older_than(&self, held: &Self) -> bool {
        match (&self.number, &held.number) {
            (Some(ours), Some(theirs)) => ours < theirs,
            (None, _) | (_, None) => self.this_update_unix_s < held.this_update_unix_s,
        }
    }
}

/// `CertificateList ::= SEQUENCE { tbsCertList, signatureAlgorithm, signatureValue }`, RFC 5280 §5.1.
fn signed_by(crl: &[u8], spki: &[u8], algorithms: &WebPkiSupportedAlgorithms) -> bool {
    let parts = || {
        let list = contents(crl)?;
        let (after_tbs, _) = Any::from_der(list).ok()?;
        let tbs = list.get(..list.len() - after_tbs.len())?;
        let (after_algorithm, algorithm) = Any::from_der(after_tbs).ok()?;
        let signature = bit_string(after_algorithm)?;
        let (after_key_algorithm, key_algorithm) = Any::from_der(spki).ok()?;
        Some((tbs, algorithm.data, signature, key_algorithm.data, bit_string(after_key_algorithm)?))
    };
    parts().is_some_and(|(tbs, algorithm, signature, key_algorithm, key)| {
        algorithms
            .all
            .iter()
            .filter(|known| known.signature_alg_id().as_ref() == algorithm)
            .filter(|known| known.public_key_alg_id().as_ref() == key_algorithm)
            .any(|known| known.verify_signature(key, tbs, signature).is_ok())
    })
}

fn contents(der: &[u8]) -> Option<&[u8]> {
    Any::from_der(der).ok().map(|(_, value)| value.data)
}

/// Whole octets only, as every signature and key of X.509 is.
fn bit_string(der: &[u8]) -> Option<&[u8]> {
    match contents(der)?.split_first()? {
        (0, bits) => Some(bits),
        _ => None,
    }
}
