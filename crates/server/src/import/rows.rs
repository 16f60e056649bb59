//! Reading the rows of a file that is whole.

use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;
use std::sync::Arc;

use csv::{ByteRecord, StringRecord, Terminator};
use encoding_rs::GB18030;
use xinhub_api::reason::Reason;
use xinhub_domain::case_number::CaseNumber;
use xinhub_domain::import::{ListingName, ListingRows, Mode, RelationRows, RowFault as Untakable, RowReason};
use xinhub_domain::policy::Policy;
use xinhub_domain::time::Timestamp;
use xinhub_ledger::clock::Clock;
use xinhub_ledger::{ImportRow, ListingRef};

use super::intake::{Encoding, Received};
use super::{FileFault, FileKind, Refused, RowFault};

/// Longest row, in bytes. A quote that is never closed would otherwise make one row of the rest of the file.
const MAX_ROW_BYTES: u64 = 1 << 20;
/// Rows of a batch. A lift that comes meanwhile waits for a batch that was begun, and for the one before it to be synced: larger ones
/// would let it wait longer, smaller ones would wait for the disk.
const BATCH_ROWS: usize = 250;
/// How often it is told how far the file is read.
const PROGRESS_ROWS: u64 = 1_000;
const READ_BYTES: usize = 64 << 10;

/// What reading comes upon.
#[derive(Debug)]
pub(super) enum Step {
    /// Checked rows for the ledger.
    Batch(Batch),
    /// A row that can't be taken, and the case that it is of, if that can be told.
    Fault(RowFault, Option<CaseNumber>),
    /// Rows read so far.
    Progress(u64),
}

/// At most [`BATCH_ROWS`] rows, and where each came from.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) rows: Vec<ImportRow>,
    pub(super) origins: Vec<Origin>,
}

impl Batch {
    /// The first so many rows, and what is left behind them.
    pub(super) fn split(mut self, rows: usize) -> (Batch, Option<Batch>) {
        if self.rows.len() <= rows {
            return (self, None);
        }
        let left = Batch { rows: self.rows.split_off(rows), origins: self.origins.split_off(rows) };
        (self, Some(left))
    }
}

/// Where a row came from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin {
    pub(super) line: u64,
    pub(super) has_warnings: bool,
}

/// Counts the rows against the trailer, and finds the encoding where no byte order mark told it.
pub(super) fn survey(received: &Received, file: FileKind) -> Result<Encoding, Refused> {
    let mut records = Records::new(received);
    let columns = records.columns()?;
    // Whatever is wrong with the columns is told now, before anybody counts on the file.
    check_columns(received, file, &columns)?;
    let mut rows = 0;
    let (mut as_utf8, mut not_utf8) = (0_u64, 0_u64);
    while records.next()? {
        rows += 1;
        let bytes = records.record.as_slice();
        if !bytes.is_ascii() {
            let valid = std::str::from_utf8(bytes).is_ok();
            as_utf8 += u64::from(valid);
            not_utf8 += u64::from(!valid);
        }
    }
    if rows != received.trailer.rows {
        let problem = format!(
            "rows: says {}, the file has {rows}; look for a quote that is not closed, or write the file anew",
            received.trailer.rows
        );
        return Err(FileFault::new(received.trailer_line, problem).into());
    }
    // Text in GB 18030 is practically never valid UTF-8 by chance, not one row of it; so a few rows that are not UTF-8
    // among many that are were damaged, and are told one by one.
    let guess = if as_utf8 >= not_utf8 { Encoding::Utf8 } else { Encoding::Gb18030 };
    Ok(received.marked.unwrap_or(guess))
}

fn check_columns(received: &Received, file: FileKind, columns: &StringRecord) -> Result<(), FileFault> {
    if file == FileKind::Relations && received.header.mode == Mode::Complete {
        return Err(FileFault::new(1, "mode: complete is for listings; write a file of relations in mode current"));
    }
    let problem = match file {
        FileKind::Listings => ListingRows::check_columns(received.header.mode, columns).err(),
        FileKind::Relations => RelationRows::new(columns).err(),
    };
    problem.map_or(Ok(()), |fault| Err(FileFault::new(2, fault.to_string())))
}

/// Reads every row and hands `sink` what it comes upon, in the order of the file; ends early where `sink` wants no more.
pub(super) fn read(
    received: &Received,
    encoding: Encoding,
    file: FileKind,
    policy: Arc<Policy>,
    clock: &dyn Clock,
    sink: &mut dyn FnMut(Step) -> bool,
) -> Result<(), Refused> {
    let mut records = Records::new(received);
    let columns = records.columns()?;
    let rules = Rules::new(received, file, &columns, policy)?;
    let (mut rows, mut now) = (0, clock.wall());
    let mut batch = Batch::default();
    let mut text = StringRecord::new();
    while records.next()? {
        rows += 1;
        let row = decode(&records.record, encoding, &columns, &mut text).and_then(|()| rules.row(&text, now));
        let step = match row {
            Ok((row, has_warnings)) => {
                batch.rows.push(row);
                batch.origins.push(Origin { line: records.line, has_warnings });
                let is_full = batch.rows.len() == BATCH_ROWS;
                is_full.then(|| Step::Batch(std::mem::take(&mut batch)))
            }
            Err(fault) => Some(Step::Fault(row_fault(records.line, fault), rules.case_number(&text))),
        };
        if !step.is_none_or(&mut *sink) {
            return Ok(());
        }
        if rows % PROGRESS_ROWS == 0 {
            now = clock.wall();
            if !sink(Step::Progress(rows)) {
                return Ok(());
            }
        }
    }
    if batch.rows.is_empty() || sink(Step::Batch(batch)) {
        sink(Step::Progress(rows));
    }
    Ok(())
}

fn row_fault(line: u64, fault: Untakable) -> RowFault {
    let reason = match fault.reason {
        RowReason::Identity => Reason::InvalidIdentity,
        RowReason::Field => Reason::InvalidField,
        RowReason::OtherCourt => Reason::OtherCourt,
        RowReason::Minor => Reason::Minor,
    };
    RowFault { line, column: fault.column, reason, message: fault.message }
}

/// The rules of one sort of file.
enum Rules {
    Listings(ListingRows),
    Relations(RelationRows),
}

impl Rules {
    fn new(
        received: &Received,
        file: FileKind,
        columns: &StringRecord,
        policy: Arc<Policy>,
    ) -> Result<Rules, FileFault> {
        let rules = match file {
            FileKind::Listings => ListingRows::new(&received.header, columns, policy).map(Rules::Listings),
            FileKind::Relations => RelationRows::new(columns).map(Rules::Relations),
        };
        rules.map_err(|fault| FileFault::new(2, fault.to_string()))
    }

    fn case_number(&self, text: &StringRecord) -> Option<CaseNumber> {
        match self {
            Rules::Listings(rules) => rules.case_number(text),
            Rules::Relations(_) => None,
        }
    }

    /// The row for the ledger, and whether it has soft faults.
    fn row(&self, text: &StringRecord, now: Timestamp) -> Result<(ImportRow, bool), Untakable> {
        match self {
            Rules::Listings(rules) => {
                let (content, warnings) = rules.content(text, now)?;
                Ok((ImportRow::Listing(Box::new(content)), !warnings.is_empty()))
            }
            Rules::Relations(rules) => {
                let row = rules.relation(text, now)?;
                let listing = match row.listing {
                    ListingName::Number(number) => ListingRef::Number(number),
                    ListingName::Case { case_number, subject } => ListingRef::Case { case_number, subject },
                };
                Ok((ImportRow::Relation { listing, content: Box::new(row.content) }, !row.warnings.is_empty()))
            }
        }
    }
}

/// Decodes a row into `text`. Bytes that stand for no character are a fault of their row alone.
fn decode(
    record: &ByteRecord,
    encoding: Encoding,
    columns: &StringRecord,
    text: &mut StringRecord,
) -> Result<(), Untakable> {
    text.clear();
    for (at, field) in record.iter().enumerate() {
        let decoded = match encoding {
            Encoding::Utf8 => std::str::from_utf8(field).ok().map(Into::into),
            Encoding::Gb18030 => GB18030.decode_without_bom_handling_and_without_replacement(field),
        };
        match decoded {
            // Line ends inside a field are kept as one character; the one of a CRLF file's row ends its last field.
            Some(field) if field.contains('\r') => text.push_field(&field.replace("\r\n", "\n")),
            Some(field) => text.push_field(&field),
            None => return Err(undecodable(columns.get(at).unwrap_or_default(), encoding)),
        }
    }
    Ok(())
}

fn undecodable(column: &str, encoding: Encoding) -> Untakable {
    use xinhub_domain::import::{ListingColumn, RelationColumn};
    let column = column.trim();
    let known = ListingColumn::parse(column).map(ListingColumn::as_str);
    let column = known.or(RelationColumn::parse(column).map(RelationColumn::as_str)).unwrap_or_default();
    let encoding = match encoding {
        Encoding::Utf8 => "UTF-8",
        Encoding::Gb18030 => "GB 18030",
    };
    let message = format!("{column}: holds bytes that are no text in {encoding}, the encoding of the rest of the file");
    Untakable { column, reason: RowReason::Field, message }
}

/// The rows of a file as bytes, with the line on which each begins.
struct Records<'a> {
    csv: csv::Reader<Bounded<Box<dyn Read + 'a>>>,
    allowance: Rc<Cell<u64>>,
    record: ByteRecord,
    line: u64,
}

impl<'a> Records<'a> {
    fn new(received: &'a Received) -> Records<'a> {
        let allowance = Rc::new(Cell::new(0));
        let body: Box<dyn Read + 'a> = Box::new(received.spool.reader().take(received.body_bytes));
        let csv = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            // A carriage return before it is trimmed off the last field.
            .terminator(Terminator::Any(b'\n'))
            .buffer_capacity(READ_BYTES)
            .from_reader(Bounded { inner: body, allowance: Rc::clone(&allowance) });
        Records { csv, allowance, record: ByteRecord::new(), line: 1 }
    }

    fn columns(&mut self) -> Result<StringRecord, Refused> {
        if !self.next()? {
            return Err(FileFault::new(2, "the row of column names is missing").into());
        }
        Ok(StringRecord::from_byte_record_lossy(self.record.clone()))
    }

    /// Reads the next row that isn't blank; false at the end.
    fn next(&mut self) -> Result<bool, Refused> {
        loop {
            self.allowance.set(MAX_ROW_BYTES + READ_BYTES as u64);
            let line = self.csv.position().line() + 1;
            match self.csv.read_byte_record(&mut self.record) {
                Ok(false) => return Ok(false),
                Ok(true) => {}
                Err(error) => return Err(self.refusal(line, error)),
            }
            // The line on which a row begins, from where it ends: blank lines before it were skipped unseen. A row ends
            // with its line end, since the trailer stands on a line of its own; the header is line 1.
            let inside = self.record.as_slice().iter().filter(|byte| **byte == b'\n').count() as u64;
            self.line = self.csv.position().line() - inside;
            if self.record.len() > 1 || self.record.iter().any(|field| !field.trim_ascii().is_empty()) {
                return Ok(true);
            }
        }
    }

    fn refusal(&self, line: u64, error: csv::Error) -> Refused {
        match error.into_kind() {
            csv::ErrorKind::Io(_) if self.allowance.get() == 0 => {
                let problem = "the row that begins here, or just after, is over 1 MiB: a quote is not closed";
                FileFault::new(line, problem).into()
            }
            csv::ErrorKind::Io(error) => Refused::Disk(error),
            _ => FileFault::new(line, "is no CSV (RFC 4180)").into(),
        }
    }
}

/// Gives out no more than an allowance, which each row renews.
struct Bounded<R> {
    inner: R,
    allowance: Rc<Cell<u64>>,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        match self.allowance.get().checked_sub(count as u64) {
            Some(left) if left > 0 => {
                self.allowance.set(left);
                Ok(count)
            }
            Some(_) | None => {
                self.allowance.set(0);
                Err(io::Error::other("row over the bound"))
            }
        }
    }
}
