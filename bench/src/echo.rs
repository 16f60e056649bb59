//! The empty RPC, in two forms: what a call costs before anything was done.
//!
//! *Out of the box*: tonic's own server over TLS, with its defaults, on tokio's ordinary runtime. *Tuned*: on the hub's accept
//! loop, TLS, limits and runtime.

use std::io::{self, IoSlice};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::Connected;
use tonic::{Request, Response, Status};
use xinhub_api::convert::{self, timestamp_to};
use xinhub_api::v1;
use xinhub_api::v1::lookup_service_server::{LookupService, LookupServiceServer};
use xinhub_domain::position::Position;
use xinhub_domain::time::Timestamp;
use xinhub_server::config::Settings;
use xinhub_server::serve::Gate;
use xinhub_server::tls::TlsState;

use crate::{Result, note, tls};

/// Answers an empty check with an empty message, and any other with the message that says of nobody that they are listed: what that takes on
/// the wire, and nothing done for it.
struct Echo;

type Answer<T> = std::result::Result<Response<T>, Status>;

#[tonic::async_trait]
impl LookupService for Echo {
    async fn check(&self, request: Request<v1::CheckRequest>) -> Answer<v1::CheckResponse> {
        let is_empty = request.get_ref().inquiry.is_none();
        Ok(Response::new(if is_empty { v1::CheckResponse::default() } else { not_listed() }))
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

/// As long as a hub's.
fn not_listed() -> v1::CheckResponse {
    let place = Position { epoch: [7; 16], revision: 10_000_000, time: Timestamp(1_700_000_000_123) };
    let time = Some(timestamp_to(place.time));
    let position = Some(v1::Position { token: place.token(), time });
    v1::CheckResponse { answer: Some(convert::not_listed()), position, use_by: time }
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

/// Serves it with the certificates in `pki` until SIGTERM.
///
/// TLS is laid on as tonic itself does it, and not by its own feature: with that, tonic refuses the SDK's connector in whatever is built
/// in one go with this.
pub(crate) async fn serve_out_of_the_box(pki: &Path) -> Result<()> {
    let acceptor = tls::server(pki, Some(tls::H2))?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    note(serde_json::json!({ "message": "listening", "listen": listener.local_addr()? }));
    let (sender, incoming) = mpsc::channel(64);
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let (acceptor, sender) = (acceptor.clone(), sender.clone());
            tokio::spawn(async move {
                // As tonic's own listener does by default.
                tcp.set_nodelay(true)?;
                let accepted = acceptor.accept(tcp).await?;
                sender.send(io::Result::Ok(Accepted(accepted))).await.map_err(io::Error::other)
            });
        }
    });
    let mut terminate = signal(SignalKind::terminate())?;
    let stopped = async move {
        terminate.recv().await;
    };
    let mut server = tonic::transport::Server::builder();
    let server = server.add_service(LookupServiceServer::new(Echo));
    Ok(server.serve_with_incoming_shutdown(ReceiverStream::new(incoming), stopped).await?)
}

/// A connection, as tonic takes it.
struct Accepted(TlsStream<TcpStream>);

impl Connected for Accepted {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl AsyncRead for Accepted {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, to)
    }
}

impl AsyncWrite for Accepted {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, from)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        from: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(context, from)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
