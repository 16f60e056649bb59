//! An empty RPC on the hub's own accept loop, TLS and limits: what a call costs before the hub has done anything.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};
use xinhub_api::v1;
use xinhub_api::v1::lookup_service_server::{LookupService, LookupServiceServer};
use xinhub_server::config::Settings;
use xinhub_server::serve::Gate;
use xinhub_server::tls::TlsState;

use crate::Result;

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
pub(crate) async fn serve(config: PathBuf) -> Result<()> {
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
