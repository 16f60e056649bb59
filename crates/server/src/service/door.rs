//! The door: what happens to every call before and after its method.
//!
//! Promises: no method runs for a caller that policy refuses; every call gets a request id, which its answer carries; every
//! call is recorded, counted and logged once, also one whose method forgot to; and no failure leaves that isn't of the
//! catalogue. A log line names method, client, code and reason, nothing of the message.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Request, Response};
use tokio::time::Instant;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::Service;
use uuid::Uuid;
use xinhub_api::reason::{Failure, Reason, reason_of};
use xinhub_domain::policy::Method;
use xinhub_ledger::crypto;

use super::Hub;
use super::call::Call;
use crate::metrics::code_name;
use crate::serve::Peer;

/// The header that carries a call's request id, both ways.
const REQUEST_ID: &str = "x-request-id";

/// Wraps the services. See the module.
#[derive(Clone, Debug)]
pub struct Door<S> {
    hub: Arc<Hub>,
    inner: S,
}

impl<S> Door<S> {
    /// Puts `inner` behind the door.
    pub fn new(hub: Arc<Hub>, inner: S) -> Self {
        Door { hub, inner }
    }
}

type Answer = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

impl<S, B> Service<Request<B>> for Door<S>
where
    S: Service<Request<B>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Answer {
        // The clone that was polled ready is the one to call.
        let ready = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, ready);
        let hub = Arc::clone(&self.hub);
        Box::pin(async move { Ok(pass(hub, inner, request).await) })
    }
}

async fn pass<S, B>(hub: Arc<Hub>, mut inner: S, mut request: Request<B>) -> Response<Body>
where
    S: Service<Request<B>, Response = Response<Body>, Error = Infallible>,
{
    let started = Instant::now();
    let request_id = request_id(request.headers(), &hub);
    let method = Method::from_path(request.uri().path());
    let peer = request.extensions().get::<Peer>().cloned();
    let (mut response, call) = match enter(&hub, method, peer.as_ref(), request_id) {
        Ok(call) => {
            if let Some(call) = &call {
                request.extensions_mut().insert(Arc::clone(call));
            }
            let Ok(response) = inner.call(request).await;
            (response, call)
        }
        Err(failure) => (Status::from(failure).into_http(), None),
    };
    let (code, reason) = settle(&mut response);
    if let Some(call) = call {
        call.close_if_open(code, reason);
    }
    if let Ok(mut value) = HeaderValue::from_str(request_id.hyphenated().encode_lower(&mut Uuid::encode_buffer())) {
        // Each is another: in HTTP/2's header table they would push out what answers have in common.
        value.set_sensitive(true);
        response.headers_mut().insert(REQUEST_ID, value);
    }
    let took = started.elapsed();
    hub.metrics.count_call(method, code, took);
    log(request_id, method, peer.as_ref(), code, reason, took);
    response
}

/// Lets a caller in, or says why not. A path that no service has is let through: the routes answer `UNIMPLEMENTED`.
fn enter(
    hub: &Arc<Hub>,
    method: Option<Method>,
    peer: Option<&Peer>,
    request_id: Uuid,
) -> Result<Option<Arc<Call>>, Failure> {
    let Some(peer) = peer else {
        // Nothing but `serve::Gate` leads here, and it adds the peer.
        return Err(Failure::new(
            Reason::UnknownClient,
            "the call came without a client certificate; connect by mutual TLS",
        ));
    };
    method.map(|method| Call::open(hub, peer, method, request_id)).transpose()
}

/// Code and reason of an answer. A failure that tonic made itself is replaced by its entry of the catalogue.
fn settle(response: &mut Response<Body>) -> (Code, Option<Reason>) {
    let Some(status) = response.extensions().get::<Status>() else {
        return (Code::Ok, None);
    };
    if let Some(reason) = reason_of(status) {
        return (status.code(), Some(reason));
    }
    let Some(failure) = catalogued(status.code()) else {
        return (status.code(), None);
    };
    let settled = (failure.code(), Some(failure.reason()));
    *response = Status::from(failure).into_http();
    settled
}

/// The entry for a failure of tonic's own, such as a message too large or not decodable. Its text may quote the message, so
/// it doesn't leave.
pub(super) fn catalogued(code: Code) -> Option<Failure> {
    match code {
        Code::OutOfRange => {
            Some(Failure::new(Reason::BatchTooLarge, "the message is larger than this method takes; split it"))
        }
        Code::Internal | Code::Unknown | Code::InvalidArgument | Code::DataLoss => Some(Failure::new(
            Reason::InvalidField,
            "the message can't be decoded as this method's request; build it from proto/xinhub/v1",
        )),
        Code::Ok
        | Code::Cancelled
        | Code::DeadlineExceeded
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::ResourceExhausted
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::Unimplemented
        | Code::Unavailable
        | Code::Unauthenticated => None,
    }
}

/// The caller's own request id where it is a UUID, else a new one.
fn request_id(headers: &HeaderMap, hub: &Hub) -> Uuid {
    let given =
        headers.get(REQUEST_ID).and_then(|value| value.to_str().ok()).and_then(|text| Uuid::try_parse(text).ok());
    given.unwrap_or_else(|| {
        let ms = u64::try_from(hub.clock.wall().0).unwrap_or(0);
        uuid::Builder::from_unix_timestamp_millis(ms, &crypto::random_name()).into_uuid()
    })
}

fn log(id: Uuid, method: Option<Method>, peer: Option<&Peer>, code: Code, reason: Option<Reason>, took: Duration) {
    let client = peer.map_or("", |peer| &**peer.client_id());
    let method = method.map_or("unknown", Method::as_str);
    let code = code_name(code);
    let reason = reason.map_or("", |reason| reason.as_str_name());
    let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    if code == "OK" {
        tracing::debug!(request_id = %id, method, client, code, took_us, "call");
    } else {
        tracing::info!(request_id = %id, method, client, code, reason, took_us, "call");
    }
}
