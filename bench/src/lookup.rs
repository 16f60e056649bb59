//! `lookup`: the hub's checks next to an empty RPC, in turns.

use comfy_table::{CellAlignment, Table, presets};
use serde::{Deserialize, Serialize};
use xinhub_client::v1;

use crate::load::{self, Measured, Questions, Shape};
use crate::process::Server;
use crate::world::{COURT, MEASURE, Place, World};
use crate::{Output, Result, build, note};

/// How many different questions are asked at most; with more, this program's own memory would be what is measured.
const MAX_QUESTIONS: usize = 100_000;
/// The first answer on a listing to a client is written to the journal too; so many are asked until all have been.
const MAX_LISTED_QUESTIONS: usize = 2_000;
const WARM_UP_S: f64 = 1.0;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Listings on the hub
    #[arg(long, default_value_t = 100_000)]
    rows: u64,
    /// Connections under load
    #[arg(long, default_value_t = 8)]
    connections: usize,
    /// Calls in flight on each
    #[arg(long, default_value_t = 16)]
    in_flight: usize,
    /// How long each run takes, in seconds
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// In each round everything is run once, in turns
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(3..))]
    rounds: u16,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    output: Output,
}

/// Several rounds' values.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

/// One thing measured, over all rounds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) what: String,
    pub(crate) shape: Shape,
    pub(crate) rounds: Vec<Measured>,
    pub(crate) calls_per_s: Spread,
    pub(crate) server_cpu_us: Spread,
    pub(crate) p50_us: Spread,
    pub(crate) p99_us: Spread,
    pub(crate) p999_us: Spread,
    /// Calls per second against the empty RPC's of the same round.
    pub(crate) rate_ratio: Spread,
    /// Server CPU time against the empty RPC's of the same round.
    pub(crate) cpu_ratio: Spread,
}

/// The whole run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Figures {
    pub(crate) build: String,
    pub(crate) cpus: usize,
    pub(crate) listings: u64,
    pub(crate) rounds: u16,
    pub(crate) rows: Vec<Row>,
}

/// What is asked of whom.
struct Contender<'a> {
    what: &'static str,
    server: &'a Server,
    questions: Questions,
}

pub(crate) async fn run(args: Args) -> Result<()> {
    let world = World::create(&args.place)?;
    world.synthesize(args.rows).await?;
    let (hub, echo) = (world.serve().await?, world.serve_echo().await?);
    for file in ["listings.csv", "relations.csv"] {
        world.import(&hub, file).await?;
    }
    note(format_args!("waiting for the details of what was imported as {COURT}"));
    world.details_caught_up(&hub).await?;
    let (clear, listed) = questions(&world)?;
    let empty = Questions { requests: [v1::CheckRequest::default()].into(), verdict: v1::Verdict::Unspecified };
    let contenders = [
        Contender { what: "empty RPC", server: &echo, questions: empty },
        Contender { what: "Check, not listed: CLEAR", server: &hub, questions: clear },
        Contender { what: "Check, listed: CONSIDER", server: &hub, questions: listed },
    ];
    let load = Shape { connections: args.connections, in_flight: args.in_flight, seconds: args.seconds };
    let single = Shape { connections: 1, in_flight: 1, ..load };
    let mut rows = Vec::new();
    for shape in [load, single] {
        rows.extend(compare(&world, &contenders, shape, args.rounds).await?);
    }
    let cpus = std::thread::available_parallelism()?.get();
    let figures = Figures { build: build().to_owned(), cpus, listings: args.rows, rounds: args.rounds, rows };
    args.output.write(&serde_json::json!({ "lookup": figures }), &table(&figures).to_string())?;
    echo.stop().await?;
    hub.stop().await?;
    Ok(())
}

/// People who are on no list, and debtors, as the generator tells them.
pub(crate) fn questions(world: &World) -> Result<(Questions, Questions)> {
    let (mut clear, mut listed) = (Vec::new(), Vec::new());
    for row in csv::Reader::from_path(world.path("answers.csv"))?.into_deserialize() {
        let (kind, number, _, expected): (String, String, String, String) = row?;
        let (questions, limit) = match expected.as_str() {
            "none" => (&mut clear, MAX_QUESTIONS),
            "debtor" => (&mut listed, MAX_LISTED_QUESTIONS),
            // Of somebody who is only related, lending wants to know nothing.
            _ => continue,
        };
        if questions.len() < limit {
            questions.push(question(&kind, number)?);
        }
    }
    if clear.is_empty() || listed.is_empty() {
        return Err("too few rows: nobody to ask about".into());
    }
    let of = |requests: Vec<_>, verdict| Questions { requests: requests.into(), verdict };
    Ok((of(clear, v1::Verdict::Clear), of(listed, v1::Verdict::Consider)))
}

fn question(kind: &str, number: String) -> Result<v1::CheckRequest> {
    let name = format!("IDENTITY_KIND_{}", kind.to_ascii_uppercase());
    let kind = v1::IdentityKind::from_str_name(&name).ok_or_else(|| format!("answers.csv: kind {kind}"))?;
    let identity = v1::Identity { kind: kind.into(), number, issuing_state: String::new() };
    let inquiry = v1::Inquiry { identity: Some(identity), ..v1::Inquiry::default() };
    Ok(v1::CheckRequest { inquiry: Some(inquiry), measure: MEASURE.to_owned(), ..v1::CheckRequest::default() })
}

async fn compare(world: &World, contenders: &[Contender<'_>], shape: Shape, rounds: u16) -> Result<Vec<Row>> {
    let warm_up = Shape { seconds: WARM_UP_S.max(shape.seconds / 2.0), ..shape };
    for contender in contenders {
        load::run(world, contender.server, &contender.questions, warm_up).await?;
    }
    let mut measured = vec![Vec::new(); contenders.len()];
    for round in 1..=rounds {
        for (contender, measured) in contenders.iter().zip(&mut measured) {
            let Shape { connections, in_flight, .. } = shape;
            note(format_args!("round {round} of {rounds}, {connections} × {in_flight}: {}", contender.what));
            measured.push(load::run(world, contender.server, &contender.questions, shape).await?);
        }
    }
    let empty = measured.first().cloned().unwrap_or_default();
    let rows = contenders.iter().zip(measured);
    Ok(rows.map(|(contender, rounds)| Row::of(contender.what, shape, rounds, &empty)).collect())
}

impl Row {
    fn of(what: &str, shape: Shape, rounds: Vec<Measured>, empty: &[Measured]) -> Self {
        let spread = |value: fn(&Measured) -> f64| Spread::of(rounds.iter().map(value));
        let ratio = |value: fn(&Measured) -> f64| {
            Spread::of(rounds.iter().zip(empty).map(|(this, empty)| value(this) / value(empty)))
        };
        Self {
            what: what.to_owned(),
            shape,
            calls_per_s: spread(|one| one.calls_per_s),
            server_cpu_us: spread(|one| one.server_cpu_us),
            p50_us: spread(|one| one.p50_us),
            p99_us: spread(|one| one.p99_us),
            p999_us: spread(|one| one.p999_us),
            rate_ratio: ratio(|one| one.calls_per_s),
            cpu_ratio: ratio(|one| one.server_cpu_us),
            rounds,
        }
    }
}

impl Spread {
    pub(crate) fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        let at = |place: usize| values.get(place).copied().unwrap_or(f64::NAN);
        let last = values.len().saturating_sub(1);
        Self { median: (at(last / 2) + at(last.div_ceil(2))) / 2.0, min: at(0), max: at(last) }
    }

    /// The median, and from where to where, with so many decimals.
    pub(crate) fn text(&self, decimals: usize) -> String {
        let Self { median, min, max } = self;
        format!("{median:.decimals$} ({min:.decimals$}–{max:.decimals$})")
    }
}

/// Medians, with the smallest and largest of the rounds in brackets.
pub(crate) fn table(figures: &Figures) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::ASCII_MARKDOWN);
    table.set_header([
        "call",
        "connections × in flight",
        "calls/s",
        "× empty",
        "server CPU µs/call",
        "× empty",
        "p50 µs",
        "p99 µs",
        "p99.9 µs",
    ]);
    for row in &figures.rows {
        table.add_row([
            row.what.clone(),
            format!("{} × {}", row.shape.connections, row.shape.in_flight),
            row.calls_per_s.text(0),
            row.rate_ratio.text(2),
            row.server_cpu_us.text(1),
            row.cpu_ratio.text(2),
            row.p50_us.text(0),
            row.p99_us.text(0),
            row.p999_us.text(0),
        ]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_median_smallest_and_largest() {
        let check = |values: &[f64], expected: &str| assert_eq!(Spread::of(values.iter().copied()).text(1), expected);
        check(&[3.0], "3.0 (3.0–3.0)");
        check(&[4.0, 1.0, 2.0], "2.0 (1.0–4.0)");
        check(&[4.0, 1.0, 2.0, 3.0], "2.5 (1.0–4.0)");
    }
}
