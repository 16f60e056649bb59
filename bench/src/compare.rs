//! Contenders run in turns, round after round, so that whatever else the machine does meets all of them; ratios are taken within a
//! round. Every command compares through here.

use std::sync::OnceLock;

use comfy_table::{CellAlignment, Table, presets};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::load::{self, Boxed, Latency, Line, Measured, Shape};
use crate::process::Server;
use crate::{Result, note};

const WARM_UP_S: f64 = 1.0;
/// Connections, and calls in flight on each, of a busy caller.
pub(crate) const BUSY: (usize, usize) = (8, 32);

/// One way of asking, of one server.
pub(crate) struct Contender<'a> {
    pub(crate) what: String,
    pub(crate) server: &'a Server,
    /// Makes a connection of its own.
    pub(crate) connect: Box<dyn Fn() -> Boxed<'a, Line> + Send + Sync + 'a>,
    /// Identities or keys that one call asks about.
    pub(crate) per_call: u32,
}

impl<'a> Contender<'a> {
    pub(crate) fn new<F>(
        what: impl Into<String>,
        server: &'a Server,
        connect: impl Fn() -> F + Send + Sync + 'a,
    ) -> Self
    where
        F: Future<Output = Result<Line>> + Send + 'a,
    {
        Self { what: what.into(), server, connect: Box::new(move || Box::pin(connect())), per_call: 1 }
    }

    pub(crate) fn per_call(mut self, many: u32) -> Self {
        self.per_call = many;
        self
    }

    /// Once.
    pub(crate) async fn run(&self, shape: Shape) -> Result<Measured> {
        let run = load::run(self.server, self.lines(shape.connections).await?, shape).await;
        run.map_err(|error| format!("{}: {error}", self.what).into())
    }

    /// At the rate of an open load, until an end that is set meanwhile.
    pub(crate) async fn run_until(&self, shape: Shape, end: &OnceLock<Instant>) -> Result<Measured> {
        let rate = shape.rate.ok_or("a closed load has no rate")?;
        let run = load::run_until(self.server, self.lines(shape.connections).await?, rate, end).await;
        run.map_err(|error| format!("{}: {error}", self.what).into())
    }

    async fn lines(&self, connections: usize) -> Result<Vec<Line>> {
        let mut lines = Vec::new();
        for _ in 0..connections {
            lines.push((self.connect)().await?);
        }
        Ok(lines)
    }

    /// Open load of a share of what it can do.
    pub(crate) async fn share(&self, share: f64, seconds: f64) -> Result<Shape> {
        let (connections, in_flight) = BUSY;
        let most = self.run(Shape::closed(connections, in_flight, seconds)).await?.calls_per_s;
        Ok(Shape::open(connections, most * share, seconds))
    }

    /// A second of it that doesn't count.
    pub(crate) async fn warm_up(&self, shape: Shape) -> Result<()> {
        self.run(Shape { seconds: shape.seconds.min(WARM_UP_S), ..shape }).await?;
        Ok(())
    }
}

/// Several rounds' values.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Spread {
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
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

/// One contender, over all rounds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) what: String,
    pub(crate) per_call: u32,
    pub(crate) rounds: Vec<Measured>,
}

impl Row {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), per_call: 1, rounds: Vec::new() }
    }

    pub(crate) fn spread(&self, value: impl Fn(&Measured) -> f64) -> Spread {
        Spread::of(self.rounds.iter().map(value))
    }

    /// Identities or keys a second.
    pub(crate) fn asked_per_s(&self) -> Spread {
        self.spread(|one| one.calls_per_s * f64::from(self.per_call))
    }

    /// Identities or keys that a second of one of the server's processors answers.
    pub(crate) fn asked_per_cpu_s(&self) -> Spread {
        self.spread(|one| 1e6 * f64::from(self.per_call) / one.server_cpu_us)
    }

    pub(crate) fn calls_per_s(&self) -> Spread {
        self.spread(|one| one.calls_per_s)
    }
}

/// Contenders under one shape of load.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Compared {
    pub(crate) shape: Shape,
    pub(crate) rows: Vec<Row>,
}

impl Compared {
    pub(crate) fn row(&self, what: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.what == what)
    }

    /// A value of one contender by that of another, round by round.
    pub(crate) fn ratio(&self, of: &str, to: &str, value: impl Fn(&Measured) -> f64) -> Option<Spread> {
        let (of, to) = (self.row(of)?, self.row(to)?);
        Some(Spread::of(of.rounds.iter().zip(&to.rounds).map(|(of, to)| value(of) / value(to))))
    }

    /// Medians, with the smallest and largest of the rounds in brackets; rates next to those of `rate`, server time next to
    /// that of `cpu`.
    pub(crate) fn table(&self, rate: &str, cpu: &str) -> Table {
        let mut header = vec!["call".to_owned(), "calls/s".to_owned(), format!("× {rate}")];
        header.extend(["server CPU µs/call".to_owned(), format!("× {cpu}"), "server busy %".to_owned()]);
        header.extend(["p50 µs", "p99 µs", "p99.9 µs"].map(str::to_owned));
        let mut table = new_table(header);
        for row in &self.rows {
            let ratio = |to: &str, value: fn(&Measured) -> f64| {
                self.ratio(&row.what, to, value).map_or_else(String::new, |spread| spread.text(2))
            };
            let latency = |value: fn(&Latency) -> f64| {
                // Of what takes its time alone, that.
                let of = |one: &Measured| one.main.as_ref().or(one.other.as_ref()).map_or(f64::NAN, value);
                row.spread(of).text(0)
            };
            table.add_row([
                row.what.clone(),
                row.calls_per_s().text(0),
                ratio(rate, |one| one.calls_per_s),
                row.spread(|one| one.server_cpu_us).text(1),
                ratio(cpu, |one| one.server_cpu_us),
                row.spread(|one| one.server_busy * 100.0).text(0),
                latency(|one| one.p50_us),
                latency(|one| one.p99_us),
                latency(|one| one.p999_us),
            ]);
        }
        table
    }
}

/// A Markdown table whose first column is text, and the others figures.
pub(crate) fn new_table<T: Into<comfy_table::Cell>>(header: impl IntoIterator<Item = T>) -> Table {
    let mut table = Table::new();
    let header: Vec<comfy_table::Cell> = header.into_iter().map(Into::into).collect();
    table.load_preset(presets::ASCII_MARKDOWN).set_header(header);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// Runs each contender once to warm up, and then in turns.
pub(crate) async fn compare(contenders: &[Contender<'_>], shape: Shape, rounds: u16) -> Result<Compared> {
    for contender in contenders {
        contender.warm_up(shape).await?;
    }
    let mut rows: Vec<Row> = contenders
        .iter()
        .map(|one| Row { what: one.what.clone(), per_call: one.per_call, rounds: Vec::new() })
        .collect();
    for round in 1..=rounds {
        for (contender, row) in contenders.iter().zip(&mut rows) {
            note(format_args!("round {round} of {rounds}, {}: {}", shape.text(), contender.what));
            row.rounds.push(contender.run(shape).await?);
        }
    }
    Ok(Compared { shape, rows })
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

    #[test]
    fn a_ratio_is_taken_within_a_round() {
        let row = |what: &str, rates: [f64; 3]| {
            let round = |calls_per_s| Measured {
                calls: 1,
                calls_per_s,
                server_cpu_us: 1.0,
                server_busy: 1.0,
                main: None,
                other: None,
            };
            Row { what: what.to_owned(), per_call: 1, rounds: rates.map(round).to_vec() }
        };
        let shape = Shape::closed(1, 1, 1.0);
        let compared = Compared { shape, rows: vec![row("a", [2.0, 30.0, 8.0]), row("b", [1.0, 10.0, 2.0])] };
        let ratio = compared.ratio("a", "b", |one| one.calls_per_s);
        assert_eq!(ratio, Some(Spread { median: 3.0, min: 2.0, max: 4.0 }));
        assert_eq!(compared.ratio("a", "c", |one| one.calls_per_s), None);
    }
}
