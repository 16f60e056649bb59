//! The courts' own files: header, columns, rows, trailer.
//!
//! Promises that a row becomes a listing's content only by the same checks as a call does, or else one fault that names
//! the column and the way out, and never a number or name. Nothing here decodes bytes or reads a file: the hub hands in
//! decoded rows, and whoever writes a file writes it through the same [`Header`] and [`Trailer`].
//!
//! A file is: a byte order mark or none; the [`Header`] line, in ASCII; the row of column names; the rows, as CSV
//! (RFC 4180); the [`Trailer`] line. The digest is over the raw bytes from behind the header's line end up to the `#` of
//! the trailer.

mod compare;
mod listing;
mod relation;
mod staged;
#[cfg(test)]
mod tests;

use std::fmt;

use csv::StringRecord;

use crate::closed::closed;
use crate::fault::choose;
use crate::listing::ContentFault;
use crate::time::Timestamp;

pub use compare::{ListFields, differing_fields};
pub use listing::{ListingColumn, ListingRows};
pub use relation::{ListingName, RelationColumn, RelationRow, RelationRows};
pub use staged::{ImportAction, ImportCounts, ImportState, ListCounts, StagedImport};

/// The format of import files that this build reads and writes.
pub const FORMAT: u16 = 1;
/// How a file's first line begins, behind a byte order mark.
pub const HEADER_MARK: &str = "#xinhub-import;";
/// How a file's last line begins.
pub const TRAILER_MARK: &str = "#end;";
/// Longest header or trailer line, in bytes: what is longer is no such line.
pub const MAX_MARK_LINE_BYTES: usize = 1_024;

/// Longest court id or signer, in characters.
const MAX_FIELD_CHARS: usize = 128;

closed! {
    /// What the rows of a listings file are.
    Mode {
        /// Entries that the court published before it joined: the header attests decision and service.
        Migration = "migration",
        /// Entries with their decisions, in columns of their own.
        Current = "current",
        /// All that the court's list holds as of the file's time, as in [`Mode::Current`]: what it doesn't name is over.
        Complete = "complete",
    }
}

/// What kind of rows a file holds. The numbers are on disk for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
#[cbor(index_only)]
pub enum FileKind {
    /// The list itself.
    #[n(1)]
    Listings = 1,
    /// Related people.
    #[n(2)]
    Relations = 2,
}

/// Why a header, trailer or column row is refused, and with it the whole file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct MarkFault(String);

/// A file's first line: `#xinhub-import;format=1;court=ID;as_of=RFC3339;mode=migration|current|complete;signer=ID`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The id of the court whose listings these are.
    pub court: String,
    /// The state of the court's own records that the file shows. A case that ended later is not added again.
    pub as_of: Timestamp,
    /// What the rows are.
    pub mode: Mode,
    /// The staff id of who signed for the file.
    pub signer: String,
}

impl Header {
    /// Reads the line, without its line end and byte order mark. Fields may come in any order, each once.
    ///
    /// # Errors
    ///
    /// The first field at fault, its shape, and what to write.
    pub fn parse(line: &str) -> Result<Header, MarkFault> {
        let text = line
            .strip_prefix(HEADER_MARK)
            .ok_or_else(|| MarkFault(format!("the file must begin with `{HEADER_MARK}format={FORMAT};…`")))?;
        let fields = Fields::parse(text, &["format", "court", "as_of", "mode", "signer"])?;
        fields.number("format").and_then(|format| match format == u64::from(FORMAT) {
            true => Ok(()),
            false => Err(MarkFault(format!(
                "format: is {format}, this hub reads {FORMAT}; write the file in format {FORMAT}"
            ))),
        })?;
        let as_of: jiff::Timestamp = fields.text("as_of")?.parse().map_err(|_| {
            MarkFault("as_of: is not an instant of RFC 3339, such as 2026-03-01T00:00:00+08:00".to_owned())
        })?;
        let mode = fields.text("mode")?;
        let mode = Mode::parse(mode).ok_or_else(|| {
            MarkFault(format!("mode: is unknown; {}", choose(mode, Mode::ALL.iter().map(|mode| mode.as_str()))))
        })?;
        Ok(Header {
            court: fields.short("court")?,
            as_of: Timestamp(as_of.as_millisecond()),
            mode,
            signer: fields.short("signer")?,
        })
    }
}

impl fmt::Display for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Header { court, as_of, mode, signer } = self;
        write!(f, "{HEADER_MARK}format={FORMAT};court={court};as_of={};mode={mode};signer={signer}", as_of.rfc3339())
    }
}

/// A file's last line: `#end;rows=N;sha256=HEX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trailer {
    /// Rows in the file, the column row not counted.
    pub rows: u64,
    /// SHA-256 over the raw bytes between header and trailer.
    pub sha256: [u8; 32],
}

impl Trailer {
    /// Reads the line, without its line end.
    ///
    /// # Errors
    ///
    /// The first field at fault, and its shape.
    pub fn parse(line: &str) -> Result<Trailer, MarkFault> {
        let text = line
            .strip_prefix(TRAILER_MARK)
            .ok_or_else(|| MarkFault(format!("the last line must be `{TRAILER_MARK}rows=N;sha256=HEX`")))?;
        let fields = Fields::parse(text, &["rows", "sha256"])?;
        let sha256 = parse_hex(fields.text("sha256")?)
            .ok_or_else(|| MarkFault("sha256: must be 64 hexadecimal digits".to_owned()))?;
        Ok(Trailer { rows: fields.number("rows")?, sha256 })
    }
}

impl fmt::Display for Trailer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{TRAILER_MARK}rows={};sha256=", self.rows)?;
        self.sha256.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

fn parse_hex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 2 * bytes.len() {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let digit = |c: u8| char::from(c).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

/// The `key=value` fields of a header or trailer.
struct Fields<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Fields<'a> {
    fn parse(text: &'a str, known: &[&'static str]) -> Result<Fields<'a>, MarkFault> {
        let mut fields: Vec<(&str, &str)> = Vec::with_capacity(known.len());
        for field in text.split(';') {
            let (key, value) = field.split_once('=').unwrap_or((field, ""));
            let (key, value) = (key.trim(), value.trim());
            if !known.contains(&key) {
                let hint = choose(key, known.iter().copied());
                return Err(MarkFault(format!("field {} is unknown; {hint}", fields.len() + 1)));
            }
            if fields.iter().any(|(seen, _)| *seen == key) {
                return Err(MarkFault(format!("{key}: is given twice")));
            }
            fields.push((key, value));
        }
        match known.iter().find(|name| !fields.iter().any(|(key, _)| key == *name)) {
            Some(missing) => Err(MarkFault(format!("{missing}: is missing; the line needs {}", known.join(", ")))),
            None => Ok(Fields(fields)),
        }
    }

    fn text(&self, name: &str) -> Result<&'a str, MarkFault> {
        let value = self.0.iter().find(|(key, _)| *key == name).map_or("", |(_, value)| value);
        if value.is_empty() { Err(MarkFault(format!("{name}: is empty"))) } else { Ok(value) }
    }

    fn short(&self, name: &str) -> Result<String, MarkFault> {
        match self.text(name)? {
            text if text.chars().count() > MAX_FIELD_CHARS => {
                Err(MarkFault(format!("{name}: has more than {MAX_FIELD_CHARS} characters")))
            }
            text => Ok(text.to_owned()),
        }
    }

    fn number(&self, name: &str) -> Result<u64, MarkFault> {
        self.text(name)?.parse().map_err(|_| MarkFault(format!("{name}: is not a number")))
    }
}

/// Why a row is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowReason {
    /// The number is no identity, or its kind can't be told.
    Identity,
    /// Another field is at fault.
    Field,
    /// The row belongs to another court.
    OtherCourt,
    /// The subject is, or was, a minor.
    Minor,
}

/// A row that is not taken. The rest of the file goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowFault {
    /// The first column at fault.
    pub column: &'static str,
    /// What is wrong with it.
    pub reason: RowReason,
    /// Every fault of the row at once, each with its column and the way out; never a value.
    pub message: String,
}

/// Collects the faults of one row.
#[derive(Default)]
struct Problems(Vec<(&'static str, RowReason, String)>);

impl Problems {
    fn add(&mut self, column: &'static str, reason: RowReason, problem: impl Into<String>) {
        self.0.push((column, reason, problem.into()));
    }

    /// Adds what the content's check found, under the columns' names. A column that is known to be at fault is left out:
    /// what the check says of it only follows from that.
    fn extend(&mut self, faults: Vec<ContentFault>, column: impl Fn(&str) -> &'static str) {
        let known = self.0.len();
        for fault in faults {
            let column = column(&fault.field);
            if self.0.iter().take(known).any(|(at_fault, _, _)| *at_fault == column) {
                continue;
            }
            let reason = match fault.minor {
                true => RowReason::Minor,
                false if fault.field.starts_with("identit") => RowReason::Identity,
                false => RowReason::Field,
            };
            self.add(column, reason, without_field(&fault.problem));
        }
    }

    fn into_fault(self) -> RowFault {
        let column = self.0.first().map_or("", |(column, _, _)| column);
        // That a child is concerned outweighs whatever else is wrong.
        let minor = self.0.iter().find(|(_, reason, _)| *reason == RowReason::Minor);
        let reason = minor.or(self.0.first()).map_or(RowReason::Field, |(_, reason, _)| *reason);
        let texts: Vec<String> = self.0.iter().map(|(column, _, problem)| format!("{column}: {problem}")).collect();
        RowFault { column, reason, message: texts.join("; ") }
    }
}

/// Errors of single values begin with the field's own name; the column's stands there already.
fn without_field(problem: &str) -> &str {
    const FIELDS: [&str; 4] = ["number: ", "name: ", "case_number: ", "identities: "];
    FIELDS.iter().find_map(|field| problem.strip_prefix(field)).unwrap_or(problem)
}

/// Where each column stands in a row, by the column's own order.
#[derive(Clone, Debug)]
struct Layout {
    at: Vec<Option<usize>>,
    columns: usize,
}

impl Layout {
    /// Finds `known` columns by name, in any order; those of them in `required` must be there, and no others may.
    fn parse(names: &StringRecord, known: &[&'static str], required: &[&'static str]) -> Result<Layout, MarkFault> {
        let mut at = vec![None; known.len()];
        let mut problems = Vec::new();
        for (position, name) in names.iter().enumerate() {
            let name = name.trim();
            match known.iter().position(|column| *column == name) {
                Some(column) if at[column].is_some() => problems.push(format!("column {name} stands there twice")),
                Some(column) => at[column] = Some(position),
                None => {
                    // A row of data in the place of the column row must not be told back.
                    let shown = name.len() <= 20 && name.chars().all(|c| c.is_ascii_alphabetic() || c == '_');
                    let shown = if shown { format!("`{name}`") } else { format!("number {}", position + 1) };
                    problems.push(format!("column {shown} is unknown"));
                }
            }
        }
        let missing: Vec<&str> = known
            .iter()
            .zip(&at)
            .filter(|(column, at)| at.is_none() && required.contains(column))
            .map(|(column, _)| *column)
            .collect();
        if !missing.is_empty() {
            problems.push(format!("missing: {}", missing.join(", ")));
        }
        match problems.is_empty() {
            true => Ok(Layout { at, columns: names.len() }),
            false => Err(MarkFault(format!("column row: {}; it takes {}", problems.join("; "), known.join(", ")))),
        }
    }

    /// The trimmed text of a column; empty where the file has no such column.
    fn text<'a>(&self, row: &'a StringRecord, column: usize) -> &'a str {
        self.at.get(column).copied().flatten().and_then(|at| row.get(at)).map_or("", str::trim)
    }

    fn check_width(&self, row: &StringRecord) -> Result<(), RowFault> {
        if row.len() == self.columns {
            return Ok(());
        }
        let message = format!(
            "the row has {} fields, the column row has {}; put fields that hold commas, quotes or line ends into quotes",
            row.len(),
            self.columns
        );
        Err(RowFault { column: "", reason: RowReason::Field, message })
    }
}
