//! What a client needs to know to reach a hub. Nothing here is a secret: keys are named by path.

use std::path::PathBuf;
use std::time::Duration;

use tonic::transport::Uri;

use crate::Error;

/// Where a hub is, and who calls.
#[derive(Clone, Debug)]
pub struct Config {
    /// The hub, as `https://host:port`. TLS is not optional: any other scheme is refused.
    pub endpoint: String,
    /// PEM: the CAs that the hub's certificate may chain to. No other root is trusted.
    pub ca_pem_path: PathBuf,
    /// PEM: the client's certificate, then its intermediates.
    pub cert_path: PathBuf,
    /// PEM: the private key of the first certificate.
    pub key_path: PathBuf,
    /// The DNS name or IP address that the hub's certificate must carry; the endpoint's host if `None`.
    pub server_name: Option<String>,
    /// How long to wait for what.
    pub timeouts: Timeouts,
    /// Largest message taken from the hub, in bytes: a page of 500 listings with long texts.
    pub max_receive_bytes: usize,
    /// Largest message sent, in bytes: a batch of 10,000 inquiries with names and references.
    pub max_send_bytes: usize,
}

impl Config {
    /// A configuration with the default timeouts and limits.
    pub fn new(
        endpoint: impl Into<String>,
        ca_pem_path: impl Into<PathBuf>,
        cert_path: impl Into<PathBuf>,
        key_path: impl Into<PathBuf>,
    ) -> Self {
        Self {
            endpoint: endpoint.into(),
            ca_pem_path: ca_pem_path.into(),
            cert_path: cert_path.into(),
            key_path: key_path.into(),
            server_name: None,
            timeouts: Timeouts::default(),
            max_receive_bytes: 16 * 1024 * 1024,
            max_send_bytes: 8 * 1024 * 1024,
        }
    }

    /// The endpoint, checked: https, a host, no path.
    pub(crate) fn checked_uri(&self) -> Result<Uri, Error> {
        let refuse = |problem: &str| Err(Error::Config(format!("endpoint: {problem}, expected https://host:port")));
        let Ok(uri) = self.endpoint.parse::<Uri>() else { return refuse("is no URI") };
        if uri.scheme_str() != Some("https") {
            return refuse("has another scheme than https");
        }
        if uri.host().is_none_or(str::is_empty) {
            return refuse("names no host");
        }
        if uri.path() != "/" || uri.query().is_some() {
            return refuse("has a path or query");
        }
        Ok(uri)
    }

    /// The name that the hub's certificate must carry.
    pub(crate) fn expected_server_name<'a>(&'a self, uri: &'a Uri) -> &'a str {
        let host = self.server_name.as_deref().or(uri.host()).unwrap_or_default();
        host.trim_start_matches('[').trim_end_matches(']')
    }
}

/// How long to wait for what. A call past its time fails with `DEADLINE_EXCEEDED`; the hub is told the same deadline.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// TCP and TLS until the connection stands.
    pub connect: Duration,
    /// One check, one listing, the status. Longer than the 2 s that the hub waits for `at_least`.
    pub lookup: Duration,
    /// A batch of up to 10,000, or a page of listings.
    pub batch: Duration,
    /// A mutation: answered only when it is durable.
    pub mutation: Duration,
    /// The manifest of a replica: the hub may have to make a snapshot of the whole list first.
    pub snapshot: Duration,
    /// Streams end when either side ends them. A peer that is silent for this long is asked for a sign of life, and
    /// the connection is given up when none comes within the same time again.
    pub keepalive: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            lookup: Duration::from_secs(5),
            batch: Duration::from_secs(60),
            mutation: Duration::from_secs(30),
            snapshot: Duration::from_secs(900),
            keepalive: Duration::from_secs(15),
        }
    }
}
