//! Promises that an [`Identity`] that exists is valid, has one normal form however it was written,
//! and never shows its number by accident: `Debug` prints the kind, and there is no `Display`.
//!
//! An identity is a *kind* and a number, since one number can pass two kinds' checks. What is
//! compared is never the number but its [`KeyInput`]s, digested by the caller. Sources of the
//! formats: GB 11643-1999 (personal numbers), GB 32100-2015 (credit codes), GB 11714-1997
//! (organisation codes), GB/T 2260 (regions), ICAO Doc 9303 (passports).
//!
//! Reality is messier than the standards, so some faults are *warnings*, and some of these *flag*
//! an identity: it is kept, but must never be confirmed by itself. An invalid number is an error
//! and never means "not listed".

mod check;
mod codec;
mod identities;
mod inline;
mod key;
mod kind;
mod number;
mod organisation;
mod personal;
mod region;
mod scan;
pub mod synthetic;
mod travel;
mod violation;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

use std::{fmt, iter};

use jiff::civil::Date;

pub use identities::{Identities, IdentitiesError};
pub use key::{KeyInput, KeySpace};
pub use kind::{Kind, Sex, Source, Subject};
pub use scan::{contains_identity, fitting_kinds};
pub use violation::{Violation, Violations, Warning};

use inline::{Inline, Warnings};
use number::Number;

/// The characters of an organisation code before its check character.
const ORGANISATION_CODE_BODY_CHARS: usize = 8;

/// The longest normal form: a passport's issuing state, separator and number.
const NORMAL_FORM_CHARS: usize = 19;
/// The longest number that its normal form doesn't tell: a 15-digit ID.
const GIVEN_CHARS: usize = 15;

/// A valid number of a known kind.
///
/// `Eq` compares what was written (a 15-digit ID differs from its 18-digit form); whether two
/// identities mean the same subject is told by [`keys`](Identity::keys) alone.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Identity {
    kind: Kind,
    normal: Inline<NORMAL_FORM_CHARS>,
    /// The folded number where it says more than the normal form: 15-digit IDs, 11-character travel
    /// permits.
    given: Option<Inline<GIVEN_CHARS>>,
    flagged: bool,
    birth_date: Option<Date>,
    sex: Option<Sex>,
    warnings: Warnings,
}

impl Identity {
    /// The only way from text to an identity, but for [`Identity::plain`], which is a part of it.
    ///
    /// Folds full width to half width and letters to upper case, and trims. `issuing_state` is for
    /// passports (ISO 3166 alpha-3) and must be absent or empty elsewhere. `today` is the date in
    /// Asia/Shanghai.
    ///
    /// # Errors
    ///
    /// Every violation at once; none of their texts contains the number.
    pub fn parse(
        kind: Kind,
        number: &str,
        issuing_state: Option<&str>,
        source: Source,
        today: Date,
    ) -> Result<Identity, Violations> {
        match Identity::plain(kind, number, issuing_state, today) {
            Some(identity) => Ok(identity),
            None => Identity::parse_any(kind, number, issuing_state, source, today),
        }
    }

    /// [`Identity::parse`] of a resident ID as nearly all are: 18 characters, written as the standard has them, valid and without anything
    /// odd. `None` says nothing of a number.
    ///
    /// For whoever reads very many: what it makes is made where it stays.
    #[inline(always)]
    pub fn plain(kind: Kind, number: &str, issuing_state: Option<&str>, today: Date) -> Option<Identity> {
        personal::plain(kind, number, issuing_state, today)
    }

    /// [`Identity::parse`] of what is written or numbered in whatever way.
    fn parse_any(
        kind: Kind,
        number: &str,
        issuing_state: Option<&str>,
        source: Source,
        today: Date,
    ) -> Result<Identity, Violations> {
        let number = Number::fold(kind, number, issuing_state);
        let mut found = Vec::new();
        number.check_shape(&mut found);
        number.check_content(today, &mut found);
        if source == Source::Court && found.iter().all(|&violation| violation::is_credit_code_check(violation)) {
            found.clear(); // Told again as warnings that flag the identity.
        }
        Violations::none_or(found)?;
        Ok(number.into_identity())
    }

    /// Puts together what follows from kind, normal form and given form.
    fn assemble(kind: Kind, normal: &str, given: Option<&str>) -> Identity {
        let (birth_date, sex, warnings) = match kind {
            Kind::ResidentId | Kind::ResidencePermit | Kind::PermanentResident => {
                (personal::birth_date(normal), personal::sex(normal), personal::warnings(kind, normal, given))
            }
            Kind::Uscc => (None, None, organisation::credit_code_warnings(normal)),
            Kind::OrganisationCode
            | Kind::TravelPermitHkMo
            | Kind::TravelPermitTaiwan
            | Kind::Passport
            | Kind::PermanentResidentOld => (None, None, Warnings::NONE),
        };
        let century_is_known = !warnings.as_slice().contains(&Warning::AmbiguousCentury);
        Identity {
            kind,
            normal: Inline::new(normal),
            given: given.map(Inline::new),
            flagged: warnings.as_slice().iter().any(|warning| warning.flags()),
            birth_date: birth_date.filter(|_| century_is_known),
            sex,
            warnings,
        }
    }

    /// The document's kind.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Whom it identifies.
    pub fn subject(&self) -> Subject {
        self.kind.subject()
    }

    /// The one form of this identity: 18 characters for personal numbers and credit codes, 9 for
    /// organisation codes and Hong Kong / Macau permits, `CHN:E12345678` for passports. ASCII, at
    /// most 19 characters.
    pub fn normal_form(&self) -> &str {
        self.normal.as_str()
    }

    /// The number as written, folded: a 15-digit ID as 15 digits, a permit with its renewal digits,
    /// a passport without its issuing state. For detail views and corrections.
    pub fn number(&self) -> &str {
        let normal = self.normal.as_str();
        match (&self.given, normal.split_once(travel::STATE_SEPARATOR)) {
            (Some(given), _) => given.as_str(),
            (None, Some((_, number))) => number,
            (None, None) => normal,
        }
    }

    /// The issuing state of a passport, three letters.
    pub fn issuing_state(&self) -> Option<&str> {
        self.normal.as_str().split_once(travel::STATE_SEPARATOR).map(|(state, _)| state)
    }

    /// True when this identity must never be confirmed by itself: a credit code with a wrong check
    /// character (its own or the embedded one's), or a 15-digit ID whose century is ambiguous.
    pub fn is_flagged(&self) -> bool {
        self.flagged
    }

    /// What is odd about it, flags included.
    pub fn warnings(&self) -> &[Warning] {
        self.warnings.as_slice()
    }

    /// Birth date, where the number carries one with its century.
    pub fn birth_date(&self) -> Option<Date> {
        self.birth_date
    }

    /// Sex, where the number tells it.
    pub fn sex(&self) -> Option<Sex> {
        self.sex
    }

    /// Whether the person is under 18 on the day `on`, where the number carries a birth date.
    ///
    /// Of full age on the 18th birthday (民法典 art. 17); born on 29 February, on the 28th of a common year
    /// (art. 202: the month's last day stands for a day it lacks).
    pub fn is_minor(&self, on: Date) -> Option<bool> {
        let birth = self.birth_date?;
        // Of nearly all the years alone tell.
        if on.year() - birth.year() > 18 {
            return Some(false);
        }
        let full_age_year = birth.year().checked_add(18)?;
        let birthday = Date::new(full_age_year, birth.month(), birth.day())
            .or_else(|_| Date::new(full_age_year, birth.month(), 28))
            .ok()?;
        Some(on < birthday)
    }

    /// The keys under which this identity is indexed and probed: one, or for a credit code its
    /// organisation code's and its own. A flagged credit code has its own alone, since its embedded
    /// code may be another organisation's.
    pub fn keys(&self) -> impl Iterator<Item = KeyInput> + use<> {
        let alias = (self.kind == Kind::Uscc && !self.flagged)
            .then(|| KeyInput::new(KeySpace::Organisation, &organisation::embedded(&self.normal)));
        alias.into_iter().chain(iter::once(KeyInput::new(self.key_space(), &self.normal)))
    }

    /// The key space of the whole normal form.
    fn key_space(&self) -> KeySpace {
        match self.kind {
            Kind::ResidentId | Kind::ResidencePermit | Kind::PermanentResident => KeySpace::Person,
            Kind::Uscc => KeySpace::CreditCode,
            Kind::OrganisationCode => KeySpace::Organisation,
            Kind::TravelPermitHkMo => KeySpace::TravelPermitHkMo,
            Kind::TravelPermitTaiwan => KeySpace::TravelPermitTaiwan,
            Kind::Passport => KeySpace::Passport,
            Kind::PermanentResidentOld => KeySpace::PermanentResidentOld,
        }
    }

    /// The number as published entries show it: first 10 characters, `****`, last 4 of an
    /// 18-character number; shorter ones keep the same share. For detail views only: with the check
    /// digit, a masked ID leaves 33 birth dates.
    pub fn masked(&self) -> String {
        let normal = self.normal.as_str();
        let (prefix, number) = match normal.split_once(travel::STATE_SEPARATOR) {
            Some((state, number)) => (format!("{state}{}", travel::STATE_SEPARATOR), number),
            None => (String::new(), normal),
        };
        let first = number.len() * 10 / 18;
        let last = number.len() - number.len() * 4 / 18;
        let (first, last) = (number.get(..first).unwrap_or_default(), number.get(last..).unwrap_or_default());
        format!("{prefix}{first}****{last}")
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({:?})", self.kind)
    }
}
