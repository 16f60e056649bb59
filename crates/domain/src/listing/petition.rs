//! What a party asks: a creditor's application, an objection, a complaint. Its states, and what each carries.
//!
//! Promises: the states × actions match is [`next_petition`], exhaustive, and its test is the whole table; a late objection is
//! taken and marked, never refused (个人信息保护法 art. 46); an upheld one frees the subject in the same commit that decides it.

use minicbor::{Decode, Encode};

use super::content::{Actor, Faults, MAX_SHORT_CHARS, MAX_TEXT_CHARS, check_identities};
use super::draft::{ContentFault, RawIdentity};
use crate::case_number::CaseNumber;
use crate::identity::Identity;
use crate::name::Name;
use crate::time::{Day, Timestamp};

/// What is asked. The numbers are on disk for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
#[repr(u8)]
pub enum PetitionKind {
    /// A creditor asks the court to list a debtor (法释〔2017〕7号 art. 5).
    #[n(1)]
    Application = 1,
    /// A party asks the court to revoke, rectify or remove (arts. 11, 12).
    #[n(2)]
    Objection = 2,
    /// A party reports that a unit still restricts after a lift.
    #[n(3)]
    Complaint = 3,
}

impl PetitionKind {
    /// Every kind.
    pub const ALL: [PetitionKind; 3] = [PetitionKind::Application, PetitionKind::Objection, PetitionKind::Complaint];

    /// The name used from the wire to the command line.
    pub fn code(self) -> &'static str {
        match self {
            PetitionKind::Application => "application",
            PetitionKind::Objection => "objection",
            PetitionKind::Complaint => "complaint",
        }
    }
}

/// What an objection says is wrong (法释〔2017〕7号 art. 11).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
#[cbor(index_only)]
#[repr(u8)]
pub enum ObjectionGround {
    /// Upheld, the listing is revoked, or the relation ended.
    #[n(1)]
    ShouldNotBeListed = 1,
    /// Upheld, the listing is rectified.
    #[n(2)]
    DataWrong = 2,
    /// Upheld, the listing is removed, or the relation ended.
    #[n(3)]
    ShouldBeDeleted = 3,
}

impl ObjectionGround {
    /// Every ground.
    pub const ALL: [ObjectionGround; 3] =
        [ObjectionGround::ShouldNotBeListed, ObjectionGround::DataWrong, ObjectionGround::ShouldBeDeleted];

    /// The name used from the wire to the command line.
    pub fn code(self) -> &'static str {
        match self {
            ObjectionGround::ShouldNotBeListed => "should_not_be_listed",
            ObjectionGround::DataWrong => "data_wrong",
            ObjectionGround::ShouldBeDeleted => "should_be_deleted",
        }
    }
}

/// How a party stands to the listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
#[cbor(index_only)]
#[repr(u8)]
pub enum PartyRole {
    /// The debtor that is listed, or is to be.
    #[n(1)]
    Debtor = 1,
    /// A person named as related to the debtor.
    #[n(2)]
    Related = 2,
    /// The creditor of the enforcement case.
    #[n(3)]
    Creditor = 3,
    /// Anyone who says: that is not me.
    #[n(4)]
    NotMe = 4,
}

impl PartyRole {
    /// Every role.
    pub const ALL: [PartyRole; 4] = [PartyRole::Debtor, PartyRole::Related, PartyRole::Creditor, PartyRole::NotMe];

    /// The name used from the wire to the command line.
    pub fn code(self) -> &'static str {
        match self {
            PartyRole::Debtor => "debtor",
            PartyRole::Related => "related_person",
            PartyRole::Creditor => "creditor",
            PartyRole::NotMe => "not_me",
        }
    }
}

/// Where a petition stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
#[repr(u8)]
pub enum PetitionState {
    /// Received; the clock of whoever has to decide runs.
    #[n(1)]
    Filed = 1,
    /// Its intake was refused, with reasons.
    #[n(2)]
    Refused = 2,
    /// Found right. An end.
    #[n(3)]
    Upheld = 3,
    /// Found wrong; the party may ask the court above.
    #[n(4)]
    Dismissed = 4,
    /// The court above has it.
    #[n(5)]
    Reconsidered = 5,
    /// The court above confirmed what was found. An end.
    #[n(6)]
    Confirmed = 6,
    /// The party took it back. An end.
    #[n(7)]
    Withdrawn = 7,
}

impl PetitionState {
    /// Every state, in order.
    pub const ALL: [PetitionState; 7] = [
        PetitionState::Filed,
        PetitionState::Refused,
        PetitionState::Upheld,
        PetitionState::Dismissed,
        PetitionState::Reconsidered,
        PetitionState::Confirmed,
        PetitionState::Withdrawn,
    ];

    /// The name used from the wire to the command line.
    pub fn code(self) -> &'static str {
        match self {
            PetitionState::Filed => "filed",
            PetitionState::Refused => "refused",
            PetitionState::Upheld => "upheld",
            PetitionState::Dismissed => "dismissed",
            PetitionState::Reconsidered => "under_reconsideration",
            PetitionState::Confirmed => "confirmed",
            PetitionState::Withdrawn => "withdrawn",
        }
    }

    /// Whether somebody still has to decide it.
    pub fn is_open(self) -> bool {
        match self {
            PetitionState::Filed | PetitionState::Reconsidered => true,
            PetitionState::Refused
            | PetitionState::Upheld
            | PetitionState::Dismissed
            | PetitionState::Confirmed
            | PetitionState::Withdrawn => false,
        }
    }
}

/// What may happen to a petition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PetitionAction {
    /// Its intake is refused.
    RefuseIntake,
    /// It is decided by whoever it was filed with.
    Decide {
        /// Found right.
        upheld: bool,
    },
    /// Service of the refusal or dismissal on the party is recorded: the party's own clock begins.
    ServeFinding,
    /// The party asks the court above.
    AskReconsideration,
    /// The court above decides.
    Reconsider {
        /// Found right after all.
        upheld: bool,
    },
    /// The party takes it back.
    Withdraw,
}

/// The petition's state does not allow it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the {} is {}: this can be done only while it is {needs}", .kind.code(), .state.code())]
pub struct PetitionRefusal {
    /// What was asked.
    pub kind: PetitionKind,
    /// The state it is in.
    pub state: PetitionState,
    /// The states that the action needs, for a reader.
    pub needs: &'static str,
}

/// The state after an action. The table in ARCHITECTURE.md ("Petitions") is this match.
pub fn next_petition(
    kind: PetitionKind,
    state: PetitionState,
    action: PetitionAction,
) -> Result<PetitionState, PetitionRefusal> {
    use PetitionState::{Confirmed, Dismissed, Filed, Reconsidered, Refused, Upheld, Withdrawn};
    let only = |states: &[PetitionState], then: PetitionState, needs| {
        if states.contains(&state) { Ok(then) } else { Err(PetitionRefusal { kind, state, needs }) }
    };
    match action {
        PetitionAction::RefuseIntake => only(&[Filed], Refused, "filed"),
        PetitionAction::Decide { upheld } => only(&[Filed], if upheld { Upheld } else { Dismissed }, "filed"),
        PetitionAction::ServeFinding => only(&[Refused, Dismissed], state, "refused or dismissed"),
        // Reconsideration is the remedy of who objects (art. 12); a creditor files anew, and a complaint goes on the board.
        PetitionAction::AskReconsideration if kind == PetitionKind::Objection => {
            only(&[Refused, Dismissed], Reconsidered, "refused or dismissed")
        }
        PetitionAction::AskReconsideration => {
            Err(PetitionRefusal { kind, state, needs: "an objection that was refused or dismissed" })
        }
        PetitionAction::Reconsider { upheld } => {
            only(&[Reconsidered], if upheld { Upheld } else { Confirmed }, "under reconsideration")
        }
        PetitionAction::Withdraw => only(&[Filed, Reconsidered], Withdrawn, "filed or under reconsideration"),
    }
}

/// What a party asks, checked.
#[derive(Clone, PartialEq, Encode, Decode)]
pub struct Petition {
    /// What is asked.
    #[n(0)]
    pub kind: PetitionKind,
    /// How the party stands to the listing.
    #[n(1)]
    pub role: PartyRole,
    /// Who asks. A creditor may be known by name alone.
    #[n(2)]
    pub party: Option<Identity>,
    /// The party's name.
    #[n(3)]
    pub name: Name,
    /// For objections.
    #[n(4)]
    pub ground: Option<ObjectionGround>,
    /// What the party says, in its own words.
    #[n(5)]
    pub statement: String,
    /// Numbers of the documents handed in.
    #[n(6)]
    pub documents: Vec<String>,
    /// The day on which it was received: its clock counts from there.
    #[n(7)]
    pub received_on: Day,
    /// Received after the party's own deadline. Taken all the same.
    #[n(8)]
    pub late: bool,
    /// The client through which it came.
    #[n(9)]
    pub intake: String,
    /// For complaints: the client that still restricts.
    #[n(10)]
    pub against: Option<String>,
    /// For applications: the enforcement case.
    #[n(11)]
    pub case_number: Option<CaseNumber>,
    /// For applications: the debtor's name.
    #[n(12)]
    pub debtor_name: Option<Name>,
    /// For applications: the debtor.
    #[n(13)]
    pub debtor: Option<Identity>,
}

impl std::fmt::Debug for Petition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Petition({}, ..)", self.kind.code())
    }
}

/// A petition as sent. Texts are trimmed; empty is absent.
#[derive(Clone)]
pub struct DraftPetition {
    /// What is asked.
    pub kind: PetitionKind,
    /// How the party stands to the listing.
    pub role: PartyRole,
    /// Who asks.
    pub party: Option<RawIdentity>,
    /// The party's name.
    pub name: String,
    /// For objections.
    pub ground: Option<ObjectionGround>,
    /// What the party says.
    pub statement: String,
    /// Numbers of the documents handed in.
    pub documents: Vec<String>,
    /// YYYY-MM-DD; empty: today.
    pub received_on: String,
    /// For complaints.
    pub against: String,
    /// For applications.
    pub case_number: String,
    /// For applications.
    pub debtor_name: String,
    /// For applications.
    pub debtor: Option<RawIdentity>,
}

/// At most this many documents.
const MAX_DOCUMENTS: usize = 20;

impl Petition {
    /// Checks a petition that came through the client `intake`. Whether it is late is the ledger's to see.
    ///
    /// # Errors
    /// Every fault, by its path.
    pub fn check(draft: &DraftPetition, intake: &str, now: Timestamp) -> Result<Petition, Vec<ContentFault>> {
        let today = now.day();
        let mut faults = Faults(Vec::new());
        let party = one_identity("party", draft.party.as_ref(), today, &mut faults);
        let name = faults.name("name", &draft.name);
        let statement = faults.text("statement", &draft.statement, MAX_TEXT_CHARS, true);
        if draft.documents.len() > MAX_DOCUMENTS {
            faults.add("documents", format!("are at most {MAX_DOCUMENTS}"));
        }
        let texts = draft.documents.iter().take(MAX_DOCUMENTS).enumerate();
        let documents =
            texts.map(|(at, text)| faults.text(&format!("documents[{at}]"), text, MAX_SHORT_CHARS, true)).collect();
        let received_on = faults.day("received_on", &draft.received_on, today).unwrap_or(today);
        let application = Application::take(draft, today, &mut faults);
        check_kind(draft, &mut faults);
        let against = Some(draft.against.trim().to_owned()).filter(|id| !id.is_empty());
        match (name, faults.0.is_empty()) {
            (Some(name), true) => Ok(Petition {
                kind: draft.kind,
                role: draft.role,
                party,
                name,
                ground: draft.ground,
                statement,
                documents,
                received_on,
                late: false,
                intake: intake.to_owned(),
                against,
                case_number: application.case_number,
                debtor_name: application.debtor_name,
                debtor: application.debtor,
            }),
            (_, _) => Err(faults.0),
        }
    }
}

/// What an application says of the debtor; empty for all else.
#[derive(Default)]
struct Application {
    case_number: Option<CaseNumber>,
    debtor_name: Option<Name>,
    debtor: Option<Identity>,
}

impl Application {
    fn take(draft: &DraftPetition, today: Day, faults: &mut Faults) -> Application {
        if draft.kind != PetitionKind::Application {
            return Application::default();
        }
        let case_number = CaseNumber::parse(&draft.case_number);
        let case_number = case_number.map_err(|fault| faults.add("case_number", fault.to_string())).ok();
        let debtor_name = faults.name("debtor_name", &draft.debtor_name);
        if draft.debtor.is_none() {
            faults.add("debtor", "is required: whom the court is asked to list");
        }
        let debtor = one_identity("debtor", draft.debtor.as_ref(), today, faults);
        if debtor.as_ref().and_then(|identity| identity.is_minor(today.date())) == Some(true) {
            let mut fault = ContentFault::new("debtor", "is a minor: never listed (法释〔2017〕7号 art. 4)");
            fault.minor = true;
            faults.0.push(fault);
        }
        Application { case_number, debtor_name, debtor }
    }
}

/// What each kind needs, and what would be a slip in it.
fn check_kind(draft: &DraftPetition, faults: &mut Faults) {
    let objection = draft.kind == PetitionKind::Objection;
    if objection && draft.ground.is_none() {
        faults.add(
            "ground",
            "is required: should_not_be_listed, data_wrong or should_be_deleted (法释〔2017〕7号 art. 11)",
        );
    }
    if !objection && draft.ground.is_some() {
        faults.add("ground", "belongs to an objection: leave it out");
    }
    if (draft.kind == PetitionKind::Complaint) == draft.against.trim().is_empty() {
        faults.add("against", "names the client that still restricts: for a complaint, and for nothing else");
    }
    if (draft.kind == PetitionKind::Application) != (draft.role == PartyRole::Creditor) {
        faults.add("role", "is creditor for an application, and for nothing else");
    }
    if draft.party.is_none() && draft.role != PartyRole::Creditor {
        faults.add("party", "is required: the identity that the intake has checked");
    }
    let no_application = draft.kind != PetitionKind::Application;
    let has_debtor = draft.debtor.is_some() || !draft.debtor_name.is_empty() || !draft.case_number.is_empty();
    if no_application && has_debtor {
        faults.add("debtor", "and case belong to an application: name the listing instead");
    }
}

fn one_identity(field: &str, raw: Option<&RawIdentity>, today: Day, faults: &mut Faults) -> Option<Identity> {
    let raw = raw?;
    let before = faults.0.len();
    let identities = check_identities(std::slice::from_ref(raw), today.date(), faults);
    for fault in &mut faults.0[before..] {
        fault.field = fault.field.replace("identities[0]", field);
    }
    identities.and_then(|identities| identities.iter().next().cloned())
}

/// What was found on a petition, and why. The body of every event on a petition after its filing.
#[derive(Clone, PartialEq, Encode, Decode)]
pub struct Finding {
    /// Who acted.
    #[n(0)]
    pub actor: Actor,
    /// The client that acted.
    #[n(1)]
    pub client: String,
    /// The reasons.
    #[n(2)]
    pub reasons: String,
    /// When the finding was served on the party: the party's clock begins.
    #[n(3)]
    pub served_on: Option<Day>,
    /// For a request for reconsideration: when it was received.
    #[n(4)]
    pub received_on: Option<Day>,
    /// For a request for reconsideration: after the party's own deadline. Taken all the same.
    #[n(5)]
    pub late: bool,
}

impl std::fmt::Debug for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Finding(..)")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_whole_table() {
        use PetitionState::{Confirmed, Dismissed, Reconsidered, Refused, Upheld, Withdrawn};
        // Columns: filed, refused, upheld, dismissed, under reconsideration, confirmed, withdrawn.
        type Line = (PetitionAction, [Option<PetitionState>; 7]);
        let table: [Line; 8] = [
            (PetitionAction::RefuseIntake, [Some(Refused), None, None, None, None, None, None]),
            (PetitionAction::Decide { upheld: true }, [Some(Upheld), None, None, None, None, None, None]),
            (PetitionAction::Decide { upheld: false }, [Some(Dismissed), None, None, None, None, None, None]),
            (PetitionAction::ServeFinding, [None, Some(Refused), None, Some(Dismissed), None, None, None]),
            (
                PetitionAction::AskReconsideration,
                [None, Some(Reconsidered), None, Some(Reconsidered), None, None, None],
            ),
            (PetitionAction::Reconsider { upheld: true }, [None, None, None, None, Some(Upheld), None, None]),
            (PetitionAction::Reconsider { upheld: false }, [None, None, None, None, Some(Confirmed), None, None]),
            (PetitionAction::Withdraw, [Some(Withdrawn), None, None, None, Some(Withdrawn), None, None]),
        ];
        for (action, then) in table {
            for (state, then) in PetitionState::ALL.into_iter().zip(then) {
                let found = next_petition(PetitionKind::Objection, state, action).ok();
                assert_eq!(found, then, "objection, {state:?}, {action:?}");
                for kind in [PetitionKind::Application, PetitionKind::Complaint] {
                    let then = then.filter(|_| action != PetitionAction::AskReconsideration);
                    assert_eq!(next_petition(kind, state, action).ok(), then, "{kind:?}, {state:?}, {action:?}");
                }
            }
        }
    }

    fn draft(kind: PetitionKind, role: PartyRole) -> DraftPetition {
        let person = RawIdentity {
            kind: crate::identity::Kind::ResidentId,
            number: "110101199003070011".to_owned(),
            issuing_state: None,
        };
        DraftPetition {
            kind,
            role,
            party: Some(person),
            name: "测试甲".to_owned(),
            ground: (kind == PetitionKind::Objection).then_some(ObjectionGround::DataWrong),
            statement: "x".to_owned(),
            documents: Vec::new(),
            received_on: String::new(),
            against: if kind == PetitionKind::Complaint { "bank-1".to_owned() } else { String::new() },
            case_number: String::new(),
            debtor_name: String::new(),
            debtor: None,
        }
    }

    #[test]
    fn tells_every_fault_at_once() {
        let now = Day::parse("2026-03-01").unwrap().end();
        let good = draft(PetitionKind::Objection, PartyRole::NotMe);
        let checked = Petition::check(&good, "unit-1", now).unwrap();
        assert_eq!((checked.received_on, checked.intake.as_str()), (now.day(), "unit-1"));
        let fields = |draft: &DraftPetition| -> Vec<String> {
            Petition::check(draft, "unit-1", now).unwrap_err().into_iter().map(|fault| fault.field).collect()
        };
        let bad = DraftPetition {
            party: None,
            name: String::new(),
            ground: None,
            statement: String::new(),
            received_on: "2027-01-01".to_owned(),
            against: "x".to_owned(),
            debtor_name: "y".to_owned(),
            ..good
        };
        assert_eq!(fields(&bad), ["name", "statement", "received_on", "ground", "against", "party", "debtor"]);
        let application = draft(PetitionKind::Application, PartyRole::Debtor);
        assert_eq!(fields(&application), ["case_number", "debtor_name", "debtor", "role"]);
        assert_eq!(
            fields(&DraftPetition { against: String::new(), ..draft(PetitionKind::Complaint, PartyRole::Debtor) }),
            ["against"]
        );
    }
}
