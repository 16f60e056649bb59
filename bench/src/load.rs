//! Load, in two ways. *Closed*: so many callers on so many connections, each asking again as soon as it is answered: how much a
//! server can do. *Open*: so many calls a second, whatever becomes of them, each timed from when it should have begun: how long
//! somebody waits who comes by chance. A closed load asks a slow server less, and so hides how slow it is (coordinated omission).

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use tokio::task::{JoinSet, yield_now};
use tokio::time::Instant;

use crate::Result;
use crate::process::Server;

/// Longer than any call may take.
const MAX_LATENCY_NS: u64 = 120_000_000_000;
const SIGNIFICANT_DIGITS: u8 = 3;

pub(crate) type Boxed<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

/// How much at a time, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Shape {
    pub(crate) connections: usize,
    /// On each of them.
    pub(crate) in_flight: usize,
    pub(crate) seconds: f64,
    /// Calls a second of an open load; a closed one has none.
    pub(crate) rate: Option<f64>,
}

impl Shape {
    pub(crate) fn closed(connections: usize, in_flight: usize, seconds: f64) -> Self {
        Self { connections, in_flight, seconds, rate: None }
    }

    /// Over so many connections, with any number of calls in flight.
    pub(crate) fn open(connections: usize, rate: f64, seconds: f64) -> Self {
        Self { connections, in_flight: 0, seconds, rate: Some(rate) }
    }

    pub(crate) fn text(&self) -> String {
        match self.rate {
            None => format!("{} × {}", self.connections, self.in_flight),
            Some(rate) => format!("{rate:.0}/s over {}", self.connections),
        }
    }
}

/// Kinds of answers that are timed apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// What is asked mostly.
    Main,
    /// What takes its time: an adverse answer waits for the disk.
    Other,
}

/// Makes the call of this number over one connection. It has failed if the answer is wrong: a fast wrong answer is none.
pub(crate) type Call = Arc<dyn Fn(usize) -> Boxed<'static, Class> + Send + Sync>;

/// A connection, and how it is kept busy.
pub(crate) enum Line {
    /// By calls of their own, any number at a time.
    Calls(Call),
    /// By itself, with so many in flight: one stream, or one socket on which questions and answers queue.
    Pipe(Box<dyn FnOnce(Burst) -> Boxed<'static, Tally> + Send>),
}

/// What a connection has to do in a closed load.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Burst {
    pub(crate) in_flight: usize,
    /// The number of its first call: each begins elsewhere, so that they don't ask the same at the same time.
    pub(crate) first: usize,
    pub(crate) end: Instant,
}

/// How long calls took.
pub(crate) struct Tally {
    main: Histogram<u64>,
    other: Histogram<u64>,
}

impl Tally {
    pub(crate) fn new() -> Result<Self> {
        let empty = || Histogram::new_with_bounds(1, MAX_LATENCY_NS, SIGNIFICANT_DIGITS);
        Ok(Self { main: empty()?, other: empty()? })
    }

    pub(crate) fn record(&mut self, class: Class, took: Duration) -> Result<()> {
        let took = u64::try_from(took.as_nanos())?;
        let of = if class == Class::Main { &mut self.main } else { &mut self.other };
        of.record(took.max(1))?;
        Ok(())
    }

    pub(crate) fn add(&mut self, more: &Tally) -> Result<()> {
        self.main.add(&more.main)?;
        self.other.add(&more.other)?;
        Ok(())
    }

    /// How long the answers of each class took, if there were any.
    pub(crate) fn latencies(&self) -> [Option<Latency>; 2] {
        [&self.main, &self.other].map(Latency::of)
    }

    fn calls(&self) -> u64 {
        self.main.len() + self.other.len()
    }
}

/// How long answers of one class took.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Latency {
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) p999_us: f64,
    pub(crate) max_us: f64,
}

impl Latency {
    fn of(histogram: &Histogram<u64>) -> Option<Self> {
        let us = |ns: u64| ns as f64 / 1e3;
        let quantile = |q| us(histogram.value_at_quantile(q));
        let (p50_us, p99_us, p999_us) = (quantile(0.5), quantile(0.99), quantile(0.999));
        (!histogram.is_empty()).then(|| Self { p50_us, p99_us, p999_us, max_us: us(histogram.max()) })
    }
}

/// One run.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Measured {
    pub(crate) calls: u64,
    pub(crate) calls_per_s: f64,
    /// The server's time on all processors, per call.
    pub(crate) server_cpu_us: f64,
    /// How much of one processor the server took. Far below what it has: it waited, for the disk or for the load.
    pub(crate) server_busy: f64,
    pub(crate) main: Option<Latency>,
    pub(crate) other: Option<Latency>,
}

impl Measured {
    /// How long it took.
    pub(crate) fn seconds(&self) -> f64 {
        self.calls as f64 / self.calls_per_s
    }
}

/// Runs it once over these connections, which are made by now.
pub(crate) async fn run(server: &Server, lines: Vec<Line>, shape: Shape) -> Result<Measured> {
    let time = Duration::from_secs_f64(shape.seconds);
    measured(server, async |began| match shape.rate {
        None => closed(lines, shape, began + time).await,
        Some(rate) => open(lines, rate, began, &OnceLock::from(began + time)).await,
    })
    .await
}

/// So many calls a second, until an end that is set meanwhile.
pub(crate) async fn run_until(
    server: &Server,
    lines: Vec<Line>,
    rate: f64,
    end: &OnceLock<Instant>,
) -> Result<Measured> {
    measured(server, async |began| open(lines, rate, began, end).await).await
}

async fn measured(server: &Server, load: impl AsyncFnOnce(Instant) -> Result<Tally>) -> Result<Measured> {
    let cpu_before = server.usage()?.cpu_s;
    let began = Instant::now();
    let tally = load(began).await?;
    let (seconds, cpu_s) = (began.elapsed().as_secs_f64(), server.usage()?.cpu_s - cpu_before);
    let calls = tally.calls();
    if calls == 0 {
        return Err("not one call was answered in the time given".into());
    }
    Ok(Measured {
        calls,
        calls_per_s: calls as f64 / seconds,
        server_cpu_us: cpu_s * 1e6 / calls as f64,
        server_busy: cpu_s / seconds,
        main: Latency::of(&tally.main),
        other: Latency::of(&tally.other),
    })
}

async fn closed(lines: Vec<Line>, shape: Shape, end: Instant) -> Result<Tally> {
    /// Between the first calls of two callers: a prime, so that they meet late whatever they ask.
    const APART: usize = 7_919;
    let mut callers = JoinSet::new();
    for (at, line) in lines.into_iter().enumerate() {
        let first = at * shape.in_flight * APART;
        let burst = Burst { in_flight: shape.in_flight, first, end };
        match line {
            Line::Pipe(pipe) => drop(callers.spawn(pipe(burst))),
            Line::Calls(call) => {
                for place in 0..shape.in_flight {
                    callers.spawn(call_until(end, Arc::clone(&call), first + place * APART));
                }
            }
        }
    }
    let mut tally = Tally::new()?;
    while let Some(caller) = callers.join_next().await {
        tally.add(&caller??)?;
    }
    Ok(tally)
}

async fn call_until(end: Instant, call: Call, first: usize) -> Result<Tally> {
    let mut tally = Tally::new()?;
    for at in first.. {
        let began = Instant::now();
        if began >= end {
            break;
        }
        tally.record(call(at).await?, began.elapsed())?;
    }
    Ok(tally)
}

/// Begins each call when its time has come, on the next connection. It watches the clock without a pause, on the load's own
/// processor: a timer's step of a millisecond would be longer than what is measured.
async fn open(lines: Vec<Line>, rate: f64, began: Instant, end: &OnceLock<Instant>) -> Result<Tally> {
    let calls = lines.into_iter().filter_map(|line| match line {
        Line::Calls(call) => Some(call),
        Line::Pipe(_) => None,
    });
    let calls: Vec<Call> = calls.collect();
    if calls.is_empty() {
        return Err("what keeps itself busy can't be paced".into());
    }
    let mut tally = Tally::new()?;
    let mut under_way: JoinSet<Result<(Class, Instant, Instant)>> = JoinSet::new();
    let mut begun = 0;
    loop {
        let now = Instant::now();
        let end = end.get().copied();
        let until = end.map_or(now, |end| end.min(now));
        let due = (until.saturating_duration_since(began).as_secs_f64() * rate) as usize;
        while begun < due {
            let intended = began + Duration::from_secs_f64(begun as f64 / rate);
            let call = calls[begun % calls.len()](begun);
            under_way.spawn(async move { Ok((call.await?, intended, Instant::now())) });
            begun += 1;
        }
        while let Some(ended) = under_way.try_join_next() {
            let (class, intended, ended) = ended??;
            tally.record(class, ended.saturating_duration_since(intended))?;
        }
        if under_way.is_empty() && end.is_some_and(|end| end <= now) {
            return Ok(tally);
        }
        yield_now().await;
    }
}
