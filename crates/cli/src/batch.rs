//! `xinhub batch`: many questions for one measure, from a CSV file, answered row by row in its order.
//!
//! Rows are asked in chunks of at most 10,000, each answered at one revision that is never older than the chunk before. A
//! row that can't be asked or answered is told in its place, and the rest goes on. Output names rows by line and reference:
//! numbers and names are not repeated.

mod rows;

use std::path::{Path, PathBuf};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use xinhub_client::v1::batch_check_result::Result as Answered;
use xinhub_client::{Lookup, v1};

use crate::args::{ConnectArgs, GlobalArgs};
use crate::exit::{Exit, Failure};
use crate::inquiry::PurposeArgs;
use crate::output::{Format, Out};
use crate::session::Session;
use crate::shapes::{self, some};

use rows::{Row, Rows};

/// The hub takes no more at once.
pub(crate) const MAX_CHUNK_ROWS: u32 = 10_000;

/// Ask about every row of a CSV file
#[derive(Debug, Args)]
pub(crate) struct BatchArgs {
    /// CSV with the columns kind and number, and if wanted issuing_state, name, reference; - is standard input
    file: PathBuf,
    #[command(flatten)]
    purpose: PurposeArgs,
    /// Rows asked at once
    #[arg(long, value_name = "ROWS", default_value_t = MAX_CHUNK_ROWS,
        value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_CHUNK_ROWS)))]
    chunk: u32,
    #[command(flatten)]
    connect: ConnectArgs,
}

pub(crate) async fn run(args: BatchArgs, global: &GlobalArgs, out: &mut Out) -> Result<Exit, Failure> {
    let session = Session::resolve(global, &args.connect)?;
    let mut rows = Rows::open(&args.file)?;
    let bar = progress(&args.file);
    let lookup = session.connect().await?.lookup();
    let mut batch = Batch { lookup, purpose: &args.purpose, consistency: args.purpose.consistency(), faults: 0 };
    let mut is_first = true;
    loop {
        let chunk = rows.next_chunk(args.chunk)?;
        if chunk.is_empty() {
            break;
        }
        bar.set_position(rows.bytes_read());
        let answered = batch.ask(chunk).await?;
        bar.suspend(|| show(answered, is_first, out))?;
        is_first = false;
    }
    bar.finish_and_clear();
    Ok(if batch.faults > 0 { Exit::RowFaults } else { Exit::Success })
}

/// Seen on a terminal only.
fn progress(file: &Path) -> ProgressBar {
    let bytes = std::fs::metadata(file).ok().filter(std::fs::Metadata::is_file).map(|data| data.len());
    let bar = bytes.map_or_else(ProgressBar::no_length, ProgressBar::new);
    // A template that does not parse leaves the default one.
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {bytes}/{total_bytes} {eta}") {
        bar.set_style(style);
    }
    bar
}

struct Batch<'a> {
    lookup: Lookup,
    purpose: &'a PurposeArgs,
    consistency: Option<v1::Consistency>,
    faults: u64,
}

impl Batch<'_> {
    /// Asks what can be asked of a chunk; one result for each row, in order.
    async fn ask(&mut self, chunk: Vec<Row>) -> Result<Vec<shapes::BatchRow>, Failure> {
        let inquiries: Vec<v1::Inquiry> = chunk.iter().filter_map(|row| row.inquiry.clone().ok()).collect();
        let asked = inquiries.len();
        let mut results = self.send(inquiries).await?.into_iter();
        if results.len() != asked {
            let message = format!("the hub answered {} of {asked} rows", results.len());
            return Err(Failure::Hub(xinhub_client::Error::Connection(message)));
        }
        let mut shown = Vec::with_capacity(chunk.len());
        for row in chunk {
            let (answer, error) = match row.inquiry {
                Ok(_) => match results.next().and_then(|result| result.result) {
                    Some(Answered::Answer(answer)) => (Some(answer.into()), None),
                    Some(Answered::Error(error)) => (None, Some(error.into())),
                    None => (None, Some(fault(v1::Reason::Internal, "the hub left this row without an answer"))),
                },
                Err(problem) => (None, Some(fault(v1::Reason::InvalidField, &problem))),
            };
            self.faults += u64::from(error.is_some());
            shown.push(shapes::BatchRow { line: row.line, reference: some(row.reference), answer, error });
        }
        Ok(shown)
    }

    async fn send(&mut self, inquiries: Vec<v1::Inquiry>) -> Result<Vec<v1::BatchCheckResult>, Failure> {
        if inquiries.is_empty() {
            return Ok(Vec::new());
        }
        let request = v1::BatchCheckRequest {
            measure: self.purpose.measure.clone(),
            item: self.purpose.item.clone().unwrap_or_default(),
            inquiries,
            consistency: self.consistency.clone(),
            packed: Vec::new(),
        };
        let response = self.lookup.batch_check(request).await?;
        // Later chunks are never answered from before this one.
        self.consistency = response.position.as_ref().map(xinhub_client::at_least);
        Ok(response.results)
    }
}

/// A fault found on this side, in the hub's terms: code 3 is INVALID_ARGUMENT, 13 INTERNAL.
fn fault(reason: v1::Reason, message: &str) -> shapes::ItemError {
    let code = if reason == v1::Reason::Internal { 13 } else { 3 };
    v1::ItemError { code, reason: reason.into(), message: message.to_owned() }.into()
}

/// A row as CSV and tables show it.
#[derive(Serialize)]
struct Flat<'a> {
    line: u64,
    reference: &'a str,
    verdict: &'a str,
    reason: &'a str,
    effect: &'a str,
    relation: &'a str,
    open_condition: &'a str,
    on_unknown: &'a str,
    officers_listed: i32,
    slip_reference: &'a str,
    error: &'a str,
}

impl<'a> Flat<'a> {
    const COLUMNS: [&'static str; 11] = [
        "line",
        "reference",
        "verdict",
        "reason",
        "effect",
        "relation",
        "open_condition",
        "on_unknown",
        "officers_listed",
        "slip_reference",
        "error",
    ];

    fn of(row: &'a shapes::BatchRow) -> Self {
        let answer = row.answer.as_ref();
        let error = row.error.as_ref();
        let reason = answer.and_then(|answer| answer.reason).or(error.and_then(|error| error.reason));
        Self {
            line: row.line,
            reference: row.reference.as_deref().unwrap_or_default(),
            verdict: answer.and_then(|answer| answer.verdict).unwrap_or_default(),
            reason: reason.unwrap_or_default(),
            effect: answer.and_then(|answer| answer.effect).unwrap_or_default(),
            relation: answer.and_then(|answer| answer.relation.as_deref()).unwrap_or_default(),
            open_condition: answer.and_then(|answer| answer.open_condition.as_deref()).unwrap_or_default(),
            on_unknown: answer.and_then(|answer| answer.on_unknown).unwrap_or_default(),
            officers_listed: answer.map_or(0, |answer| answer.officers_listed),
            slip_reference: answer.and_then(|answer| answer.slip.as_ref()).map_or("", |slip| &slip.reference),
            error: error.map_or("", |error| &error.message),
        }
    }

    fn cells(&self) -> Vec<String> {
        let texts = [
            self.reference,
            self.verdict,
            self.reason,
            self.effect,
            self.relation,
            self.open_condition,
            self.on_unknown,
        ];
        let mut cells = vec![self.line.to_string()];
        cells.extend(texts.map(str::to_owned));
        cells.push(if self.officers_listed > 0 { self.officers_listed.to_string() } else { String::new() });
        cells.extend([self.slip_reference.to_owned(), self.error.to_owned()]);
        cells
    }
}

fn show(rows: Vec<shapes::BatchRow>, is_first: bool, out: &mut Out) -> Result<(), Failure> {
    match out.format {
        Format::Json => rows.iter().try_for_each(|row| out.json(row))?,
        Format::Csv => {
            let mut csv = csv::WriterBuilder::new().has_headers(is_first).from_writer(out.writer());
            let failed = |error: csv::Error| Failure::Io { what: "standard output".to_owned(), source: error.into() };
            rows.iter().try_for_each(|row| csv.serialize(Flat::of(row))).map_err(failed)?;
            csv.flush().map_err(Failure::io("standard output"))?;
        }
        Format::Table => out.table(&Flat::COLUMNS, rows.iter().map(|row| Flat::of(row).cells()))?,
    }
    out.flush()
}
