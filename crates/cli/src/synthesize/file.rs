//! One import file, written row by row: header, columns, rows, and a trailer over the bytes between.

use std::io::{self, Write};

use aws_lc_rs::digest::{Context, SHA256};
use xinhub_domain::import::{Header, Trailer};

use super::Encoding;

/// A file that is being written. Without [`finish`](ImportFile::finish) it has no trailer, and no hub takes it.
pub struct ImportFile<W> {
    out: W,
    encoding: Encoding,
    digest: Context,
    rows: u64,
    line: String,
}

impl<W: Write> ImportFile<W> {
    /// Writes the byte order mark, if wanted, the header line and the column row.
    ///
    /// # Errors
    /// What writing meets.
    pub fn start<'a>(
        mut out: W,
        encoding: Encoding,
        bom: bool,
        header: &Header,
        columns: impl IntoIterator<Item = &'a str>,
    ) -> io::Result<Self> {
        if bom {
            out.write_all(encoding.bom())?;
        }
        writeln!(out, "{header}")?;
        let mut file =
            Self { out, encoding, digest: Context::new(&SHA256), rows: 0, line: String::with_capacity(1024) };
        file.write_line(columns)?;
        Ok(file)
    }

    /// Writes one row.
    ///
    /// # Errors
    /// What writing meets.
    pub fn row<'a>(&mut self, fields: impl IntoIterator<Item = &'a str>) -> io::Result<()> {
        self.write_line(fields)?;
        self.rows += 1;
        Ok(())
    }

    fn write_line<'a>(&mut self, fields: impl IntoIterator<Item = &'a str>) -> io::Result<()> {
        self.line.clear();
        push_line(&mut self.line, fields);
        let bytes = self.encoding.encode(&self.line);
        self.digest.update(&bytes);
        self.out.write_all(&bytes)
    }

    /// Writes the trailer, which makes the file whole.
    ///
    /// # Errors
    /// What writing meets.
    pub fn finish(mut self) -> io::Result<u64> {
        let digest = self.digest.finish();
        let mut sha256 = [0; 32];
        // Both are 32 bytes long.
        sha256.copy_from_slice(digest.as_ref());
        writeln!(self.out, "{}", Trailer { rows: self.rows, sha256 })?;
        self.out.flush()?;
        Ok(self.rows)
    }
}

/// One line of CSV (RFC 4180, with LF). Written here, and not by a CSV writer, because the text has to be whole before it is
/// encoded: a buffer's end may fall into a character.
pub(super) fn push_line<'a>(line: &mut String, fields: impl IntoIterator<Item = &'a str>) {
    for (at, field) in fields.into_iter().enumerate() {
        if at > 0 {
            line.push(',');
        }
        if field.contains([',', '"', '\n', '\r']) {
            line.push('"');
            line.push_str(&field.replace('"', "\"\""));
            line.push('"');
        } else {
            line.push_str(field);
        }
    }
    line.push('\n');
}
