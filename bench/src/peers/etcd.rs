//! etcd: keys in its store, asked for by `Range` without a round through the quorum (serializable), over tonic.
//!
//! The few messages that this takes are written down here, from etcd's `rpc.proto`: what is left out is never sent, and ignored
//! when it comes.

use std::path::PathBuf;
use std::sync::Arc;

use hyper_util::rt::TokioIo;
use prost::Message;
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::StreamExt;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic_prost::ProstCodec;
use tower::service_fn;

use super::{ETCD, Key, Keys, command, free_address, left_out, program, start};
use crate::compare::Contender;
use crate::load::{Call, Class, Line};
use crate::process::Server;
use crate::world::World;
use crate::{Result, note, tls};

/// Keys that one transaction puts, and transactions under way while loading.
const PUT_TOGETHER: usize = 1_000;

#[derive(Clone, PartialEq, Message)]
struct RangeRequest {
    #[prost(bytes = "vec", tag = "1")]
    key: Vec<u8>,
    #[prost(bool, tag = "7")]
    serializable: bool,
}

#[derive(Clone, PartialEq, Message)]
struct RangeResponse {
    #[prost(message, repeated, tag = "2")]
    kvs: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct KeyValue {
    #[prost(bytes = "vec", tag = "1")]
    key: Vec<u8>,
    #[prost(bytes = "vec", tag = "5")]
    value: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct PutRequest {
    #[prost(bytes = "vec", tag = "1")]
    key: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct TxnRequest {
    #[prost(message, repeated, tag = "2")]
    success: Vec<RequestOp>,
}

#[derive(Clone, PartialEq, Message)]
struct RequestOp {
    #[prost(message, optional, tag = "2")]
    request_put: Option<PutRequest>,
}

#[derive(Clone, PartialEq, Message)]
struct TxnResponse {
    #[prost(bool, tag = "2")]
    succeeded: bool,
}

#[derive(Clone, PartialEq, Message)]
struct PutResponse {}

#[derive(Clone, PartialEq, Message)]
struct WatchRequest {
    #[prost(message, optional, tag = "1")]
    create_request: Option<WatchCreateRequest>,
}

#[derive(Clone, PartialEq, Message)]
struct WatchCreateRequest {
    #[prost(bytes = "vec", tag = "1")]
    key: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct WatchResponse {
    #[prost(bool, tag = "3")]
    created: bool,
    #[prost(message, repeated, tag = "11")]
    events: Vec<Event>,
}

#[derive(Clone, PartialEq, Message)]
struct Event {
    #[prost(message, optional, tag = "2")]
    kv: Option<KeyValue>,
}

/// What is watched, under which numbers are put.
const WATCHED: &[u8] = b"lift";

pub(crate) struct Etcd {
    pub(crate) server: Server,
    tls: Arc<ClientConfig>,
    keys: Keys,
}

impl Etcd {
    /// Starts it without a key; `None` where it isn't installed.
    pub(crate) async fn empty(world: &World) -> Result<Option<Self>> {
        Ok(match program("etcd") {
            Some(program) => Some(Self::start(world, program, Keys { rows: 0 }).await?),
            None => left_out("etcd"),
        })
    }

    pub(super) async fn start(world: &World, program: PathBuf, keys: Keys) -> Result<Self> {
        let (address, peer) = (free_address()?, free_address()?);
        let data = world.path("etcd");
        if data.exists() {
            // Of an earlier run on a world that is kept.
            std::fs::remove_dir_all(&data)?;
        }
        let mut etcd = command(&program);
        etcd.arg("--data-dir").arg(data);
        let url = format!("https://{address}");
        etcd.args(["--listen-client-urls", &url, "--advertise-client-urls", &url]);
        // The way in over HTTP/1.1 would call this one's own door, with a certificate that is no client's.
        etcd.arg("--enable-grpc-gateway=false");
        // Of a cluster of one, nobody comes to this.
        etcd.args(["--listen-peer-urls", &format!("http://{peer}"), "--client-cert-auth"]);
        etcd.args(["--max-txn-ops", &PUT_TOGETHER.to_string(), "--quota-backend-bytes", "8000000000"]);
        etcd.args(["--log-level", "error"]);
        for (name, file) in
            [("--cert-file", "server.pem"), ("--key-file", "server.key"), ("--trusted-ca-file", "ca.pem")]
        {
            etcd.arg(name).arg(world.path("pki").join(file));
        }
        let server = start(etcd, &world.path("etcd.log"), address).await?;
        let etcd = Self { server, tls: tls::client(world, Some(tls::H2))?, keys };
        etcd.load().await?;
        Ok(etcd)
    }

    /// A connection of its own, for other calls too.
    pub(crate) async fn connect(&self) -> Result<Channel> {
        let address = self.server.address;
        let config = Arc::clone(&self.tls);
        let dial = service_fn(move |_: Uri| {
            let config = Arc::clone(&config);
            async move { tls::connect(&config, TcpStream::connect(address).await?).await.map(TokioIo::new) }
        });
        Ok(Endpoint::from_shared(format!("https://{address}"))?.connect_with_connector(dial).await?)
    }

    async fn load(&self) -> Result<()> {
        note(format_args!("putting {} keys into etcd", self.keys.rows));
        let channel = self.connect().await?;
        let all: Vec<Key> = self.keys.all().collect();
        for some in all.chunks(PUT_TOGETHER) {
            let put =
                |key: &Key| RequestOp { request_put: Some(PutRequest { key: key.to_vec(), value: key.to_vec() }) };
            let request = TxnRequest { success: some.iter().map(put).collect() };
            let done: TxnResponse = unary(channel.clone(), "/etcdserverpb.KV/Txn", request).await?;
            if !done.succeeded {
                return Err("etcd has not put what it was given".into());
            }
        }
        Ok(())
    }

    pub(super) fn contender(&self) -> Contender<'_> {
        Contender::new(ETCD, &self.server, move || async move {
            let (channel, keys) = (self.connect().await?, self.keys);
            let call: Call = Arc::new(move |at| {
                let channel = channel.clone();
                Box::pin(async move {
                    let (key, listed) = keys.asked(at);
                    let request = RangeRequest { key: key.to_vec(), serializable: true };
                    let found: RangeResponse = unary(channel, "/etcdserverpb.KV/Range", request).await?;
                    let value = found.kvs.first().map(|pair| &pair.value[..]);
                    if value != listed.then_some(&key[..]) {
                        return Err("etcd answers with another value".into());
                    }
                    Ok(Class::Main)
                })
            });
            Ok(Line::Calls(call))
        })
    }
}

/// Puts a number where it is watched.
pub(crate) async fn put(channel: Channel, number: u64) -> Result<()> {
    let request = PutRequest { key: WATCHED.to_vec(), value: number.to_be_bytes().to_vec() };
    unary::<_, PutResponse>(channel, "/etcdserverpb.KV/Put", request).await.map(drop)
}

/// Tells every number that is put, and when it came; 0 once it is watched.
pub(crate) async fn watch(channel: Channel, told: mpsc::Sender<(u64, Instant)>) -> Result<()> {
    let create_request = Some(WatchCreateRequest { key: WATCHED.to_vec() });
    // Its side stays open: else etcd would end the stream.
    let requests = tokio_stream::once(WatchRequest { create_request }).chain(tokio_stream::pending());
    let mut grpc = Grpc::new(channel);
    grpc.ready().await?;
    let codec = ProstCodec::<WatchRequest, WatchResponse>::default();
    let path = PathAndQuery::from_static("/etcdserverpb.Watch/Watch");
    let mut stream = grpc.streaming(tonic::Request::new(requests), path, codec).await?.into_inner();
    while let Some(WatchResponse { created, events }) = stream.message().await? {
        let at = Instant::now();
        if created {
            told.send((0, at)).await?;
        }
        for event in events {
            let number = event.kv.and_then(|pair| pair.value.try_into().ok());
            told.send((u64::from_be_bytes(number.ok_or("etcd tells of something else")?), at)).await?;
        }
    }
    Err("etcd has ended the watch".into())
}

async fn unary<Q, A>(channel: Channel, path: &'static str, request: Q) -> Result<A>
where
    Q: Message + Send + Sync + 'static,
    A: Message + Default + Send + Sync + 'static,
{
    let mut grpc = Grpc::new(channel);
    grpc.ready().await?;
    let codec = ProstCodec::<Q, A>::default();
    Ok(grpc.unary(tonic::Request::new(request), PathAndQuery::from_static(path), codec).await?.into_inner())
}
