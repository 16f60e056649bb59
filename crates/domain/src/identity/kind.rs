//! Promises the closed lists that an identity is described by: kinds, sorts of subject, sexes,
//! sources.

/// The document that a number was printed on.
///
/// The discriminants are stored: never renumber.
#[repr(u8)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Kind {
    /// Resident identity card, 18 characters or 15 digits (GB 11643).
    ResidentId = 1,
    /// Residence permit for residents of Hong Kong, Macau and Taiwan: 18 characters from 810000,
    /// 820000 or 830000.
    ResidencePermit = 2,
    /// Unified social credit code (GB 32100).
    Uscc = 3,
    /// Organisation code (GB 11714).
    OrganisationCode = 4,
    /// Travel permit to the mainland of a Hong Kong or Macau resident.
    TravelPermitHkMo = 5,
    /// Travel permit to the mainland of a Taiwan resident.
    TravelPermitTaiwan = 6,
    /// Passport; needs its issuing state.
    Passport = 7,
    /// Foreign permanent-resident card since December 2023: 18 characters from 9.
    PermanentResident = 8,
    /// Foreign permanent-resident card before: 3 letters and 12 digits.
    PermanentResidentOld = 9,
}

impl Kind {
    /// Every kind, in the order of the stored numbers.
    pub const ALL: [Kind; 9] = [
        Kind::ResidentId,
        Kind::ResidencePermit,
        Kind::Uscc,
        Kind::OrganisationCode,
        Kind::TravelPermitHkMo,
        Kind::TravelPermitTaiwan,
        Kind::Passport,
        Kind::PermanentResident,
        Kind::PermanentResidentOld,
    ];

    /// Stable snake_case code, as used in files and on the command line.
    pub fn code(self) -> &'static str {
        match self {
            Kind::ResidentId => "resident_id",
            Kind::ResidencePermit => "residence_permit",
            Kind::Uscc => "uscc",
            Kind::OrganisationCode => "organisation_code",
            Kind::TravelPermitHkMo => "travel_permit_hk_mo",
            Kind::TravelPermitTaiwan => "travel_permit_taiwan",
            Kind::Passport => "passport",
            Kind::PermanentResident => "permanent_resident",
            Kind::PermanentResidentOld => "permanent_resident_old",
        }
    }

    /// The kind of a [`code`](Kind::code).
    pub fn from_code(code: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.code() == code)
    }

    /// Whom a document of this kind identifies.
    pub fn subject(self) -> Subject {
        match self {
            Kind::Uscc | Kind::OrganisationCode => Subject::Organisation,
            Kind::ResidentId
            | Kind::ResidencePermit
            | Kind::TravelPermitHkMo
            | Kind::TravelPermitTaiwan
            | Kind::Passport
            | Kind::PermanentResident
            | Kind::PermanentResidentOld => Subject::Person,
        }
    }
}

/// The two sorts of subject.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Subject {
    /// A natural person.
    Person,
    /// A legal person or another organisation.
    Organisation,
}

/// Sex as the 17th digit of a personal number tells it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Sex {
    /// Odd digit.
    Male,
    /// Even digit.
    Female,
}

/// Who wrote the number down.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Source {
    /// A court: its credit code with a wrong check character is taken and flagged, since some real
    /// codes issued before 2016 break the standard.
    Court,
    /// A looker-up: the same is refused
    /// ([`is_unconfirmed_credit_code`](super::Violations::is_unconfirmed_credit_code)).
    LookerUp,
}
