//! Counters that every call touches.
//!
//! Promises: counting takes no lock, no allocation and no hash, and two threads rarely write to the same cache line. A scrape adds
//! up what the threads have counted; a counter never steps back.

use std::cell::Cell;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::registry::Unit;
use tonic::Code;
use xinhub_domain::decision::Verdict;
use xinhub_domain::policy::Method;

use super::{Labels, code_name};

/// Upper bounds of the latency histogram, in nanoseconds: an answer from memory to a mutation that waits for a slow disk.
const BOUNDS_NS: [u64; 14] = [
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    1_000_000_000,
    5_000_000_000,
];
/// With what lies above the last bound.
const BUCKETS: usize = BOUNDS_NS.len() + 1;
/// gRPC's codes are 0 to 16.
const CODES: usize = 17;
/// Every method, and a path that no service has.
const METHODS: usize = Method::ALL.len() + 1;
/// Threads beyond so many share.
const STRIPES: usize = 16;

/// What is counted of calls and answers. Cheap to clone.
#[derive(Clone)]
pub(super) struct Calls(Arc<[Stripe]>);

/// What the threads of one stripe have counted. Aligned so that no two stripes share a line, nor the pair of lines that processors
/// fetch together.
#[repr(align(128))]
struct Stripe {
    methods: [OfMethod; METHODS],
}

#[derive(Default)]
struct OfMethod {
    codes: [AtomicU64; CODES],
    verdicts: [AtomicU64; Verdict::ALL.len()],
    buckets: [AtomicU64; BUCKETS],
    sum_ns: AtomicU64,
}

impl fmt::Debug for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Calls(..)")
    }
}

impl Calls {
    pub(super) fn new() -> Self {
        Calls((0..STRIPES).map(|_| Stripe { methods: std::array::from_fn(|_| OfMethod::default()) }).collect())
    }

    pub(super) fn count_call(&self, method: Option<Method>, code: Code, took: Duration) {
        let of = &self.stripe().methods[place(method)];
        of.codes[code as usize].fetch_add(1, Relaxed);
        let took_ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        of.buckets[BOUNDS_NS.iter().position(|bound| took_ns <= *bound).unwrap_or(BOUNDS_NS.len())]
            .fetch_add(1, Relaxed);
        of.sum_ns.fetch_add(took_ns, Relaxed);
    }

    pub(super) fn count_answers(&self, method: Method, verdict: Verdict, count: u64) {
        self.stripe().methods[place(Some(method))].verdicts[verdict as usize].fetch_add(count, Relaxed);
    }

    fn stripe(&self) -> &Stripe {
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        thread_local!(static STRIPE: Cell<usize> = Cell::new(THREADS.fetch_add(1, Relaxed) % STRIPES));
        &self.0[STRIPE.get()]
    }

    fn sum(&self, of: impl Fn(&Stripe) -> &AtomicU64) -> u64 {
        self.0.iter().map(|stripe| of(stripe).load(Relaxed)).sum()
    }

    fn encode_calls(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut calls =
            encoder.encode_descriptor("calls", "Calls by method and gRPC code", None, MetricType::Counter)?;
        for (at, method) in methods() {
            for code in (0..).take(CODES) {
                let count = self.sum(|stripe| &stripe.methods[at].codes[code as usize]);
                if count > 0 {
                    let labels = Labels([("method", method), ("code", code_name(Code::from_i32(code)))]);
                    ConstCounter::new(count).encode(calls.encode_family(&labels)?)?;
                }
            }
        }
        Ok(())
    }

    fn encode_answers(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Answers by method and verdict, each item of a batch one";
        let mut answers = encoder.encode_descriptor("answers", help, None, MetricType::Counter)?;
        for (at, method) in methods() {
            for verdict in Verdict::ALL {
                let count = self.sum(|stripe| &stripe.methods[at].verdicts[*verdict as usize]);
                if count > 0 {
                    let labels = Labels([("method", method), ("verdict", verdict.as_str())]);
                    ConstCounter::new(count).encode(answers.encode_family(&labels)?)?;
                }
            }
        }
        Ok(())
    }

    fn encode_seconds(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Time from a call's headers to its answer's";
        let mut seconds = encoder.encode_descriptor("call", help, Some(&Unit::Seconds), MetricType::Histogram)?;
        for (at, method) in methods() {
            let bounds = BOUNDS_NS.iter().map(|ns| *ns as f64 / 1e9).chain([f64::INFINITY]);
            let counts = (0..BUCKETS).map(|bucket| self.sum(|stripe| &stripe.methods[at].buckets[bucket]));
            let buckets: Vec<(f64, u64)> = bounds.zip(counts).collect();
            let count = buckets.iter().map(|(_, count)| count).sum();
            if count > 0 {
                let sum = self.sum(|stripe| &stripe.methods[at].sum_ns) as f64 / 1e9;
                let labels = Labels([("method", method)]);
                seconds.encode_family(&labels)?.encode_histogram::<Labels<0>>(sum, count, &buckets, None)?;
            }
        }
        Ok(())
    }
}

impl Collector for Calls {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.encode_calls(&mut encoder)?;
        self.encode_answers(&mut encoder)?;
        self.encode_seconds(&mut encoder)
    }
}

fn place(method: Option<Method>) -> usize {
    method.map_or(METHODS - 1, |method| method as usize)
}

fn methods() -> impl Iterator<Item = (usize, &'static str)> {
    Method::ALL.iter().map(|method| method.as_str()).chain(["unknown"]).enumerate()
}
