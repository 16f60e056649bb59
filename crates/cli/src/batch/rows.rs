//! The rows of a batch file, one chunk in memory at a time.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use csv::{ByteRecord, Reader, ReaderBuilder, Trim};
use xinhub_client::v1;

use crate::codes;
use crate::exit::Failure;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Column {
    Kind,
    Number,
    IssuingState,
    Name,
    Reference,
    /// Of files of answers (`xinhub synthesize --answers`): for whoever compares, not for the hub.
    Expected,
}

impl Column {
    fn of(header: &[u8]) -> Option<Self> {
        match header {
            b"kind" => Some(Column::Kind),
            b"number" => Some(Column::Number),
            b"issuing_state" => Some(Column::IssuingState),
            b"name" => Some(Column::Name),
            b"reference" => Some(Column::Reference),
            b"expected" => Some(Column::Expected),
            _ => None,
        }
    }
}

/// One row: what to ask, or what is wrong with it.
pub(super) struct Row {
    pub(super) line: u64,
    pub(super) reference: String,
    pub(super) inquiry: Result<v1::Inquiry, String>,
}

/// A file that is being read.
pub(super) struct Rows {
    path: PathBuf,
    csv: Reader<Box<dyn Read>>,
    columns: Vec<Column>,
}

impl Rows {
    /// Opens a file and reads its header.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let failed = Failure::io(path.display().to_string());
        let file: Box<dyn Read> =
            if path == Path::new("-") { Box::new(io::stdin()) } else { Box::new(File::open(path).map_err(failed)?) };
        Self::read(path, file)
    }

    fn read(path: &Path, file: Box<dyn Read>) -> Result<Self, Failure> {
        // A row with too few or too many fields is a fault of that row alone. A byte order mark is dropped by the reader.
        let mut csv = ReaderBuilder::new().flexible(true).trim(Trim::All).from_reader(file);
        let refuse = |problem: &str| Failure::Usage(format!("{}: {problem}", path.display()));
        let header = csv.byte_headers().map_err(|_| refuse("is not CSV"))?;
        let columns: Option<Vec<Column>> = header.iter().map(Column::of).collect();
        let columns = columns
            .filter(|columns| columns.contains(&Column::Kind) && columns.contains(&Column::Number))
            .filter(|columns| (1..columns.len()).all(|at| !columns[..at].contains(&columns[at])))
            .ok_or_else(|| {
                refuse(
                    "the first line must name the columns kind and number, and may name issuing_state, name, reference",
                )
            })?;
        Ok(Self { path: path.to_owned(), csv, columns })
    }

    /// How far the file has been read.
    pub(super) fn bytes_read(&self) -> u64 {
        self.csv.position().byte()
    }

    /// The next rows, at most `max`; none at the end.
    pub(super) fn next_chunk(&mut self, max: u32) -> Result<Vec<Row>, Failure> {
        let mut rows = Vec::new();
        let mut record = ByteRecord::new();
        for _ in 0..max {
            let more = self.csv.read_byte_record(&mut record);
            match more {
                Ok(true) => rows.push(self.row(&record)),
                Ok(false) => break,
                Err(error) => return Err(Failure::io(self.path.display().to_string())(error.into())),
            }
        }
        Ok(rows)
    }

    fn row(&self, record: &ByteRecord) -> Row {
        let line = record.position().map_or(0, csv::Position::line);
        let mut row = Row { line, reference: String::new(), inquiry: Err(String::new()) };
        row.inquiry = self.inquiry(record, &mut row.reference);
        row
    }

    /// Errors name the column, never its value.
    fn inquiry(&self, record: &ByteRecord, reference: &mut String) -> Result<v1::Inquiry, String> {
        let mut inquiry = v1::Inquiry::default();
        let mut identity = v1::Identity::default();
        for (column, bytes) in self.columns.iter().zip(record) {
            let text = std::str::from_utf8(bytes).map_err(|_| format!("{column:?}: not in UTF-8").to_lowercase())?;
            match column {
                Column::Kind => {
                    let kind = codes::parse::<v1::IdentityKind>(text).map_err(|problem| format!("kind: {problem}"))?;
                    identity.kind = kind.into();
                }
                Column::Number => text.clone_into(&mut identity.number),
                Column::IssuingState => text.clone_into(&mut identity.issuing_state),
                Column::Name => text.clone_into(&mut inquiry.name),
                Column::Reference => text.clone_into(reference),
                Column::Expected => {}
            }
        }
        if record.len() != self.columns.len() {
            return Err(format!("has {} fields, expected {}", record.len(), self.columns.len()));
        }
        reference.clone_into(&mut inquiry.reference);
        inquiry.identity = Some(identity);
        Ok(inquiry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines and faults of a file.
    fn check(text: &'static [u8], expected: Result<&[(u64, &str)], &str>) {
        let mut rows = match (Rows::read(Path::new("f"), Box::new(text)), expected) {
            (Ok(rows), _) => rows,
            (Err(failure), Err(part)) => return assert!(failure.to_string().contains(part), "{failure}"),
            (Err(failure), Ok(_)) => panic!("{failure}"),
        };
        let mut found = Vec::new();
        loop {
            let chunk = rows.next_chunk(2).unwrap();
            if chunk.is_empty() {
                break;
            }
            found.extend(chunk.into_iter().map(|row| (row.line, row.inquiry.err().unwrap_or_default())));
        }
        let expected = expected.unwrap();
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for ((line, fault), (expected_line, part)) in found.iter().zip(expected) {
            assert_eq!(line, expected_line);
            assert!(fault.contains(part) && fault.is_empty() == part.is_empty(), "line {line}: {fault:?}");
        }
    }

    #[test]
    fn rows_are_read_one_by_one() {
        check(
            b"\xEF\xBB\xBFkind,number,reference\nuscc, 91110101000000019Y ,a\nnone,1,b\nuscc,2\nuscc,3,c\n",
            Ok(&[(2, ""), (3, "kind: expected one of"), (4, "has 2 fields, expected 3"), (5, "")]),
        );
        check(b"number,kind,name\n1,uscc,\xFF\n", Ok(&[(2, "name: not in utf-8")]));
        check(b"kind,number,expected\n", Ok(&[]));
        check(b"kind,number,naem\n", Err("must name the columns"));
        check(b"kind,name\n", Err("must name the columns"));
        check(b"kind,number,number\n", Err("must name the columns"));
        check(b"", Err("must name the columns"));
    }
}
