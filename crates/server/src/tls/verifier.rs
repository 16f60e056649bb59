//! The one judge of client certificates, at the handshake and for live connections after a reload.

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, OtherError, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};

use super::PinnedClients;
use super::identity::{ClientCertificate, TrustDomain};
use super::refusal::Refusal;

/// How well a chain that passed stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Chain, usage, name and revocation status are all sure.
    Good,
    /// As above, but by a list past its `nextUpdate`; only for clients pinned in policy.
    CrlExpired,
}

/// Two webpki verifiers that differ in one point, whether a list past its `nextUpdate` still counts, and the name check.
pub(crate) struct ClientVerifier {
    strict: Arc<dyn ClientCertVerifier>,
    /// Still refuses what an expired list revokes, and what no list covers.
    past_expiry: Arc<dyn ClientCertVerifier>,
    trust_domain: TrustDomain,
    pinned: PinnedClients,
}

impl ClientVerifier {
    pub(super) fn new(
        roots: RootCertStore,
        crls: Vec<CertificateRevocationListDer<'static>>,
        trust_domain: TrustDomain,
        pinned: PinnedClients,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, rustls::server::VerifierBuilderError> {
        // An empty list of CRLs would switch revocation off altogether; `Material` refuses it before.
        let builder =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider)).with_crls(crls);
        Ok(Self {
            past_expiry: builder.clone().build()?,
            strict: builder.enforce_revocation_expiration().build()?,
            trust_domain,
            pinned,
        })
    }

    /// Checks `chain` (leaf first) from the ground up. Costs a signature check per certificate and list: keep it off the
    /// serving threads.
    pub(crate) fn assess(&self, chain: &[CertificateDer<'_>], now: UnixTime) -> Result<Standing, rustls::Error> {
        let Some((leaf, intermediates)) = chain.split_first() else {
            return Err(rustls::Error::NoCertificatesPresented);
        };
        let standing = match self.strict.verify_client_cert(leaf, intermediates, now) {
            Ok(_) => Standing::Good,
            Err(error) if Refusal::of(&error) == Refusal::CrlExpired && self.is_pinned(leaf) => {
                self.past_expiry.verify_client_cert(leaf, intermediates, now)?;
                Standing::CrlExpired
            }
            Err(error) => return Err(error),
        };
        match self.read(chain) {
            Ok(_) => Ok(standing),
            Err(error) => Err(error),
        }
    }

    /// The client's name and certificate data. Proves nothing by itself.
    pub(crate) fn read(&self, chain: &[CertificateDer<'_>]) -> Result<ClientCertificate, rustls::Error> {
        ClientCertificate::read(chain, &self.trust_domain)
            .map_err(|fault| CertificateError::Other(OtherError(Arc::new(fault))).into())
    }

    fn is_pinned(&self, leaf: &CertificateDer<'_>) -> bool {
        ClientCertificate::claimed_id(leaf, &self.trust_domain).is_some_and(|id| (self.pinned)(&id))
    }
}

impl std::fmt::Debug for ClientVerifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientVerifier").field("trust_domain", &self.trust_domain).finish_non_exhaustive()
    }
}

impl ClientCertVerifier for ClientVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.strict.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let chain: Vec<_> = std::iter::once(end_entity).chain(intermediates).cloned().collect();
        match self.assess(&chain, now) {
            Ok(_) => Ok(ClientCertVerified::assertion()),
            Err(error) => {
                // The accept loop logs the refusal too, but never sees the certificate. The id is only a claim here.
                let claimed_id = ClientCertificate::claimed_id(end_entity, &self.trust_domain);
                tracing::info!(reason = Refusal::of(&error).as_str(), claimed_id, "client certificate refused");
                Err(error)
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.strict.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.strict.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.strict.supported_verify_schemes()
    }
}
