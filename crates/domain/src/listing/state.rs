//! The life of a listing: one table of states × actions.

use minicbor::{Decode, Encode};

/// Where a listing stands. Only [`State::Listed`] restricts anyone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
#[repr(u8)]
pub enum State {
    /// The risk notice was given; nothing is decided.
    #[n(1)]
    Noticed = 1,
    /// Proposed by one actor, to be released by another.
    #[n(2)]
    Proposed = 2,
    /// Decided, and not yet served on the subject.
    #[n(3)]
    Decided = 3,
    /// Served; the grace period runs.
    #[n(4)]
    Grace = 4,
    /// In force.
    #[n(5)]
    Listed = 5,
    /// Masked for now.
    #[n(6)]
    Hidden = 6,
    /// End: taken back before it took effect.
    #[n(7)]
    Withdrawn = 7,
    /// End: the proposal was refused.
    #[n(8)]
    Rejected = 8,
    /// End: should not have been listed.
    #[n(9)]
    Revoked = 9,
    /// End: performed, settled, or the case is lawfully over.
    #[n(10)]
    Removed = 10,
    /// End: the term is over.
    #[n(11)]
    Expired = 11,
}

impl State {
    /// Every state, in order.
    pub const ALL: [State; 11] = [
        State::Noticed,
        State::Proposed,
        State::Decided,
        State::Grace,
        State::Listed,
        State::Hidden,
        State::Withdrawn,
        State::Rejected,
        State::Revoked,
        State::Removed,
        State::Expired,
    ];

    /// The state with this number, as stored.
    pub fn from_number(number: u8) -> Option<State> {
        State::ALL.get(usize::from(number).checked_sub(1)?).copied()
    }

    /// Whether the listing is over for good.
    pub fn has_ended(self) -> bool {
        match self {
            State::Noticed | State::Proposed | State::Decided | State::Grace | State::Listed | State::Hidden => false,
            State::Withdrawn | State::Rejected | State::Revoked | State::Removed | State::Expired => true,
        }
    }

    /// Whether measures reach the subject.
    pub fn restricts(self) -> bool {
        self == State::Listed
    }

    /// The name used from the wire to the command line.
    pub fn code(self) -> &'static str {
        match self {
            State::Noticed => "noticed",
            State::Proposed => "proposed",
            State::Decided => "decided",
            State::Grace => "grace",
            State::Listed => "listed",
            State::Hidden => "hidden",
            State::Withdrawn => "withdrawn",
            State::Rejected => "rejected",
            State::Revoked => "revoked",
            State::Removed => "removed",
            State::Expired => "expired",
        }
    }
}

/// How far a decided listing has come: measures reach anyone only after service of the decision and the grace period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The decision is not served yet.
    Unserved,
    /// Served, and the grace period has not run out.
    InGrace,
    /// Served, and the grace period, if there was one, is over.
    InForce,
}

impl Standing {
    fn state(self) -> State {
        match self {
            Standing::Unserved => State::Decided,
            Standing::InGrace => State::Grace,
            Standing::InForce => State::Listed,
        }
    }
}

/// What may happen to a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The risk notice is given.
    Notice,
    /// A listing is proposed for release.
    Propose,
    /// A second actor releases the proposal.
    Approve(Standing),
    /// A second actor refuses the proposal.
    Reject,
    /// The court takes it back before it takes effect.
    Withdraw,
    /// The court lists in one step.
    Publish(Standing),
    /// Service of the decision is recorded.
    Serve(Standing),
    /// The grace period ends, by the clock.
    EndGrace,
    /// The grace period is lengthened.
    WidenGrace,
    /// Data that identify nobody are corrected.
    Amend,
    /// Wrong data are corrected, identities included.
    Rectify,
    /// Masked for now.
    Hide,
    /// Brought back by a new decision, which is served anew.
    Restore(Standing),
    /// The fixed term is lengthened.
    Extend,
    /// Undone: should not have been listed.
    Revoke,
    /// Ended: performed, settled, or the case is over.
    Remove,
    /// The term is over, by the clock.
    Expire,
    /// A related person is named.
    SetRelation,
    /// A relation ends, on evidence or by the clock.
    EndRelation,
    /// One person is exempted.
    Exempt,
    /// An exemption ends, on demand or by the clock.
    EndExemption,
    /// A reason owed for a lift is given.
    GiveReason,
    /// A client was first answered adversely on this listing.
    Disclose,
    /// A proposal was not released in time, by the clock.
    Lapse,
    /// Performance was reported: the court's duty to lift runs.
    RecordPerformance,
    /// What happens beside it: a unit's report, a deadline that passed, a deferred view.
    Beside,
}

/// Why an action does not fit a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The listing is over; nothing brings it back.
    #[error("the listing is {}: an ended listing never comes back; a new decision makes a new listing", .0.code())]
    Ended(State),
    /// The action needs the listing in another state.
    #[error("the listing is {}: this can be done only while it is {needs}", .state.code())]
    State {
        /// The state it is in.
        state: State,
        /// The states that the action needs, for a reader.
        needs: &'static str,
    },
    /// There is no such listing yet.
    #[error("there is no listing yet: it begins with a notice, a proposal or a publication")]
    Absent,
}

/// The state after an action; `None` is a listing that does not exist yet.
///
/// The table in ARCHITECTURE.md ("States and events") is this match.
pub fn next(state: Option<State>, action: Action) -> Result<State, Refusal> {
    match state {
        None => begin(action),
        Some(state) if state.has_ended() => after_end(state, action),
        Some(state) => go_on(state, action),
    }
}

fn begin(action: Action) -> Result<State, Refusal> {
    match action {
        Action::Notice => Ok(State::Noticed),
        Action::Propose => Ok(State::Proposed),
        Action::Publish(standing) => Ok(standing.state()),
        Action::Approve(_)
        | Action::Reject
        | Action::Withdraw
        | Action::Serve(_)
        | Action::EndGrace
        | Action::WidenGrace
        | Action::Amend
        | Action::Rectify
        | Action::Hide
        | Action::Restore(_)
        | Action::Extend
        | Action::Revoke
        | Action::Remove
        | Action::Expire
        | Action::SetRelation
        | Action::EndRelation
        | Action::Exempt
        | Action::EndExemption
        | Action::GiveReason
        | Action::Disclose
        | Action::Lapse
        | Action::RecordPerformance
        | Action::Beside => Err(Refusal::Absent),
    }
}

fn after_end(state: State, action: Action) -> Result<State, Refusal> {
    match action {
        // What is still owed once a listing is over. An adverse answer read a moment before the end may be recorded after it.
        Action::GiveReason | Action::Disclose | Action::EndRelation | Action::EndExemption | Action::Beside => {
            Ok(state)
        }
        // Data of an ended listing are still data of a person: 个人信息保护法 art. 46 gives the right to correction no end.
        Action::Rectify => Ok(state),
        Action::Notice
        | Action::Propose
        | Action::Approve(_)
        | Action::Reject
        | Action::Withdraw
        | Action::Publish(_)
        | Action::Serve(_)
        | Action::EndGrace
        | Action::WidenGrace
        | Action::Amend
        | Action::Hide
        | Action::Restore(_)
        | Action::Extend
        | Action::Revoke
        | Action::Remove
        | Action::Expire
        | Action::SetRelation
        | Action::Exempt
        | Action::Lapse
        | Action::RecordPerformance => Err(Refusal::Ended(state)),
    }
}

fn go_on(state: State, action: Action) -> Result<State, Refusal> {
    use State::{Decided, Expired, Grace, Hidden, Listed, Noticed, Proposed, Rejected, Removed, Revoked, Withdrawn};
    let only = |states: &[State], then: State, needs| {
        if states.contains(&state) { Ok(then) } else { Err(Refusal::State { state, needs }) }
    };
    match action {
        Action::Notice => only(&[], state, "not there yet"),
        Action::Propose => only(&[Noticed], Proposed, "noticed"),
        Action::Approve(standing) => only(&[Proposed], standing.state(), "proposed"),
        Action::Reject => only(&[Proposed], Rejected, "proposed"),
        Action::Withdraw => only(&[Noticed, Proposed, Decided], Withdrawn, "noticed, proposed or decided"),
        Action::Publish(standing) => only(&[Noticed], standing.state(), "noticed, or not there yet"),
        Action::Serve(standing) => only(&[Decided], standing.state(), "decided"),
        Action::EndGrace => only(&[Grace], Listed, "in grace"),
        Action::WidenGrace => only(&[Grace, Listed], Grace, "in grace or listed"),
        Action::Amend | Action::Rectify | Action::Disclose => Ok(state),
        // A lift applies wherever something could still take effect; hiding what is hidden changes nothing and is no error.
        Action::Hide => only(&[Decided, Grace, Listed, Hidden], Hidden, "decided, in grace, listed or hidden"),
        Action::Restore(standing) => only(&[Hidden], standing.state(), "hidden"),
        Action::Extend => only(&[Decided, Grace, Listed, Hidden], state, "decided, in grace, listed or hidden"),
        Action::Revoke => Ok(Revoked),
        Action::Remove => Ok(Removed),
        Action::Expire => only(&[Decided, Grace, Listed, Hidden], Expired, "decided, in grace, listed or hidden"),
        Action::SetRelation | Action::EndRelation | Action::Exempt | Action::EndExemption => Ok(state),
        Action::GiveReason | Action::RecordPerformance | Action::Beside => Ok(state),
        Action::Lapse => only(&[Proposed], Withdrawn, "proposed"),
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
