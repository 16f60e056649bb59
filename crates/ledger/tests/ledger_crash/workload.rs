//! What courts and clients do, at random, and what they were told.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use parking_lot::Mutex;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use xinhub_domain::identity::Identity;
use xinhub_domain::listing::{
    Content, Decision, Draft, DraftDecision, DraftRelation, Exemption, RawIdentity, RelationContent, Stage,
};
use xinhub_domain::measure::Relation;
use xinhub_domain::time::{Day, Timestamp};
use xinhub_ledger::clock::manual::ManualClock;
use xinhub_ledger::testing::*;
use xinhub_ledger::{
    Act, Clock, Command, CommandError, ImportBatch, ImportRow, Ledger, ListingRef, Outcome, Request, RowOutcome,
};

pub(crate) const COURTS: [(&str, &str); 2] = [("court-one", "c-one"), ("court-two", "c-two")];
pub(crate) const CLIENTS: [&str; 2] = ["bank", "hotel"];

/// An outcome that was acknowledged.
#[derive(Clone, Debug)]
pub(crate) struct Acked {
    pub(crate) caller: &'static str,
    pub(crate) court: &'static str,
    pub(crate) request_id: [u8; 16],
    pub(crate) lift: Lift,
    pub(crate) outcome: Outcome,
}

/// What must stay lifted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lift {
    None,
    /// Until a new decision restores it.
    Hidden,
    Ended,
    Relation,
    Exemption,
}

/// What is known of what was sent and answered. Never more than a caller could know.
#[derive(Clone, Default)]
pub(crate) struct Model {
    pub(crate) created: bool,
    pub(crate) acked: Vec<Acked>,
    /// Subjects of each import of new listings, and whether it was acknowledged.
    pub(crate) imports: Vec<(Vec<Identity>, bool)>,
    pub(crate) told: HashSet<(u64, &'static str)>,
    /// Listings for which a restoration was sent, whatever came of it.
    pub(crate) restored: HashSet<u64>,
    /// What listings say, as far as it was acknowledged.
    pub(crate) drafts: HashMap<u64, Draft>,
    pub(crate) next_subject: u64,
}

/// One court's system at work.
pub(crate) struct Submitter {
    pub(crate) ledger: Ledger,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) model: Arc<Mutex<Model>>,
    rng: ChaCha8Rng,
}

/// A listing to act on, as the hub shows it.
struct Target {
    listing: u64,
    court: usize,
    etag: u64,
    relations: Vec<u64>,
    exemptions: Vec<u64>,
    draft: Option<Draft>,
}

impl Submitter {
    pub(crate) fn new(ledger: &Ledger, clock: &Arc<ManualClock>, model: &Arc<Mutex<Model>>, seed: u64) -> Submitter {
        let rng = ChaCha8Rng::seed_from_u64(seed);
        Submitter { ledger: ledger.clone(), clock: Arc::clone(clock), model: Arc::clone(model), rng }
    }

    /// Does so many things one after the other; ends early when the hub fails or stops.
    pub(crate) async fn run(mut self, steps: usize) -> Option<CommandError> {
        for _ in 0..steps {
            if let Err(error @ (CommandError::Storage | CommandError::Stopping)) = self.step().await {
                return Some(error);
            }
        }
        None
    }

    pub(crate) async fn step(&mut self) -> Result<(), CommandError> {
        match self.rng.random_range(0..20) {
            0 => self.import().await,
            1 => self.disclose().await,
            2 if self.rng.random_bool(0.1) => {
                self.clock.advance_ms(self.rng.random_range(0..40) * 3_600_000);
                Ok(())
            }
            2..6 => self.begin().await,
            _ => self.go_on().await,
        }
    }

    fn subject(&mut self) -> RawIdentity {
        if self.rng.random_bool(0.4) {
            organisation(self.rng.random_range(0..12))
        } else {
            person(self.rng.random_range(0..40))
        }
    }

    fn draft(&mut self, subject: RawIdentity) -> Draft {
        let case = self.rng.random_range(0..60);
        let mut draft = draft(subject, case);
        draft.conduct = self.text();
        let fixed = self.rng.random_bool(0.4);
        draft.ground = if fixed { 2 } else { 1 };
        draft.decision = Some(self.decision(fixed));
        draft
    }

    /// Of 0 to 200 characters.
    fn text(&mut self) -> String {
        "合".repeat(self.rng.random_range(0..200))
    }

    fn decision(&mut self, fixed: bool) -> DraftDecision {
        let old = fixed && self.rng.random_bool(0.3);
        DraftDecision {
            number: "d-1".to_owned(),
            // The older ones end within the test's time.
            date: if old { "2024-03-03".to_owned() } else { "2026-02-27".to_owned() },
            reasons: "synthetic".to_owned(),
            term_months: if fixed { 24 } else { 0 },
            signer: "president".to_owned(),
            served_on: if self.rng.random_bool(0.8) { "2026-02-28".to_owned() } else { String::new() },
            grace_days: if self.rng.random_bool(0.2) { self.rng.random_range(1..5) } else { 0 },
            ..DraftDecision::default()
        }
    }

    async fn begin(&mut self) -> Result<(), CommandError> {
        let subject = self.subject();
        let mut draft = self.draft(subject);
        let court = self.rng.random_range(0..2);
        let command = match self.rng.random_range(0..8) {
            0 => {
                draft.decision = None;
                Command::Notice { content: self.checked(&draft, Stage::Notice)? }
            }
            1 => Command::Propose { listing: None, content: self.checked(&draft, Stage::Decision)?, application: None },
            _ => Command::Publish { listing: None, content: self.checked(&draft, Stage::Decision)?, application: None },
        };
        let outcome = self.send(court, None, Lift::None, command).await?;
        self.model.lock().drafts.insert(outcome.listing, draft);
        Ok(())
    }

    fn checked(&self, draft: &Draft, stage: Stage) -> Result<Box<Content>, CommandError> {
        let (content, _) = Content::check(draft, stage, self.clock.wall()).map_err(CommandError::Faults)?;
        Ok(Box::new(content))
    }

    fn target(&mut self) -> Option<Target> {
        let pick: f64 = self.rng.random();
        self.ledger.inspect(|resident| {
            let row = (pick * resident.table.len() as f64) as u32;
            resident.table.row_of(u64::from(row) + 1)?;
            let listing = resident.table.row(row);
            let extra = resident.table.extra(row);
            let court = COURTS.iter().position(|(_, court)| *court == resident.courts.name(listing.court))?;
            Some(Target {
                listing: u64::from(row) + 1,
                court,
                etag: listing.revision(),
                relations: extra.into_iter().flat_map(|extra| extra.relations).map(|one| one.number).collect(),
                exemptions: extra.into_iter().flat_map(|extra| &extra.rest.exemptions).map(|one| one.number).collect(),
                draft: self.model.lock().drafts.get(&(u64::from(row) + 1)).cloned(),
            })
        })
    }

    async fn go_on(&mut self) -> Result<(), CommandError> {
        let Some(target) = self.target() else { return Ok(()) };
        let listing = target.listing;
        let mut written = None;
        let (lift, command) = match self.rng.random_range(0..15) {
            0 => (Lift::Hidden, Command::Hide { listing, ground: String::new() }),
            1 => (Lift::Ended, Command::Revoke { listing, ground: "wrongly_listed".to_owned() }),
            2 => (Lift::Ended, Command::Remove { listing, ground: "performed".to_owned() }),
            3 => (Lift::Ended, Command::Withdraw { listing, note: None }),
            4 => (Lift::Ended, Command::Reject { listing, note: None }),
            5 => (Lift::None, Command::Approve { listing }),
            6 => (Lift::None, Command::Serve { listing, served_on: self.clock.wall().day(), grace_days: 2 }),
            7 => {
                let fixed = target.draft.as_ref().is_some_and(|draft| draft.ground == 2);
                let decision = self.decision(fixed);
                let decision = Decision::check(&decision, self.clock.wall()).map_err(CommandError::Faults)?;
                self.model.lock().restored.insert(listing);
                (Lift::None, Command::Restore { listing, decision: Box::new(decision) })
            }
            8 => (Lift::None, Command::Extend { listing, months: 12, ground: "several_acts".to_owned() }),
            9 => (Lift::Exemption, Command::Exempt { listing, exemption: self.exemption(target.draft.as_ref())? }),
            10 => {
                let exemption = target.exemptions.choose(&mut self.rng).copied().unwrap_or(1);
                (Lift::None, Command::EndExemption { listing, exemption })
            }
            11 => {
                let relation = target.relations.choose(&mut self.rng).copied().unwrap_or(1);
                (Lift::Relation, Command::EndRelation { listing, relation, basis_document: "doc".to_owned() })
            }
            12 => {
                let until = if self.rng.random_bool(0.3) { "2026-03-10" } else { "" };
                (Lift::None, Command::SetRelation { listing, relation: self.relation(until)? })
            }
            13 => {
                let Some(mut draft) = target.draft.clone() else { return Ok(()) };
                draft.conduct = self.text();
                written = Some(draft.clone());
                (Lift::None, Command::Amend { listing, content: self.checked(&draft, Stage::Decision)? })
            }
            _ => {
                let Some(mut draft) = target.draft.clone() else { return Ok(()) };
                draft.identities = vec![self.subject()];
                written = Some(draft.clone());
                let content = self.checked(&draft, Stage::Decision)?;
                (Lift::None, Command::Rectify { listing, content, note: None })
            }
        };
        let etag = match self.rng.random_range(0..10) {
            0 => None,
            1 => Some(1),
            _ => Some(target.etag),
        };
        let court = if self.rng.random_bool(0.95) { target.court } else { 1 - target.court };
        let sent = self.send(court, etag, lift, command).await;
        if let (Ok(outcome), Some(draft)) = (&sent, written) {
            self.model.lock().drafts.insert(outcome.listing, draft);
        }
        sent.map(|_| ())
    }

    fn relation(&mut self, until: &str) -> Result<Box<RelationContent>, CommandError> {
        let draft = DraftRelation {
            relation: *Relation::ALL[1..].choose(&mut self.rng).unwrap(),
            identity: person(self.rng.random_range(0..40)),
            name: "合成乙".to_owned(),
            basis_document: "synthetic".to_owned(),
            from: "2026-01-01".to_owned(),
            until: until.to_owned(),
        };
        let (content, _) = RelationContent::check(&draft, self.clock.wall()).map_err(CommandError::Faults)?;
        Ok(Box::new(content))
    }

    fn exemption(&mut self, draft: Option<&Draft>) -> Result<Box<Exemption>, CommandError> {
        let raw = draft.map(|draft| draft.identities[0].clone()).unwrap_or_else(|| person(1));
        let now = self.clock.wall();
        Ok(Box::new(Exemption {
            identity: identity(&raw),
            measures: vec![],
            items: vec![],
            from: now,
            until: Timestamp(now.0 + self.rng.random_range(1..200) * 3_600_000),
            ground: "illness".into(),
            approver: "president".into(),
        }))
    }

    async fn send(
        &mut self,
        court: usize,
        etag: Option<u64>,
        lift: Lift,
        command: Command,
    ) -> Result<Outcome, CommandError> {
        let (caller, court) = COURTS[court];
        let staff = if self.rng.random_bool(0.5) { "j-1" } else { "j-2" };
        let mut request = request_at(self.clock.wall(), caller, staff, etag, command.clone());
        request.request_id[8..].copy_from_slice(&self.rng.random::<[u8; 8]>());
        let request_id = request.request_id;
        // Now and then the caller sends it twice.
        let again = self.rng.random_bool(0.05).then(|| Request {
            act: Act::Registry(xinhub_ledger::testing::court(caller), command),
            body: request.body.clone(),
            actor: request.actor.clone(),
            approver: None,
            ..request
        });
        let outcome = self.ledger.submit(request).await?;
        if let Some(again) = again {
            let repeated = self.ledger.submit(again).await?;
            let same = |one: &Outcome| (one.listing, one.record, one.state, one.etag, one.stale, one.reason_owed);
            assert_eq!((same(&repeated), repeated.replayed), (same(&outcome), true));
        }
        self.model.lock().acked.push(Acked { caller, court, request_id, lift, outcome: outcome.clone() });
        Ok(outcome)
    }

    /// New listings, and relations of them, in one batch.
    async fn import(&mut self) -> Result<(), CommandError> {
        let court = self.rng.random_range(0..2);
        let count = self.rng.random_range(1..10);
        let (mut rows, mut subjects) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let subject = {
                let mut model = self.model.lock();
                model.next_subject += 1;
                organisation(1_000 + model.next_subject)
            };
            let draft = self.draft(subject.clone());
            let content = self.checked(&draft, Stage::Decision)?;
            let (case_number, subject) = (content.case_number.clone(), identity(&subject));
            rows.push(ImportRow::Listing(content));
            let listing = ListingRef::Case { case_number, subject: subject.clone() };
            if self.rng.random_bool(0.4) {
                rows.push(ImportRow::Relation { listing, content: self.relation("")? });
            }
            subjects.push(subject);
        }
        let at = {
            let mut model = self.model.lock();
            model.imports.push((subjects, false));
            model.imports.len() - 1
        };
        let as_of = Timestamp(Day(0).end().0);
        let batch = ImportBatch {
            actor: actor("clerk"),
            dry_run: false,
            amend: false,
            as_of,
            released: None,
            complete: None,
            rows,
        };
        let outcomes = self.ledger.import(court_permit(court), batch).await?;
        assert!(outcomes.iter().all(|one| matches!(one, RowOutcome::Added { .. })), "{outcomes:?}");
        self.model.lock().imports[at].1 = true;
        Ok(())
    }

    async fn disclose(&mut self) -> Result<(), CommandError> {
        let mut listings = Vec::new();
        for _ in 0..self.rng.random_range(1..4) {
            listings.extend(self.target().map(|target| target.listing));
        }
        let client = *CLIENTS.choose(&mut self.rng).unwrap();
        self.ledger.disclose(&Arc::from(client), &listings).await?;
        self.model.lock().told.extend(listings.into_iter().map(|listing| (listing, client)));
        Ok(())
    }
}

fn court_permit(at: usize) -> xinhub_domain::policy::RegistryPermit {
    court(COURTS[at].0)
}
