//! Closed lists, one exhaustive match each way, so that a value added on one side doesn't compile until the other has it.

use xinhub_domain::decision::{AnswerReason, Verdict};
use xinhub_domain::identity::Kind;
use xinhub_domain::listing::State;
use xinhub_domain::measure::{Capacity, Effect, OnUnknown, Relation};

use crate::v1;

/// The kind of a proto value; `None` for unspecified or unknown.
pub fn kind_from(value: i32) -> Option<Kind> {
    match v1::IdentityKind::try_from(value).ok()? {
        v1::IdentityKind::Unspecified => None,
        v1::IdentityKind::ResidentId => Some(Kind::ResidentId),
        v1::IdentityKind::ResidencePermit => Some(Kind::ResidencePermit),
        v1::IdentityKind::Uscc => Some(Kind::Uscc),
        v1::IdentityKind::OrganisationCode => Some(Kind::OrganisationCode),
        v1::IdentityKind::TravelPermitHkMo => Some(Kind::TravelPermitHkMo),
        v1::IdentityKind::TravelPermitTaiwan => Some(Kind::TravelPermitTaiwan),
        v1::IdentityKind::Passport => Some(Kind::Passport),
        v1::IdentityKind::PermanentResident => Some(Kind::PermanentResident),
        v1::IdentityKind::PermanentResidentOld => Some(Kind::PermanentResidentOld),
    }
}

/// The proto value of a kind.
pub fn kind_to(kind: Kind) -> v1::IdentityKind {
    match kind {
        Kind::ResidentId => v1::IdentityKind::ResidentId,
        Kind::ResidencePermit => v1::IdentityKind::ResidencePermit,
        Kind::Uscc => v1::IdentityKind::Uscc,
        Kind::OrganisationCode => v1::IdentityKind::OrganisationCode,
        Kind::TravelPermitHkMo => v1::IdentityKind::TravelPermitHkMo,
        Kind::TravelPermitTaiwan => v1::IdentityKind::TravelPermitTaiwan,
        Kind::Passport => v1::IdentityKind::Passport,
        Kind::PermanentResident => v1::IdentityKind::PermanentResident,
        Kind::PermanentResidentOld => v1::IdentityKind::PermanentResidentOld,
    }
}

/// The relation of a proto value; `None` for unspecified or unknown.
pub fn relation_from(value: i32) -> Option<Relation> {
    match v1::Relation::try_from(value).ok()? {
        v1::Relation::Unspecified => None,
        v1::Relation::Debtor => Some(Relation::Debtor),
        v1::Relation::LegalRepresentative => Some(Relation::LegalRepresentative),
        v1::Relation::Principal => Some(Relation::Principal),
        v1::Relation::ActualController => Some(Relation::ActualController),
        v1::Relation::DirectlyResponsible => Some(Relation::DirectlyResponsible),
    }
}

/// The proto value of a relation.
pub fn relation_to(relation: Relation) -> v1::Relation {
    match relation {
        Relation::Debtor => v1::Relation::Debtor,
        Relation::LegalRepresentative => v1::Relation::LegalRepresentative,
        Relation::Principal => v1::Relation::Principal,
        Relation::ActualController => v1::Relation::ActualController,
        Relation::DirectlyResponsible => v1::Relation::DirectlyResponsible,
    }
}

/// The capacity of a proto value; `None` for unspecified or unknown.
pub fn capacity_from(value: i32) -> Option<Capacity> {
    match v1::Capacity::try_from(value).ok()? {
        v1::Capacity::Unspecified => None,
        v1::Capacity::LegalRepresentative => Some(Capacity::LegalRepresentative),
        v1::Capacity::Principal => Some(Capacity::Principal),
        v1::Capacity::ActualController => Some(Capacity::ActualController),
        v1::Capacity::Director => Some(Capacity::Director),
        v1::Capacity::Supervisor => Some(Capacity::Supervisor),
        v1::Capacity::SeniorManager => Some(Capacity::SeniorManager),
    }
}

/// The proto value of a capacity.
pub fn capacity_to(capacity: Capacity) -> v1::Capacity {
    match capacity {
        Capacity::LegalRepresentative => v1::Capacity::LegalRepresentative,
        Capacity::Principal => v1::Capacity::Principal,
        Capacity::ActualController => v1::Capacity::ActualController,
        Capacity::Director => v1::Capacity::Director,
        Capacity::Supervisor => v1::Capacity::Supervisor,
        Capacity::SeniorManager => v1::Capacity::SeniorManager,
    }
}

/// The proto value of an effect. What is no lookup is never in an answer, and has no value.
pub fn effect_to(effect: Effect) -> v1::Effect {
    match effect {
        Effect::Prohibit => v1::Effect::Prohibit,
        Effect::Suspend => v1::Effect::Suspend,
        Effect::Terminate => v1::Effect::Terminate,
        Effect::Withdraw => v1::Effect::Withdraw,
        Effect::Limit => v1::Effect::Limit,
        Effect::Reference => v1::Effect::Reference,
        Effect::StrictReview => v1::Effect::StrictReview,
        Effect::Supervise => v1::Effect::Supervise,
        Effect::Inform => v1::Effect::Inform,
        Effect::Assist | Effect::Report | Effect::NotOffered => v1::Effect::Unspecified,
    }
}

/// The proto value of a verdict.
pub fn verdict_to(verdict: Verdict) -> v1::Verdict {
    match verdict {
        Verdict::Clear => v1::Verdict::Clear,
        Verdict::Restricted => v1::Verdict::Restricted,
        Verdict::Consider => v1::Verdict::Consider,
        Verdict::Unknown => v1::Verdict::Unknown,
    }
}

/// The proto value of an answer's reason.
pub fn reason_to(reason: AnswerReason) -> v1::AnswerReason {
    match reason {
        AnswerReason::NotListed => v1::AnswerReason::NotListed,
        AnswerReason::OutOfScope => v1::AnswerReason::OutOfScope,
        AnswerReason::Minor => v1::AnswerReason::Minor,
        AnswerReason::Exempt => v1::AnswerReason::Exempt,
        AnswerReason::ListedDebtor => v1::AnswerReason::ListedDebtor,
        AnswerReason::RelatedPerson => v1::AnswerReason::RelatedPerson,
        AnswerReason::OfficerListed => v1::AnswerReason::OfficerListed,
        AnswerReason::ConditionOpen => v1::AnswerReason::ConditionOpen,
        AnswerReason::IdentityNotConfirmed => v1::AnswerReason::IdentityNotConfirmed,
        AnswerReason::NameNotChecked => v1::AnswerReason::NameNotChecked,
        AnswerReason::ClockUnsure => v1::AnswerReason::ClockUnsure,
        AnswerReason::NotFresh => v1::AnswerReason::NotFresh,
        AnswerReason::CourtOrder => v1::AnswerReason::CourtOrder,
    }
}

/// The proto value of what to do with UNKNOWN.
pub fn on_unknown_to(on_unknown: OnUnknown) -> v1::OnUnknown {
    match on_unknown {
        OnUnknown::Proceed => v1::OnUnknown::Proceed,
        OnUnknown::AskAgainThenPerson => v1::OnUnknown::AskAgainThenPerson,
        OnUnknown::RetryUntilCutoff => v1::OnUnknown::RetryUntilCutoff,
    }
}

/// The state of a proto value; `None` for unspecified or unknown.
pub fn state_from(value: i32) -> Option<State> {
    match v1::ListingState::try_from(value).ok()? {
        v1::ListingState::Unspecified => None,
        v1::ListingState::Noticed => Some(State::Noticed),
        v1::ListingState::Proposed => Some(State::Proposed),
        v1::ListingState::Decided => Some(State::Decided),
        v1::ListingState::Grace => Some(State::Grace),
        v1::ListingState::Listed => Some(State::Listed),
        v1::ListingState::Hidden => Some(State::Hidden),
        v1::ListingState::Withdrawn => Some(State::Withdrawn),
        v1::ListingState::Rejected => Some(State::Rejected),
        v1::ListingState::Revoked => Some(State::Revoked),
        v1::ListingState::Removed => Some(State::Removed),
        v1::ListingState::Expired => Some(State::Expired),
    }
}

/// The proto value of a state.
pub fn state_to(state: State) -> v1::ListingState {
    match state {
        State::Noticed => v1::ListingState::Noticed,
        State::Proposed => v1::ListingState::Proposed,
        State::Decided => v1::ListingState::Decided,
        State::Grace => v1::ListingState::Grace,
        State::Listed => v1::ListingState::Listed,
        State::Hidden => v1::ListingState::Hidden,
        State::Withdrawn => v1::ListingState::Withdrawn,
        State::Rejected => v1::ListingState::Rejected,
        State::Revoked => v1::ListingState::Revoked,
        State::Removed => v1::ListingState::Removed,
        State::Expired => v1::ListingState::Expired,
    }
}

/// The verdict of a proto value; `None` for unspecified or unknown.
pub fn verdict_from(value: i32) -> Option<Verdict> {
    Verdict::ALL.iter().copied().find(|verdict| verdict_to(*verdict) as i32 == value)
}

/// The reason of a proto value; `None` for unspecified or unknown.
pub fn reason_from(value: i32) -> Option<AnswerReason> {
    AnswerReason::ALL.iter().copied().find(|reason| reason_to(*reason) as i32 == value)
}

/// The effect of a proto value; `None` for unspecified or unknown.
pub fn effect_from(value: i32) -> Option<Effect> {
    Effect::ALL.iter().copied().find(|effect| effect_to(*effect) as i32 == value)
}
