//! Two states, field by field.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use xinhub_index::{Index, Key};

use crate::resident::Resident;
use crate::table::{Extra, Row};

/// At most this many differences are told one by one.
const MAX_TOLD: usize = 200;

/// What differs between two states, in plain words; nothing where they are the same. Names nobody.
///
/// What the clock will bring is not compared: its entries are hints, and a state that was loaded has dropped the stale ones.
pub fn compare(expected: &Resident, found: &Resident) -> Vec<String> {
    let mut told = Told { texts: Vec::new(), more: 0 };
    compare_totals(expected, found, &mut told);
    compare_rows(expected, found, &mut told);
    compare_index(expected, found, &mut told);
    compare_names(expected, found, &mut told);
    compare_outcomes(expected, found, &mut told);
    if told.more > 0 {
        told.texts.push(format!("and {} differences more", told.more));
    }
    told.texts
}

struct Told {
    texts: Vec<String>,
    more: u64,
}

impl Told {
    fn say(&mut self, text: impl FnOnce() -> String) {
        if self.texts.len() < MAX_TOLD {
            self.texts.push(text());
        } else {
            self.more += 1;
        }
    }

    fn number<T: PartialEq + Debug>(&mut self, what: &str, expected: T, found: T) {
        if expected != found {
            self.say(|| format!("{what} is {found:?}, the journal says {expected:?}"));
        }
    }

    /// For what must not be shown.
    fn same(&mut self, what: impl FnOnce() -> String, same: bool) {
        if !same {
            self.say(|| format!("{} differs from what the journal says", what()));
        }
    }
}

fn compare_totals(expected: &Resident, found: &Resident, told: &mut Told) {
    told.same(|| "the epoch".to_owned(), expected.epoch == found.epoch);
    told.number("the revision", expected.revision, found.revision);
    told.number("the count of lifts", expected.lift_seq, found.lift_seq);
    told.number("the time of the last event", expected.last_at, found.last_at);
    told.number("the count of entries", expected.sequence, found.sequence);
    told.same(|| "the chain hash".to_owned(), expected.chain == found.chain);
    told.number("the count of relations", expected.relations, found.relations);
    told.number("the count of exemptions", expected.exemptions, found.exemptions);
    let petitions = (&expected.remedy.petitions, &found.remedy.petitions);
    told.number("the count of petitions", petitions.0.len(), petitions.1.len());
    for (number, (one, other)) in (1..).zip(petitions.0.iter().zip(petitions.1)) {
        told.same(|| format!("petition {number}"), one == other);
    }
    told.same(|| "what stays out of the index".to_owned(), expected.aside == found.aside);
    told.same(|| "the list of imports that wait".to_owned(), expected.imports == found.imports);
    told.same(|| "the list of open deadlines".to_owned(), expected.remedy.running == found.remedy.running);
    told.number("the count of listings", expected.table.len(), found.table.len());
    let counts = (&expected.statistics, &found.statistics);
    // By ground they may differ once records are erased.
    told.same(|| "the count of listings by month".to_owned(), counts.0.by_court() == counts.1.by_court());
    told.same(|| "the count of deadlines by month".to_owned(), counts.0.deadlines == counts.1.deadlines);
    told.same(|| "the list of lifts to announce".to_owned(), counts.0.lifted == counts.1.lifted);
}

fn compare_rows(expected: &Resident, found: &Resident, told: &mut Told) {
    for ((at, row), (_, other)) in expected.table.iter().zip(found.table.iter()) {
        let listing = u64::from(at) + 1;
        if row != other {
            compare_row(listing, row, other, told);
        }
        // Looked up past the flag, so that an entry which only the flag hides is found too.
        let extras = (expected.table.extras.get(at), found.table.extras.get(at));
        match extras {
            (None, None) => {}
            (Some(one), Some(other)) if one == other => {}
            (Some(one), Some(other)) => compare_extra(listing, &one.into(), &other.into(), told),
            (Some(_), None) => told.say(|| format!("listing {listing}: its side entry is missing")),
            (None, Some(_)) => told.say(|| format!("listing {listing}: has a side entry, the journal gives it none")),
        }
    }
    let beyond =
        |resident: &Resident| resident.table.extras.rows().filter(|row| *row as usize >= resident.table.len()).count();
    told.number("the count of side entries of no listing", beyond(expected), beyond(found));
}

fn compare_row(listing: u64, expected: &Row, found: &Row, told: &mut Told) {
    let field = |name: &str| format!("listing {listing}: {name}");
    told.number(&field("the state"), expected.state(), found.state());
    told.number(&field("the revision"), expected.revision(), found.revision());
    told.number(&field("the last day"), expected.until(), found.until());
    told.number(&field("the place of its content"), expected.place, found.place);
    told.number(&field("the court's number"), expected.court, found.court);
    told.number(&field("the next row of its key"), expected.next, found.next);
    told.number(&field("the flags"), expected.flags, found.flags);
    told.same(|| field("the key"), expected.key == found.key);
}

fn compare_extra(listing: u64, expected: &Extra, found: &Extra, told: &mut Told) {
    let field = |name: &str| format!("listing {listing}: {name}");
    told.same(|| field("the list of its further keys"), expected.links == found.links);
    told.same(|| field("the list of its relations"), expected.relations == found.relations);
    told.same(|| field("the list of its exemptions"), expected.exemptions == found.exemptions);
    told.same(|| field("the list of clients that were told"), expected.disclosed_to == found.disclosed_to);
    told.same(|| field("the list of duties"), expected.duties == found.duties);
    told.same(|| field("the list of what was imposed"), expected.imposed == found.imposed);
    told.same(|| field("the list of what is kept"), expected.retained == found.retained);
    told.same(|| field("the subject's own unit"), expected.own_unit == found.own_unit);
    told.same(|| field("the list of deferrals"), expected.deferrals == found.deferrals);
    told.number(&field("the creditor's request"), expected.creditor_request_on, found.creditor_request_on);
    told.number(&field("the last day of grace"), expected.grace_until, found.grace_until);
}

/// Every key is found from the listings that have it; what is left over then belongs to no listing.
fn compare_index(expected: &Resident, found: &Resident, told: &mut Told) {
    let (index, other) = (expected.index(), found.index());
    let (mut reached, mut differing) = (0, 0);
    for (at, _) in expected.table.iter() {
        for key in expected.keys_of(at) {
            // What only the own unit may be shown is in no index; were it in the found one, it would be superfluous there.
            if expected.aside.contains_key(&key.0) {
                continue;
            }
            let entry = index.probe(&key);
            // A key of several listings is met once: at the head of its chain.
            if entry.as_ref().is_some_and(|entry| entry.head != at + 1) {
                continue;
            }
            reached += 1;
            if entry != other.probe(&key) {
                told.say(|| format!("listing {}: the index entry of one of its keys differs", u64::from(at) + 1));
                differing += 1;
            }
        }
    }
    let extra_keys = superfluous(found, &index, &other);
    if extra_keys > 0 {
        told.say(|| format!("the index has {extra_keys} keys of listings that the journal does not give them"));
    }
    if extra_keys == 0 && differing == 0 && (index.len() != reached || other.len() != index.len()) {
        told.say(|| format!("the index has {} keys, the listings give {reached}", other.len()));
    }
}

/// Keys that the found state's own listings lead to, and that the expected index does not have.
fn superfluous(found: &Resident, expected: &Index, index: &Index) -> usize {
    let rows = found.table.iter().map(|(at, _)| at);
    rows.flat_map(|at| found.keys_of(at))
        .filter(|key: &Key| index.probe(key).is_some() && expected.probe(key).is_none())
        .count()
}

fn compare_names(expected: &Resident, found: &Resident, told: &mut Told) {
    told.same(|| "the list of courts".to_owned(), expected.courts.names() == found.courts.names());
    told.same(|| "the list of clients".to_owned(), expected.clients.names() == found.clients.names());
    let names: BTreeSet<&String> = expected.configured.keys().chain(found.configured.keys()).collect();
    for name in names {
        let same = expected.configured.get(name) == found.configured.get(name);
        told.same(|| format!("the configuration text `{name}` in force"), same);
    }
}

fn compare_outcomes(expected: &Resident, found: &Resident, told: &mut Told) {
    fn differing<K: Ord, V: PartialEq>(one: &BTreeMap<K, V>, other: &BTreeMap<K, V>) -> usize {
        one.iter().filter(|(id, outcome)| other.get(id) != Some(outcome)).count()
    }
    let (missing, more) =
        (differing(&expected.outcomes, &found.outcomes), differing(&found.outcomes, &expected.outcomes));
    if missing > 0 || more > 0 {
        told.say(|| {
            format!("{missing} kept outcomes of requests are missing or differ, {more} are there and should not")
        });
    }
}
