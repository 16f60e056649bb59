//! Standard output: data alone, as a table for people or as JSON for programs.

use std::io::{self, BufWriter, Write};

use comfy_table::{ColumnConstraint, ContentArrangement, Table, Width, presets};
use serde::Serialize;

use crate::exit::Failure;
use crate::lang::Lang;

/// In which form data is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people. May change between versions.
    Table,
    /// One JSON object a line; stable, see OUTPUT.md.
    Json,
    /// Comma-separated, with a header (`batch`, `deadlines` and `report` only); stable, see OUTPUT.md.
    Csv,
}

/// Where a command writes its data.
pub(crate) struct Out {
    pub(crate) format: Format,
    pub(crate) lang: Lang,
    to: Box<dyn Write>,
}

/// One line of a table: label and text.
pub(crate) type Line = (&'static str, String);

impl Out {
    pub(crate) fn stdout(format: Format, lang: Lang) -> Self {
        Self { format, lang, to: Box::new(BufWriter::new(io::stdout())) }
    }

    /// Refuses CSV where a command has no columns.
    pub(crate) fn refuse_csv(&self) -> Result<(), Failure> {
        match self.format {
            Format::Csv => {
                Err(Failure::Usage("--output csv is for `batch`, `deadlines` and `report`; use json here".to_owned()))
            }
            Format::Table | Format::Json => Ok(()),
        }
    }

    /// One thing: a JSON object, or a table of its parts. Empty parts are left out of the table.
    pub(crate) fn record<T: Serialize>(&mut self, value: &T, lines: impl FnOnce() -> Vec<Line>) -> Result<(), Failure> {
        match self.format {
            Format::Json => self.json(value),
            Format::Table | Format::Csv => {
                let mut table = plain_table();
                for (label, text) in lines().into_iter().filter(|(_, text)| !text.is_empty()) {
                    table.add_row([label, &text]);
                }
                self.text(&table.to_string())
            }
        }
    }

    /// Many things of a kind, as a table with a header.
    pub(crate) fn table(
        &mut self,
        header: &[&str],
        rows: impl IntoIterator<Item = Vec<String>>,
    ) -> Result<(), Failure> {
        let mut table = plain_table();
        table.set_header(header);
        table.add_rows(rows);
        self.text(&table.to_string())
    }

    /// A row of a table that comes row by row: each cell has its width, the last what it needs.
    pub(crate) fn row<const N: usize>(&mut self, widths: [u16; N], cells: [String; N]) -> Result<(), Failure> {
        let mut table = Table::new();
        table.load_preset(presets::NOTHING).add_row(cells);
        for (column, width) in table.column_iter_mut().zip(widths).take(N - 1) {
            column.set_constraint(ColumnConstraint::Absolute(Width::Fixed(width)));
        }
        self.text(table.trim_fmt().trim_start())
    }

    /// Flat things of a kind as CSV, one a row; the header goes above the first page alone.
    pub(crate) fn csv<T: Serialize>(
        &mut self,
        rows: impl IntoIterator<Item = T>,
        with_header: bool,
    ) -> Result<(), Failure> {
        let mut csv = csv::WriterBuilder::new().has_headers(with_header).from_writer(&mut *self.to);
        for row in rows {
            csv.serialize(row).map_err(io::Error::from).map_err(failed)?;
        }
        csv.flush().map_err(failed)
    }

    /// One JSON object on a line of its own.
    pub(crate) fn json<T: Serialize>(&mut self, value: &T) -> Result<(), Failure> {
        let line = serde_json::to_string(value).map_err(io::Error::from).map_err(failed)?;
        self.text(&line)
    }

    /// A line, or several.
    pub(crate) fn text(&mut self, text: &str) -> Result<(), Failure> {
        writeln!(self.to, "{text}").map_err(failed)
    }

    /// Lets what was written so far be seen.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        self.to.flush().map_err(failed)
    }

    /// For a CSV writer of its own.
    pub(crate) fn writer(&mut self) -> &mut dyn Write {
        &mut *self.to
    }
}

fn failed(source: io::Error) -> Failure {
    Failure::Io { what: "standard output".to_owned(), source }
}

fn plain_table() -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
    table
}
