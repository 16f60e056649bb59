//! Listings whose terms all end at one midnight to come.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, BufWriter};

use jiff::civil::Date;
use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp, ToSpan};
use xinhub_cli::synthesize::{Encoding, ImportFile};
use xinhub_client::{Hub, v1};
use xinhub_domain::import::{Header, ListingColumn};

use crate::ask::{question, verdict};
use crate::world::World;
use crate::{Result, note};

/// A fixed term (法释〔2017〕7号 art. 2), which a migration counts from the day of publication.
const TERM_MONTHS: i64 = 24;
/// A ground that has one.
const CONDUCT: &str = "违反财产报告制度";
/// Before its publication the case was filed.
const FILED_DAYS: i64 = 90;
/// People that are asked about.
const MAX_PEOPLE: usize = 2_000;

/// Where the day ends.
fn china() -> TimeZone {
    TimeZone::fixed(Offset::constant(8))
}

/// A file of them.
pub(crate) struct Ending {
    pub(crate) file: String,
    pub(crate) rows: u64,
    /// When they end.
    pub(crate) midnight: Timestamp,
    /// Questions about some of the people.
    pub(crate) people: Vec<v1::CheckRequest>,
}

impl Ending {
    /// Files of so many rows each, the first for the midnight after tomorrow's: none of it comes by itself while a run goes on.
    pub(crate) async fn make(world: &World, rows: u64, count: usize) -> Result<Vec<Self>> {
        let mut made = Vec::new();
        for (published, until) in terms(Timestamp::now().to_zoned(china()).date()).take(count) {
            let (drawn, file) = ("drawn.csv", format!("ending-{until}.csv"));
            world.synthesize_more(rows, drawn).await?;
            note(format_args!("having all terms end on {until}"));
            let people = rewrite(world, drawn, &file, published)?;
            fs::remove_file(world.path(drawn))?;
            let midnight = until.tomorrow()?.to_zoned(china())?.timestamp();
            made.push(Self { file, rows, midnight, people });
        }
        Ok(made)
    }

    /// Leaves only people who are on no list yet. Rows are drawn by a seed, and now and then meet those that an earlier one has drawn: whoever
    /// is on two lists stays on one when a term ends.
    pub(crate) async fn keep_unlisted(&mut self, bank: &Hub) -> Result<()> {
        let mut unlisted = Vec::new();
        for request in self.people.drain(..) {
            if verdict(bank, &request).await? == v1::Verdict::Clear {
                unlisted.push(request);
            }
        }
        if unlisted.is_empty() {
            return Err("everybody who was drawn is listed already: run it once more, by another seed".into());
        }
        self.people = unlisted;
        Ok(())
    }
}

/// Days of publication, with the last days of the terms that begin there, from tomorrow on. A last day that no term has is left out: a
/// term from the last of February on ends on the 28th, and none on the 29th.
fn terms(today: Date) -> impl Iterator<Item = (Date, Date)> {
    let days = (1..).map_while(move |days: i64| today.checked_add(days.days()).ok());
    days.filter_map(|until| {
        let published = until.checked_sub(TERM_MONTHS.months()).ok()?;
        (published.checked_add(TERM_MONTHS.months()).ok()? == until).then_some((published, until))
    })
}

/// The same people and cases, all published on one day.
fn rewrite(world: &World, drawn: &str, to: &str, published: Date) -> Result<Vec<v1::CheckRequest>> {
    let mut header = String::new();
    let mut from = BufReader::new(File::open(world.path(drawn))?);
    from.read_line(&mut header)?;
    let header = Header::parse(header.trim_end()).map_err(|fault| format!("{drawn}: {fault:?}"))?;
    // The trailer is a comment to it: the new file gets its own.
    let mut rows = csv::ReaderBuilder::new().comment(Some(b'#')).from_reader(from);
    let out = BufWriter::new(File::create(world.path(to))?);
    let columns = rows.headers()?.clone();
    let mut file = ImportFile::start(out, Encoding::Utf8, false, &header, &columns)?;
    let at = |column: ListingColumn| {
        let at = columns.iter().position(|name| name == column.as_str());
        at.ok_or_else(|| format!("{drawn} has no column {}", column.as_str()))
    };
    let (day, filed) = (published.to_string(), published.checked_sub(FILED_DAYS.days())?.to_string());
    let set = [
        (at(ListingColumn::PublishDate)?, &*day),
        (at(ListingColumn::RegDate)?, &*filed),
        (at(ListingColumn::DisruptTypeName)?, CONDUCT),
    ];
    let (number, age) = (at(ListingColumn::CardNum)?, at(ListingColumn::Age)?);
    let mut people = Vec::new();
    for row in rows.records() {
        let row = row?;
        let fields = row.iter().enumerate().map(|(at, field)| {
            let set = set.iter().find(|(column, _)| *column == at);
            set.map_or(field, |(_, text)| *text)
        });
        file.row(fields)?;
        // Organisations have no age, and travel documents are shorter.
        if people.len() < MAX_PEOPLE && !row[age].is_empty() && row[number].len() == 18 {
            people.push(question("resident_id", row[number].to_owned())?);
        }
    }
    file.finish()?;
    Ok(people)
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn a_term_of_two_years_ends_on_the_day_of_its_beginning() {
        let check = |today: Date, expected: [(Date, Date); 2]| {
            assert_eq!(terms(today).take(2).collect::<Vec<_>>(), expected, "{today}");
        };
        let years = |day: Date| (date(day.year() - 2, day.month(), day.day()), day);
        check(date(2026, 11, 29), [years(date(2026, 11, 30)), years(date(2026, 12, 1))]);
        check(date(2028, 2, 27), [years(date(2028, 2, 28)), years(date(2028, 3, 1))]);
    }
}
