//! Who works at a court or a unit, by the hub's clock: petitions, lifts, reports, and what is owed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use xinhub_api::v1::report_request::Report;
use xinhub_api::v1::{
    self, Deadline, Duty, DutyState, ListingContent, MutationOutcome, ObjectionGround, PartyRole, Petition,
    PetitionContent, PetitionKind, PetitionOutcome, Redress,
};
use xinhub_client::{Error, Hub};
use xinhub_domain::time::{Day, Timestamp};
use xinhub_ledger::clock::Clock;
use xinhub_ledger::clock::manual::ManualClock;

use crate::court::{self, actor};
use crate::subject::unique;
use crate::{Ask, Subject};

/// A client's system, and whoever sits at it.
#[derive(Clone, Debug)]
pub struct Desk {
    /// The connection.
    pub client: Hub,
    clock: Arc<ManualClock>,
}

/// What a party asks of an objection.
pub fn objection(party: &Subject, role: PartyRole, ground: ObjectionGround) -> PetitionContent {
    PetitionContent {
        kind: PetitionKind::Objection.into(),
        role: role.into(),
        party: Some(party.identity()),
        name: party.name.clone(),
        ground: ground.into(),
        statement: "请求纠正".to_owned(),
        documents: vec!["收据1号".to_owned()],
        ..PetitionContent::default()
    }
}

/// That a client still restricts after a lift.
pub fn complaint(party: &Subject, against: &str) -> PetitionContent {
    PetitionContent {
        kind: PetitionKind::Complaint.into(),
        ground: 0,
        against: against.to_owned(),
        ..objection(party, PartyRole::Debtor, ObjectionGround::Unspecified)
    }
}

/// A creditor's application.
pub fn application(creditor: &Subject, debtor: &Subject, case_number: &str) -> PetitionContent {
    PetitionContent {
        kind: PetitionKind::Application.into(),
        ground: 0,
        case_number: case_number.to_owned(),
        debtor_name: debtor.name.clone(),
        debtor: Some(debtor.identity()),
        ..objection(creditor, PartyRole::Creditor, ObjectionGround::Unspecified)
    }
}

/// Revokes.
pub fn revoke() -> Option<Redress> {
    Some(Redress { act: Some(v1::redress::Act::Revoke(v1::RevokeRedress {})) })
}

/// Removes on this ground.
pub fn remove(ground: &str) -> Option<Redress> {
    Some(Redress { act: Some(v1::redress::Act::Remove(v1::RemoveRedress { ground: ground.to_owned() })) })
}

/// Rectifies to this content.
pub fn rectify(content: ListingContent, listing_etag: &str) -> Option<Redress> {
    let one = v1::RectifyRedress { content: Some(content), listing_etag: listing_etag.to_owned() };
    Some(Redress { act: Some(v1::redress::Act::Rectify(one)) })
}

/// Ends a relation.
pub fn end_relation(relation: u64) -> Option<Redress> {
    let one = v1::EndRelationRedress { relation, basis_document: "变更登记".to_owned() };
    Some(Redress { act: Some(v1::redress::Act::EndRelation(one)) })
}

impl Desk {
    /// At this connection.
    pub fn new(client: Hub, clock: Arc<ManualClock>) -> Desk {
        Desk { client, clock }
    }

    /// Hub time.
    pub fn now(&self) -> Timestamp {
        self.clock.wall()
    }

    /// So many days ago by hub time, as `YYYY-MM-DD`.
    pub fn days_ago(&self, days: u32) -> String {
        Day(self.now().day().0 - days).to_string()
    }

    /// So many days ahead.
    pub fn in_days(&self, days: u32) -> String {
        self.now().day().plus_days(days).to_string()
    }

    /// A new request, at hub time.
    pub fn head(&self, etag: &str) -> Option<v1::Mutation> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let mut random = [0x5A; 10];
        random[2..].copy_from_slice(&NEXT.fetch_add(1, Relaxed).to_be_bytes());
        let ms = u64::try_from(self.now().0).unwrap();
        let id = uuid::Builder::from_unix_timestamp_millis(ms, &random).into_uuid();
        let actor = Some(actor("judge-0001", "judge"));
        Some(v1::Mutation { request_id: id.to_string(), etag: etag.to_owned(), actor, approver: None })
    }

    /// A listing in force on a fixed term, all its days by hub time.
    pub fn content(&self, subject: &Subject) -> ListingContent {
        let decision = v1::Decision {
            date: self.days_ago(6),
            served_on: self.days_ago(5),
            signer: "president-0001".to_owned(),
            ..court::decision()
        };
        ListingContent {
            decision: Some(decision),
            filed_on: self.days_ago(90),
            published_on: self.days_ago(4),
            notice_served_on: self.days_ago(30),
            ..court::content(subject)
        }
    }

    /// On ground ①, without a fixed term: what performance ends.
    pub fn content_without_term(&self, subject: &Subject) -> ListingContent {
        let mut content = self.content(subject);
        content.ground = 1;
        content.decision.as_mut().unwrap().term_months = 0;
        content
    }

    /// Publishes in one step, on an application or none.
    ///
    /// # Errors
    /// Why not.
    pub async fn publish(&self, content: ListingContent, application: u64) -> Result<MutationOutcome, Error> {
        let request = v1::PublishRequest { mutation: self.head(""), listing: 0, content: Some(content), application };
        Ok(self.client.registry().publish(request).await?.outcome.unwrap_or_default())
    }

    /// Lists this subject without a fixed term, in force.
    ///
    /// # Panics
    /// Where it is not.
    pub async fn list(&self, subject: &Subject) -> MutationOutcome {
        let outcome = self.publish(self.content_without_term(subject), 0).await.unwrap();
        assert_eq!(outcome.state(), v1::ListingState::Listed);
        outcome
    }

    /// Removes.
    ///
    /// # Errors
    /// Why not.
    pub async fn remove(&self, listing: u64, ground: &str) -> Result<MutationOutcome, Error> {
        let request = v1::RemoveRequest { mutation: self.head(""), listing, ground: ground.to_owned() };
        Ok(self.client.registry().remove(request).await?.outcome.unwrap_or_default())
    }

    /// Gives a reason that is owed.
    ///
    /// # Errors
    /// Why not.
    pub async fn give_reason(&self, listing: u64, ground: &str) -> Result<MutationOutcome, Error> {
        let (ground, note) = (ground.to_owned(), String::new());
        let request = v1::GiveReasonRequest { mutation: self.head(""), listing, ground, note };
        Ok(self.client.registry().give_reason(request).await?.outcome.unwrap_or_default())
    }

    /// Names a related person.
    ///
    /// # Panics
    /// Where it is refused.
    pub async fn relate(&self, listed: &MutationOutcome, relation: v1::Relation, person: &Subject) -> MutationOutcome {
        let content = v1::RelationContent { from: self.days_ago(400), ..court::related(relation, person) };
        let (mutation, listing) = (self.head(&listed.etag), listed.listing);
        let request = v1::SetRelationRequest { mutation, listing, content: Some(content) };
        self.client.registry().set_relation(request).await.unwrap().outcome.unwrap()
    }

    /// Takes a petition in.
    ///
    /// # Errors
    /// Why not.
    pub async fn file(&self, listing: u64, content: PetitionContent) -> Result<PetitionOutcome, Error> {
        let court = if listing == 0 { crate::parties::LEIZHOU } else { "" };
        let request = v1::FilePetitionRequest {
            mutation: self.head(""),
            listing,
            court: court.to_owned(),
            content: Some(content),
        };
        Ok(self.client.remedy().file_petition(request).await?.outcome.unwrap_or_default())
    }

    /// Reads one.
    ///
    /// # Errors
    /// Why not.
    pub async fn petition(&self, petition: u64) -> Result<Petition, Error> {
        let request = v1::GetPetitionRequest { petition };
        Ok(self.client.remedy().get_petition(request).await?.petition.unwrap_or_default())
    }

    async fn head_of(&self, petition: u64) -> Option<v1::Mutation> {
        // One that the caller may not read gets whatever answer it gets.
        self.head(&self.petition(petition).await.map(|read| read.etag).unwrap_or_default())
    }

    /// Refuses intake.
    ///
    /// # Errors
    /// Why not.
    pub async fn refuse_intake(&self, petition: u64, served_on: &str) -> Result<PetitionOutcome, Error> {
        let (reasons, served_on) = ("材料不齐".to_owned(), served_on.to_owned());
        let request = v1::RefuseIntakeRequest { mutation: self.head_of(petition).await, petition, reasons, served_on };
        Ok(self.client.remedy().refuse_intake(request).await?.outcome.unwrap_or_default())
    }

    /// Decides; with a redress, or for a complaint, upheld.
    ///
    /// # Errors
    /// Why not.
    pub async fn decide(
        &self,
        petition: u64,
        upheld: bool,
        redress: Option<Redress>,
    ) -> Result<PetitionOutcome, Error> {
        let mutation = self.head_of(petition).await;
        let (reasons, served_on) = ("经审查".to_owned(), String::new());
        let request = v1::DecidePetitionRequest { mutation, petition, upheld, reasons, served_on, redress };
        Ok(self.client.remedy().decide_petition(request).await?.outcome.unwrap_or_default())
    }

    /// Records service of a finding.
    ///
    /// # Errors
    /// Why not.
    pub async fn serve(&self, petition: u64, served_on: &str) -> Result<PetitionOutcome, Error> {
        let served_on = served_on.to_owned();
        let request = v1::ServeFindingRequest { mutation: self.head_of(petition).await, petition, served_on };
        Ok(self.client.remedy().serve_finding(request).await?.outcome.unwrap_or_default())
    }

    /// The party asks the court above.
    ///
    /// # Errors
    /// Why not.
    pub async fn ask_reconsideration(&self, petition: u64) -> Result<PetitionOutcome, Error> {
        let (reasons, received_on) = ("不服决定".to_owned(), String::new());
        let mutation = self.head_of(petition).await;
        let request = v1::AskReconsiderationRequest { mutation, petition, reasons, received_on };
        Ok(self.client.remedy().ask_reconsideration(request).await?.outcome.unwrap_or_default())
    }

    /// The court above decides.
    ///
    /// # Errors
    /// Why not.
    pub async fn reconsider(
        &self,
        petition: u64,
        upheld: bool,
        redress: Option<Redress>,
    ) -> Result<PetitionOutcome, Error> {
        let mutation = self.head_of(petition).await;
        let (reasons, served_on) = ("经复议".to_owned(), String::new());
        let request = v1::DecideReconsiderationRequest { mutation, petition, upheld, reasons, served_on, redress };
        Ok(self.client.remedy().decide_reconsideration(request).await?.outcome.unwrap_or_default())
    }

    /// The party takes it back.
    ///
    /// # Errors
    /// Why not.
    pub async fn withdraw(&self, petition: u64) -> Result<PetitionOutcome, Error> {
        let reasons = "已解决".to_owned();
        let request = v1::WithdrawPetitionRequest { mutation: self.head_of(petition).await, petition, reasons };
        Ok(self.client.remedy().withdraw_petition(request).await?.outcome.unwrap_or_default())
    }

    /// Every deadline that the caller sees.
    ///
    /// # Panics
    /// Where it is refused.
    pub async fn deadlines(&self) -> Vec<Deadline> {
        let request = v1::ListDeadlinesRequest { page_size: 500, ..Default::default() };
        self.client.remedy().list_deadlines(request).await.unwrap().deadlines
    }

    /// The clocks of a listing or petition that the caller sees, with who is bound and how it stands.
    ///
    /// # Panics
    /// Where it is refused.
    pub async fn board(&self) -> Vec<(String, String, v1::DeadlineStatus)> {
        let shown = |one: Deadline| (one.clock.clone(), one.bearer.clone(), one.status());
        let mut board: Vec<_> = self.deadlines().await.into_iter().map(shown).collect();
        board.sort();
        board
    }

    /// Reports.
    ///
    /// # Errors
    /// Why not.
    pub async fn report(&self, listing: u64, report: Report) -> Result<DutyState, Error> {
        let request = v1::ReportRequest { mutation: self.head(""), listing, report: Some(report) };
        Ok(self.client.measures().report(request).await?.duty_state())
    }

    /// The caller's duties, closed ones included.
    ///
    /// # Panics
    /// Where it is refused.
    pub async fn duties(&self) -> Vec<Duty> {
        let states = [DutyState::Open, DutyState::Overdue, DutyState::Closed].map(Into::into).to_vec();
        let request = v1::ListDutiesRequest { states, ..Default::default() };
        self.client.measures().list_duties(request).await.unwrap().duties
    }

    /// Whether a question is answered adversely.
    ///
    /// # Panics
    /// Where it is refused, or can't be answered.
    pub async fn is_adverse(&self, ask: Ask) -> bool {
        match ask.answer(&self.client).await.verdict() {
            v1::Verdict::Restricted | v1::Verdict::Consider => true,
            v1::Verdict::Clear => false,
            other => panic!("{other:?}"),
        }
    }
}

/// Whether lending considers this subject.
pub fn loan(subject: &Subject) -> Ask {
    Ask::about(subject, "credit.lending")
}

/// Whether a star-rated room may be let to this person.
pub fn room(subject: &Subject) -> Ask {
    Ask::about(subject, "consumption.hotel").item("star_rated")
}

/// A case number that no other call gets.
pub fn case_number() -> String {
    format!("(2025)粤0882执{}号", 50_000 + unique())
}
