//! `import`: rows in through the command line, then starts on what they made: after a kill and in good order.

use serde::{Deserialize, Serialize};

use crate::compare::new_table;
use crate::process::On;
use crate::report::Run;
use crate::start::{self, After, KILLED, Rest, STOPPED};
use crate::world::{Filled, Place, World};
use crate::{Output, Result, note};

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

/// The whole run, but for the import itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Figures {
    /// After the imports, until details had caught up.
    pub(crate) details_s: f64,
    pub(crate) stop_s: f64,
    pub(crate) after: Vec<After>,
    /// After an orderly stop.
    pub(crate) rest: Rest,
}

pub(crate) async fn run(args: Args) -> Result<()> {
    let world = World::create(&args.place)?;
    let hub = world.serve(On::All).await?;
    let filled = world.fill(&hub, args.rows).await?;
    // Before details have caught up, and before any snapshot that an orderly stop writes: the hardest start.
    hub.kill();
    let (hub, hardest) = start::timed(&world).await?;
    note("waiting for the details");
    let details_s = world.details_caught_up(&hub).await?.as_secs_f64();
    let stop_s = hub.stop().await?.as_secs_f64();
    let (hub, stopped) = start::timed(&world).await?;
    let rest = start::rest(&world, &hub).await?;
    hub.kill();
    let (hub, killed) = start::timed(&world).await?;
    hub.stop().await?;
    let after = [("kill -9 right after the import", hardest), (STOPPED, stopped), (KILLED, killed)];
    let after = after.map(|(what, start)| After::of(what, vec![start])).to_vec();
    let figures = Figures { details_s, stop_s, after, rest };
    args.output.write(&Run { import: Some(figures), ..Run::of(&filled)? })
}

/// How a world was filled.
pub(crate) fn filled(filled: &Filled) -> String {
    let mut imports = new_table(["import", "rows", "s", "rows/s", "hub CPU s"]);
    for one in &filled.imports {
        let (seconds, rate) = (format!("{:.1}", one.seconds), format!("{:.0}", one.rows_per_s));
        imports.add_row([one.file.clone(), one.rows.to_string(), seconds, rate, format!("{:.1}", one.hub_cpu_s)]);
    }
    format!("{imports}\n\nThe hub's peak memory while importing: {:.0} MiB.\n", filled.peak_rss_mib)
}

/// Every other figure, as tables.
pub(crate) fn text(figures: &Figures) -> String {
    let Figures { details_s, stop_s, after, rest } = figures;
    format!(
        "Details had caught up {details_s:.0} s after the start that followed a kill right after the import. An orderly stop \
         took {stop_s:.1} s.\n\n{}\n\n{}",
        start::starts(after),
        start::at_rest(rest)
    )
}
