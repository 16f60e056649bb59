//! The lawful grounds on which a listing leaves the list.
//!
//! A lift is never refused for want of a ground: a missing or unfitting one is owed afterwards. What is checked here is only
//! whether the ground that was given fits.

use super::content::Ground;

/// Why a listing ends or is masked (法释〔2017〕7号 arts. 2, 10, 12; the plan, section 四(二)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LiftGround {
    /// The obligation was performed.
    Performed,
    /// A settlement was reached and its performance confirmed.
    SettlementPerformed,
    /// The creditor asked in writing and the court approved.
    CreditorRequest,
    /// Two network asset searches after termination found nothing.
    NoAssetsFound,
    /// Stayed by retrial or bankruptcy.
    Stayed,
    /// 不予执行: enforcement was refused.
    EnforcementRefused,
    /// 终结执行: the enforcement case was terminated.
    EnforcementTerminated,
    /// Active performance or correction within a fixed term (art. 2).
    EarlyDeletion,
    /// The subject should not have been listed (art. 12).
    WronglyListed,
}

impl LiftGround {
    /// Every ground.
    pub const ALL: [LiftGround; 9] = [
        LiftGround::Performed,
        LiftGround::SettlementPerformed,
        LiftGround::CreditorRequest,
        LiftGround::NoAssetsFound,
        LiftGround::Stayed,
        LiftGround::EnforcementRefused,
        LiftGround::EnforcementTerminated,
        LiftGround::EarlyDeletion,
        LiftGround::WronglyListed,
    ];

    /// The code used from the wire to the command line.
    pub fn code(self) -> &'static str {
        match self {
            LiftGround::Performed => "performed",
            LiftGround::SettlementPerformed => "settlement_performed",
            LiftGround::CreditorRequest => "creditor_request",
            LiftGround::NoAssetsFound => "no_assets_found",
            LiftGround::Stayed => "stayed",
            LiftGround::EnforcementRefused => "enforcement_refused",
            LiftGround::EnforcementTerminated => "enforcement_terminated",
            LiftGround::EarlyDeletion => "early_deletion",
            LiftGround::WronglyListed => "wrongly_listed",
        }
    }

    /// The ground of a code.
    pub fn from_code(code: &str) -> Option<LiftGround> {
        LiftGround::ALL.into_iter().find(|ground| ground.code() == code)
    }

    /// Whether it may remove a listing on `ground`: early deletion applies to a fixed term, the other grounds of art. 10 do not.
    pub fn removes(self, ground: Ground) -> bool {
        match self {
            LiftGround::EarlyDeletion => ground.has_fixed_term(),
            LiftGround::Performed
            | LiftGround::SettlementPerformed
            | LiftGround::CreditorRequest
            | LiftGround::NoAssetsFound
            | LiftGround::Stayed
            | LiftGround::EnforcementRefused
            | LiftGround::EnforcementTerminated => !ground.has_fixed_term(),
            LiftGround::WronglyListed => false,
        }
    }
}

/// Whether a reason is still owed after a removal with this code.
pub fn removal_reason_owed(code: &str, ground: Option<Ground>) -> bool {
    match (LiftGround::from_code(code), ground) {
        (Some(lift), Some(ground)) => !lift.removes(ground),
        (Some(_), None) => false,
        (None, _) => true,
    }
}

/// Whether a reason is still owed after a revocation with this code.
pub fn revocation_reason_owed(code: &str) -> bool {
    LiftGround::from_code(code) != Some(LiftGround::WronglyListed)
}

/// Whether a reason is still owed after hiding with this code: any lawful ground may come before the end itself.
pub fn hiding_reason_owed(code: &str) -> bool {
    LiftGround::from_code(code).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixed_terms_end_early_only_by_early_deletion() {
        for lift in LiftGround::ALL {
            assert_eq!(LiftGround::from_code(lift.code()), Some(lift));
            assert_eq!(lift.removes(Ground::EvidenceOrViolence), lift == LiftGround::EarlyDeletion, "{lift:?}");
        }
        assert!(!removal_reason_owed("performed", Some(Ground::AbleButRefuses)));
        assert!(removal_reason_owed("performed", Some(Ground::EvidenceOrViolence)));
        assert!(removal_reason_owed("", None));
        assert!(revocation_reason_owed("performed"));
    }
}
