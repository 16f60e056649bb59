//! `import`: rows in through the command line, then starts on what they made: after a kill and in good order.

use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};
use serde::{Deserialize, Serialize};
use xinhub_client::v1;

use crate::process::Server;
use crate::world::{BANK, Disk, Imported, MEASURE, Place, World};
use crate::{Output, Result, build, note};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Listings to import
    #[arg(long, default_value_t = 1_000_000)]
    rows: u64,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    output: Output,
}

/// One start.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Start {
    pub(crate) what: String,
    /// From the start of the process until it listens.
    pub(crate) listening_s: f64,
    /// From the start of the process until the first check is answered.
    pub(crate) answered_s: f64,
    pub(crate) peak_rss_mib: f64,
}

/// The whole run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Figures {
    pub(crate) build: String,
    pub(crate) cpus: usize,
    pub(crate) listings: u64,
    pub(crate) imports: Vec<Imported>,
    /// The hub's, over all imports.
    pub(crate) import_peak_rss_mib: f64,
    /// After the imports, until details had caught up.
    pub(crate) details_s: f64,
    pub(crate) stop_s: f64,
    pub(crate) index_keys: u64,
    pub(crate) index_bytes: u64,
    pub(crate) listing_table_bytes: u64,
    pub(crate) starts: Vec<Start>,
    /// After an orderly stop.
    pub(crate) disk: Vec<Disk>,
}

pub(crate) async fn run(args: Args) -> Result<()> {
    let world = World::create(&args.place)?;
    world.synthesize(args.rows).await?;
    let hub = world.serve().await?;
    let mut imports = Vec::new();
    for file in ["listings.csv", "relations.csv"] {
        imports.push(world.import(&hub, file).await?);
    }
    let import_peak_rss_mib = hub.usage()?.peak_rss_mib;
    // Before details have caught up, and before any snapshot that an orderly stop writes: the hardest start.
    hub.kill();
    let mut starts = Vec::new();
    let hub = start(&world, &mut starts, "kill -9 right after the import").await?;
    note("waiting for the details");
    let details = world.details_caught_up(&hub).await?;
    let status = world.status(&hub).await?;
    let stop_s = hub.stop().await?.as_secs_f64();
    let disk = world.disk()?;
    let hub = start(&world, &mut starts, "orderly stop").await?;
    hub.kill();
    let hub = start(&world, &mut starts, "kill -9, all quiet before").await?;
    hub.stop().await?;
    let figures = Figures {
        build: build().to_owned(),
        cpus: std::thread::available_parallelism()?.get(),
        listings: status.listings,
        imports,
        import_peak_rss_mib,
        details_s: details.as_secs_f64(),
        stop_s,
        index_keys: status.index_keys,
        index_bytes: status.index_bytes,
        listing_table_bytes: status.listing_table_bytes,
        starts,
        disk,
    };
    args.output.write(&serde_json::json!({ "import": figures }), &text(&figures))
}

async fn start(world: &World, starts: &mut Vec<Start>, after: &str) -> Result<Server> {
    note(format_args!("starting after: {after}"));
    let hub = world.serve().await?;
    first_check(world, &hub).await?;
    let answered_s = hub.started.elapsed().as_secs_f64();
    let peak_rss_mib = hub.usage()?.peak_rss_mib;
    let listening_s = hub.listening_after.as_secs_f64();
    starts.push(Start { what: after.to_owned(), listening_s, answered_s, peak_rss_mib });
    Ok(hub)
}

/// One that is answered, whatever it says.
async fn first_check(world: &World, hub: &Server) -> Result<()> {
    let identity = v1::Identity {
        kind: v1::IdentityKind::Uscc.into(),
        // Synthetic, and on no list.
        number: "91110101000000019Y".to_owned(),
        issuing_state: String::new(),
    };
    let inquiry = v1::Inquiry { identity: Some(identity), ..v1::Inquiry::default() };
    let request =
        v1::CheckRequest { inquiry: Some(inquiry), measure: MEASURE.to_owned(), ..v1::CheckRequest::default() };
    world.client(hub, BANK).await?.lookup().within(Duration::from_secs(60)).check(request).await?;
    Ok(())
}

fn new_table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::ASCII_MARKDOWN).set_header(header);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// Every figure, as tables.
pub(crate) fn text(figures: &Figures) -> String {
    let mib = |bytes: u64| bytes as f64 / (1024.0 * 1024.0);
    let per_listing = |bytes: u64| bytes as f64 / figures.listings as f64;
    let mut imports = new_table(["import", "rows", "s", "rows/s", "hub CPU s"]);
    for one in &figures.imports {
        let (seconds, rate) = (format!("{:.1}", one.seconds), format!("{:.0}", one.rows_per_s));
        imports.add_row([one.file.clone(), one.rows.to_string(), seconds, rate, format!("{:.1}", one.hub_cpu_s)]);
    }
    let mut starts = new_table(["start after", "listening s", "first answer s", "peak memory MiB"]);
    for one in &figures.starts {
        let seconds = [one.listening_s, one.answered_s].map(|s| format!("{s:.2}"));
        let [listening, answered] = seconds;
        starts.add_row([one.what.clone(), listening, answered, format!("{:.0}", one.peak_rss_mib)]);
    }
    let mut disk = new_table(["on disk", "MiB", "bytes per listing", "allocated MiB", "allocated per listing"]);
    let sum = |value: fn(&Disk) -> u64| figures.disk.iter().map(value).sum();
    let all = Disk {
        what: "all".to_owned(),
        bytes: sum(|part| part.bytes),
        allocated_bytes: sum(|part| part.allocated_bytes),
    };
    for part in figures.disk.iter().chain([&all]) {
        let both =
            [part.bytes, part.allocated_bytes].map(|b| (format!("{:.1}", mib(b)), format!("{:.0}", per_listing(b))));
        let [(held, held_each), (allocated, allocated_each)] = both;
        disk.add_row([part.what.clone(), held, held_each, allocated, allocated_each]);
    }
    let Figures { import_peak_rss_mib, details_s, stop_s, index_keys, .. } = figures;
    let (index, listing_table) = (figures.index_bytes as f64, per_listing(figures.listing_table_bytes));
    let per_key = index / *index_keys as f64;
    format!(
        "{imports}\n\nThe hub's peak memory while importing: {import_peak_rss_mib:.0} MiB. Details had caught up \
         {details_s:.0} s after the start that followed a kill right after the import. An orderly stop took {stop_s:.1} s.\n\n\
         {starts}\n\nIndex: {index_keys} keys, {per_key:.0} bytes each. Listing table: {listing_table:.0} bytes per \
         listing.\n\n{disk}\n"
    )
}
