//! What is done to every request on its way to the services.

use std::convert::Infallible;
use std::time::Duration;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Request, Response};
use hyper::body::Incoming;
use tower::ServiceExt;

use super::Peer;

/// `grpc-status` of a call whose deadline has passed.
const DEADLINE_EXCEEDED: HeaderValue = HeaderValue::from_static("4");

/// Hands `request` to `service` with its `peer`. Stops at the client's deadline: a client that has given up, or lost its
/// network, would otherwise keep a stream and its buffers until keepalive finds out.
pub(super) async fn call<S, B>(
    service: S,
    peer: Peer,
    mut request: Request<Incoming>,
) -> Result<Response<B>, Infallible>
where
    S: tower::Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    B: Default,
{
    let deadline = grpc_timeout(request.headers());
    request.extensions_mut().insert(peer);
    let call = service.oneshot(request);
    match deadline {
        None => call.await,
        Some(limit) => match tokio::time::timeout(limit, call).await {
            Ok(answer) => answer,
            Err(_) => Ok(deadline_exceeded()),
        },
    }
}

/// A gRPC answer of headers alone ("Trailers-Only").
fn deadline_exceeded<B: Default>() -> Response<B> {
    let mut answer = Response::new(B::default());
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    answer.headers_mut().insert("grpc-status", DEADLINE_EXCEEDED);
    answer.headers_mut().insert("grpc-message", HeaderValue::from_static("the call's deadline has passed"));
    answer
}

/// `Timeout → "grpc-timeout" TimeoutValue TimeoutUnit`, at most 8 digits and a unit (gRPC over HTTP/2, "Requests"). A value
/// of another form counts as none, as in other gRPC servers.
fn grpc_timeout(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let value: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(value * 3600)),
        "M" => Some(Duration::from_secs(value * 60)),
        "S" => Some(Duration::from_secs(value)),
        "m" => Some(Duration::from_millis(value)),
        "u" => Some(Duration::from_micros(value)),
        "n" => Some(Duration::from_nanos(value)),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<Duration>) {
        let mut headers = HeaderMap::new();
        headers.insert("grpc-timeout", HeaderValue::from_str(text).unwrap());
        assert_eq!(grpc_timeout(&headers), expected, "{text:?}");
    }

    #[test]
    fn timeouts_are_read_as_grpc_writes_them() {
        check("1H", Some(Duration::from_secs(3600)));
        check("2M", Some(Duration::from_secs(120)));
        check("3S", Some(Duration::from_secs(3)));
        check("250m", Some(Duration::from_millis(250)));
        check("9u", Some(Duration::from_micros(9)));
        check("0n", Some(Duration::ZERO));
        check("99999999H", Some(Duration::from_secs(99_999_999 * 3600)));
        for other in ["", "S", "100000000S", "1", "1s", "-1S", "+1S", "1.5S", "1é"] {
            check(other, None);
        }
    }
}
