//! The empty RPC, in two forms: what a call costs before anything was done.
//!
//! *Out of the box*: tonic's own server and TLS, as its guide has them, on tokio's ordinary runtime. *Tuned*: on the hub's accept
//! loop, TLS, limits and runtime.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Certificate, Identity, ServerTlsConfig};
use tonic::{Request, Response, Status};
use xinhub_api::v1;
use xinhub_api::v1::lookup_service_server::{LookupService, LookupServiceServer};
use xinhub_server::config::Settings;
use xinhub_server::serve::Gate;
use xinhub_server::tls::TlsState;

use crate::{Result, note};

/// Answers every check with an empty message.
struct Echo;

type Answer<T> = std::result::Result<Response<T>, Status>;

#[tonic::async_trait]
impl LookupService for Echo {
    async fn check(&self, _: Request<v1::CheckRequest>) -> Answer<v1::CheckResponse> {
        Ok(Response::new(v1::CheckResponse::default()))
    }

    async fn batch_check(&self, _: Request<v1::BatchCheckRequest>) -> Answer<v1::BatchCheckResponse> {
        Ok(Response::new(v1::BatchCheckResponse::default()))
    }

    type CheckStreamStream = tonic::Streaming<v1::CheckStreamResponse>;

    async fn check_stream(
        &self,
        _: Request<tonic::Streaming<v1::CheckStreamRequest>>,
    ) -> Answer<Self::CheckStreamStream> {
        Err(Status::unimplemented("only unary calls are compared"))
    }

    async fn get_listing(&self, _: Request<v1::GetListingRequest>) -> Answer<v1::GetListingResponse> {
        Ok(Response::new(v1::GetListingResponse::default()))
    }

    async fn list_listings(&self, _: Request<v1::ListListingsRequest>) -> Answer<v1::ListListingsResponse> {
        Ok(Response::new(v1::ListListingsResponse::default()))
    }

    async fn list_announcements(
        &self,
        _: Request<v1::ListAnnouncementsRequest>,
    ) -> Answer<v1::ListAnnouncementsResponse> {
        Ok(Response::new(v1::ListAnnouncementsResponse::default()))
    }
}

/// Serves it by a hub's configuration until SIGTERM.
pub(crate) async fn serve_tuned(config: PathBuf) -> Result<()> {
    serve_routes(config, tonic::service::Routes::new(LookupServiceServer::new(Echo))).await
}

/// Serves services by a hub's configuration until SIGTERM.
pub(crate) async fn serve_routes(config: PathBuf, routes: tonic::service::Routes) -> Result<()> {
    let settings = Settings::load(&config)?;
    xinhub_server::logging::start(&settings.log)?;
    let tls = TlsState::load(settings.tls, Arc::new(|_: &str| false))?;
    let gate = Gate::new(tls, settings.limits)?;
    let listener = tokio::net::TcpListener::bind(settings.listen).await?;
    tracing::info!(listen = %listener.local_addr()?, "listening");
    let (shutdown, mut terminate) = (CancellationToken::new(), signal(SignalKind::terminate())?);
    let stop = shutdown.clone();
    tokio::spawn(async move {
        terminate.recv().await;
        stop.cancel();
    });
    gate.serve(listener, routes.prepare(), shutdown).await;
    Ok(())
}

/// Serves with the certificates in `pki` until SIGTERM.
pub(crate) async fn serve_out_of_the_box(pki: &Path) -> Result<()> {
    let read = |name: &str| std::fs::read(pki.join(name));
    let tls = ServerTlsConfig::new()
        .identity(Identity::from_pem(read("server.pem")?, read("server.key")?))
        .client_ca_root(Certificate::from_pem(read("ca.pem")?));
    let incoming = TcpIncoming::bind(([127, 0, 0, 1], 0).into())?.with_nodelay(Some(true));
    let mut server = tonic::transport::Server::builder().tls_config(tls)?;
    note(serde_json::json!({ "message": "listening", "listen": incoming.local_addr()? }));
    let mut terminate = signal(SignalKind::terminate())?;
    let stopped = async move {
        terminate.recv().await;
    };
    Ok(server.add_service(LookupServiceServer::new(Echo)).serve_with_incoming_shutdown(incoming, stopped).await?)
}
