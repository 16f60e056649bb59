//! What the ledger says beside what the model says.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use xinhub_domain::deadline::Clock;
use xinhub_domain::listing::{PetitionState, State};
use xinhub_domain::measure::{Relation, RelationSet};
use xinhub_domain::time::{Day, Timestamp};
use xinhub_ledger::resident::Resident;
use xinhub_ledger::resident::remedy::{Bound, Running};
use xinhub_ledger::table::{Extra, OWN_UNIT_ONLY};
use xinhub_ledger::{Ledger, PetitionFilter};

use crate::life::Difference;
use crate::reference::{Answer, Duty, Listing, Open, Petition, Reference};
use crate::world::{CLIENTS, COURTS, MEASURES, PARTIES, Who, everybody, lookups, remedy, unit};

/// A listing as it is kept, its etag apart.
#[derive(Debug, PartialEq)]
struct Seen {
    court: String,
    state: Option<State>,
    until: Option<Day>,
    grace: Option<Day>,
    own_unit: bool,
    relations: Vec<(u64, u8, Option<Day>, bool)>,
    exemptions: Vec<(u64, bool)>,
    told: BTreeSet<String>,
    imposed: Vec<(String, bool)>,
    kept: Vec<(String, Day, bool)>,
    duties: Vec<Duty>,
    clocks: BTreeMap<Clock, Open>,
    deferrals: usize,
}

/// Everything that somebody is bound by, by clock, listing, petition and client.
type Board = BTreeMap<(Clock, u64, u64, Option<String>), Open>;

fn same<T: PartialEq + Debug>(what: impl FnOnce() -> String, found: &T, expected: &T) -> Result<(), Difference> {
    if found == expected { Ok(()) } else { Err(format!("{}\nledger: {found:?}\nmodel:  {expected:?}", what())) }
}

/// Compares some listings, their petitions and deadlines, and what those who stand in them are answered.
pub(crate) fn some(ledger: &Ledger, model: &mut Reference, listings: &BTreeSet<u64>) -> Result<(), Difference> {
    let mut persons = BTreeSet::new();
    // Those too that the clock has moved meanwhile.
    let touched = (1..).zip(&model.listings).filter(|(_, one)| one.touched).map(|(number, _)| number);
    let listings: BTreeSet<u64> = touched.chain(listings.iter().copied()).collect();
    for number in &listings {
        if let Some(listing) = model.listing(*number) {
            persons.extend(listing.facts.who.iter().copied());
            persons.extend(listing.relations.iter().map(|one| one.who));
            self::listing(ledger, model, *number)?;
        }
    }
    let of = |petition: &Petition| listings.contains(&petition.listing);
    let numbers: Vec<u64> = (1..).zip(&model.petitions).filter(|(_, one)| of(one)).map(|(number, _)| number).collect();
    petitions(ledger, model, &numbers)?;
    read_petitions(ledger, model, &numbers)?;
    answers(ledger, model, persons.into_iter())
}

/// Compares everything that there is.
pub(crate) fn everything(ledger: &Ledger, model: &mut Reference) -> Result<(), Difference> {
    let count = ledger.inspect(|resident| (resident.table.len(), resident.remedy.petitions.len()));
    same(|| "listings and petitions".to_owned(), &count, &(model.listings.len(), model.petitions.len()))?;
    for number in 1..=model.listings.len() as u64 {
        listing(ledger, model, number)?;
    }
    petitions(ledger, model, &(1..=model.petitions.len() as u64).collect::<Vec<_>>())?;
    boards(ledger, model)?;
    answers(ledger, model, everybody())
}

fn listing(ledger: &Ledger, model: &mut Reference, number: u64) -> Result<(), Difference> {
    let (found, etag) = ledger.inspect(|resident| found(resident, number));
    let listing = &mut model.listings[number as usize - 1];
    same(|| format!("listing {number}"), &found, &expected(listing))?;
    let moved = if listing.touched { etag > listing.etag } else { etag == listing.etag };
    if !moved {
        let touched = listing.touched;
        return Err(format!("listing {number}: etag {etag}, before {}, something happened: {touched}", listing.etag));
    }
    (listing.etag, listing.touched) = (etag, false);
    same(|| format!("standing of {number}"), &ledger.standing(number), &Some((listing.state, etag)))
}

fn expected(listing: &Listing) -> Seen {
    let name = |client: usize| PARTIES[client].to_owned();
    let relations = listing.relations.iter().map(|one| (one.number, one.relation.bit(), one.until, one.ended));
    Seen {
        court: COURTS[listing.court].to_owned(),
        state: Some(listing.state),
        until: listing.facts.until(),
        grace: listing.grace_end(),
        own_unit: listing.facts.own_unit,
        relations: relations.collect(),
        exemptions: listing.exemptions.iter().map(|one| (one.number, one.ended)).collect(),
        told: listing.told.iter().copied().map(name).collect(),
        imposed: listing.imposed.iter().map(|one| (name(one.0), one.1)).collect(),
        kept: listing.kept.iter().map(|one| (name(one.client), one.until, one.ended)).collect(),
        duties: sorted(listing.duties.clone()),
        clocks: listing.clocks.clone(),
        deferrals: listing.deferred_by.len(),
    }
}

fn found(resident: &Resident, number: u64) -> (Seen, u64) {
    let row = number as u32 - 1;
    let kept = resident.table.row(row);
    let extra = resident.table.extra(row).map(Extra::from).unwrap_or_default();
    let client = |number: u32| resident.clients.name(number).to_owned();
    let duties = extra.duties.iter().map(|duty| Duty {
        client: PARTIES.into_iter().find(|name| *name == client(duty.client)).unwrap_or("?"),
        clock: duty.clock,
        open: Open { since: duty.since, due: duty.due, overdue: duty.overdue },
        closed: duty.closed.map(|how| (how.code(), duty.closed_at.unwrap_or(Timestamp(0)))),
    });
    let of_listing = |(bound, running): (&Bound, &Running)| match bound {
        Bound::Listing { row: of, clock } if *of == row => Some((*clock, open(running))),
        _ => None,
    };
    let relations = extra.relations.iter().map(|one| (one.number, one.relation_bit(), one.until(), one.has_ended()));
    let from = Bound::Listing { row, clock: Clock::DecideApplication };
    let seen = Seen {
        court: resident.courts.name(kept.court).to_owned(),
        state: kept.state(),
        until: kept.until(),
        grace: extra.grace_until,
        own_unit: kept.has(OWN_UNIT_ONLY),
        relations: relations.collect(),
        exemptions: extra.exemptions.iter().map(|one| (one.number, one.ended)).collect(),
        told: extra.disclosed_to.iter().map(|one| client(*one)).collect(),
        imposed: extra.imposed.iter().map(|one| (client(one.client), one.lifted)).collect(),
        kept: extra.retained.iter().map(|one| (client(one.client), one.until, one.ended)).collect(),
        duties: sorted(duties.collect()),
        clocks: resident.remedy.running.range(from..).map_while(of_listing).collect(),
        deferrals: extra.deferrals.len(),
    };
    (seen, kept.revision())
}

fn open(running: &Running) -> Open {
    Open { since: running.since, due: running.due, overdue: running.overdue }
}

fn sorted(mut duties: Vec<Duty>) -> Vec<Duty> {
    duties.sort_by_key(|duty| (duty.clock, duty.client, duty.open.since, duty.closed.map(|closed| closed.1)));
    duties
}

type PetitionSeen = (PetitionState, u64, u64, Option<(Clock, Open)>);

/// As the courts read a petition: whether it was late, and what was done with it.
fn read_petitions(ledger: &Ledger, model: &Reference, numbers: &[u64]) -> Result<(), Difference> {
    for number in numbers {
        let petition = &model.petitions[*number as usize - 1];
        let view = ledger.petition(&remedy(petition.court), *number).map_err(|error| error.to_string())?;
        let view = view.ok_or(format!("petition {number} is not to be read"))?;
        let found = (view.content.late, view.steps.len(), view.deadline.map(|one| (one.clock, open(&one.running))));
        same(|| format!("petition {number} as it is read"), &found, &(petition.late, petition.steps, petition.clock))?;
    }
    Ok(())
}

fn petitions(ledger: &Ledger, model: &Reference, numbers: &[u64]) -> Result<(), Difference> {
    ledger.inspect(|resident| {
        for number in numbers {
            let row = resident.remedy.petition(*number).ok_or(format!("petition {number} is missing"))?;
            let bound = |clock| Bound::Petition { number: *number, clock };
            let clocks = Clock::ALL.into_iter();
            let clock =
                clocks.filter_map(|clock| Some((clock, open(resident.remedy.running.get(&bound(clock))?)))).next();
            let petition = &model.petitions[*number as usize - 1];
            let found: PetitionSeen = (row.state, row.listing, row.revision, clock);
            let expected = (petition.state, petition.listing, petition.etag, petition.clock);
            same(|| format!("petition {number}"), &found, &expected)?;
        }
        Ok(())
    })
}

/// What boards and counts show: to courts what is theirs and below, to clients what binds them, to all others numbers without
/// what only the own unit may be shown.
fn boards(ledger: &Ledger, model: &Reference) -> Result<(), Difference> {
    let whole = board(model, |_, _| true);
    let shown = board(model, |_, own_unit| !own_unit);
    let mut counts = [(0, 0); Clock::ALL.len()];
    for ((clock, ..), open) in &shown {
        let count = &mut counts[*clock as usize - 1];
        if open.overdue { count.1 += 1 } else { count.0 += 1 }
    }
    same(|| "open deadlines".to_owned(), &ledger.deadline_counts(), &counts)?;
    for (party, name) in PARTIES.into_iter().enumerate() {
        let views = ledger.deadlines(&remedy(party), None, usize::MAX, |_| true);
        let found: Board = views
            .into_iter()
            .map(|view| ((view.clock, view.listing, view.petition, view.client), open(&view.running)))
            .collect();
        let expected = if party < COURTS.len() {
            board(model, |court, _| court == party || (party == 2 && court != 2))
        } else {
            whole
                .iter()
                .filter(|(key, _)| key.3.as_deref() == Some(name))
                .map(|(key, open)| (key.clone(), *open))
                .collect()
        };
        same(|| format!("the board of {name}"), &found, &expected)?;
    }
    for (party, name) in PARTIES.into_iter().enumerate() {
        let mut found = ledger.petitions(&remedy(party), &PetitionFilter::default(), 0, usize::MAX);
        // Newest first.
        found.reverse();
        let reads = |one: &Petition| {
            let judges = party == one.court || (party == 2 && one.court != 2);
            judges || one.intake == party || one.against == Some(party)
        };
        let expected: Vec<u64> =
            (1..).zip(&model.petitions).filter(|(_, one)| reads(one)).map(|(number, _)| number).collect();
        same(|| format!("the petitions that {name} reads"), &found, &expected)?;
    }
    for client in CLIENTS {
        let all = ledger.duties(&unit(client), 0, usize::MAX, true);
        let found: Vec<(u64, Clock, bool)> =
            all.iter().map(|duty| (duty.listing, duty.clock, duty.closed.is_some())).collect();
        let of = |(number, listing): (u64, &Listing)| {
            let duties = listing.duties.iter().filter(|duty| duty.client == PARTIES[client]);
            duties.map(|duty| (number, duty.clock, duty.closed.is_some())).collect::<Vec<_>>()
        };
        let expected: Vec<(u64, Clock, bool)> = (1..).zip(&model.listings).flat_map(of).collect();
        same(|| format!("the duties of {}", PARTIES[client]), &found, &expected)?;
    }
    Ok(())
}

/// What the model has open, of those courts' listings and petitions that `take` takes.
fn board(model: &Reference, take: impl Fn(usize, bool) -> bool) -> Board {
    let mut board = Board::new();
    for (number, listing) in (1..).zip(&model.listings) {
        if !take(listing.court, listing.facts.own_unit) {
            continue;
        }
        board.extend(listing.clocks.iter().map(|(clock, open)| ((*clock, number, 0, None), *open)));
        let duties = listing.duties.iter().filter(|duty| duty.closed.is_none());
        board.extend(duties.map(|duty| ((duty.clock, number, 0, Some(duty.client.to_owned())), duty.open)));
    }
    for (number, petition) in (1..).zip(&model.petitions) {
        let own_unit = model.listing(petition.listing).is_some_and(|listing| listing.facts.own_unit);
        let against = petition.against.map(|client| PARTIES[client].to_owned());
        if let Some((clock, open)) = petition.clock.filter(|_| take(petition.court, own_unit)) {
            board.insert((clock, petition.listing, number, against), open);
        }
    }
    board
}

/// Compares what these are answered, by every measure.
pub(crate) fn answers(
    ledger: &Ledger,
    model: &Reference,
    persons: impl Iterator<Item = Who>,
) -> Result<(), Difference> {
    let persons: Vec<Who> = persons.collect();
    for ((measure, item), permit) in MEASURES.into_iter().zip(lookups()) {
        let held = model.held(measure, item);
        for who in persons.iter().copied() {
            let mut answer = Answer::default();
            if let Some(found) = ledger.probe(permit, who.identity(), RelationSet::ALL) {
                if found.hit.clock_unsure {
                    return Err(format!("{who:?} is answered as if the clock were unsure"));
                }
                let relations = Relation::ALL.iter().filter(|one| found.hit.relations.contains(**one));
                answer.relations = relations.map(|one| one.bit()).collect();
                answer.exempt = found.hit.exempt;
                answer.listings =
                    found.listings.iter().map(|one| (one.listing, one.relation.bit(), one.flagged)).collect();
                let flagged = Relation::ALL.iter().filter(|one| found.hit.flagged.contains(**one));
                answer.flagged = flagged.map(|one| one.bit()).collect();
                same(
                    || format!("{who:?}: times that a listing is told"),
                    &found.listings.len(),
                    &answer.listings.len(),
                )?;
                own_unit_only(model, &answer)?;
            }
            same(|| format!("{measure} of {who:?}"), &answer, &model.answer(&held, who))?;
        }
    }
    Ok(())
}

/// What only the subject's own unit may be shown answers nobody.
fn own_unit_only(model: &Reference, answer: &Answer) -> Result<(), Difference> {
    let hidden = |number: u64| model.listing(number).is_some_and(|listing| listing.facts.own_unit);
    match answer.listings.iter().find(|one| hidden(one.0)) {
        Some((number, ..)) => Err(format!("listing {number} answers, and only its own unit may be shown it")),
        None => Ok(()),
    }
}
