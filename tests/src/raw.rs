//! Connections below the SDK: one that never connects anew, for headers, health, messages of any size, and every method
//! by its path.

use std::io;
use std::sync::Arc;

use hyper_util::rt::TokioIo;
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_stream::once;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status, Streaming};

use crate::Hub;

/// Connects with a client's certificate; when the connection has ended, calls fail.
///
/// # Errors
/// Where the handshake fails on this side.
///
/// # Panics
/// Where the certificate files can't be read.
pub async fn connect(hub: &Hub, client: &str) -> io::Result<Channel> {
    connect_through(hub, client, Endpoint::from_static("http://localhost")).await
}

/// As [`connect`], but of what a stream brings no more than so many bytes come that nobody reads (RFC 9113, section 5.2).
///
/// # Errors
/// As [`connect`].
///
/// # Panics
/// As [`connect`].
pub async fn connect_with_window(hub: &Hub, client: &str, bytes: u32) -> io::Result<Channel> {
    connect_through(hub, client, Endpoint::from_static("http://localhost").initial_stream_window_size(bytes)).await
}

async fn connect_through(hub: &Hub, client: &str, endpoint: Endpoint) -> io::Result<Channel> {
    let mut once = Some(TokioIo::new(handshake(hub, client).await?));
    let connector = tower::service_fn(move |_| {
        let stream = once.take().ok_or_else(|| io::Error::other("the connection has ended"));
        std::future::ready(stream)
    });
    endpoint.connect_with_connector(connector).await.map_err(io::Error::other)
}

/// The certificate that the hub shows to a new connection, in DER.
///
/// # Panics
/// Where there is no connection.
pub async fn certificate_of(hub: &Hub) -> Vec<u8> {
    let stream = handshake(hub, crate::parties::OPERATOR).await.unwrap();
    stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

async fn handshake(hub: &Hub, client: &str) -> io::Result<TlsStream<TcpStream>> {
    let (chain, key) = hub.certificate(client);
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(hub.ca_path()).unwrap()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(
            CertificateDer::pem_file_iter(chain).unwrap().map(Result::unwrap).collect(),
            PrivateKeyDer::from_pem_file(key).unwrap(),
        )
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let stream = TcpStream::connect(hub.grpc()).await?;
    TlsConnector::from(Arc::new(config)).connect("localhost".try_into().unwrap(), stream).await
}

/// Calls the method of this path with one message, and waits for its first message or its end. For HTTP/2 a unary call
/// and a stream of one message are the same.
///
/// # Errors
/// The status.
///
/// # Panics
/// Where the connection has ended.
pub async fn call(channel: &Channel, path: &'static str, message: Vec<u8>) -> Result<Vec<u8>, Status> {
    let mut first = open(channel, path, message).await?.into_inner();
    Ok(first.message().await?.unwrap_or_default())
}

/// Calls the method of this path with one message; the response has its headers.
///
/// # Errors
/// The status.
///
/// # Panics
/// Where the connection has ended.
pub async fn open(
    channel: &Channel,
    path: &'static str,
    message: Vec<u8>,
) -> Result<Response<Streaming<Vec<u8>>>, Status> {
    open_with(channel, path, Request::new(once(message))).await
}

/// As [`open`], with headers.
///
/// # Errors
/// The status.
///
/// # Panics
/// Where the connection has ended.
pub async fn open_with(
    channel: &Channel,
    path: &'static str,
    request: Request<tokio_stream::Once<Vec<u8>>>,
) -> Result<Response<Streaming<Vec<u8>>>, Status> {
    let mut grpc = Grpc::new(channel.clone()).max_decoding_message_size(64 << 20);
    grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    grpc.streaming(request, tonic::codegen::http::uri::PathAndQuery::from_static(path), Bytes).await
}

/// Messages as they are.
#[derive(Clone, Copy, Debug)]
struct Bytes;

impl Codec for Bytes {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Bytes;
    type Decoder = Bytes;

    fn encoder(&mut self) -> Bytes {
        Bytes
    }

    fn decoder(&mut self) -> Bytes {
        Bytes
    }
}

impl Encoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        prost::bytes::BufMut::put_slice(to, &item);
        Ok(())
    }
}

impl Decoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        use prost::bytes::Buf;
        let mut item = vec![0; from.remaining()];
        from.copy_to_slice(&mut item);
        Ok(Some(item))
    }
}
