//! Synthetic rows in the courts' own layout, as many as wanted.
//!
//! What is promised here: the same settings give the same bytes; memory does not grow with rows; every identity is valid, and
//! no row repeats another's identity unless it means the same subject; every row says that it is synthetic, in `gistId`
//! and in `duty`; a file without its trailer was not finished.

mod answers;
mod args;
mod case;
mod file;
pub mod layout;
mod names;
mod row;
mod subject;

use std::borrow::Cow;
use std::io::{self, Write};

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::{Offset, TimeZone};

use answers::Answers;
pub use args::SynthesizeArgs;
pub(crate) use args::run;
pub use file::ImportFile;
use row::Drawn;
pub use xinhub_domain::import::Mode;
use xinhub_domain::import::{Header, ListingColumn, RelationColumn};

/// What to make.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Rows of listings, at most [`MAX_ROWS`].
    pub rows: u64,
    /// Another seed, other rows.
    pub seed: u64,
    /// The court's id in the hub's policy.
    pub court: String,
    /// The court's name, as in `courtName`.
    pub court_name: String,
    /// The court's code in case numbers, such as `粤0882`.
    pub court_code: String,
    /// Staff id of who signs the file.
    pub signer: String,
    /// With which columns.
    pub mode: Mode,
    /// In which characters.
    pub encoding: Encoding,
    /// Whether a byte order mark goes first.
    pub bom: bool,
    /// The instant that the file tells the state of. All dates follow from it.
    pub as_of: Timestamp,
}

/// More rows would run out of serial numbers of eight digits.
pub const MAX_ROWS: u64 = 99_999_999;
/// Rows reach back five years at most, and to nobody under age.
const FIRST_AS_OF: Date = jiff::civil::date(2023, 1, 1);

/// The characters of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Encoding {
    /// UTF-8.
    #[value(name = "utf-8", alias = "utf8")]
    Utf8,
    /// GB 18030, in full: rare characters take four bytes.
    #[value(name = "gb18030")]
    Gb18030,
}

impl Encoding {
    fn bom(self) -> &'static [u8] {
        match self {
            Encoding::Utf8 => b"\xEF\xBB\xBF",
            Encoding::Gb18030 => b"\x84\x31\x95\x33",
        }
    }

    fn encode(self, text: &str) -> Cow<'_, [u8]> {
        match self {
            Encoding::Utf8 => Cow::Borrowed(text.as_bytes()),
            Encoding::Gb18030 => encoding_rs::GB18030.encode(text).0,
        }
    }
}

/// What was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Summary {
    /// Rows of listings.
    pub rows: u64,
    /// Of these, about persons.
    pub persons: u64,
    /// Of these, about organisations.
    pub organisations: u64,
    /// Rows of relations.
    pub relations: u64,
    /// Rows of answers.
    pub answers: u64,
}

/// Why nothing was made, or not all.
#[derive(Debug, thiserror::Error)]
pub enum SynthesizeError {
    /// A setting can't be used.
    #[error("{field}: {problem}")]
    Setting {
        /// The setting.
        field: &'static str,
        /// What is wrong with it, and what would be right.
        problem: &'static str,
    },
    /// Writing failed.
    #[error("writing rows: {0}")]
    Io(#[from] io::Error),
}

/// Where the rows go. Give buffered writers: rows are written one by one.
pub struct Outputs<'a> {
    /// Listings.
    pub listings: &'a mut dyn Write,
    /// Related people of the organisations listed.
    pub relations: Option<&'a mut dyn Write>,
    /// Who is on the list, and some who are not, for later lookups: columns [`layout::ANSWER_COLUMNS`].
    pub answers: Option<&'a mut dyn Write>,
}

/// Makes the rows; `progress` is called after each with the number of rows so far.
///
/// # Errors
/// Names the setting at fault, or what writing met.
pub fn synthesize(
    settings: &Settings,
    outputs: Outputs<'_>,
    mut progress: impl FnMut(u64),
) -> Result<Summary, SynthesizeError> {
    settings.check()?;
    let header = settings.header();
    let (encoding, bom) = (settings.encoding, settings.bom);
    let columns = ListingColumn::of(settings.mode).iter().map(|column| column.as_str());
    let mut listings = ImportFile::start(outputs.listings, encoding, bom, &header, columns)?;
    let relation_columns = layout::RELATION_COLUMNS.map(RelationColumn::as_str);
    let mut relations =
        outputs.relations.map(|out| ImportFile::start(out, encoding, bom, &header, relation_columns)).transpose()?;
    let mut answers = outputs.answers.map(Answers::start).transpose()?;
    let mut summary = Summary::default();
    for at in 0..settings.rows {
        let drawn = Drawn::draw(settings, at);
        listings.row(drawn.listing(settings).iter().map(AsRef::as_ref))?;
        match drawn.is_person() {
            true => summary.persons += 1,
            false => summary.organisations += 1,
        }
        if let Some(relations) = &mut relations {
            for row in drawn.relations() {
                relations.row(row.iter().map(AsRef::as_ref))?;
            }
        }
        if let Some(answers) = &mut answers {
            answers.write(settings.seed, at, &drawn)?;
        }
        progress(at + 1);
    }
    summary.rows = listings.finish()?;
    summary.relations = relations.map(ImportFile::finish).transpose()?.unwrap_or(0);
    summary.answers = answers.map(Answers::finish).transpose()?.unwrap_or(0);
    Ok(summary)
}

impl Settings {
    fn check(&self) -> Result<(), SynthesizeError> {
        let refuse = |field, problem| Err(SynthesizeError::Setting { field, problem });
        if self.rows > MAX_ROWS {
            return refuse("rows", "at most 99,999,999: a case number has eight digits");
        }
        // The header is one ASCII line of key=value, separated by semicolons.
        let plain =
            |text: &str| !text.is_empty() && text.bytes().all(|c| c.is_ascii_graphic() && c != b';' && c != b'=');
        if !plain(&self.court) {
            return refuse("court", "the court's id in the policy: ASCII without space, ; and =");
        }
        if !plain(&self.signer) {
            return refuse("signer", "a staff id: ASCII without space, ; and =");
        }
        if self.as_of_day() < FIRST_AS_OF {
            return refuse("as_of", "2023-01-01 or later");
        }
        Ok(())
    }

    fn header(&self) -> Header {
        Header {
            court: self.court.clone(),
            as_of: xinhub_domain::time::Timestamp(self.as_of.as_millisecond()),
            mode: self.mode,
            signer: self.signer.clone(),
        }
    }

    /// The day in China.
    fn as_of_day(&self) -> Date {
        TimeZone::fixed(china_offset()).to_datetime(self.as_of).date()
    }
}

/// China has one time zone and no summer time since 1992.
fn china_offset() -> Offset {
    Offset::constant(8)
}

/// The last midnight in China: a default for `as_of` under which the same seed gives the same bytes all day.
pub fn today() -> Timestamp {
    let zone = TimeZone::fixed(china_offset());
    let now = Timestamp::now();
    let into_day = zone.to_datetime(now).time().duration_since(jiff::civil::Time::midnight());
    now.checked_sub(into_day).unwrap_or(now)
}
