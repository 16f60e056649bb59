//! Load: so many connections with so many calls in flight each, every call made as soon as the one before is answered.

use std::sync::Arc;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tokio::time::Instant;
use xinhub_client::{Hub, v1};

use crate::Result;
use crate::process::Server;
use crate::world::{BANK, World};

/// Longer than any call may take.
const MAX_LATENCY_US: u64 = 60_000_000;
const SIGNIFICANT_DIGITS: u8 = 3;

/// How much at a time, and for how long.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Shape {
    pub(crate) connections: usize,
    pub(crate) in_flight: usize,
    pub(crate) seconds: f64,
}

/// What is asked over and over, and what every answer has to say.
#[derive(Clone)]
pub(crate) struct Questions {
    pub(crate) requests: Arc<[v1::CheckRequest]>,
    pub(crate) verdict: v1::Verdict,
}

/// One run.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Measured {
    pub(crate) calls_per_s: f64,
    /// The server's time on all processors, per call.
    pub(crate) server_cpu_us: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) p999_us: f64,
}

/// Runs it once. Connections are made before the clock starts.
pub(crate) async fn run(world: &World, server: &Server, questions: &Questions, shape: Shape) -> Result<Measured> {
    let mut hubs = Vec::new();
    for _ in 0..shape.connections {
        hubs.push(world.client(server, BANK).await?);
    }
    let cpu_before = server.usage()?.cpu_s;
    let began = Instant::now();
    let end = began + Duration::from_secs_f64(shape.seconds);
    let mut callers = JoinSet::new();
    let all = shape.connections * shape.in_flight;
    for (at, hub) in hubs.iter().flat_map(|hub| std::iter::repeat_n(hub, shape.in_flight)).enumerate() {
        // Each begins elsewhere, so that they don't ask the same at the same time.
        let first = at * questions.requests.len() / all;
        callers.spawn(call_until(end, hub.clone(), questions.clone(), first));
    }
    let mut latencies = histogram()?;
    while let Some(caller) = callers.join_next().await {
        latencies.add(caller??)?;
    }
    let (seconds, cpu_s) = (began.elapsed().as_secs_f64(), server.usage()?.cpu_s - cpu_before);
    let calls = latencies.len() as f64;
    let quantile = |q| latencies.value_at_quantile(q) as f64;
    Ok(Measured {
        calls_per_s: calls / seconds,
        server_cpu_us: cpu_s * 1e6 / calls,
        p50_us: quantile(0.5),
        p99_us: quantile(0.99),
        p999_us: quantile(0.999),
    })
}

fn histogram() -> Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, MAX_LATENCY_US, SIGNIFICANT_DIGITS)?)
}

async fn call_until(end: Instant, hub: Hub, questions: Questions, first: usize) -> Result<Histogram<u64>> {
    let mut latencies = histogram()?;
    let lookup = hub.lookup();
    for request in questions.requests.iter().cycle().skip(first) {
        let began = Instant::now();
        if began >= end {
            break;
        }
        let response = lookup.check(request.clone()).await?;
        latencies.record(u64::try_from(began.elapsed().as_micros())?)?;
        // A fast wrong answer is no answer.
        let verdict = response.answer.as_ref().map_or(v1::Verdict::Unspecified, v1::Answer::verdict);
        if verdict != questions.verdict {
            return Err(format!("an answer is {verdict:?}, expected {:?}", questions.verdict).into());
        }
    }
    Ok(latencies)
}
