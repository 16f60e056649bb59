//! Handshakes and re-verification on threads of their own.
//!
//! The socket stays registered with the runtime that accepted it; only the work, some half a millisecond of asymmetric
//! cryptography and certificate parsing per connection, is polled here. So nothing has to be moved between runtimes, and the
//! shape of the serving runtime (one multi-threaded, or one per core) doesn't matter.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::{CertificateDer, UnixTime};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;

use crate::tls::{ClientCertificate, Generation, Refusal, Standing};

pub(super) struct HandshakePool {
    /// `None` only while being dropped.
    runtime: Option<Runtime>,
}

/// A connection that proved who it is.
pub(super) struct Admission {
    pub(super) stream: TlsStream<TcpStream>,
    /// As presented, leaf first: judged anew after each reload.
    pub(super) chain: Arc<[CertificateDer<'static>]>,
    pub(super) certificate: ClientCertificate,
    pub(super) standing: Standing,
}

impl HandshakePool {
    pub(super) fn start(threads: usize) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(threads.max(1)).thread_name("handshake").build()?;
        Ok(Self { runtime: Some(runtime) })
    }

    /// Shakes hands on `stream` by `generation`, within `limit`.
    pub(super) async fn handshake(
        &self,
        stream: TcpStream,
        generation: Arc<Generation>,
        limit: Duration,
    ) -> Result<Admission, Refusal> {
        let work = async move {
            let stream = TlsAcceptor::from(Arc::clone(&generation.config))
                .accept(stream)
                .await
                .map_err(|error| refusal_of(&error))?;
            admit(stream, &generation)
        };
        match tokio::time::timeout(limit, self.run(work)).await {
            Ok(outcome) => outcome.unwrap_or(Err(Refusal::ShuttingDown)),
            Err(_) => Err(Refusal::Timeout),
        }
    }

    /// Judges a live connection's chain by `generation`.
    pub(super) async fn assess(
        &self,
        chain: Arc<[CertificateDer<'static>]>,
        generation: Arc<Generation>,
    ) -> Result<Standing, Refusal> {
        let work =
            async move { generation.verifier.assess(&chain, UnixTime::now()).map_err(|error| Refusal::of(&error)) };
        self.run(work).await.unwrap_or(Err(Refusal::ShuttingDown))
    }

    /// `None` if the work panicked or the pool is going away. Dropping the returned future aborts the work.
    async fn run<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> Option<T> {
        let task = self.runtime.as_ref()?.spawn(work.in_current_span());
        AbortOnDropHandle::new(task).await.ok()
    }
}

impl Drop for HandshakePool {
    fn drop(&mut self) {
        // A plain drop waits for its threads, which tokio forbids inside a runtime, where gates usually end.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn admit(stream: TlsStream<TcpStream>, generation: &Generation) -> Result<Admission, Refusal> {
    let session = stream.get_ref().1;
    // rustls refuses other protocols, but lets a client pass that names none.
    if session.alpn_protocol() != Some(b"h2") {
        return Err(Refusal::NoHttp2);
    }
    let chain: Arc<[_]> =
        session.peer_certificates().ok_or(Refusal::NoCertificate)?.iter().map(|der| der.clone().into_owned()).collect();
    let refused = |error| Refusal::of(&error);
    let certificate = generation.verifier.read(&chain).map_err(refused)?;
    // rustls has just verified the chain, but can't hand on how well it stands; only an expired list leaves that open.
    let now = UnixTime::now();
    let standing = if generation.crl_next_updates_unix_s().all(|end| now.as_secs() < end) {
        Standing::Good
    } else {
        generation.verifier.assess(&chain, now).map_err(refused)?
    };
    Ok(Admission { stream, chain, certificate, standing })
}

fn refusal_of(error: &io::Error) -> Refusal {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(error) => Refusal::of(error),
        None => Refusal::Io,
    }
}
