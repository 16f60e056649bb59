#![allow(clippy::unwrap_used)]
use super::*;
use expect::{ABSENT, ENDED, WRONG};

/// What the table says, in one letter a cell.
mod expect {
    pub(super) const ABSENT: char = '?';
    pub(super) const ENDED: char = '!';
    pub(super) const WRONG: char = '-';
}

const COLUMNS: &str = "0 N P D G L H W J V M X";

/// Rows are actions, columns the state before: none, Noticed, Proposed, Decided, Grace, Listed, Hidden, Withdrawn, reJected,
/// reVoked, reMoved, eXpired. A cell is the state after; `?` there is no listing, `!` it has ended, `-` another state is needed.
const TABLE: &[(Action, &str)] = &[
    (Action::Notice, "N - - - - - - ! ! ! ! !"),
    (Action::Propose, "P P - - - - - ! ! ! ! !"),
    (Action::Approve(Standing::Unserved), "? - D - - - - ! ! ! ! !"),
    (Action::Approve(Standing::InGrace), "? - G - - - - ! ! ! ! !"),
    (Action::Approve(Standing::InForce), "? - L - - - - ! ! ! ! !"),
    (Action::Reject, "? - J - - - - ! ! ! ! !"),
    (Action::Withdraw, "? W W W - - - ! ! ! ! !"),
    (Action::Publish(Standing::Unserved), "D D - - - - - ! ! ! ! !"),
    (Action::Publish(Standing::InGrace), "G G - - - - - ! ! ! ! !"),
    (Action::Publish(Standing::InForce), "L L - - - - - ! ! ! ! !"),
    (Action::Serve(Standing::Unserved), "? - - D - - - ! ! ! ! !"),
    (Action::Serve(Standing::InGrace), "? - - G - - - ! ! ! ! !"),
    (Action::Serve(Standing::InForce), "? - - L - - - ! ! ! ! !"),
    (Action::EndGrace, "? - - - L - - ! ! ! ! !"),
    (Action::WidenGrace, "? - - - G G - ! ! ! ! !"),
    (Action::Amend, "? N P D G L H ! ! ! ! !"),
    (Action::Rectify, "? N P D G L H W J V M X"),
    (Action::Hide, "? - - H H H H ! ! ! ! !"),
    (Action::Restore(Standing::Unserved), "? - - - - - D ! ! ! ! !"),
    (Action::Restore(Standing::InGrace), "? - - - - - G ! ! ! ! !"),
    (Action::Restore(Standing::InForce), "? - - - - - L ! ! ! ! !"),
    (Action::Extend, "? - - D G L H ! ! ! ! !"),
    (Action::Revoke, "? V V V V V V ! ! ! ! !"),
    (Action::Remove, "? M M M M M M ! ! ! ! !"),
    (Action::Expire, "? - - X X X X ! ! ! ! !"),
    (Action::SetRelation, "? N P D G L H ! ! ! ! !"),
    (Action::EndRelation, "? N P D G L H W J V M X"),
    (Action::Exempt, "? N P D G L H ! ! ! ! !"),
    (Action::EndExemption, "? N P D G L H W J V M X"),
    (Action::GiveReason, "? N P D G L H W J V M X"),
    (Action::Disclose, "? N P D G L H W J V M X"),
    (Action::Lapse, "? - W - - - - ! ! ! ! !"),
    (Action::RecordPerformance, "? N P D G L H ! ! ! ! !"),
    (Action::Beside, "? N P D G L H W J V M X"),
];

fn state(letter: char) -> Option<State> {
    State::ALL.into_iter().find(|state| self::letter(*state) == letter)
}

fn letter(state: State) -> char {
    match state {
        State::Noticed => 'N',
        State::Proposed => 'P',
        State::Decided => 'D',
        State::Grace => 'G',
        State::Listed => 'L',
        State::Hidden => 'H',
        State::Withdrawn => 'W',
        State::Rejected => 'J',
        State::Revoked => 'V',
        State::Removed => 'M',
        State::Expired => 'X',
    }
}

fn check(action: Action, before: Option<State>, cell: char) {
    let got = match next(before, action) {
        Ok(after) => letter(after),
        Err(Refusal::Absent) => ABSENT,
        Err(Refusal::Ended(_)) => ENDED,
        Err(Refusal::State { .. }) => WRONG,
    };
    assert_eq!(got, cell, "{action:?} on {before:?}");
}

#[test]
fn the_whole_table() {
    for (action, row) in TABLE {
        let columns: Vec<char> = COLUMNS.split(' ').map(|c| c.chars().next().unwrap()).collect();
        let cells: Vec<char> = row.split(' ').map(|c| c.chars().next().unwrap()).collect();
        assert_eq!(columns.len(), cells.len(), "{action:?}");
        for (column, cell) in columns.iter().zip(cells) {
            check(*action, state(*column), cell);
        }
    }
}

#[test]
fn nothing_leads_from_an_end_to_a_restriction() {
    for before in State::ALL.into_iter().filter(|state| state.has_ended()) {
        for (action, _) in TABLE {
            if let Ok(after) = next(Some(before), *action) {
                assert_eq!(after, before, "{action:?} on {before:?}");
            }
        }
    }
}

#[test]
fn only_listed_restricts_and_numbers_are_stable() {
    for (number, state) in (1..).zip(State::ALL) {
        assert_eq!(state as u8, number);
        assert_eq!(State::from_number(number), Some(state));
        assert_eq!(state.restricts(), state == State::Listed);
    }
    assert_eq!(State::from_number(0), None);
    assert_eq!(State::from_number(12), None);
}
