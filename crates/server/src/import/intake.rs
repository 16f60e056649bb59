//! Receiving a file: header first, trailer last, everything between hashed and spooled.

use aws_lc_rs::digest;
use xinhub_api::reason::Reason;
use xinhub_domain::import::{HEADER_MARK, Header, MAX_MARK_LINE_BYTES, TRAILER_MARK, Trailer};
use xinhub_domain::time::Timestamp;

use super::spool::Spool;
use super::{FileFault, ImportSettings, Refused};

/// The byte order marks of the two encodings, and of one that no court uses for CSV.
const BOM_UTF8: &[u8] = &[0xEF, 0xBB, 0xBF];
const BOM_GB18030: &[u8] = &[0x84, 0x31, 0x95, 0x33];
const BOMS_UTF16: [&[u8]; 2] = [&[0xFF, 0xFE], &[0xFE, 0xFF]];

/// How the file's bytes stand for characters. Commas, quotes and line ends are the same bytes in both, and never a part of
/// another character: rows can be told apart before they are decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Utf8,
    Gb18030,
}

/// A file that is here and whole, its rows not yet counted.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) header: Header,
    pub(super) trailer: Trailer,
    /// The encoding that the byte order mark tells; where there is none, the rows do.
    pub(super) marked: Option<Encoding>,
    /// The line of the trailer, from 1.
    pub(super) trailer_line: u64,
    pub(super) spool: Spool,
    /// Bytes of column row and rows in the spool: what comes behind is the trailer.
    pub(super) body_bytes: u64,
}

/// A file on its way.
pub(super) struct Intake {
    court: String,
    now: Timestamp,
    max_bytes: u64,
    /// Until the header's line is whole.
    head: Vec<u8>,
    header: Option<Header>,
    marked: Option<Encoding>,
    spool: Spool,
    digest: digest::Context,
    /// The last bytes so far, not hashed: the trailer may be among them.
    held: Vec<u8>,
    /// Line ends hashed.
    lines: u64,
}

impl Intake {
    pub(super) fn begin(settings: &ImportSettings, court: &str, now: Timestamp) -> std::io::Result<Intake> {
        Ok(Intake {
            court: court.to_owned(),
            now,
            max_bytes: settings.max_file_bytes,
            head: Vec::new(),
            header: None,
            marked: None,
            spool: Spool::create(&settings.staging_dir, settings.min_free_bytes)?,
            digest: digest::Context::new(&digest::SHA256),
            held: Vec::new(),
            lines: 0,
        })
    }

    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(), Refused> {
        if self.header.is_some() {
            return self.push_body(bytes);
        }
        self.head.extend_from_slice(bytes);
        let end = self.head.iter().take(MAX_MARK_LINE_BYTES).position(|byte| *byte == b'\n');
        match end {
            Some(end) => {
                let body = self.head.split_off(end + 1);
                let (marked, header) = self.read_header()?;
                (self.marked, self.header) = (marked, Some(header));
                self.head = Vec::new();
                self.push_body(&body)
            }
            None if self.head.len() >= MAX_MARK_LINE_BYTES => Err(no_header().into()),
            None => Ok(()),
        }
    }

    /// Refused before the rest is received, so that nobody uploads gigabytes in vain.
    fn read_header(&self) -> Result<(Option<Encoding>, Header), FileFault> {
        let boms = [(BOM_UTF8, Encoding::Utf8), (BOM_GB18030, Encoding::Gb18030)];
        let marked = boms.iter().find_map(|(bom, encoding)| Some((self.head.strip_prefix(*bom)?, *encoding)));
        let (line, encoding) = match marked {
            Some((line, encoding)) => (line, Some(encoding)),
            None => (self.head.as_slice(), None),
        };
        if BOMS_UTF16.iter().any(|bom| line.starts_with(bom)) {
            return Err(FileFault::new(1, "the file is UTF-16; write it as UTF-8 or GB 18030"));
        }
        if !line.starts_with(HEADER_MARK.as_bytes()) {
            return Err(no_header());
        }
        let line = std::str::from_utf8(line.trim_ascii_end()).ok().filter(|line| line.is_ascii());
        let line = line.ok_or_else(|| FileFault::new(1, "the header line must be ASCII"))?;
        let header = Header::parse(line).map_err(|fault| FileFault::new(1, fault.to_string()))?;
        if header.court != self.court {
            let problem = "court: is not the caller's; a court sends its own listings only";
            return Err(FileFault { reason: Reason::OtherCourt, ..FileFault::new(1, problem) });
        }
        if header.as_of > self.now {
            let problem = "as_of: lies in the future by the hub's clock; write the time at which the file was made";
            return Err(FileFault::new(1, problem));
        }
        Ok((encoding, header))
    }

    fn push_body(&mut self, bytes: &[u8]) -> Result<(), Refused> {
        if self.spool.len() + bytes.len() as u64 > self.max_bytes {
            let problem = format!("the file is over {} bytes, the hub's bound; send it in parts", self.max_bytes);
            return Err(FileFault::new(None, problem).into());
        }
        self.spool.push(bytes)?;
        self.held.extend_from_slice(bytes);
        let settled = self.held.len().saturating_sub(MAX_MARK_LINE_BYTES);
        self.settle(settled);
        Ok(())
    }

    /// The first `count` held bytes can't belong to the trailer.
    fn settle(&mut self, count: usize) {
        let bytes = &self.held[..count];
        self.digest.update(bytes);
        self.lines += bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
        self.held.drain(..count);
    }

    /// The file has ended: is it whole?
    pub(super) fn finish(mut self) -> Result<Received, Refused> {
        let Some(header) = self.header.take() else { return Err(no_header().into()) };
        let line_end = self.held.strip_suffix(b"\n").map_or(self.held.len(), <[u8]>::len);
        let before = self.held[..line_end].iter().rposition(|byte| *byte == b'\n');
        let start = before.map_or(0, |before| before + 1);
        let trailer = self.held[start..].to_vec();
        let body_bytes = self.spool.len() - trailer.len() as u64;
        self.settle(start);
        // The header is line 1.
        let line = self.lines + 2;
        let text = std::str::from_utf8(trailer.trim_ascii_end()).unwrap_or_default();
        if !text.starts_with(TRAILER_MARK) {
            let problem =
                "the file ends here without its trailer `#end;rows=N;sha256=HEX`: it was cut short; send it whole";
            return Err(FileFault::new(line, problem).into());
        }
        let trailer = Trailer::parse(text).map_err(|fault| FileFault::new(line, fault.to_string()))?;
        if self.digest.finish().as_ref() != trailer.sha256 {
            let problem = "sha256: does not fit the bytes between header and trailer: the file was changed or damaged on its \
                           way; send it again, or write it anew";
            return Err(FileFault::new(line, problem).into());
        }
        Ok(Received { header, trailer, marked: self.marked, trailer_line: line, spool: self.spool, body_bytes })
    }
}

fn no_header() -> FileFault {
    let problem = format!(
        "the file must begin with `{HEADER_MARK}format=1;court=ID;as_of=RFC3339;mode=migration|current|complete;signer=ID`"
    );
    FileFault::new(1, problem)
}
