//! Whom the court lists and lifts.

use jiff::civil::date;
use xinhub_api::convert::{self, Inquiry};
use xinhub_domain::identity::{Kind, synthetic};
use xinhub_domain::listing::{Actor, Content, Draft, DraftDecision, RawIdentity, Stage};
use xinhub_domain::policy::permissions::Method;
use xinhub_domain::policy::{Moment, Policy, RegistryAsk, decide};
use xinhub_ledger::{Act, Command, Request};
use xinhub_tests::v1;

use super::network::START;

/// A deed of the court's, which can be asked for again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    List {
        person: usize,
        case: u64,
    },
    /// By one of three ways.
    Lift {
        person: usize,
        listing: u64,
        how: u32,
    },
}

/// Somebody, as the court knows him.
#[derive(Debug)]
pub(crate) struct Person {
    pub(crate) inquiry: Inquiry,
    pub(crate) listings: Vec<u64>,
    /// When something was last decided about him.
    pub(crate) revision: u64,
    /// The lift that freed him, while nothing else was decided.
    pub(crate) freed: Option<Freed>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Freed {
    pub(crate) lift_seq: u64,
    pub(crate) complete: bool,
}

fn number(person: usize) -> String {
    let born = date(1960 + (person / 300 % 30) as i16, 1 + (person % 12) as i8, 1 + (person % 28) as i8);
    synthetic::resident_id("440882", born, (person % 997) as u16)
}

impl Person {
    pub(crate) fn new(person: usize) -> Person {
        let kind = v1::IdentityKind::ResidentId as i32;
        let identity = v1::Identity { kind, number: number(person), issuing_state: String::new() };
        let inquiry = v1::Inquiry { identity: Some(identity), ..v1::Inquiry::default() };
        let inquiry = convert::inquiry(Some(&inquiry), "inquiry", START.date()).unwrap();
        Person { inquiry, listings: Vec::new(), revision: 0, freed: None }
    }
}

impl Deed {
    /// As it goes to the ledger, under an id that says that it is this one.
    pub(crate) fn request(self, policy: &Policy, request_id: [u8; 16]) -> Request {
        let moment = Moment { now: START, crl_expired: false };
        let permit = decide(policy, "court", Method::Publish, &RegistryAsk { court: None }, moment).unwrap();
        let command = match self {
            Deed::List { person, case } => {
                let content = Content::check(&draft(person, case), Stage::Decision, START).unwrap().0;
                Command::Publish { listing: None, content: Box::new(content), application: None }
            }
            Deed::Lift { listing, how: 0, .. } => Command::Hide { listing, ground: String::new() },
            Deed::Lift { listing, how: 1, .. } => Command::Revoke { listing, ground: "wrongly_listed".to_owned() },
            Deed::Lift { listing, .. } => Command::Remove { listing, ground: "performed".to_owned() },
        };
        Request {
            request_id,
            body: format!("{self:?}").into_bytes(),
            etag: None,
            actor: Some(Actor::parse("judge-1", "judge").unwrap()),
            approver: None,
            act: Act::Registry(permit, command),
        }
    }
}

fn draft(person: usize, case: u64) -> Draft {
    Draft {
        identities: vec![RawIdentity { kind: Kind::ResidentId, number: number(person), issuing_state: None }],
        name: "合成甲".to_owned(),
        decision: Some(DraftDecision {
            number: "d-1".to_owned(),
            date: "2026-02-27".to_owned(),
            reasons: "synthetic".to_owned(),
            signer: "president".to_owned(),
            served_on: "2026-02-28".to_owned(),
            ..DraftDecision::default()
        }),
        ground: 1,
        case_number: format!("(2026)粤0882执{case}号"),
        basis_document: "(2025)粤0882民初1号".to_owned(),
        basis_issuer: "合成法院".to_owned(),
        obligation: "合成数据".to_owned(),
        notice_served_on: "2020-01-06".to_owned(),
        ..Draft::default()
    }
}
