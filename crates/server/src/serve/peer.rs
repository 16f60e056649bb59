//! Who is at the other end of a connection: every request that reaches a service carries a [`Peer`] in its extensions, and
//! a `Peer` exists only for a certificate that passed every check of [`crate::tls`].

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::tls::ClientCertificate;

/// The client of one connection. Cheap to clone; all clones of a connection see the same live state.
///
/// Services find it with `request.extensions().get::<Peer>()`. Its absence means that the request did not come through
/// [`crate::serve::Gate`], and is to be refused.
#[derive(Clone)]
pub struct Peer {
    inner: Arc<Inner>,
}

struct Inner {
    certificate: ClientCertificate,
    connection_id: u64,
    crl_expired: AtomicBool,
}

impl Peer {
    pub(crate) fn new(certificate: ClientCertificate, connection_id: u64, crl_expired: bool) -> Self {
        Self { inner: Arc::new(Inner { certificate, connection_id, crl_expired: AtomicBool::new(crl_expired) }) }
    }

    /// The `<id>` of the certificate's one URI SAN `spiffe://<trust-domain>/client/<id>`: the key into policy.
    pub fn client_id(&self) -> &Arc<str> {
        &self.inner.certificate.client_id
    }

    /// The certificate's serial number, lower-case hex without separators.
    pub fn serial(&self) -> &str {
        &self.inner.certificate.serial
    }

    /// SHA-256 of the certificate's DER encoding.
    pub fn fingerprint(&self) -> &[u8; 32] {
        &self.inner.certificate.fingerprint
    }

    /// When the first certificate of the presented chain ends, in seconds since 1970-01-01 UTC. The connection ends then.
    pub fn not_after_unix_s(&self) -> u64 {
        self.inner.certificate.not_after_unix_s
    }

    /// Unique among the connections of one [`crate::serve::Gate`]; for logs and audit.
    pub fn connection_id(&self) -> u64 {
        self.inner.connection_id
    }

    /// True while the revocation list is past its `nextUpdate` and this client was admitted only because policy pins it.
    /// Services then allow lifts and nothing else. Live: turns false when a fresh list arrives, so ask per request.
    pub fn crl_expired(&self) -> bool {
        self.inner.crl_expired.load(Ordering::Acquire)
    }

    pub(crate) fn set_crl_expired(&self, expired: bool) {
        self.inner.crl_expired.store(expired, Ordering::Release);
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer")
            .field("client_id", &self.client_id())
            .field("connection_id", &self.connection_id())
            .field("crl_expired", &self.crl_expired())
            .finish_non_exhaustive()
    }
}
