//! One life of a ledger beside its model: each step is done in both, and what came of it is compared.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use xinhub_domain::listing::Stage;
use xinhub_domain::measure::RelationSet;
use xinhub_domain::time::Timestamp;
use xinhub_ledger::keys::Keyring;
use xinhub_ledger::storage::sim::SimStorage;
use xinhub_ledger::testing::{Bench, actor};
use xinhub_ledger::{
    Act, Clock, Command, CommandError, ImportBatch, ImportRow, Ledger, ListingRef, Outcome, Request, RowFault,
    RowOutcome,
};

use crate::compare;
use crate::follower::Follower;
use crate::reference::{Done, FileRow, Reference, RowSeen, Verdict, Why, Wrong};
use crate::send;
use crate::steps::{Row, Sent, Step, Tag, Try};
use crate::world::{PARTIES, Who, importing, registry, rules};

/// What differs, for whoever looks into it.
pub(crate) type Difference = String;

/// A mutation that was acknowledged: after a restart it is sent again.
struct Acked {
    by: usize,
    request_id: [u8; 16],
    body: Vec<u8>,
    outcome: Outcome,
    at: Timestamp,
}

pub(crate) struct Life {
    bench: Bench,
    pub(crate) ledger: Ledger,
    pub(crate) model: Reference,
    /// What became of mutations, by kind: taken and refused.
    pub(crate) tally: BTreeMap<String, (usize, usize)>,
    last: Option<Acked>,
    follower: Follower,
}

impl Life {
    pub(crate) fn new(wrong: Option<Wrong>) -> Life {
        let mut bench = Bench::blank(SimStorage::new(1), Arc::new(Keyring::ephemeral()));
        bench.settings.rules = rules(false);
        // Small, so that a disk is copied fast and a life still fills several.
        (bench.settings.segment_bytes, bench.settings.max_payload_bytes) = (128 << 10, 64 << 10);
        bench.create().unwrap();
        let ledger = bench.open();
        let model = Reference::new(bench.clock.wall(), wrong);
        let mut follower = Follower::new();
        follower.opened(&ledger);
        Life { bench, ledger, model, tally: BTreeMap::new(), last: None, follower }
    }

    /// Does one step in both. Says how many mutations it was.
    pub(crate) async fn step(&mut self, step: &Step) -> Result<usize, Difference> {
        match step {
            Step::Do(one) => self.one(one).await?,
            Step::Together(tries) => {
                self.together(tries).await?;
                return Ok(tries.len());
            }
            Step::Import { court, dry_run, amend, rows } => self.import(*court, *dry_run, *amend, rows).await?,
            Step::Look { client, who } => self.look(*client, *who).await?,
            Step::Tell { client, on } => {
                let number = self.model.find(Some(*on));
                if self.model.listing(number).is_some_and(|listing| !listing.facts.own_unit) {
                    self.tell(*client, &BTreeSet::from([number])).await?;
                }
            }
            Step::Race { client, on, lift } => self.race(*client, *on, lift).await?,
            Step::Stray { hours, one } => self.stray(*hours, one).await?,
            Step::Rules { exchanged } => {
                self.ledger.set_rules(rules(*exchanged)).await;
                self.bench.settings.rules = rules(*exchanged);
                // Behind it in the queue: what comes after counts by the new ones.
                self.tick().await?;
                self.model.exchange(*exchanged);
                self.everything()?;
            }
            Step::Pass { hours } => {
                self.bench.clock.advance_ms(u64::from(*hours) * 3_600_000);
                self.tick().await?;
                self.everything()?;
            }
            Step::Stop { clean, hours, seed } => self.stop(*clean, *hours, *seed).await?,
        }
        Ok(1)
    }

    /// Compares all that there is with the model, and with what an audience was told.
    fn everything(&mut self) -> Result<(), Difference> {
        compare::everything(&self.ledger, &mut self.model)?;
        self.follower.follow(&self.ledger)
    }

    /// A configuration that changes nothing makes the writer look at the clock, unless it came while the writer was at work:
    /// then the next one does.
    async fn tick(&mut self) -> Result<(), Difference> {
        let now = self.bench.clock.wall();
        for _ in 0..1_000 {
            let configured = self.ledger.configure("synthetic", "the same").await;
            configured.map_err(|error| format!("the ledger can't look at the clock: {error}"))?;
            let due = self.ledger.inspect(|resident| resident.due.is_due(now));
            if !due && !self.ledger.status().clock_frozen {
                self.model.pass(now);
                return Ok(());
            }
            // On one processor the writer may find each next one before it has ended its turn.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Err("what is due does not happen".to_owned())
    }

    /// What fell due with the step itself: the writer sees it when it next looks at the clock.
    async fn settle(&mut self) -> Result<(), Difference> {
        if self.model.is_due() { self.tick().await } else { Ok(()) }
    }

    async fn compare(&mut self, listings: &BTreeSet<u64>) -> Result<(), Difference> {
        self.settle().await?;
        compare::some(&self.ledger, &mut self.model, listings)
    }

    /// The listings that a mutation is about.
    fn concerned(&self, one: &Try) -> BTreeSet<u64> {
        let number = self.model.find(one.on);
        let petition = self.model.petition(number).map(|petition| petition.listing);
        [Some(number), petition, Some(self.model.find(Some(one.tag)))].into_iter().flatten().collect()
    }

    async fn one(&mut self, one: &Try) -> Result<(), Difference> {
        let Some((request, etag)) = send::request(&self.model, one) else { return Ok(()) };
        let (request_id, body, at) = (request.request_id, request.body.clone(), self.model.now);
        let again = send::request(&self.model, one).map(|(again, _)| Request { request_id, ..again });
        let found = match again.filter(|_| one.sent != Sent::Once) {
            Some(again) if one.sent == Sent::Doubled => {
                let both = tokio::join!(self.ledger.submit(request), self.ledger.submit(again));
                same_again(&both.0, &both.1)?;
                both.0
            }
            Some(again) => {
                let found = self.ledger.submit(request).await;
                same_again(&found, &self.ledger.submit(again).await)?;
                found
            }
            None => self.ledger.submit(request).await,
        };
        let verdict = self.model.act(one, etag);
        self.judge(one, verdict, &found)?;
        if let Ok(outcome) = found {
            self.last = Some(Acked { by: one.by, request_id, body, outcome, at });
        }
        self.compare(&self.concerned(one)).await
    }

    /// Whether the ledger and the model came to the same.
    fn judge(&mut self, one: &Try, verdict: Verdict, found: &Result<Outcome, CommandError>) -> Result<(), Difference> {
        let tally = self.tally.entry(one.what.name()).or_default();
        match (verdict, found) {
            (Ok(done), Ok(outcome)) => {
                tally.0 += 1;
                let seen = Done {
                    listing: outcome.listing,
                    record: outcome.record,
                    state: outcome.state,
                    petition: outcome.petition,
                    stale: outcome.stale,
                    reason_owed: outcome.reason_owed,
                    late: outcome.late,
                };
                self.model.moved(one, &done, outcome.etag);
                if seen == done { Ok(()) } else { Err(format!("told {seen:?}, the model {done:?}")) }
            }
            (Err(why), Err(error)) => {
                tally.1 += 1;
                let fits = why_of(error).is_some_and(|reason| why.contains(&reason));
                if fits { Ok(()) } else { Err(format!("refused with {error:?}, the model says {why:?}")) }
            }
            (Ok(done), Err(error)) => Err(format!("refused with {error:?}, the model does it: {done:?}")),
            (Err(why), Ok(outcome)) => Err(format!("done: {outcome:?}, the model refuses it: {why:?}")),
        }
    }

    /// Mutations that race: what was acknowledged is done in the model in the order of revisions. What was refused depends on
    /// that order, so only the kinds of refusal are looked at that no order explains.
    async fn together(&mut self, tries: &[Try]) -> Result<(), Difference> {
        let mut sent = Vec::new();
        for one in tries {
            let Some((request, etag)) = send::request(&self.model, one) else { continue };
            let ledger = self.ledger.clone();
            sent.push((one, etag, tokio::spawn(async move { ledger.submit(request).await })));
        }
        let (mut done, mut listings) = (Vec::new(), BTreeSet::new());
        for (one, etag, task) in sent {
            match task.await.map_err(|error| error.to_string())? {
                Ok(outcome) => done.push((one, etag, outcome)),
                Err(error) if why_of(&error).is_some() => self.tally.entry(one.what.name()).or_default().1 += 1,
                Err(error) => return Err(format!("{one:?} is refused with {error:?}")),
            }
        }
        done.sort_by_key(|(.., outcome)| outcome.etag);
        for (one, etag, outcome) in done {
            let verdict = self.model.act(one, etag);
            self.judge(one, verdict, &Ok(outcome)).map_err(|difference| format!("{one:?}: {difference}"))?;
            listings.extend(self.concerned(one));
        }
        self.compare(&listings).await
    }

    async fn import(
        &mut self,
        court: usize,
        dry_run: bool,
        amend: bool,
        rows: &[(Tag, Row)],
    ) -> Result<(), Difference> {
        let now = self.model.now;
        let (mut file, mut sent) = (Vec::new(), Vec::new());
        for (tag, row) in rows {
            if let Some((seen, row)) = self.file_row(row) {
                file.push((*tag, seen));
                sent.push(row);
            }
        }
        let batch = ImportBatch {
            actor: actor("clerk"),
            dry_run,
            amend,
            as_of: now,
            released: None,
            complete: None,
            rows: sent,
        };
        let found = self.ledger.import(importing(court), batch).await.map_err(|error| format!("import: {error:?}"))?;
        let mut trial = self.model.clone();
        let model = if dry_run { &mut trial } else { &mut self.model };
        let seen: Vec<RowSeen> = file.iter().map(|(tag, row)| model.row(court, amend, *tag, row)).collect();
        let found: Vec<RowSeen> = found.iter().map(row_seen).collect();
        if found != seen {
            return Err(format!("rows of {} came to {found:?}, in the model to {seen:?}", PARTIES[court]));
        }
        for row in &found {
            let tally = self.tally.entry("Import".to_owned()).or_default();
            if matches!(row, RowSeen::Fault(_)) { tally.1 += 1 } else { tally.0 += 1 }
        }
        let number = |row: &RowSeen| match row {
            RowSeen::Added(number) | RowSeen::Amended(number) | RowSeen::Unchanged(number) if !dry_run => Some(*number),
            _ => None,
        };
        self.compare(&found.iter().filter_map(number).collect()).await
    }

    fn file_row(&self, row: &Row) -> Option<(FileRow, ImportRow)> {
        let now = self.model.now;
        let facts = match row {
            Row::Listing(says) => says.facts(now.day()),
            Row::Known { on, conduct } => {
                let mut facts = self.model.listing(self.model.find(Some(*on)))?.facts.clone();
                // A file doesn't say who may be shown its rows, nor by how much a term was extended.
                facts.own_unit = false;
                facts.decision.iter_mut().for_each(|decision| decision.extended = 0);
                facts.conduct = conduct.unwrap_or(facts.conduct);
                facts
            }
            Row::Relation { case, subject, relates } => {
                let content = send::relation(relates, now)?;
                let (case, subject, relates) = (*case, *subject, relates.clone());
                let case_number = xinhub_ledger::testing::draft(subject.raw(), case).case_number;
                let case_number = xinhub_domain::case_number::CaseNumber::parse(&case_number).ok()?;
                let listing = ListingRef::Case { case_number, subject: subject.identity().clone() };
                return Some((FileRow::Relation { case, subject, relates }, ImportRow::Relation { listing, content }));
            }
        };
        let content = facts.content(Stage::Decision, now)?;
        Some((FileRow::Listing(facts), ImportRow::Listing(content)))
    }

    async fn look(&mut self, client: usize, who: Who) -> Result<(), Difference> {
        let permit = &crate::world::lookups()[0];
        let found = self.ledger.probe(permit, who.identity(), RelationSet::ALL);
        compare::answers(&self.ledger, &self.model, [who].into_iter())?;
        let listings = found.into_iter().flat_map(|found| found.listings).map(|one| one.listing).collect();
        self.tell(client, &listings).await
    }

    async fn tell(&mut self, client: usize, listings: &BTreeSet<u64>) -> Result<(), Difference> {
        let numbers: Vec<u64> = listings.iter().copied().collect();
        let told = self.ledger.disclose(&Arc::from(PARTIES[client]), &numbers).await;
        told.map_err(|error| format!("a disclosure is refused: {error:?}"))?;
        numbers.iter().for_each(|number| self.model.tell(client, *number));
        self.compare(listings).await
    }

    /// The wall clock strays: lifts alone are taken, and dated by what it would show otherwise. Then it is set right.
    async fn stray(&mut self, hours: i64, one: &Try) -> Result<(), Difference> {
        let Some((request, etag)) = send::request(&self.model, one) else { return Ok(()) };
        self.bench.clock.step_ms(hours * 3_600_000);
        let found = self.ledger.submit(request).await;
        self.bench.clock.step_ms(-hours * 3_600_000);
        self.tick().await?;
        // A writer that is at work looks at the clock again before its next turn; until then it goes by what it would show.
        if one.what.is_lift() || found != Err(CommandError::ClockUnsure) {
            let verdict = self.model.act(one, etag);
            self.judge(one, verdict, &found)?;
        }
        self.compare(&self.concerned(one)).await
    }

    /// An answer is recorded while its listing is lifted. Whichever comes first, the client owes the lift.
    async fn race(&mut self, client: usize, on: Tag, lift: &Try) -> Result<(), Difference> {
        let number = self.model.find(Some(on));
        let told = self.model.listing(number).is_some_and(|listing| !listing.facts.own_unit);
        let (Some((request, etag)), true) = (send::request(&self.model, lift), told) else { return Ok(()) };
        let (ledger, numbers, client_id) = (self.ledger.clone(), [number], Arc::from(PARTIES[client]));
        let (told, found) = tokio::join!(ledger.disclose(&client_id, &numbers), ledger.submit(request));
        told.map_err(|error| format!("a disclosure is refused: {error:?}"))?;
        self.model.tell(client, number);
        let verdict = self.model.act(lift, etag);
        self.judge(lift, verdict, &found)?;
        self.compare(&BTreeSet::from([number])).await
    }

    /// Killed, or stopped with a snapshot; then the state must also be what the journal alone gives.
    async fn stop(&mut self, clean: bool, hours: u32, seed: u64) -> Result<(), Difference> {
        let from = self.bench.clock.wall();
        let sim = if clean {
            self.ledger.shutdown();
            self.bench.sim.restart(1)
        } else {
            self.bench.sim.crash(seed)
        };
        self.bench.clock.advance_ms(u64::from(hours) * 3_600_000);
        self.bench = self.bench.on(sim);
        self.ledger = self.bench.try_open().map_err(|error| format!("the ledger does not open: {error}"))?;
        self.follower.opened(&self.ledger);
        let now = self.bench.clock.wall();
        self.model.was_down(from, now);
        self.model.pass(now);
        self.everything()?;
        let fold = self.bench.fold()?;
        let differences = self.ledger.inspect(|resident| xinhub_ledger::fsck::compare(&fold, resident));
        if !differences.is_empty() {
            return Err(format!("the state is not what the journal gives: {differences:?}"));
        }
        let hints = self.ledger.inspect(|resident| resident.due.len());
        if hints > 4 * self.model.listings.len() + 1_000 {
            return Err(format!("{hints} hints of what is due"));
        }
        self.again().await
    }

    /// The last mutation, sent again after a restart.
    async fn again(&mut self) -> Result<(), Difference> {
        // Outcomes are kept for a week.
        let Some(last) = self.last.take().filter(|last| self.model.now.0 - last.at.0 < 6 * 86_400_000) else {
            return Ok(());
        };
        // Told by its id, its caller and its body: what the act says isn't looked at.
        let act = Act::Registry(registry(last.by.min(2)), Command::Approve { listing: 0 });
        if act.client().id() != PARTIES[last.by] {
            return Ok(());
        }
        let Acked { request_id, body, outcome, .. } = last;
        let again = Request { act, request_id, body, etag: None, actor: Some(actor("j-1")), approver: None };
        same_again(&Ok(outcome), &self.ledger.submit(again).await)
    }
}

/// Whether a mutation that is sent again gets what it got.
fn same_again(first: &Result<Outcome, CommandError>, again: &Result<Outcome, CommandError>) -> Result<(), Difference> {
    let same = match (first, again) {
        (Ok(first), Ok(again)) => {
            let told = Outcome { position: first.position, replayed: false, ..again.clone() };
            again.replayed && told == *first
        }
        // Nothing was kept of a refusal: it is decided anew, and nothing has happened in between.
        (Err(first), Err(again)) => first == again,
        _ => false,
    };
    if same { Ok(()) } else { Err(format!("told {first:?}, and {again:?} when it was sent again")) }
}

fn why_of(error: &CommandError) -> Option<Why> {
    Some(match error {
        CommandError::State(_) => Why::State,
        CommandError::Petition(_) => Why::Petition,
        CommandError::NotFound(_) => Why::NotFound,
        CommandError::OtherCourt => Why::OtherCourt,
        CommandError::StaleEtag { .. } => Why::StaleEtag,
        CommandError::ListingExists { .. } => Why::Exists,
        CommandError::SecondPersonRequired => Why::SecondPerson,
        CommandError::NotASigner => Why::NotASigner,
        CommandError::ApproverRequired => Why::NoApprover,
        CommandError::Faults(_) => Why::Faults,
        CommandError::RequestIdReused
        | CommandError::Import(_)
        | CommandError::OtherMode(_)
        | CommandError::OlderList
        | CommandError::RequestIdExpired
        | CommandError::Overloaded
        | CommandError::Full
        | CommandError::Storage
        | CommandError::Unreadable
        | CommandError::Stopping
        | CommandError::ClockUnsure => return None,
    })
}

fn row_seen(row: &RowOutcome) -> RowSeen {
    match row {
        RowOutcome::Added { listing } => RowSeen::Added(*listing),
        RowOutcome::Amended { listing, .. } => RowSeen::Amended(*listing),
        RowOutcome::Unchanged { listing } => RowSeen::Unchanged(*listing),
        RowOutcome::Removed { .. } | RowOutcome::Newer { .. } | RowOutcome::Differing { .. } | RowOutcome::Waits => {
            unreachable!("no file of these steps is a complete list")
        }
        RowOutcome::Fault(fault) => RowSeen::Fault(match fault {
            RowFault::Differs { .. } => "differs",
            RowFault::Ended { .. } => "ended",
            RowFault::NoNotice => "no notice",
            RowFault::LateNotice { .. } => "late notice",
            RowFault::NotFound => "not found",
            RowFault::Refused(_) => "refused",
        }),
    }
}
