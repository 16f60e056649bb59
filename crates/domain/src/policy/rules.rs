//! The rules of due process that a court's listings go by: whose deadlines, and which court stands above which.

use std::collections::HashMap;
use std::sync::Arc;

use super::POLICY_FILE;
use crate::deadline::Deadlines;
use crate::fault::Fault;
use crate::time::Day;

/// What the ledger decides and counts by. Replaced whole on reload.
#[derive(Clone, Debug)]
pub struct Rules {
    pub(super) default: Arc<Deadlines>,
    pub(super) courts: HashMap<Arc<str>, Arc<Deadlines>>,
    pub(super) above: HashMap<Arc<str>, Arc<str>>,
    pub(super) go_live: Option<Day>,
}

impl Rules {
    /// The same deadlines for every court, and no court above another.
    pub fn of_all(deadlines: Deadlines) -> Rules {
        Rules { default: Arc::new(deadlines), courts: HashMap::new(), above: HashMap::new(), go_live: None }
    }

    /// The deadlines that a court goes by.
    pub fn deadlines(&self, court: &str) -> &Deadlines {
        self.courts.get(court).unwrap_or(&self.default)
    }

    /// Whether `upper` hears the reconsiderations of `lower` (法释〔2017〕7号 art. 12: the people's court at the next higher level).
    pub fn is_above(&self, upper: &str, lower: &str) -> bool {
        self.above.get(lower).is_some_and(|above| **above == *upper)
    }

    /// Says that working days of this day's year are guessed.
    pub(super) fn calendar_warning(&self, day: Day) -> Option<Fault> {
        let year = day.date().year();
        (!self.default.calendar().covers(day)).then(|| Fault {
            file: "calendar.toml".to_owned(),
            line: None,
            column: None,
            key: format!("year.{year}"),
            problem: "is missing: Monday to Friday count as working days".to_owned(),
            fix: format!(
                "add [year.{year}] from the State Council's notice, and name the file as `calendar` in hub.toml"
            ),
        })
    }

    /// Says that the day of going live lies after this day.
    pub(super) fn go_live_warning(&self, latest: Day) -> Option<Fault> {
        self.go_live.filter(|day| *day > latest).map(|day| Fault {
            file: POLICY_FILE.to_owned(),
            line: None,
            column: None,
            key: "go_live".to_owned(),
            problem: format!(
                "{day} lies more than a year ahead: until then migration files list people without a notice"
            ),
            fix: "write the day on which the court begins to decide with this hub".to_owned(),
        })
    }

    /// The day from which nothing is listed without a risk notice, and no migration is taken of a decision made on it or after.
    pub fn go_live(&self) -> Option<Day> {
        self.go_live
    }
}

impl Default for Rules {
    fn default() -> Rules {
        Rules::of_all(Deadlines::shipped())
    }
}
