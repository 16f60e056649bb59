//! What a unit owes once a listing is lifted, and what it reports.
//!
//! After a lift the hub answers `CLEAR`. Whether the units that had acted on the listing followed is what duties show: one opens
//! for every client that imposed a measure, was answered adversely or received the entry. A measure that a unit keeps is the
//! unit's own act (the plan, section 四(二)): it needs a legal basis, an end and notice to the subject.

use minicbor::{Decode, Encode};

use super::content::{Faults, MAX_SHORT_CHARS, MAX_TEXT_CHARS};
use super::draft::ContentFault;
use crate::time::Day;

/// What a unit reports of one listing. Sealed: in clear it would say who deals with whom.
#[derive(Clone, PartialEq, Encode, Decode)]
pub enum UnitReport {
    /// A measure was imposed.
    #[n(1)]
    Imposed {
        /// Its code.
        #[n(0)]
        measure: String,
        /// Its item, if it has one.
        #[n(1)]
        item: Option<String>,
        /// On which day.
        #[n(2)]
        on: Day,
    },
    /// What was imposed is lifted, or the copy is corrected: closes the duty.
    #[n(2)]
    Lifted {
        /// On which day.
        #[n(0)]
        on: Day,
        /// What was done, in the unit's words.
        #[n(1)]
        note: String,
    },
    /// Nothing was imposed, and what was kept is gone: a machine may say so. Closes the duty.
    #[n(3)]
    Acknowledged,
    /// A measure is kept by the unit's own act: closes the duty until it ends.
    #[n(4)]
    Retained(#[n(0)] Retention),
    /// The own unit has handled the notice of an own-unit-only entry: closes that duty.
    #[n(5)]
    Handled {
        /// How.
        #[n(0)]
        note: String,
    },
}

impl std::fmt::Debug for UnitReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.code())
    }
}

/// A measure that a unit keeps after a lift.
#[derive(Clone, PartialEq, Encode, Decode)]
pub struct Retention {
    /// The measure's code.
    #[n(0)]
    pub measure: String,
    /// The law that allows it.
    #[n(1)]
    pub legal_basis: String,
    /// Its last day.
    #[n(2)]
    pub until: Day,
    /// When the subject was told.
    #[n(3)]
    pub notified_on: Day,
}

/// On these grounds who asked about a listing's subject may be kept out of the subject's view for a time: the law demands secrecy
/// (个人信息保护法 art. 18), or telling would keep an organ of state from its duty (art. 35).
pub const DEFERRAL_GROUNDS: [&str; 2] = ["confidential_by_law", "impedes_duty"];

/// Longest retention, in days: what is kept longer is a new measure, with a decision of its own.
pub const MAX_RETENTION_DAYS: u32 = 366;

impl UnitReport {
    /// The name used from the wire to the command line.
    pub fn code(&self) -> &'static str {
        match self {
            UnitReport::Imposed { .. } => "imposed",
            UnitReport::Lifted { .. } => "lifted",
            UnitReport::Acknowledged => "acknowledged",
            UnitReport::Retained(_) => "retained",
            UnitReport::Handled { .. } => "handled",
        }
    }

    /// Checks its fields.
    ///
    /// # Errors
    /// Every fault, by its path.
    pub fn check(self, today: Day) -> Result<UnitReport, Vec<ContentFault>> {
        let mut faults = Faults(Vec::new());
        let past = |field: &str, day: Day, faults: &mut Faults| {
            if day > today {
                faults.add(field, "lies in the future");
            }
        };
        match &self {
            UnitReport::Imposed { measure, on, .. } => {
                faults.text("measure", measure, MAX_SHORT_CHARS, true);
                past("on", *on, &mut faults);
            }
            UnitReport::Lifted { on, note } => {
                faults.text("note", note, MAX_TEXT_CHARS, false);
                past("on", *on, &mut faults);
            }
            UnitReport::Acknowledged => {}
            UnitReport::Retained(kept) => {
                faults.text("measure", &kept.measure, MAX_SHORT_CHARS, true);
                faults.text("legal_basis", &kept.legal_basis, MAX_TEXT_CHARS, true);
                past("notified_on", kept.notified_on, &mut faults);
                if kept.until < today || kept.until > today.plus_days(MAX_RETENTION_DAYS) {
                    faults.add("until", format!("lies between today and {MAX_RETENTION_DAYS} days from now"));
                }
            }
            UnitReport::Handled { note } => {
                faults.text("note", note, MAX_TEXT_CHARS, true);
            }
        }
        if faults.0.is_empty() { Ok(self) } else { Err(faults.0) }
    }
}
