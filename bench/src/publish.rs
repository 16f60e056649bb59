//! `publish`: a court lists somebody and takes that down again, next to a bare sync of the same disk. Each is answered only when it
//! is durable; what waits during one sync goes into the next.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tokio::time::Instant;
use xinhub_client::{Hub, mutation, v1};

use crate::ask::{Questions, questions};
use crate::compare::{Compared, Contender, compare, new_table};
use crate::disk::{self, Syncs};
use crate::load::{Burst, Class, Latency, Line, Measured, Shape, Tally};
use crate::process::On;
use crate::report::Run;
use crate::world::{COURT, COURT_NAME, World};
use crate::{Common, Result};

const PUBLISH: &str = "publish and lift";
/// One clerk; a court at work; courts that send all that they have.
const SHAPES: [(usize, usize); 3] = [(1, 1), (4, 8), (8, 32)];

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
}

/// The whole run. A call is one of either: half of them publish, half lift.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Figures {
    pub(crate) compared: Vec<Compared>,
    pub(crate) syncs: Syncs,
}

pub(crate) async fn run(args: Args) -> Result<()> {
    let Common { rows, seconds, rounds, .. } = args.common;
    let (world, filled) = World::filled(&args.common.place, rows).await?;
    let figures = measure(&world, seconds, rounds).await?;
    args.common.output.write(&Run { publish: Some(figures), ..Run::of(&filled)? })
}

pub(crate) async fn measure(world: &World, seconds: f64, rounds: u16) -> Result<Figures> {
    let hub = world.serve(On::Servers).await?;
    let (clear, _) = questions(world)?;
    let contender = Contender::new(PUBLISH, &hub, || async {
        let court = world.client(&hub, COURT).await?;
        Ok(publishes(&court, &clear))
    });
    let contenders = [contender];
    let mut compared = Vec::new();
    for (connections, in_flight) in SHAPES {
        compared.push(compare(&contenders, Shape::closed(connections, in_flight, seconds), rounds).await?);
    }
    drop(contenders);
    let syncs = disk::syncs(world)?;
    hub.stop().await?;
    Ok(Figures { compared, syncs })
}

/// Of people who are on no list: each is listed, and by the next call of the same caller not any more.
fn publishes(court: &Hub, clear: &Questions) -> Line {
    let (court, clear) = (court.clone(), clear.clone());
    Line::Pipe(Box::new(move |burst| Box::pin(callers(court, clear, burst))))
}

async fn callers(court: Hub, clear: Questions, burst: Burst) -> Result<Tally> {
    let mut callers = JoinSet::new();
    for _ in 0..burst.in_flight {
        callers.spawn(publish_until(burst.end, court.clone(), clear.clone()));
    }
    let mut tally = Tally::new()?;
    while let Some(caller) = callers.join_next().await {
        tally.add(&caller??)?;
    }
    Ok(tally)
}

async fn publish_until(end: Instant, court: Hub, clear: Questions) -> Result<Tally> {
    let mut tally = Tally::new()?;
    while Instant::now() < end {
        publish_and_lift(&court, &clear, &mut tally).await?;
    }
    Ok(tally)
}

async fn publish_and_lift(court: &Hub, clear: &Questions, tally: &mut Tally) -> Result<()> {
    let (registry, publish) = (court.registry(), publish(clear)?);
    let began = Instant::now();
    let published = registry.publish(publish).await?.outcome.unwrap_or_default();
    tally.record(Class::Main, began.elapsed())?;
    let began = Instant::now();
    let removed = lift(court, published.listing).await?;
    tally.record(Class::Other, began.elapsed())?;
    let states = [published.state(), removed.state()];
    if states != [v1::ListingState::Listed, v1::ListingState::Removed] {
        return Err(format!("a listing was published and taken down, and is {states:?}").into());
    }
    Ok(())
}

/// Takes a listing down.
pub(crate) async fn lift(court: &Hub, listing: u64) -> Result<v1::MutationOutcome> {
    let request = v1::RemoveRequest { mutation: new(), listing, ground: "performed".to_owned() };
    Ok(court.registry().remove(request).await?.outcome.unwrap_or_default())
}

/// One clerk lists and lifts until something else is done: how long the hub took to acknowledge it, and what came of the other. Whom
/// it has listed it lifts, so that nobody stays on the list.
pub(crate) async fn publish_beside<T>(
    court: &Hub,
    clear: &Questions,
    other: impl Future<Output = T>,
) -> Result<(Tally, T)> {
    let is_done = Cell::new(false);
    let other = async {
        let done = other.await;
        is_done.set(true);
        Ok(done)
    };
    let clerk = async {
        let mut tally = Tally::new()?;
        while !is_done.get() {
            publish_and_lift(court, clear, &mut tally).await?;
        }
        Ok(tally)
    };
    tokio::try_join!(clerk, other)
}

/// Lists so many, who then can be lifted: their numbers.
pub(crate) async fn publish_all(court: &Hub, clear: &Questions, count: usize) -> Result<Vec<u64>> {
    /// One fsync carries them all.
    const TOGETHER: usize = 32;
    let (mut listings, mut under_way) = (Vec::with_capacity(count), JoinSet::new());
    for at in 0..count + TOGETHER {
        if at < count {
            let (registry, publish) = (court.registry(), publish(clear)?);
            under_way.spawn(async move { registry.publish(publish).await });
        }
        if under_way.len() >= TOGETHER || at >= count {
            let Some(published) = under_way.join_next().await else { break };
            listings.push(published??.outcome.unwrap_or_default().listing);
        }
    }
    Ok(listings)
}

/// About the next of those who are on no list: nobody is listed twice at a time.
fn publish(clear: &Questions) -> Result<v1::PublishRequest> {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let at = NEXT.fetch_add(1, Ordering::Relaxed);
    let (request, _) = &clear.requests[at % clear.requests.len()];
    let content = content(at, request.inquiry.as_ref().and_then(|inquiry| inquiry.identity.clone()))?;
    Ok(v1::PublishRequest { mutation: new(), content: Some(content), ..v1::PublishRequest::default() })
}

fn new() -> Option<v1::Mutation> {
    Some(mutation(v1::Actor { staff_id: "bench".to_owned(), post: "clerk".to_owned() }, None))
}

/// Served by now, so that the listing is in force at once.
fn content(at: usize, identity: Option<v1::Identity>) -> Result<v1::ListingContent> {
    // Of eight digits.
    let case = 10_000_000 + at % 90_000_000;
    let today = Timestamp::now().to_zoned(TimeZone::fixed(Offset::constant(8))).date();
    let days_ago = |days: i64| Result::Ok(today.checked_sub(days.days())?.to_string());
    let decision = v1::Decision {
        number: format!("(2025)粤0882失{case}号"),
        date: days_ago(30)?,
        reasons: "以隐匿财产的方法规避执行".to_owned(),
        term_months: 24,
        signer: "bench".to_owned(),
        served_on: days_ago(25)?,
        grace_days: 0,
    };
    Ok(v1::ListingContent {
        identities: identity.into_iter().collect(),
        name: "测试".to_owned(),
        decision: Some(decision),
        ground: 3,
        case_number: format!("(2025)粤0882执{case}号"),
        basis_document: "(2024)粤0882民初100号".to_owned(),
        basis_issuer: COURT_NAME.to_owned(),
        filed_on: days_ago(90)?,
        published_on: days_ago(20)?,
        area: "广东".to_owned(),
        obligation: "支付货款".to_owned(),
        performance: "全部未履行".to_owned(),
        conduct: "隐匿、转移财产规避执行".to_owned(),
        notice_served_on: days_ago(60)?,
        ..v1::ListingContent::default()
    })
}

pub(crate) fn text(figures: &Figures) -> String {
    let header =
        ["connections × in flight", "mutations/s", "hub busy %", "publish p50 µs", "p99 µs", "lift p50 µs", "p99 µs"];
    let mut table = new_table(header);
    for compared in &figures.compared {
        for row in &compared.rows {
            let latency = |value: fn(&Measured) -> Option<Latency>, of: fn(Latency) -> f64| {
                row.spread(|one| value(one).map_or(f64::NAN, of)).text(0)
            };
            table.add_row([
                compared.shape.text(),
                row.calls_per_s().text(0),
                row.spread(|one| one.server_busy * 100.0).text(0),
                latency(|one| one.main, |latency| latency.p50_us),
                latency(|one| one.main, |latency| latency.p99_us),
                latency(|one| one.other, |latency| latency.p50_us),
                latency(|one| one.other, |latency| latency.p99_us),
            ]);
        }
    }
    format!("{table}\n\n{}\n", figures.syncs.text())
}
