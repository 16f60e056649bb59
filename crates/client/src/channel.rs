//! A tonic channel over our own connector: tonic's built-in TLS can't choose provider, groups or versions, nor read
//! certificates again.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::{Channel, Endpoint, Uri};
use tower::service_fn;

use crate::error::causes;
use crate::tls::TlsFiles;
use crate::{Config, Error};

/// HTTP/2 flow-control windows: a batch answer must not wait for window updates over a long line.
const STREAM_WINDOW_BYTES: u32 = 2 * 1024 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 8 * 1024 * 1024;
/// HTTP/2 frames that the hub may send: a piece of a snapshot goes in one.
const FRAME_BYTES: u32 = 128 * 1024;

/// Connects now, and again whenever the connection is gone.
pub(crate) async fn first(config: &Config) -> Result<Channel, Error> {
    let (endpoint, dialler) = prepare(config)?;
    let connected = endpoint.connect_with_connector(service_fn(move |uri| dialler.clone().dial(uri))).await;
    connected.map_err(|error| Error::Connection(causes(&error)))
}

/// Connects at the first call, and again whenever the connection is gone.
pub(crate) fn lazy(config: &Config) -> Result<Channel, Error> {
    let (endpoint, dialler) = prepare(config)?;
    Ok(endpoint.connect_with_connector_lazy(service_fn(move |uri| dialler.clone().dial(uri))))
}

fn prepare(config: &Config) -> Result<(Endpoint, Dialler), Error> {
    let uri = config.checked_uri()?;
    let name = ServerName::try_from(config.expected_server_name(&uri).to_owned())
        .map_err(|_| Error::Config("server_name: is neither a DNS name nor an IP address".to_owned()))?;
    let files = Arc::new(TlsFiles::open(config.clone())?);
    Ok((endpoint(uri, config)?, Dialler { files, name, timeout: config.timeouts.connect }))
}

fn endpoint(uri: Uri, config: &Config) -> Result<Endpoint, Error> {
    Ok(Endpoint::from(uri)
        .user_agent(concat!("xinhub-client/", env!("CARGO_PKG_VERSION")))
        .map_err(|error| Error::Config(error.to_string()))?
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_frame_size(FRAME_BYTES)
        .http2_max_header_list_size(64 * 1024)
        .http2_keep_alive_interval(config.timeouts.keepalive)
        .keep_alive_timeout(config.timeouts.keepalive))
}

/// Makes one connection after the other.
#[derive(Clone)]
struct Dialler {
    files: Arc<TlsFiles>,
    name: ServerName<'static>,
    timeout: Duration,
}

impl Dialler {
    /// TCP and TLS, within the time given. The hub judges the client's certificate after this has returned (RFC 8446
    /// §4.4.2): a refusal shows at the first call.
    async fn dial(self, uri: Uri) -> io::Result<TokioIo<TlsStream<TcpStream>>> {
        let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = uri.port_u16().unwrap_or(443);
        let connecting = async {
            let tls = tokio::task::spawn_blocking(move || self.files.current()).await.map_err(io::Error::other)?;
            let tcp = TcpStream::connect((host, port)).await?;
            tcp.set_nodelay(true)?;
            TlsConnector::from(tls).connect(self.name, tcp).await
        };
        let connected = tokio::time::timeout(self.timeout, connecting).await;
        let late = |_| io::Error::new(io::ErrorKind::TimedOut, "no connection within the time given");
        connected.map_err(late)?.map(TokioIo::new)
    }
}
