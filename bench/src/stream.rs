//! `stream`: checks over one stream a connection, next to a call for each.

use serde::{Deserialize, Serialize};

use crate::ask::{Questions, questions, stream};
use crate::compare::{Compared, Contender, Spread, compare};
use crate::load::Shape;
use crate::lookup::{CHECK, SHAPES, contender};
use crate::process::Server;
use crate::report::Run;
use crate::world::{BANK, World};
use crate::{Common, Result};

const STREAM: &str = "CheckStream, 1 % listed";

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
}

/// The whole run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Figures {
    pub(crate) compared: Compared,
}

impl Figures {
    /// Checks a second.
    pub(crate) fn vs_unary(&self) -> Option<Spread> {
        self.compared.ratio(STREAM, CHECK, |one| one.calls_per_s)
    }
}

pub(crate) async fn run(args: Args) -> Result<()> {
    let Common { rows, seconds, rounds, .. } = args.common;
    let (world, filled) = World::filled(&args.common.place, rows).await?;
    let figures = world.served(async |hub| measure(&world, hub, seconds, rounds).await).await?;
    args.common.output.write(&Run { stream: Some(figures), ..Run::of(&filled)? })
}

pub(crate) async fn measure(world: &World, hub: &Server, seconds: f64, rounds: u16) -> Result<Figures> {
    let (clear, listed) = questions(world)?;
    let mixed = Questions::mixed(&clear, &listed, 1);
    let streams = Contender::new(STREAM, hub, || async {
        let client = world.client(hub, BANK).await?;
        Ok(stream(&client, &mixed))
    });
    let contenders = [contender(world, CHECK, hub, mixed.clone()), streams];
    let (connections, in_flight) = SHAPES[0];
    let compared = compare(&contenders, Shape::closed(connections, in_flight, seconds), rounds).await?;
    Ok(Figures { compared })
}

pub(crate) fn text(figures: &Figures) -> String {
    let table = figures.compared.table(CHECK, CHECK);
    format!("{} connections × in flight.\n\n{table}\n", figures.compared.shape.text())
}
