//! Who may connect: TLS 1.3 with a client certificate, or nothing.
//!
//! What this module promises:
//! - A connection is admitted only with a certificate that chains to a CA of `client_ca_path`, is in its validity, is issued
//!   for client authentication, is on no revocation list, is covered by one that is not past its `nextUpdate`, and names
//!   exactly one client of the hub's trust domain. The one exception: past `nextUpdate`, clients that policy pins (courts,
//!   who must be able to lift) are admitted and flagged.
//! - No resumption, no tickets, no early data: each would skip the check of the certificate (RFC 8446 §2.2, §2.3).
//! - The post-quantum group X25519MLKEM768 is taken wherever the client has it.
//! - [`TlsState::reload`] either puts the whole new set of files in force, and then every live connection is judged anew by
//!   it, or changes nothing and says why.
//!
//! It holds no sockets: [`crate::serve`] does.

mod crl;
mod identity;
mod material;
mod refusal;
mod verifier;

use std::path::PathBuf;
use std::sync::Arc;

use rustls::ServerConfig;
use tokio::sync::watch;

pub use crl::{CRL_AMBER_S, CrlHealth};
pub(crate) use identity::ClientCertificate;
use material::Material;
pub use material::TlsError;
pub use refusal::Refusal;
pub(crate) use verifier::{ClientVerifier, Standing};

/// Of a TLS record that the hub sends, with its header of 5: a cache line less than the largest.
///
/// On AMD's processors since Zen 3 some versions of glibc (2.36 does) copy all but short pieces by `rep movsb`, which falls to a thirtieth of
/// its speed where the target begins up to 31 bytes ahead of the source, by their place in the page (glibc bug 30994; the example
/// `copy_cost`). Large buffers begin at pages and headers come first: of a long message to a client that takes long frames, as ours does,
/// each record of 16 KiB would be copied to just there, and now only the first. Frames of 16 KiB, gRPC's usual, are a record each.
pub(crate) const RECORD_BYTES: usize = 16 * 1024 + 5 - 64;

/// Where the hub's certificate, its clients' CA and the revocation lists are, and whose clients they name.
#[derive(Clone, Debug)]
pub struct TlsSettings {
    /// PEM: the hub's certificate, then its intermediates.
    pub cert_chain_path: PathBuf,
    /// PEM: the private key of the first certificate. Refused if others can read it.
    pub key_path: PathBuf,
    /// PEM: the CAs whose client certificates are accepted, each with a revocation list of its own.
    pub client_ca_path: PathBuf,
    /// PEM (several in one file are fine) or DER: one list per issuing CA, intermediates included.
    pub crl_paths: Vec<PathBuf>,
    /// As in `spiffe://<trust-domain>/client/<id>`; lower case.
    pub trust_domain: String,
}

/// Says whether policy pins a client id: it may then connect, and only lift, past the revocation list's `nextUpdate`.
/// Asked at each handshake that needs it, so it may read a policy that changes.
pub type PinnedClients = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// The TLS files in force. Handshakes read it, [`reload`](Self::reload) replaces it, live connections watch it.
pub struct TlsState {
    settings: TlsSettings,
    pinned: PinnedClients,
    generations: watch::Sender<Arc<Generation>>,
    /// One reload at a time; else the older of two could win.
    reloading: parking_lot::Mutex<()>,
}

/// One consistent set of files.
pub(crate) struct Generation {
    pub(crate) config: Arc<ServerConfig>,
    pub(crate) verifier: Arc<ClientVerifier>,
    material: Material,
}

impl TlsState {
    /// Reads and checks every file.
    ///
    /// A revocation list past its `nextUpdate` is accepted, and reported by [`crl_health`](Self::crl_health): the courts
    /// that policy pins can still lift by it.
    ///
    /// # Errors
    /// Names the file, what is wrong with it, and the way out.
    pub fn load(settings: TlsSettings, pinned: PinnedClients) -> Result<Arc<Self>, TlsError> {
        let generation = Generation::build(Material::read(&settings)?, &settings, &pinned)?;
        let (generations, _) = watch::channel(Arc::new(generation));
        Ok(Arc::new(Self { settings, pinned, generations, reloading: parking_lot::Mutex::new(()) }))
    }

    /// Reads every file again and, if all is well, puts them in force together: new handshakes use them, and live
    /// connections whose certificate no longer passes are cut; the rest don't notice. Blocks while it reads.
    ///
    /// # Errors
    /// As [`load`](Self::load), and for a revocation list older than the one in force (it would bring revoked certificates
    /// back). The files in force then stay so.
    pub fn reload(&self) -> Result<(), TlsError> {
        let _one_at_a_time = self.reloading.lock();
        let material = Material::read(&self.settings)?;
        material.refuse_older_crls(&self.generations.borrow().material)?;
        let generation = Generation::build(material, &self.settings, &self.pinned)?;
        self.generations.send_replace(Arc::new(generation));
        Ok(())
    }

    /// Has every live connection judged anew by the files in force. For a policy whose pinned clients have changed.
    pub fn recheck(&self) {
        self.generations.send_modify(|_| ());
    }

    /// How much time the revocation lists leave at `now_unix_s`.
    pub fn crl_health(&self, now_unix_s: u64) -> CrlHealth {
        CrlHealth::at(now_unix_s, self.generations.borrow().first_crl_end_unix_s())
    }

    /// When the first of the revocation lists ends, for metrics.
    pub fn first_crl_end_unix_s(&self) -> u64 {
        self.generations.borrow().first_crl_end_unix_s()
    }

    /// When the hub's own certificate ends, for health and metrics.
    pub fn server_not_after_unix_s(&self) -> u64 {
        self.generations.borrow().material.server_not_after_unix_s
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<Arc<Generation>> {
        self.generations.subscribe()
    }
}

impl Generation {
    fn build(material: Material, settings: &TlsSettings, pinned: &PinnedClients) -> Result<Self, TlsError> {
        let provider = material::provider();
        let verifier = Arc::new(
            ClientVerifier::new(
                material.roots.clone(),
                material.crl_ders(),
                material.trust_domain.clone(),
                Arc::clone(pinned),
                &provider,
            )
            .map_err(|source| TlsError::Verifier { path: settings.client_ca_path.clone(), source })?,
        );
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(TlsError::Provider)?
            .with_client_cert_verifier(Arc::clone(&verifier) as _)
            .with_single_cert(material.chain.clone(), material.key.clone_key())
            .map_err(|source| TlsError::KeyMismatch { path: settings.key_path.clone(), source })?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.max_early_data_size = 0;
        config.max_fragment_size = Some(RECORD_BYTES);
        Ok(Self { config: Arc::new(config), verifier, material })
    }

    /// When each list ends.
    pub(crate) fn crl_next_updates_unix_s(&self) -> impl Iterator<Item = u64> {
        self.material.crls.iter().map(|(facts, _)| facts.next_update_unix_s)
    }

    fn first_crl_end_unix_s(&self) -> u64 {
        // `Material` holds one list at least; without any, no client could be judged, which is what 0 says.
        self.crl_next_updates_unix_s().min().unwrap_or(0)
    }
}
