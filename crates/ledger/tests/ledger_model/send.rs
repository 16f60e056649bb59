//! From a step to what the ledger is asked.

use xinhub_domain::listing::{
    Decision, DraftPetition, DraftRelation, Exemption, ObjectionGround, PartyRole, Petition, PetitionKind,
    RelationContent, Retention, Stage, UnitReport,
};
use xinhub_domain::time::{Day, Timestamp};
use xinhub_ledger::command::Found;
use xinhub_ledger::testing::{actor, draft, person, request_id};
use xinhub_ledger::{Act, Command, Redress, RemedyCommand, Request, UnitCommand};

use crate::reference::{Listing, Reference, etag_as};
use crate::steps::{Basis, Correction, Finds, Redress as Redressed, Relates, Try, What, before};
use crate::world::{COURTS, Facts, PARTIES, Who, registry, remedy, unit};

/// What the ledger is asked, and the etag that is given; `None` for what doesn't pass the checks before the ledger.
pub(crate) fn request(model: &Reference, one: &Try) -> Option<(Request, Option<u64>)> {
    let act = Asked { model, one, number: model.find(one.on) }.act()?;
    let number = model.find(one.on);
    let current = match &act {
        Act::Remedy(..) => model.petition(number).map(|petition| petition.etag),
        Act::Registry(..) | Act::Unit(..) | Act::Staged(..) => model.listing(number).map(|listing| listing.etag),
    };
    let etag = current.and_then(|current| etag_as(current, one.etag));
    let approver = (!one.approver.is_empty()).then(|| actor(one.approver));
    let body = match &act {
        Act::Registry(_, command) => format!("{command:?}"),
        Act::Remedy(_, command) => format!("{command:?}"),
        Act::Unit(_, command) => format!("{command:?}"),
        Act::Staged(_, command) => format!("{command:?}"),
    };
    // A machine's acknowledgement has nobody behind it.
    let actor = (!one.staff.is_empty()).then(|| actor(one.staff));
    let body = body.into_bytes();
    Some((Request { act, request_id: request_id(model.now), body, etag, actor, approver }, etag))
}

pub(crate) fn relation(relates: &Relates, now: Timestamp) -> Option<Box<RelationContent>> {
    let until = relates.until.map(|days| now.day().plus_days(days).to_string());
    let draft = DraftRelation {
        relation: relates.relation,
        identity: relates.who.raw(),
        name: "合成乙".to_owned(),
        basis_document: "synthetic".to_owned(),
        from: "2026-01-01".to_owned(),
        until: until.unwrap_or_default(),
    };
    RelationContent::check(&draft, now).ok().map(|(content, _)| Box::new(content))
}

/// A mutation, and the number of the listing or petition that it is about; 0 for none.
struct Asked<'a> {
    model: &'a Reference,
    one: &'a Try,
    number: u64,
}

impl Asked<'_> {
    fn act(&self) -> Option<Act> {
        let by = self.one.by;
        if let Some(report) = self.report() {
            return Some(Act::Unit(unit(by), UnitCommand::Report { listing: self.number, report }));
        }
        if let Some(filed) = self.filed() {
            return filed.map(|command| Act::Remedy(remedy(by), command));
        }
        if let Some(decided) = self.decided() {
            return decided.map(|command| Act::Remedy(remedy(by), command));
        }
        let command = self.first().or_else(|| self.content()).or_else(|| self.plain())?;
        Some(Act::Registry(registry(by), command))
    }

    fn today(&self) -> Day {
        self.model.today()
    }

    fn listing(&self) -> Option<&Listing> {
        self.model.listing(self.number)
    }

    fn report(&self) -> Option<UnitReport> {
        let (on, measure) = (self.today(), "credit.lending".to_owned());
        Some(match &self.one.what {
            What::Imposed => UnitReport::Imposed { measure, item: None, on },
            What::Lifted => UnitReport::Lifted { on, note: String::new() },
            What::Acknowledged => UnitReport::Acknowledged,
            What::Retained { days } => UnitReport::Retained(Retention {
                measure,
                legal_basis: "synthetic".to_owned(),
                until: on.plus_days(*days),
                notified_on: on,
            }),
            What::Handled => UnitReport::Handled { note: "synthetic".to_owned() },
            _ => return None,
        })
    }

    /// A petition that comes in; `None` for anything else, `Some(None)` for one that doesn't pass the checks.
    fn filed(&self) -> Option<Option<RemedyCommand>> {
        let (mut listing, mut court) = (Some(self.number), None);
        let blank = |kind, role, party: Option<Who>, ago| DraftPetition {
            kind,
            role,
            party: party.map(Who::raw),
            name: "合成丙".to_owned(),
            ground: None::<ObjectionGround>,
            statement: "synthetic".to_owned(),
            documents: Vec::new(),
            received_on: before(self.today(), ago).to_string(),
            against: String::new(),
            case_number: String::new(),
            debtor_name: String::new(),
            debtor: None,
        };
        let draft = match &self.one.what {
            What::Apply { court: asked, case, debtor, ago } => {
                (listing, court) = (None, asked.map(|court| COURTS[court].to_owned()));
                DraftPetition {
                    case_number: draft(person(0), *case).case_number,
                    debtor_name: "合成甲".to_owned(),
                    debtor: Some(debtor.raw()),
                    ..blank(PetitionKind::Application, PartyRole::Creditor, None, *ago)
                }
            }
            What::Object { ground, role, party, ago } => {
                DraftPetition { ground: Some(*ground), ..blank(PetitionKind::Objection, *role, Some(*party), *ago) }
            }
            What::Complain { against, party, ago } => DraftPetition {
                against: PARTIES[*against].to_owned(),
                ..blank(PetitionKind::Complaint, PartyRole::Debtor, Some(*party), *ago)
            },
            _ => return None,
        };
        let checked = Petition::check(&draft, PARTIES[self.one.by], self.model.now).ok();
        Some(checked.map(|content| RemedyCommand::File { listing, court, content: Box::new(content) }))
    }

    /// What is done with a petition; `None` for anything else, `Some(None)` for what doesn't pass the checks.
    fn decided(&self) -> Option<Option<RemedyCommand>> {
        let (petition, today) = (self.number, self.today());
        let reasons = "synthetic".to_owned();
        let served_on = |ago: &Option<u32>| ago.map(|ago| before(today, ago));
        Some(Some(match &self.one.what {
            What::RefuseIntake { served } => {
                RemedyCommand::RefuseIntake { petition, reasons, served_on: served_on(served) }
            }
            What::ServeFinding { ago } => RemedyCommand::ServeFinding { petition, served_on: before(today, *ago) },
            What::AskReconsideration { ago } => {
                RemedyCommand::AskReconsideration { petition, reasons, received_on: before(today, *ago) }
            }
            What::TakeBack => RemedyCommand::Withdraw { petition, reasons },
            What::Decide(finds) | What::Reconsider(finds) => {
                let Some(finding) = self.finding(finds) else { return Some(None) };
                match &self.one.what {
                    What::Decide(_) => RemedyCommand::Decide { petition, finding },
                    _ => RemedyCommand::DecideReconsideration { petition, finding },
                }
            }
            _ => return None,
        }))
    }

    fn finding(&self, finds: &Finds) -> Option<Found> {
        let listing = self.model.petition(self.number).and_then(|petition| self.model.listing(petition.listing));
        let redress = match &finds.redress {
            None => None,
            Some(Redressed::Revoke) => Some(Redress::Revoke),
            Some(Redressed::Remove(ground)) => Some(Redress::Remove { ground: (*ground).to_owned() }),
            Some(Redressed::EndRelation(tag, basis)) => {
                Some(Redress::EndRelation { relation: self.model.find(Some(*tag)), basis_document: document(*basis) })
            }
            Some(Redressed::Rectify(correction, etag)) => {
                let listing = listing?;
                let facts = corrected(listing, correction);
                let content = facts.content(facts.correction(), self.model.now)?;
                Some(Redress::Rectify { content, etag: listing.etag_as(*etag) })
            }
        };
        let served_on = finds.served.map(|ago| before(self.today(), ago));
        Some(Found { upheld: finds.upheld, reasons: "synthetic".to_owned(), served_on, redress })
    }

    /// What may begin a listing.
    fn first(&self) -> Option<Command> {
        let listing = self.one.on.map(|_| self.number);
        let follows = |tag: &Option<_>| tag.map(|tag| self.model.find(Some(tag)));
        let content = |says: &crate::steps::Says, stage| says.facts(self.today()).content(stage, self.model.now);
        Some(match &self.one.what {
            What::Notice(says) => Command::Notice { content: content(says, Stage::Notice)? },
            What::Propose(says, application) => {
                let (content, application) = (content(says, Stage::Decision)?, follows(application));
                Command::Propose { listing, content, application }
            }
            What::Publish(says, application) => {
                let (content, application) = (content(says, Stage::Decision)?, follows(application));
                Command::Publish { listing, content, application }
            }
            _ => return None,
        })
    }

    /// What carries a listing's content, or a record's.
    fn content(&self) -> Option<Command> {
        let (listing, now) = (self.number, self.model.now);
        Some(match &self.one.what {
            What::Amend { conduct, other_case } => {
                let mut facts = self.listing()?.facts.clone();
                facts.conduct = *conduct;
                facts.case += u32::from(*other_case);
                Command::Amend { listing, content: facts.content(facts.correction(), now)? }
            }
            What::Rectify(correction) => {
                let facts = corrected(self.listing()?, correction);
                Command::Rectify { listing, content: facts.content(facts.correction(), now)?, note: None }
            }
            What::Restore(decides) => {
                let draft = decides.decided(self.today()).draft(self.listing()?.facts.fixed);
                Command::Restore { listing, decision: Box::new(Decision::check(&draft, now).ok()?) }
            }
            What::Exempt(exempts) => {
                let from = Timestamp(now.0 + exempts.from_hours * 3_600_000);
                let exemption = Exemption {
                    identity: exempts.who.identity().clone(),
                    measures: if exempts.hotels_only { vec!["consumption.hotel".into()] } else { vec![] },
                    items: if exempts.stars_only { vec!["star_rated".into()] } else { vec![] },
                    from,
                    until: Timestamp(from.0 + i64::from(exempts.hours) * 3_600_000),
                    ground: exempts.ground.into(),
                    approver: "president".into(),
                };
                Command::Exempt { listing, exemption: Box::new(exemption) }
            }
            What::SetRelation(relates) => Command::SetRelation { listing, relation: relation(relates, now)? },
            _ => return None,
        })
    }

    fn plain(&self) -> Option<Command> {
        let (listing, today, note) = (self.number, self.today(), None);
        let find = |tag: &_| self.model.find(Some(*tag));
        Some(match &self.one.what {
            What::Approve => Command::Approve { listing },
            What::Reject => Command::Reject { listing, note },
            What::Withdraw => Command::Withdraw { listing, note },
            What::Serve { ago, grace } => {
                Command::Serve { listing, served_on: before(today, *ago), grace_days: *grace }
            }
            What::Hide(ground) => Command::Hide { listing, ground: (*ground).to_owned() },
            What::Revoke(ground) => Command::Revoke { listing, ground: (*ground).to_owned() },
            What::Remove(ground) => Command::Remove { listing, ground: (*ground).to_owned() },
            What::Extend { months } => Command::Extend { listing, months: *months, ground: "several_acts".to_owned() },
            What::EndExemption(tag) => Command::EndExemption { listing, exemption: find(tag) },
            What::EndRelation(tag, basis) => {
                Command::EndRelation { listing, relation: find(tag), basis_document: document(*basis) }
            }
            What::WidenGrace(days) => Command::WidenGrace { listing, grace_days: *days },
            What::GiveReason(ground) => Command::GiveReason { listing, ground: (*ground).to_owned(), note },
            What::Defer { ground, days } => {
                Command::Defer { listing, ground: (*ground).to_owned(), until: today.plus_days(*days) }
            }
            What::RecordPerformance { ahead } => {
                Command::RecordPerformance { listing, performed_on: today.plus_days(u32::from(*ahead)), note }
            }
            _ => return None,
        })
    }
}

fn document(basis: Basis) -> String {
    match basis {
        Basis::Given => "synthetic".to_owned(),
        Basis::Owed => String::new(),
    }
}

fn corrected(listing: &Listing, correction: &Correction) -> Facts {
    let mut facts = Facts { who: correction.who.clone(), ..listing.facts.clone() };
    if let Some(decision) = &mut facts.decision {
        decision.date = before(decision.date, correction.earlier);
    }
    facts
}
