//! What Prometheus reads: calls, answers, refusals, and the state of the ledger, the audit and the certificates.
//!
//! Promises: labels are closed sets (methods, codes, verdicts), so that no client, measure or person shows, and the number
//! of series is bounded. Served without TLS on a listener of its own, bound to loopback by default.

mod calls;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, LabelSetEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tonic::Code;
use xinhub_domain::deadline::Clock;
use xinhub_domain::decision::Verdict;
use xinhub_domain::policy::Method;

use crate::quota::Limit;
use crate::serve::{ConnectionStats, Cut};
use crate::tls::Refusal;
use calls::Calls;

/// One or two labels, whose values are spelled in the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Labels<const N: usize>([(&'static str, &'static str); N]);

impl<const N: usize> EncodeLabelSet for Labels<N> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), std::fmt::Error> {
        self.0.as_slice().encode(encoder)
    }
}

/// The hub's state at the time of a scrape.
#[derive(Clone, Copy, Debug, Default)]
pub struct Snapshot {
    /// Events recorded.
    pub revision: u64,
    /// Keys and bytes of the resident index.
    pub index_keys: u64,
    /// See `index_keys`.
    pub index_bytes: u64,
    /// Listings, and bytes of their table.
    pub listings: u64,
    /// See `listings`.
    pub listing_table_bytes: u64,
    /// Events that the detail store is behind.
    pub detail_lag: u64,
    /// Bytes of the details that lie decoded in memory.
    pub detail_cache_bytes: u64,
    /// Audit records waiting for the disk.
    pub audit_waiting: u64,
    /// Whether time events are frozen.
    pub clock_frozen: bool,
    /// Whether the hub is draining.
    pub draining: bool,
    /// Alarms raised.
    pub alarms: u64,
    /// Hours until the first revocation list ends; negative once it has.
    pub crl_hours: i64,
    /// Days until the hub's certificate ends.
    pub certificate_days: i64,
    /// Deadlines that run, and that are overdue, by clock.
    pub deadlines: [(u64, u64); Clock::ALL.len()],
}

/// Gauges that are read off the hub at a scrape.
#[derive(Debug, Default)]
struct Gauges {
    revision: Gauge,
    index_keys: Gauge,
    index_bytes: Gauge,
    listings: Gauge,
    listing_table_bytes: Gauge,
    detail_lag: Gauge,
    detail_cache_bytes: Gauge,
    audit_waiting: Gauge,
    clock_frozen: Gauge,
    draining: Gauge,
    alarms: Gauge,
    crl_hours: Gauge,
    certificate_days: Gauge,
    connections: Gauge,
    deadlines: Family<Labels<2>, Gauge>,
    connection_events: Family<Labels<1>, Counter<u64, AtomicU64>>,
}

/// Every metric of the hub.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    calls: Calls,
    quota_refusals: Family<Labels<1>, Counter>,
    gauges: Gauges,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All at zero.
    pub fn new() -> Self {
        let mut metrics = Metrics {
            registry: Registry::with_prefix("xinhub"),
            calls: Calls::new(),
            quota_refusals: Family::default(),
            gauges: Gauges::default(),
        };
        metrics.register_calls();
        metrics.register_gauges();
        metrics
    }

    fn register_calls(&mut self) {
        let registry = &mut self.registry;
        registry.register_collector(Box::new(self.calls.clone()));
        registry.register("quota_refusals", "Calls refused for their quota, by limit", self.quota_refusals.clone());
    }

    fn register_gauges(&mut self) {
        let (registry, gauges) = (&mut self.registry, &self.gauges);
        let help = "Deadlines that nobody has met yet, by clock: running or overdue";
        registry.register("deadlines", help, gauges.deadlines.clone());
        registry.register("connection_events", "Connections by what became of them", gauges.connection_events.clone());
        for (name, help, gauge) in [
            ("ledger_revision", "Events recorded", &gauges.revision),
            ("index_keys", "Keys of the resident index", &gauges.index_keys),
            ("index_bytes", "Bytes of the resident index", &gauges.index_bytes),
            ("listings", "Listings, ended ones included", &gauges.listings),
            ("listing_table_bytes", "Bytes of the listing table", &gauges.listing_table_bytes),
            ("detail_lag", "Events that the detail store is behind", &gauges.detail_lag),
            ("detail_cache_bytes", "Bytes of details decoded in memory", &gauges.detail_cache_bytes),
            ("audit_waiting", "Audit records waiting for the disk", &gauges.audit_waiting),
            ("clock_frozen", "1 while time events are frozen because the clock is unsure", &gauges.clock_frozen),
            ("draining", "1 while the hub drains", &gauges.draining),
            ("alarms", "Alarms raised", &gauges.alarms),
            ("crl_hours", "Hours until the first revocation list ends", &gauges.crl_hours),
            ("certificate_days", "Days until the hub's certificate ends", &gauges.certificate_days),
            ("connections", "Connections being served", &gauges.connections),
        ] {
            registry.register(name, help, gauge.clone());
        }
    }

    /// Counts a call that has been answered, or whose stream has begun. `None` is a path that no service has.
    pub fn count_call(&self, method: Option<Method>, code: Code, took: Duration) {
        self.calls.count_call(method, code, took);
    }

    /// Counts an answer.
    pub fn count_answer(&self, method: Method, verdict: Verdict) {
        self.count_answers(method, verdict, 1);
    }

    /// Counts so many answers.
    pub fn count_answers(&self, method: Method, verdict: Verdict, count: u64) {
        self.calls.count_answers(method, verdict, count);
    }

    /// Counts a call refused for its quota.
    pub fn count_quota_refusal(&self, limit: Limit) {
        self.quota_refusals.get_or_create(&Labels([("limit", limit.as_str())])).inc();
    }

    /// Everything in the OpenMetrics text format, with the hub's state as it is now.
    pub fn encode(&self, now: &Snapshot, connections: &ConnectionStats) -> String {
        self.set(now, connections);
        let mut text = String::new();
        // Writing to a string can't fail.
        let _ = encode(&mut text, &self.registry);
        text
    }

    fn set(&self, now: &Snapshot, connections: &ConnectionStats) {
        let gauges = &self.gauges;
        for (gauge, value) in [
            (&gauges.revision, now.revision),
            (&gauges.index_keys, now.index_keys),
            (&gauges.index_bytes, now.index_bytes),
            (&gauges.listings, now.listings),
            (&gauges.listing_table_bytes, now.listing_table_bytes),
            (&gauges.detail_lag, now.detail_lag),
            (&gauges.detail_cache_bytes, now.detail_cache_bytes),
            (&gauges.audit_waiting, now.audit_waiting),
            (&gauges.clock_frozen, u64::from(now.clock_frozen)),
            (&gauges.draining, u64::from(now.draining)),
            (&gauges.alarms, now.alarms),
            (&gauges.connections, connections.active()),
        ] {
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        }
        gauges.crl_hours.set(now.crl_hours);
        gauges.certificate_days.set(now.certificate_days);
        for (clock, (running, overdue)) in Clock::ALL.into_iter().zip(now.deadlines) {
            for (state, count) in [("running", running), ("overdue", overdue)] {
                let gauge = gauges.deadlines.get_or_create(&Labels([("clock", clock.code()), ("state", state)]));
                gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
            }
        }
        self.set_connections(connections);
    }

    fn set_connections(&self, stats: &ConnectionStats) {
        let set = |event, total: u64| {
            let counter = self.gauges.connection_events.get_or_create(&Labels([("event", event)]));
            counter.inner().store(total, std::sync::atomic::Ordering::Relaxed);
        };
        set("accepted", stats.accepted());
        set("admitted", stats.admitted());
        set("refused_at_capacity", stats.refused_at_capacity());
        set("refused_per_client", stats.refused_per_client());
        for refusal in Refusal::ALL {
            set(refusal.as_str(), stats.handshake_failed(refusal));
        }
        for cut in Cut::ALL {
            let event = match cut {
                Cut::Revoked => "cut_revoked",
                Cut::NoLongerTrusted => "cut_no_longer_trusted",
                Cut::Expired => "cut_expired",
                Cut::CrlExpired => "cut_crl_expired",
                Cut::Drain => "cut_drain",
            };
            set(event, stats.cut(cut));
        }
    }
}

/// Serves `GET /metrics` until `stop` ends. `text` is asked at each scrape.
///
/// # Errors
/// Where the listener fails.
pub async fn serve(
    listener: TcpListener,
    text: Arc<dyn Fn() -> String + Send + Sync>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let scrape = move || {
        let text = Arc::clone(&text);
        async move {
            ([(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text()).into_response()
        }
    };
    axum::serve(listener, Router::new().route("/metrics", get(scrape))).with_graceful_shutdown(stop).await
}

/// The name of a code, as in the gRPC documentation.
pub(crate) fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scrape_shows_what_was_counted_and_the_state() {
        let metrics = Metrics::new();
        metrics.count_call(Some(Method::Check), Code::Ok, Duration::from_micros(80));
        metrics.count_call(None, Code::Unimplemented, Duration::ZERO);
        metrics.count_answer(Method::Check, Verdict::Restricted);
        metrics.count_quota_refusal(Limit::Daily);
        let now = Snapshot { revision: 7, crl_hours: -3, clock_frozen: true, ..Snapshot::default() };
        let text = metrics.encode(&now, &ConnectionStats::default());
        for line in [
            "xinhub_calls_total{method=\"/xinhub.v1.LookupService/Check\",code=\"OK\"} 1",
            "xinhub_calls_total{method=\"unknown\",code=\"UNIMPLEMENTED\"} 1",
            "xinhub_answers_total{method=\"/xinhub.v1.LookupService/Check\",verdict=\"RESTRICTED\"} 1",
            "xinhub_quota_refusals_total{limit=\"daily\"} 1",
            "xinhub_call_seconds_bucket{le=\"0.0001\",method=\"/xinhub.v1.LookupService/Check\"} 1",
            "xinhub_call_seconds_bucket{le=\"+Inf\",method=\"/xinhub.v1.LookupService/Check\"} 1",
            "xinhub_call_seconds_count{method=\"/xinhub.v1.LookupService/Check\"} 1",
            "xinhub_ledger_revision 7",
            "xinhub_crl_hours -3",
            "xinhub_clock_frozen 1",
            "xinhub_connection_events_total{event=\"accepted\"} 0",
            "# EOF",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }
}
