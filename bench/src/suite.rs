//! `suite`: everything on one world, so that its rows are imported once, and a line of JSON with what counts.

use std::io::Write;

use serde_json::{Map, Value};

use crate::compare::Spread;
use crate::lookup::{self, STOCK, TUNED};
use crate::peers::{ETCD, POSTGRES, Peers};
use crate::process::Server;
use crate::report::Run;
use crate::world::{With, World};
use crate::{Common, Result, batch, expiry, import, mixed, publish, push, reload, replica, snapshot, start, stream};

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
    /// Only what the last line tells, without peers
    #[arg(long)]
    quick: bool,
}

pub(crate) async fn run(args: Args) -> Result<()> {
    let Common { rows, seconds, rounds, place, output } = &args.common;
    let with = if args.quick { With::Listings } else { With::Relations };
    let (world, filled) = World::filled_with(place, *rows, with).await?;
    let mut run = Run::of(&filled)?;
    let measured = if args.quick {
        // Where an earlier run has lifted, those who follow from its snapshot would be told of that.
        if place.is_kept() {
            world.forget_snapshots()?;
        }
        quick(&world, &mut run, *seconds, *rounds).await
    } else {
        whole(&world, &mut run, *rows, *seconds, *rounds).await
    };
    // What was measured before a failure isn't lost with it.
    output.write(&run)?;
    measured?;
    writeln!(std::io::stdout(), "\n{}", summary(&run))?;
    Ok(())
}

async fn whole(world: &World, run: &mut Run, rows: u64, seconds: f64, rounds: u16) -> Result<()> {
    run.start = Some(start::measure(world, rounds).await?);
    let peers = Peers::start(world, rows).await?;
    let how = lookup::How::usual(seconds, rounds);
    run.lookup = Some(world.served(async |hub| lookup::measure(world, hub, &peers, how).await).await?);
    run.batch = Some(world.served(async |hub| batch::measure(world, hub, &peers, seconds, rounds).await).await?);
    peers.stop().await?;
    run.stream = Some(world.served(async |hub| stream::measure(world, hub, seconds, rounds).await).await?);
    world.forget_snapshots()?;
    run.snapshot = Some(world.served(async |hub| snapshot::measure(world, hub, seconds, rounds).await).await?);
    run.replica = Some(replica::measure(world, replica::How::usual(rounds)).await?);
    world.forget_snapshots()?;
    run.push = Some(world.served(async |hub| push::measure(world, hub, push::How::USUAL, rounds).await).await?);
    run.publish = Some(publish::measure(world, seconds, rounds).await?);
    run.mixed = Some(mixed::measure(world, mixed::Side::USUAL, seconds, rounds).await?);
    run.expiry = Some(expiry::measure(world, expiry::How::USUAL, seconds, rounds).await?);
    run.reload = Some(reload::measure(world, reload::How::USUAL, seconds, rounds).await?);
    run.import_rounds = Some(import::measure(world, rounds).await?);
    Ok(())
}

/// Only what the last line tells, without peers, of one hub as far as that goes.
async fn quick(world: &World, run: &mut Run, seconds: f64, rounds: u16) -> Result<()> {
    run.start = Some(start::measure(world, rounds).await?);
    let few = lookup::How { shapes: &lookup::SHAPES[..1], adverse_percent: &[1], extremes: false, seconds, rounds };
    let of_hub = async |hub: &Server| {
        run.lookup = Some(lookup::measure(world, hub, &Peers::none(), few).await?);
        run.batch = Some(batch::measure(world, hub, &Peers::none(), seconds, rounds).await?);
        run.stream = Some(stream::measure(world, hub, seconds, rounds).await?);
        run.snapshot = Some(snapshot::fetch(world, hub, seconds, rounds).await?);
        run.push = Some(push::measure(world, hub, push::How::QUICK, rounds).await?);
        Ok(())
    };
    world.served(of_hub).await?;
    run.replica = Some(replica::measure(world, replica::How::quick(rounds)).await?);
    Ok(())
}

/// What counts, under names that stay. What was not measured is left out.
fn summary(run: &Run) -> Value {
    let mut told = Map::new();
    let mut tell = |key: &str, value: Option<f64>| {
        // Four digits are more than a run can tell.
        let rounded =
            value.filter(|value| value.is_finite()).and_then(|value| format!("{value:.3e}").parse::<f64>().ok());
        if let Some(value) = rounded {
            told.insert(key.to_owned(), value.into());
        }
    };
    let median = |spread: Option<Spread>| spread.map(|spread| spread.median);
    let lookup = run.lookup.as_ref();
    tell("entries", run.filled.as_ref().map(|filled| filled.rows as f64));
    tell("relations", run.filled.as_ref().map(|filled| filled.relations() as f64));
    tell("check_vs_stock_echo", median(lookup.and_then(|lookup| lookup.rate_ratio(STOCK))));
    tell("check_cpu_vs_tuned_echo", median(lookup.and_then(|lookup| lookup.cpu_ratio(TUNED))));
    tell("check_p99_vs_tuned_echo", median(lookup.and_then(lookup::Figures::p99_ratio)));
    tell("vs_etcd", median(lookup.and_then(|lookup| lookup.rate_ratio(ETCD))));
    tell("vs_postgres", median(lookup.and_then(|lookup| lookup.rate_ratio(POSTGRES))));
    let batch = run.batch.as_ref();
    tell("batch_ids_per_core_s", median(batch.and_then(batch::Figures::ids_per_core_s)));
    tell("batch_vs_redis_mget", median(batch.and_then(batch::Figures::vs_redis)));
    tell("stream_vs_unary", median(run.stream.as_ref().and_then(stream::Figures::vs_unary)));
    tell("replica_p50_ns", run.replica.as_ref().and_then(replica::Figures::miss_p50_ns));
    let rest = run.start.as_ref().map(|start| &start.rest);
    tell("index_bytes_per_entry", rest.map(|rest| rest.index_bytes as f64 / rest.index_keys as f64));
    tell("push_last_vs_broadcast", median(run.push.as_ref().and_then(push::Figures::last_vs_broadcast)));
    tell("snapshot_vs_raw", median(run.snapshot.as_ref().and_then(snapshot::Figures::vs_raw)));
    tell("start_s", median(run.start.as_ref().and_then(start::Figures::answered_s)));
    let listings = run.filled.as_ref().and_then(|filled| filled.imports.first());
    tell("import_rows_s", listings.map(|import| import.rows_per_s));
    tell("rss_mib", rest.map(|rest| rest.started.rss_mib));
    Value::Object(told)
}
