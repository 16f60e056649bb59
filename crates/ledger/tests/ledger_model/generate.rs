//! What may happen next, at random, aimed by what the model knows: most of it fits the state that it meets, some does not.

use rand::Rng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;
use xinhub_domain::deadline::Clock;
use xinhub_domain::listing::{ObjectionGround, PartyRole, PetitionKind, PetitionState, State};
use xinhub_domain::measure::Relation;

use crate::reference::{DEFERRAL_GROUNDS, EXEMPTION_GROUNDS, Listing, Petition, REMOVAL_GROUNDS, Reference, needs};
use crate::steps::{
    Basis, Correction, Decides, Etag, Exempts, Finds, Redress, Relates, Row, Says, Sent, Step, Tag, Try, What,
};
use crate::world::{BUREAU, CLIENTS, FIRMS, HIGH, PERSONS, Who, everybody};

const STAFF: [&str; 3] = ["j-1", "j-2", "clerk"];

/// Makes steps.
pub(crate) struct Generator<'a> {
    pub(crate) rng: &'a mut ChaCha8Rng,
    pub(crate) model: &'a Reference,
    /// The number of the step in the making.
    pub(crate) step: u32,
    /// The listing that everything is about, where much happens to one at once.
    pub(crate) focus: Option<Tag>,
    /// Several mutations are made that will race. None of them ends a term at once: whether the clock or another of them came
    /// first, nobody is told.
    pub(crate) racing: bool,
}

impl Generator<'_> {
    pub(crate) fn step(&mut self) -> Step {
        match self.rng.random_range(0..100) {
            0..4 => Step::Pass { hours: self.hours() },
            4 => {
                let hours = if self.rng.random_bool(0.5) { 0 } else { self.hours() };
                Step::Stop { clean: self.rng.random(), hours, seed: self.rng.random() }
            }
            5 => self.import(),
            6..12 => Step::Look { client: self.client(), who: self.anybody() },
            13 if self.rng.random_bool(0.3) => {
                let hours = self.pick(&[-300, -5, 5, 300]);
                Step::Stray { hours, one: self.mutation(0) }
            }
            12..15 => match self.listing(|listing| listing.was_listed && !listing.facts.own_unit) {
                Some(on) if self.rng.random() => self.race(on),
                Some(on) => Step::Tell { client: self.client(), on },
                None => Step::Look { client: self.client(), who: self.anybody() },
            },
            15 if self.rng.random_bool(0.2) => Step::Rules { exchanged: self.rng.random() },
            15..20 => {
                let count = self.rng.random_range(2..6);
                self.racing = true;
                self.focus = self.listing(|_| true).filter(|_| self.rng.random_bool(0.6));
                Step::Together((0..count).map(|place| self.mutation(place)).collect())
            }
            _ => Step::Do(self.mutation(0)),
        }
    }

    fn race(&mut self, on: Tag) -> Step {
        let ground = self.ground();
        let what = match self.rng.random_range(0..3) {
            0 => What::Hide(ground),
            1 => What::Revoke(ground),
            _ => What::Remove(ground),
        };
        let by = self.known(on).map_or(0, |listing| listing.court);
        let (tag, staff, on_it) = (Tag(self.step, 0), "j-1", Some(on));
        let lift = Try { tag, by, staff, approver: "", etag: Etag::Absent, on: on_it, what, sent: Sent::Once };
        Step::Race { client: self.client(), on, lift }
    }

    /// Hours, often within a day, sometimes over several.
    fn hours(&mut self) -> u32 {
        if self.rng.random_bool(0.5) { self.rng.random_range(1..30) } else { self.rng.random_range(24..300) }
    }

    fn mutation(&mut self, place: u8) -> Try {
        let one = match self.rng.random_range(0..100) {
            0..22 => self.begin(),
            22..58 => self.on_listing(),
            58..70 => self.filing(),
            70..84 => self.on_petition(),
            _ => self.report(),
        };
        let (by, on, what) = one.unwrap_or_else(|| (0, None, What::Notice(self.says(false))));
        let approver = match &what {
            what if what.may_restrict() => self.pick(&["j-1", "j-2", "j-1", "j-2", "clerk", ""]),
            _ if self.rng.random_bool(0.04) => self.pick(&STAFF),
            _ => "",
        };
        let machine = matches!(what, What::Acknowledged) && self.rng.random_bool(0.5);
        Try {
            tag: Tag(self.step, place),
            by,
            staff: if machine { "" } else { self.pick(&STAFF) },
            approver,
            etag: match self.rng.random_range(0..16) {
                0 => Etag::Absent,
                1 => Etag::Stale,
                _ => Etag::Current,
            },
            on,
            what,
            sent: match self.rng.random_range(0..40) {
                0 => Sent::Again,
                1 => Sent::Doubled,
                _ => Sent::Once,
            },
        }
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        *from.choose(self.rng).unwrap()
    }

    fn client(&mut self) -> usize {
        self.pick(&CLIENTS)
    }

    fn person(&mut self) -> Who {
        Who::Person(self.rng.random_range(0..PERSONS))
    }

    fn anybody(&mut self) -> Who {
        let all: Vec<Who> = everybody().collect();
        self.pick(&all)
    }

    fn subject(&mut self) -> Vec<Who> {
        let (person, firm) = (self.rng.random_range(0..PERSONS), self.rng.random_range(0..FIRMS));
        match self.rng.random_range(0..10) {
            0 => vec![Who::Person(person), Who::Permit(person)],
            1 => vec![Who::Permit(self.rng.random_range(0..PERSONS)), Who::Person(person)],
            2 => vec![Who::Person(person)],
            3 if self.rng.random_bool(0.3) => vec![Who::Odd(firm)],
            3 if self.rng.random_bool(0.4) => vec![Who::Odd(firm), Who::Firm(self.rng.random_range(0..FIRMS))],
            4 => vec![Who::Code(firm)],
            5 => vec![Who::Firm(firm), Who::Code((firm + 1) % FIRMS)],
            _ => vec![Who::Firm(firm)],
        }
    }

    /// A decision; a third of those with a term end within the next days.
    fn decision(&mut self, fixed: bool) -> Decides {
        let old = fixed && self.rng.random_bool(0.5);
        let ago = if old { self.rng.random_range(715..731) } else { self.rng.random_range(1..20) };
        let served = self.rng.random_range(0..ago.min(30) + 1);
        Decides {
            ago,
            served: self.rng.random_bool(0.85).then_some(served),
            grace: if self.rng.random_bool(0.25) { self.rng.random_range(1..40) } else { 0 },
            attested: false,
        }
    }

    fn says(&mut self, decided: bool) -> Says {
        let fixed = self.rng.random_bool(0.5);
        Says {
            who: self.subject(),
            case: self.rng.random_range(0..400),
            fixed,
            decision: decided.then(|| self.decision(fixed)),
            noticed: self.rng.random_bool(0.95),
            own_unit: self.rng.random_bool(0.12),
            conduct: 0,
        }
    }

    /// Which court begins or goes on with something: mostly the lower ones.
    fn court(&mut self) -> usize {
        self.pick(&[0, 0, 0, 1, 1, 1, HIGH])
    }

    /// The tag of one of the newer listings that fit.
    fn listing(&mut self, fits: impl Fn(&Listing) -> bool) -> Option<Tag> {
        if let Some(focus) = self.focus.filter(|tag| self.known(*tag).is_some_and(&fits)) {
            return Some(focus);
        }
        let count = self.model.listings.len();
        for _ in 0..6 {
            let back = self.rng.random_range(0..count.clamp(1, 60));
            let number = count.checked_sub(back).filter(|number| *number > 0)? as u64;
            if self.model.listing(number).is_some_and(&fits) {
                return self.tag_of(number, true);
            }
        }
        None
    }

    /// The tag of a listing, or of a petition, by its number.
    fn tag_of(&self, number: u64, listing: bool) -> Option<Tag> {
        let tags = if listing { &self.model.of_listings } else { &self.model.of_petitions };
        tags.get(usize::try_from(number).ok()?.checked_sub(1)?).copied()
    }

    fn known(&self, tag: Tag) -> Option<&Listing> {
        self.model.listing(self.model.find(Some(tag)))
    }

    fn begin(&mut self) -> Option<(usize, Option<Tag>, What)> {
        let granted = |one: &Petition| one.kind == PetitionKind::Application && one.state == PetitionState::Upheld;
        let granted: Vec<usize> =
            (0..self.model.petitions.len()).filter(|at| granted(&self.model.petitions[*at])).collect();
        let mut says = self.says(true);
        let mut court = self.court();
        let mut follows = None;
        if let Some(at) = granted.choose(self.rng).copied().filter(|_| self.rng.random_bool(0.3)) {
            let asked = &self.model.petitions[at];
            court = if self.rng.random_bool(0.95) { asked.court } else { court };
            says.case = asked.case;
            says.who = asked.debtor.map_or(says.who, |debtor| vec![debtor]);
            follows = self.tag_of(at as u64 + 1, false);
        } else if self.rng.random_bool(0.25) {
            // Once more what was listed already.
            let again = self.listing(|_| true).and_then(|tag| self.known(tag));
            if let Some(listing) = again {
                (says.case, says.who, court) = (listing.facts.case, listing.facts.who.clone(), listing.court);
            }
        }
        if self.rng.random_bool(0.15) {
            says.decision = None;
            return Some((court, None, What::Notice(says)));
        }
        let noticed = self.listing(|listing| listing.state == State::Noticed).filter(|_| self.rng.random_bool(0.5));
        if let Some(tag) = noticed {
            let listing = self.known(tag)?;
            court = listing.court;
            let facts = listing.facts.clone();
            let decision = Some(self.decision(facts.fixed));
            let noticed = self.rng.random();
            let (mut who, mut case, fixed, own_unit) = (facts.who, facts.case, facts.fixed, facts.own_unit);
            if self.rng.random_bool(0.1) {
                // Not whom, or not what, the notice was about.
                (who, case) = (self.subject(), case + self.rng.random_range(0..2));
            }
            says = Says { who, case, fixed, decision, noticed, own_unit, conduct: 0 };
            follows = None;
        }
        let proposes = self.rng.random_bool(0.35);
        let what = if proposes { What::Propose(says, follows) } else { What::Publish(says, follows) };
        Some((court, noticed, what))
    }

    fn on_listing(&mut self) -> Option<(usize, Option<Tag>, What)> {
        let mut tag = None;
        for _ in 0..8 {
            tag = self.listing(|_| true);
            let Some(listing) = tag.and_then(|tag| self.known(tag)).cloned() else { continue };
            let over = listing.facts.until().is_some_and(|last| last < self.model.today());
            let what = match self.act(&listing) {
                What::Approve if over && self.racing => What::Reject,
                what => what,
            };
            let fits = needs(&what).is_none_or(|states| states.contains(&listing.state));
            if fits || self.rng.random_bool(0.1) {
                let court = if self.rng.random_bool(0.97) { listing.court } else { self.court() };
                return Some((court, tag, what));
            }
        }
        Some((0, tag, What::Approve))
    }

    fn ground(&mut self) -> &'static str {
        match self.rng.random_range(0..8) {
            0 => "",
            1 => "early_deletion",
            2 => "wrongly_listed",
            3 => "creditor_request",
            _ => self.pick(&REMOVAL_GROUNDS),
        }
    }

    fn act(&mut self, listing: &Listing) -> What {
        let owes = listing.clocks.contains_key(&Clock::GiveReason);
        let has_records = !listing.relations.is_empty() || !listing.exemptions.is_empty();
        match self.rng.random_range(0..40) {
            0..20 if listing.state == State::Proposed && self.rng.random() => What::Approve,
            0..20 if listing.state == State::Decided && self.rng.random() => self.serve(),
            10..30 if has_records && self.rng.random() => self.end_record(listing),
            0..4 => What::Hide(self.ground()),
            4 => What::Revoke(self.ground()),
            5 => What::Remove(self.ground()),
            6..8 => What::Approve,
            8 => What::Withdraw,
            9 => What::Reject,
            10..13 => self.serve(),
            13..17 => What::Restore(self.decision(listing.facts.fixed)),
            17 => What::Extend { months: self.pick(&[6, 12, 12, 24]) },
            18..21 => What::Exempt(self.exempts(listing)),
            21..24 => self.end_record(listing),
            24..28 => What::SetRelation(self.relates()),
            28 => What::Amend { conduct: self.rng.random_range(0..5), other_case: self.rng.random_bool(0.1) },
            29 => What::Rectify(self.correction(listing)),
            30..33 if owes => What::GiveReason(self.ground()),
            30..32 => What::WidenGrace(self.rng.random_range(0..100)),
            32 => What::GiveReason(self.ground()),
            33 => What::Defer {
                ground: self.pick(&[DEFERRAL_GROUNDS[0], DEFERRAL_GROUNDS[1], ""]),
                days: self.rng.random_range(0..33),
            },
            34..36 => What::RecordPerformance { ahead: self.rng.random_bool(0.1) },
            36 => What::Publish(self.says(true), None),
            _ => What::Hide(""),
        }
    }

    fn serve(&mut self) -> What {
        What::Serve { ago: self.rng.random_range(0..4), grace: self.rng.random_range(0..100) }
    }

    /// Ends a relation or an exemption: mostly one that runs.
    fn end_record(&mut self, listing: &Listing) -> What {
        let running = listing.exemptions.iter().filter(|one| !one.ended);
        if listing.relations.iter().all(|one| one.ended) || (running.clone().next().is_some() && self.rng.random()) {
            let numbers: Vec<u64> = running.map(|one| one.number).collect();
            if numbers.is_empty() && self.rng.random_bool(0.9) {
                return What::Exempt(self.exempts(listing));
            }
            return What::EndExemption(self.record_of(numbers, true));
        }
        self.end_relation(listing)
    }

    fn correction(&mut self, listing: &Listing) -> Correction {
        let who = if self.rng.random_bool(0.6) { self.subject() } else { listing.facts.who.clone() };
        let earlier = !self.racing && self.rng.random_bool(0.3);
        Correction { who, earlier: if earlier { self.rng.random_range(1..30) } else { 0 } }
    }

    fn exempts(&mut self, listing: &Listing) -> Exempts {
        let related: Vec<Who> = listing.relations.iter().map(|one| one.who).collect();
        let own = *listing.facts.who.choose(self.rng).unwrap();
        let alias = match own {
            Who::Firm(number) if self.rng.random_bool(0.3) => Who::Code(number),
            Who::Code(number) if self.rng.random_bool(0.3) => Who::Firm(number),
            own => own,
        };
        let who = match self.rng.random_range(0..10) {
            0 => self.anybody(),
            1..5 => related.choose(self.rng).copied().unwrap_or(alias),
            _ => alias,
        };
        let hotels_only = self.rng.random();
        Exempts {
            who,
            hotels_only,
            stars_only: hotels_only && self.rng.random(),
            from_hours: self.rng.random_range(-5..5),
            hours: if self.rng.random_bool(0.05) { 750 } else { self.rng.random_range(6..300) },
            ground: if self.rng.random_bool(0.95) { self.pick(&EXEMPTION_GROUNDS) } else { "" },
        }
    }

    fn relates(&mut self) -> Relates {
        let relation = self.pick(&Relation::ALL[1..]);
        Relates { who: self.person(), relation, until: self.rng.random_bool(0.4).then(|| self.rng.random_range(0..20)) }
    }

    /// The tag of one of these relations or exemptions; of one that is not there where there are none.
    fn record_of(&mut self, numbers: Vec<u64>, exemption: bool) -> Tag {
        let tags = if exemption { &self.model.of_exemptions } else { &self.model.of_relations };
        let number = numbers.choose(self.rng).copied().unwrap_or(0);
        number.checked_sub(1).and_then(|at| tags.get(at as usize)).copied().unwrap_or(Tag(u32::MAX, 0))
    }

    fn end_relation(&mut self, listing: &Listing) -> What {
        let running = listing.relations.iter().filter(|one| !one.ended || self.rng.random_bool(0.1));
        let numbers = running.map(|one| one.number).collect();
        let relation = self.record_of(numbers, false);
        What::EndRelation(relation, if self.rng.random() { Basis::Given } else { Basis::Owed })
    }

    fn filing(&mut self) -> Option<(usize, Option<Tag>, What)> {
        let ago = if self.rng.random_bool(0.7) { 0 } else { self.rng.random_range(0..25) };
        if self.rng.random_bool(0.25) {
            let court = self.court();
            let (by, asked) = match self.rng.random_range(0..4) {
                0 => (BUREAU, Some(court).filter(|_| self.rng.random_bool(0.9))),
                1 => (HIGH, Some(court)),
                _ => (court, None),
            };
            let debtor = self.subject()[0];
            return Some((by, None, What::Apply { court: asked, case: self.rng.random_range(0..400), debtor, ago }));
        }
        let tag = self.listing(|_| true)?;
        let listing = self.known(tag)?.clone();
        let by = match self.rng.random_range(0..6) {
            0 => HIGH,
            1..3 => BUREAU,
            3 if self.rng.random_bool(0.2) => self.court(),
            _ => listing.court,
        };
        let party = self.person();
        if self.rng.random_bool(0.25) && (listing.state != State::Listed || self.rng.random_bool(0.1)) {
            let against = self.client();
            return Some((by, Some(tag), What::Complain { against, party, ago }));
        }
        let role = if listing.relations.is_empty() { PartyRole::Debtor } else { PartyRole::Related };
        let role = if self.rng.random_bool(0.3) { PartyRole::NotMe } else { role };
        let ground = self.pick(&ObjectionGround::ALL);
        Some((by, Some(tag), What::Object { ground, role, party, ago }))
    }

    fn on_petition(&mut self) -> Option<(usize, Option<Tag>, What)> {
        let count = self.model.petitions.len();
        let mut number = 0;
        for _ in 0..4 {
            number = count.checked_sub(self.rng.random_range(0..count.clamp(1, 30)))?;
            let state = self.model.petition(number as u64)?.state;
            if !matches!(state, PetitionState::Upheld | PetitionState::Confirmed | PetitionState::Withdrawn) {
                break;
            }
        }
        let asked = self.model.petition(number as u64)?.clone();
        let served = self.rng.random_bool(0.6).then(|| self.rng.random_range(0..15));
        let what = match (asked.state, self.rng.random_range(0..10)) {
            (_, 0) => What::TakeBack,
            (PetitionState::Filed, 1..3) => What::RefuseIntake { served },
            (PetitionState::Filed, _) => What::Decide(self.finds(&asked, served)),
            (PetitionState::Reconsidered, _) => What::Reconsider(self.finds(&asked, served)),
            (_, 1..4) => What::ServeFinding { ago: self.rng.random_range(0..20) },
            (_, 4..9) => What::AskReconsideration { ago: self.rng.random_range(0..6) },
            _ => What::Decide(self.finds(&asked, served)),
        };
        let by = match &what {
            What::Reconsider(_) => HIGH,
            What::Decide(_) => asked.against.unwrap_or(asked.court),
            What::TakeBack | What::AskReconsideration { .. } => self.pick(&[asked.intake, asked.court]),
            _ => asked.court,
        };
        // A client's certificate opens intake to units only; what isn't let in doesn't come here.
        let by = if self.rng.random_bool(0.95) { by } else { self.pick(&[0, 1, HIGH, BUREAU]) };
        Some((by, self.tag_of(number as u64, false), what))
    }

    fn finds(&mut self, asked: &Petition, served: Option<u32>) -> Finds {
        let upheld = self.rng.random_bool(0.45);
        let listing = self.model.listing(asked.listing).cloned();
        let Some(listing) = listing.filter(|_| upheld || self.rng.random_bool(0.05)) else {
            return Finds { upheld, served, redress: None };
        };
        let ends = |what| match what {
            What::EndRelation(relation, basis) => Redress::EndRelation(relation, basis),
            _ => Redress::Revoke,
        };
        let related = !listing.relations.is_empty() && self.rng.random_bool(0.5);
        let redress = match asked.ground {
            Some(ObjectionGround::DataWrong) => {
                let etag = if self.rng.random_bool(0.9) { Etag::Current } else { Etag::Stale };
                Redress::Rectify(self.correction(&listing), etag)
            }
            Some(_) if related => ends(self.end_relation(&listing)),
            Some(ObjectionGround::ShouldBeDeleted) => Redress::Remove(self.ground()),
            _ => Redress::Revoke,
        };
        let redress = if self.rng.random_bool(0.05) { Redress::Revoke } else { redress };
        Finds { upheld, served, redress: (asked.kind == PetitionKind::Objection).then_some(redress) }
    }

    fn report(&mut self) -> Option<(usize, Option<Tag>, What)> {
        let owed = |listing: &Listing| listing.duties.iter().any(|duty| duty.closed.is_none());
        let told = |listing: &Listing| !listing.told.is_empty() || listing.facts.own_unit;
        let owing = self.rng.random_bool(0.6);
        let tag = if owing { self.listing(owed) } else { self.listing(told) };
        let tag = tag.or_else(|| self.listing(|_| true))?;
        let listing = self.known(tag)?.clone();
        let open = listing.duties.iter().filter(|duty| duty.closed.is_none()).map(|duty| duty.client);
        let mut clients: Vec<usize> =
            open.filter_map(|client| crate::world::PARTIES.iter().position(|name| *name == client)).collect();
        if clients.is_empty() || self.rng.random_bool(0.1) {
            clients.extend(CLIENTS);
        }
        let client = self.pick(&clients);
        let what = match self.rng.random_range(0..10) {
            0..3 => What::Imposed,
            3..5 => What::Lifted,
            5 => What::Acknowledged,
            6..8 => What::Retained { days: self.rng.random_range(0..40) },
            _ if listing.facts.own_unit => What::Handled,
            8 => What::Acknowledged,
            _ => What::Lifted,
        };
        Some((client, Some(tag), what))
    }

    fn import(&mut self) -> Step {
        let court = self.court();
        let mut rows = Vec::new();
        for _ in 0..self.rng.random_range(1..8) {
            let mut says = self.says(true);
            says.own_unit = false;
            says.noticed = self.rng.random_bool(0.3);
            if let Some(decision) = &mut says.decision {
                decision.attested = self.rng.random_bool(0.7);
            }
            match self.rng.random_range(0..8) {
                0 => {
                    // What was noticed, and decided since.
                    let found = self.listing(|one| one.court == court && one.state == State::Noticed);
                    if let Some(known) = found.and_then(|tag| self.known(tag)) {
                        (says.who, says.case, says.fixed) =
                            (known.facts.who.clone(), known.facts.case, known.facts.fixed);
                        says.decision = Some(Decides { attested: false, ..self.decision(says.fixed) });
                    }
                }
                1 => {
                    // What is known, was rectified or has ended.
                    if let Some(known) = self.listing(|one| one.court == court).and_then(|tag| self.known(tag)) {
                        (says.who, says.case) = (known.facts.who.clone(), known.facts.case);
                    }
                }
                2..4 => {
                    let on = self.listing(|one| one.court == court).unwrap_or(Tag(u32::MAX, 0));
                    let conduct = self.rng.random_bool(0.6).then(|| self.rng.random_range(0..5));
                    rows.push((Tag(self.step, rows.len() as u8), Row::Known { on, conduct }));
                    continue;
                }
                _ => {}
            }
            let (case, subject) = (says.case, says.who[0]);
            rows.push((Tag(self.step, rows.len() as u8), Row::Listing(says)));
            for _ in 0..self.rng.random_range(0..3) {
                let relates = self.relates();
                rows.push((Tag(self.step, rows.len() as u8), Row::Relation { case, subject, relates }));
            }
        }
        Step::Import { court, dry_run: self.rng.random_bool(0.1), amend: self.rng.random(), rows }
    }
}
