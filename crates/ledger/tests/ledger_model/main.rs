//! The ledger against a plain model, over tens of thousands of random commands, imports, days that pass and restarts.
//!
//! Commands come in groups that race for the same entries; the model takes what was acknowledged in the order of revisions.
//! After every hundred, and after every restart, everybody who was ever named is looked up in both.
//!
//! The seed is printed; `XINHUB_MODEL_SEED=n` runs it again, `XINHUB_MODEL_COMMANDS=n` that many.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

use std::collections::{BTreeMap, BTreeSet};

use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use xinhub_domain::identity::{Identity, Kind, synthetic};
use xinhub_domain::listing::{
    Content, Decision, Draft, DraftDecision, DraftRelation, Exemption, RawIdentity, RelationContent, Stage, State,
    Visibility,
};
use xinhub_domain::measure::{Relation, RelationSet};
use xinhub_domain::time::{Day, Timestamp};
use xinhub_ledger::fsck::compare;
use xinhub_ledger::testing::*;
use xinhub_ledger::{Clock, Command, CommandError, ImportBatch, ImportRow, Ledger, ListingRef, Outcome, RowOutcome};

mod reference;

use reference::{Answer, Done, Reference};

const COURTS: [&str; 2] = ["court-one", "court-two"];
const PERSONS: u16 = 120;
const ORGANISATIONS: u64 = 60;
const COMMANDS: usize = 20_000;

struct Run {
    bench: Bench,
    ledger: Ledger,
    rng: ChaCha8Rng,
    model: Reference,
    /// What became of commands, by kind.
    tally: BTreeMap<String, (usize, usize)>,
}

/// A command, and what it does if it is taken.
struct Try {
    court: usize,
    etag: Option<u64>,
    staff: &'static str,
    command: Command,
    done: Done,
}

fn travel_permit(number: u16) -> RawIdentity {
    RawIdentity {
        kind: Kind::TravelPermitTaiwan,
        number: format!("{:08}", 10_000_000 + u32::from(number)),
        issuing_state: None,
    }
}

fn organisation_code(number: u64) -> RawIdentity {
    let credit = synthetic::uscc("91", "440882", number);
    RawIdentity { kind: Kind::OrganisationCode, number: credit[8..17].to_owned(), issuing_state: None }
}

/// Everybody who can be named.
fn everybody() -> Vec<Identity> {
    let persons = (0..PERSONS).flat_map(|number| [person(number), travel_permit(number)]);
    let organisations = (0..ORGANISATIONS).flat_map(|number| [organisation(number), organisation_code(number)]);
    persons.chain(organisations).map(|raw| identity(&raw)).collect()
}

impl Run {
    fn new(seed: u64) -> Run {
        let bench = Bench::new(seed);
        let ledger = bench.open();
        let rng = ChaCha8Rng::seed_from_u64(seed);
        Run { bench, ledger, rng, model: Reference::default(), tally: BTreeMap::new() }
    }

    fn now(&self) -> Timestamp {
        self.bench.clock.wall()
    }

    fn subject(&mut self) -> Vec<RawIdentity> {
        if self.rng.random_bool(0.5) {
            let number = self.rng.random_range(0..PERSONS);
            match self.rng.random_range(0..4) {
                0 => vec![person(number), travel_permit(number)],
                1 => vec![travel_permit(self.rng.random_range(0..PERSONS)), person(number)],
                _ => vec![person(number)],
            }
        } else {
            let number = self.rng.random_range(0..ORGANISATIONS);
            match self.rng.random_range(0..4) {
                0 => vec![organisation_code(number)],
                1 => vec![organisation(number), organisation_code((number + 1) % ORGANISATIONS)],
                _ => vec![organisation(number)],
            }
        }
    }

    fn draft(&mut self) -> Draft {
        let identities = self.subject();
        let case = self.rng.random_range(0..5_000);
        // Where no identity tells the age, the court has to.
        let ageless = identities.iter().all(|one| one.kind == Kind::TravelPermitTaiwan);
        let birth_date = if ageless { "1980-01-01".to_owned() } else { String::new() };
        let mut draft = Draft { birth_date, identities, ..draft(person(0), case) };
        draft.ground = if self.rng.random_bool(0.5) { 2 } else { 1 };
        draft.decision = Some(self.decision(draft.ground == 2));
        if self.rng.random_bool(0.05) {
            draft.visibility = Visibility::OwnUnitOnly;
        }
        draft
    }

    fn decision(&mut self, fixed: bool) -> DraftDecision {
        let today = self.now().day();
        // A third of the fixed terms end within the next days.
        let days_ago = if fixed && self.rng.random_bool(0.6) { 24 * 30 + self.rng.random_range(0..10) } else { 3 };
        let served = Day(today.0 - 1);
        DraftDecision {
            number: "d-1".to_owned(),
            date: Day(today.0 - days_ago).to_string(),
            reasons: "synthetic".to_owned(),
            term_months: if fixed { 24 } else { 0 },
            signer: "president".to_owned(),
            served_on: if self.rng.random_bool(0.85) { served.to_string() } else { String::new() },
            grace_days: if self.rng.random_bool(0.2) { self.rng.random_range(1..9) } else { 0 },
            ..DraftDecision::default()
        }
    }

    fn checked(&self, draft: &Draft, stage: Stage) -> Option<Box<Content>> {
        Content::check(draft, stage, self.now()).ok().map(|(content, _)| Box::new(content))
    }

    fn begin(&mut self) -> Option<Try> {
        let mut draft = self.draft();
        let (command, done) = match self.rng.random_range(0..10) {
            0 => {
                draft.decision = None;
                let content = self.checked(&draft, Stage::Notice)?;
                (Command::Notice { content }, Done::Notice(draft))
            }
            1 => {
                let content = self.checked(&draft, Stage::Decision)?;
                (Command::Propose { listing: None, content, application: None }, Done::Propose(draft))
            }
            _ => {
                let content = self.checked(&draft, Stage::Decision)?;
                (Command::Publish { listing: None, content, application: None }, Done::Publish(draft))
            }
        };
        Some(Try { court: self.rng.random_range(0..2), etag: None, staff: "j-1", command, done })
    }

    fn go_on(&mut self) -> Option<Try> {
        let at = self.rng.random_range(0..self.model.listings.len().max(1));
        // Most of what happens, happens to what is new.
        let at = if self.rng.random_bool(0.7) { self.model.listings.len().saturating_sub(1 + at % 200) } else { at };
        let known = self.model.listings.get(at)?.clone();
        let listing = at as u64 + 1;
        let etag = self.ledger.inspect(|resident| resident.table.row(at as u32).revision());
        let (command, done) = match self.rng.random_range(0..22) {
            0 | 1 => (Command::Hide { listing, ground: String::new() }, Done::Hide),
            2 => (Command::Revoke { listing, ground: String::new() }, Done::Revoke),
            3 => (Command::Remove { listing, ground: "performed".to_owned() }, Done::Remove),
            4 => (Command::Withdraw { listing, note: None }, Done::Withdraw),
            5 => (Command::Reject { listing, note: None }, Done::Reject),
            6 => (Command::Approve { listing }, Done::Approve),
            7 | 8 => {
                let (served_on, grace_days) = (self.now().day(), self.rng.random_range(0..4));
                (Command::Serve { listing, served_on, grace_days }, Done::Serve { served_on, grace_days })
            }
            9 | 10 => {
                let new = Draft { decision: Some(self.decision(known.draft.ground == 2)), ..known.draft };
                let decision = Decision::check(new.decision.as_ref()?, self.now()).ok()?;
                (Command::Restore { listing, decision: Box::new(decision) }, Done::Restore(new))
            }
            11 => (
                Command::Extend { listing, months: 12, ground: "several_acts".to_owned() },
                Done::Extend { months: 12 },
            ),
            12 | 13 => self.exemption(listing, &known)?,
            14 => {
                let number = known.exemptions.choose(&mut self.rng)?.0;
                (Command::EndExemption { listing, exemption: number }, Done::EndExemption(number))
            }
            15 | 16 => {
                let number = known.relations.choose(&mut self.rng)?.0;
                let basis_document = String::new();
                (Command::EndRelation { listing, relation: number, basis_document }, Done::EndRelation(number))
            }
            17 | 18 => {
                let content = self.relation(true)?;
                (Command::SetRelation { listing, relation: Box::new(content.clone()) }, Done::SetRelation(content))
            }
            19 => {
                let mut new = known.draft;
                new.conduct = format!("合成{}", self.rng.random_range(0..1_000));
                (Command::Amend { listing, content: self.checked(&new, Stage::Decision)? }, Done::Amend(new))
            }
            _ => {
                let new =
                    Draft { identities: self.draft().identities, birth_date: "1980-01-01".to_owned(), ..known.draft };
                let content = self.checked(&new, Stage::Decision)?;
                (Command::Rectify { listing, content, note: None }, Done::Rectify(new))
            }
        };
        let etag = match self.rng.random_range(0..12) {
            0 => None,
            1 => Some(etag.saturating_sub(1)),
            _ => Some(etag),
        };
        let court = if self.rng.random_bool(0.97) { known.court } else { 1 - known.court };
        let staff = if self.rng.random_bool(0.5) { "j-1" } else { "j-2" };
        Some(Try { court, etag, staff, command, done })
    }

    fn exemption(&mut self, listing: u64, known: &reference::Listing) -> Option<(Command, Done)> {
        let related = known.relations.choose(&mut self.rng).map(|one| one.1.identity.clone());
        let own = identity(known.draft.identities.choose(&mut self.rng)?);
        let now = self.now();
        let exemption = Exemption {
            identity: if self.rng.random_bool(0.4) { related.unwrap_or(own) } else { own },
            measures: if self.rng.random() { vec!["consumption.hotel".into()] } else { vec![] },
            items: if self.rng.random_bool(0.3) { vec!["star_rated".into()] } else { vec![] },
            from: Timestamp(now.0 + self.rng.random_range(-5..5) * 3_600_000),
            until: Timestamp(now.0 + self.rng.random_range(6..200) * 3_600_000),
            ground: "illness".into(),
            approver: "president".into(),
        };
        Some((Command::Exempt { listing, exemption: Box::new(exemption.clone()) }, Done::Exempt(exemption)))
    }

    fn relation(&mut self, may_end: bool) -> Option<RelationContent> {
        let today = self.now().day();
        let ends = may_end && self.rng.random_bool(0.3);
        let until = today.plus_days(self.rng.random_range(0..6)).to_string();
        let draft = DraftRelation {
            relation: *Relation::ALL[1..].choose(&mut self.rng)?,
            identity: person(self.rng.random_range(0..PERSONS)),
            name: "合成乙".to_owned(),
            basis_document: "synthetic".to_owned(),
            from: "2026-01-01".to_owned(),
            until: if ends { until } else { String::new() },
        };
        RelationContent::check(&draft, self.now()).ok().map(|(content, _)| content)
    }

    /// A group of commands at once.
    async fn commands(&mut self) -> usize {
        let mut tries = Vec::new();
        for _ in 0..self.rng.random_range(1..6) {
            let one = if self.rng.random_bool(0.3) { self.begin() } else { self.go_on() };
            tries.extend(one);
        }
        let alone = tries.len() == 1;
        let now = self.now();
        let mut sent = Vec::new();
        for one in tries {
            let (ledger, kind) = (self.ledger.clone(), kind_of(&one.command));
            let mut request = request_at(now, COURTS[one.court], one.staff, one.etag, one.command);
            request.request_id[8..].copy_from_slice(&self.rng.random::<[u8; 8]>());
            sent.push((one.court, one.done, one.etag, kind, tokio::spawn(async move { ledger.submit(request).await })));
        }
        let count = sent.len();
        let mut done: Vec<(usize, Done, Outcome)> = Vec::new();
        for (court, what, etag, kind, task) in sent {
            let outcome = task.await.unwrap();
            let tally = self.tally.entry(kind).or_default();
            match outcome {
                Ok(outcome) => {
                    tally.0 += 1;
                    done.push((court, what, outcome));
                }
                Err(error) => {
                    tally.1 += 1;
                    if alone {
                        self.check_refusal(court, &what, etag, &error);
                    }
                }
            }
        }
        done.sort_by_key(|(.., outcome)| outcome.etag);
        for (court, what, outcome) in done {
            if let Done::Publish(draft) | Done::Propose(draft) | Done::Notice(draft) = &what {
                assert_eq!(self.model.running(court, draft), None, "listing {} is doubled", outcome.listing);
            }
            self.model.apply(court, what, &outcome, now);
        }
        count
    }

    /// A refusal needs its reason; a lift of one's own has hardly any.
    fn check_refusal(&self, court: usize, what: &Done, etag: Option<u64>, error: &CommandError) {
        match (what, error) {
            (
                Done::Publish(draft) | Done::Propose(draft) | Done::Notice(draft),
                CommandError::ListingExists { listing },
            ) => {
                assert_eq!(self.model.running(court, draft), Some(*listing));
            }
            (Done::Publish(_) | Done::Propose(_) | Done::Notice(_), error) => panic!("refused: {error}"),
            (Done::Hide | Done::Revoke | Done::Remove | Done::Exempt(_) | Done::EndRelation(_), error) => {
                let fits = matches!(
                    error,
                    CommandError::State(_)
                        | CommandError::OtherCourt
                        | CommandError::NotFound(_)
                        | CommandError::Faults(_)
                );
                assert!(fits, "a lift (etag {etag:?}) is refused: {error}");
            }
            _ => assert!(
                !matches!(error, CommandError::Storage | CommandError::Full | CommandError::Unreadable),
                "{error}"
            ),
        }
    }

    /// Listings and relations of theirs in one batch.
    async fn import(&mut self) {
        let court = self.rng.random_range(0..2);
        let now = self.now();
        let (mut rows, mut done) = (Vec::new(), Vec::new());
        for _ in 0..self.rng.random_range(1..30) {
            let mut draft = self.draft();
            if let Some(decision) = &mut draft.decision {
                decision.attested = true;
            }
            let Some(content) = self.checked(&draft, Stage::Decision) else { continue };
            let case_number = content.case_number.clone();
            let subject = identity(draft.identities.last().unwrap());
            rows.push(ImportRow::Listing(content));
            done.push(Done::Publish(draft));
            for _ in 0..self.rng.random_range(0..3) {
                let Some(content) = self.relation(false) else { continue };
                let listing = ListingRef::Case { case_number: case_number.clone(), subject: subject.clone() };
                rows.push(ImportRow::Relation { listing, content: Box::new(content.clone()) });
                done.push(Done::SetRelation(content));
            }
        }
        for _ in 0..self.rng.random_range(0..4) {
            let Some((content, new)) = self.known_row(court) else { continue };
            rows.push(ImportRow::Listing(content));
            done.push(Done::Amend(new));
        }
        let batch = ImportBatch {
            actor: actor("clerk"),
            dry_run: self.rng.random_bool(0.1),
            amend: true,
            as_of: now,
            released: None,
            rows,
        };
        let dry_run = batch.dry_run;
        let before = self.ledger.position();
        let outcomes = self.ledger.import(xinhub_ledger::testing::court(COURTS[court]), batch).await.unwrap();
        assert_eq!(outcomes.len(), done.len());
        if dry_run {
            assert_eq!(self.ledger.position().revision, before.revision, "a dry run changes nothing");
            return;
        }
        let position = self.ledger.position();
        for (outcome, done) in outcomes.into_iter().zip(done) {
            let (RowOutcome::Added { listing } | RowOutcome::Amended { listing }) = outcome else { continue };
            if let Done::Publish(draft) = &done {
                assert_eq!(self.model.running(court, draft), None, "listing {listing} is doubled by an import");
            }
            // What a court would have been told of each.
            let record = self.model.next_record(&done);
            let state = self.model.state_after(listing, &done, now);
            let outcome = Outcome {
                listing,
                record,
                state,
                etag: 0,
                position,
                stale: false,
                replayed: false,
                reason_owed: false,
                petition: None,
                late: false,
            };
            self.model.apply(court, done, &outcome, now);
        }
    }

    /// A row of the court's list that says something else of a listing than before.
    fn known_row(&mut self, court: usize) -> Option<(Box<Content>, Draft)> {
        let known = self.model.listings.choose(&mut self.rng).filter(|one| one.court == court)?;
        let mut new = known.draft.clone();
        new.visibility = if self.rng.random() { Visibility::OwnUnitOnly } else { Visibility::Public };
        new.conduct = format!("合成{}", self.rng.random_range(0..10));
        Some((self.checked(&new, Stage::Decision)?, new))
    }

    /// Days pass; a configuration that changes nothing makes the writer look at the clock.
    async fn pass(&mut self) {
        self.bench.clock.advance_ms(self.rng.random_range(0..60) * 3_600_000);
        self.ledger.configure("synthetic", "the same").await.unwrap();
    }

    async fn compare(&mut self, everybody: &[Identity]) {
        self.ledger.configure("synthetic", "the same").await.unwrap();
        let now = self.now();
        self.model.pass(now);
        self.ledger.inspect(|resident| {
            for (row, listing) in (0..).zip(&self.model.listings) {
                let known = resident.table.row(row);
                assert_eq!(
                    (known.state(), known.until()),
                    (Some(listing.state), listing.until()),
                    "listing {}",
                    row + 1
                );
            }
        });
        let measures = [("bank", "credit.lending", None), ("hotel", "consumption.hotel", Some("star_rated"))];
        for (client, measure, item) in measures {
            let permit = lookup(client, measure, item);
            let answers = self.model.answers(measure, item, now);
            for (at, who) in everybody.iter().enumerate() {
                let found = self.ledger.probe(&permit, who, RelationSet::ALL);
                let answer = found.map_or(Answer::default(), |found| {
                    assert!(!found.hit.clock_unsure && found.hit.flagged.is_empty());
                    let count = found.listings.len();
                    let listings: BTreeSet<_> =
                        found.listings.iter().map(|one| (one.listing, one.relation.bit())).collect();
                    assert_eq!(listings.len(), count, "a listing is told twice");
                    let relations = Relation::ALL.iter().filter(|one| found.hit.relations.contains(**one));
                    Answer { relations: relations.map(|one| one.bit()).collect(), exempt: found.hit.exempt, listings }
                });
                let expected = answers.of(who);
                let stories =
                    || answer.listings.symmetric_difference(&expected.listings).map(|one| self.model.story(one.0));
                let stories = || stories().collect::<Vec<_>>();
                assert_eq!(answer, expected, "identity number {at}, {measure}: {:?}", stories());
            }
        }
    }

    /// Killed, or stopped with a snapshot; then the state must also be what the journal alone gives.
    fn restart(&mut self) {
        let sim = if self.rng.random() {
            self.ledger.shutdown();
            self.bench.sim.restart(1)
        } else {
            self.bench.sim.crash(self.rng.random())
        };
        self.bench = self.bench.on(sim);
        self.ledger = self.bench.open();
        let fold = self.bench.fold().unwrap();
        let differences = self.ledger.inspect(|resident| compare(&fold, resident));
        assert!(differences.is_empty(), "{differences:?}");
        let hints = self.ledger.inspect(|resident| resident.due.len());
        assert!(hints < 4 * self.model.listings.len() + 1_000, "{hints} hints of what is due");
    }
}

fn kind_of(command: &Command) -> String {
    format!("{command:?}").split([' ', '{', '(']).next().unwrap().to_owned()
}

async fn run(seed: u64, commands: usize) {
    let mut run = Run::new(seed);
    let everybody = everybody();
    let (mut count, mut next) = (0, 100);
    while count < commands {
        count += run.commands().await;
        if run.rng.random_bool(0.004) {
            run.import().await;
        }
        if run.rng.random_bool(0.01) {
            run.pass().await;
        }
        if count >= next {
            next += 100;
            run.compare(&everybody).await;
            if run.rng.random_bool(0.1) {
                run.restart();
                run.compare(&everybody).await;
            }
        }
    }
    let states = run.model.listings.iter().fold(BTreeMap::<State, usize>::new(), |mut states, listing| {
        *states.entry(listing.state).or_default() += 1;
        states
    });
    println!("{count} commands, taken and refused by kind: {:?}", run.tally);
    println!("{} listings: {states:?}, until {}", run.model.listings.len(), run.now().day());
    for (kind, (taken, _)) in &run.tally {
        assert!(*taken > 0, "{kind} was never taken: the model says nothing of it");
    }
    assert_eq!(run.tally.len(), 18, "every command is among them");
}

#[tokio::test]
async fn the_ledger_answers_as_a_plain_model_does() {
    let from_env = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let seed = from_env("XINHUB_MODEL_SEED").unwrap_or_else(|| rand::random_range(0..1 << 40));
    println!("seed {seed}");
    run(seed, from_env("XINHUB_MODEL_COMMANDS").map_or(COMMANDS, |count| count as usize)).await;
}
