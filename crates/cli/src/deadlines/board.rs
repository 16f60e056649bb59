//! Who is overdue, with how much, and for how long: the board that accountability needs.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::Serialize;
use xinhub_client::v1;

use crate::exit::Failure;
use crate::lang::Lang;
use crate::output::{Format, Out};

/// The last days of the younger ages; what is older is the worst.
const AGES: [i32; 3] = [3, 10, 30];

/// What is overdue with one supervising unit, or with one court itself. Flat, so that it makes a row of CSV too.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Row {
    /// `unit` or `court`.
    pub(crate) body: &'static str,
    pub(crate) id: String,
    pub(crate) total: u64,
    pub(crate) days_0_3: u64,
    pub(crate) days_4_10: u64,
    pub(crate) days_11_30: u64,
    pub(crate) days_over_30: u64,
    /// The oldest one: its last day, how long it is over, and where it is.
    pub(crate) oldest_due: String,
    pub(crate) oldest_days: i32,
    pub(crate) oldest_listing: Option<u64>,
    pub(crate) oldest_petition: Option<u64>,
}

/// Counts, by body. Memory holds one row for each.
#[derive(Default)]
pub(super) struct Board(BTreeMap<(&'static str, String), Row>);

impl Board {
    /// Counts one that is overdue. A unit answers for the clients that it supervises, a court for itself.
    pub(super) fn count(&mut self, deadline: &v1::Deadline) {
        let (body, id) = match deadline.supervising_unit.as_str() {
            "" => ("court", &deadline.bearer),
            _ => ("unit", &deadline.supervising_unit),
        };
        let row = self.0.entry((body, id.clone())).or_insert_with(|| Row { body, id: id.clone(), ..Row::default() });
        let days = deadline.days_overdue;
        let counted = match AGES.iter().position(|last| days <= *last) {
            Some(0) => &mut row.days_0_3,
            Some(1) => &mut row.days_4_10,
            Some(_) => &mut row.days_11_30,
            None => &mut row.days_over_30,
        };
        *counted += 1;
        row.total += 1;
        if row.total == 1 || days > row.oldest_days {
            row.oldest_days = days;
            row.oldest_due.clone_from(&deadline.due);
            row.oldest_listing = (deadline.listing != 0).then_some(deadline.listing);
            row.oldest_petition = (deadline.petition != 0).then_some(deadline.petition);
        }
    }

    /// Who has most of the oldest comes first.
    fn rows(self) -> Vec<Row> {
        let mut rows: Vec<Row> = self.0.into_values().collect();
        // Stable: equals stay by name.
        rows.sort_by_key(|row| {
            Reverse((row.days_over_30, row.days_11_30, row.days_4_10, row.days_0_3, row.oldest_days))
        });
        rows
    }

    pub(super) fn show(self, out: &mut Out) -> Result<(), Failure> {
        let rows = self.rows();
        match out.format {
            Format::Json => rows.iter().try_for_each(|row| out.json(row)),
            Format::Csv => out.csv(rows, true),
            Format::Table => {
                let lang = out.lang;
                let header = match lang {
                    Lang::En => {
                        ["who", "overdue", "0-3 days", "4-10 days", "11-30 days", ">30 days", "oldest", "where"]
                    }
                    Lang::Zh => ["责任单位", "逾期", "0-3天", "4-10天", "11-30天", "30天以上", "最早届满", "所在"],
                };
                out.table(&header, rows.iter().map(|row| cells(row, lang)))
            }
        }
    }
}

fn cells(row: &Row, lang: Lang) -> Vec<String> {
    let who = match row.body {
        "court" => format!("{} {}", lang.pick("court", "法院"), row.id),
        _ => row.id.clone(),
    };
    let place = match (row.oldest_listing, row.oldest_petition) {
        (Some(listing), _) => format!("{} {listing}", lang.pick("listing", "名单")),
        (None, Some(petition)) => format!("{} {petition}", lang.pick("petition", "申请")),
        (None, None) => String::new(),
    };
    let counts = [row.total, row.days_0_3, row.days_4_10, row.days_11_30, row.days_over_30];
    let oldest = format!("{} ({} {})", row.oldest_due, row.oldest_days, lang.pick("days", "天"));
    std::iter::once(who).chain(counts.iter().map(u64::to_string)).chain([oldest, place]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overdue(unit: &str, bearer: &str, days: i32, listing: u64) -> v1::Deadline {
        v1::Deadline {
            bearer: bearer.to_owned(),
            supervising_unit: unit.to_owned(),
            listing,
            due: format!("day -{days}"),
            status: v1::DeadlineStatus::Overdue.into(),
            days_overdue: days,
            ..v1::Deadline::default()
        }
    }

    #[test]
    fn ages_are_counted_at_their_edges() {
        let mut board = Board::default();
        for days in [1, 3, 4, 10, 11, 30, 31, 400] {
            board.count(&overdue("central-bank", "bank", days, u64::from(days.unsigned_abs())));
        }
        let row = board.rows().remove(0);
        assert_eq!((row.days_0_3, row.days_4_10, row.days_11_30, row.days_over_30, row.total), (2, 2, 2, 2, 8));
        assert_eq!((row.oldest_days, row.oldest_listing, row.oldest_due.as_str()), (400, Some(400), "day -400"));
    }

    #[test]
    fn the_worst_comes_first_and_clients_count_with_their_unit() {
        let mut board = Board::default();
        for (unit, bearer, days) in [
            ("tourism", "hotel", 2),
            ("tourism", "agency", 2),
            ("tourism", "agency", 3),
            ("", "leizhou", 12),
            ("central-bank", "bank", 31),
            ("finance", "insurer", 12),
            ("housing", "bureau", 13),
        ] {
            board.count(&overdue(unit, bearer, days, 1));
        }
        let rows = board.rows();
        let order: Vec<(&str, &str, u64)> = rows.iter().map(|row| (row.body, row.id.as_str(), row.total)).collect();
        let expected = [
            ("unit", "central-bank", 1),
            ("unit", "housing", 1),
            ("court", "leizhou", 1),
            ("unit", "finance", 1),
            ("unit", "tourism", 3),
        ];
        assert_eq!(order, expected);
    }
}
