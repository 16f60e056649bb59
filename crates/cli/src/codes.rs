//! Names of the wire's closed lists, as people and scripts read and write them: `RESTRICTED`, `resident_id`.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use xinhub_client::v1;

/// More values than any list of the wire has.
const MAX_VALUES: i32 = 256;

/// A closed list of the wire.
pub(crate) trait Code: Copy + Send + Sync + TryFrom<i32> + 'static {
    /// What every name of the list begins with.
    const PREFIX: &'static str;

    /// The name in the proto files.
    fn full_name(self) -> &'static str;

    /// In capitals, without the prefix: `RESTRICTED`.
    fn label(self) -> &'static str {
        let name = self.full_name();
        name.strip_prefix(Self::PREFIX).unwrap_or(name)
    }

    /// As in arguments and files: `resident_id`.
    fn code(self) -> String {
        self.label().to_ascii_lowercase()
    }

    /// Every value but the unspecified one.
    fn all() -> Vec<Self> {
        (1..MAX_VALUES).filter_map(|value| Self::try_from(value).ok()).collect()
    }

    /// The value of a [`code`](Code::code).
    fn from_code(code: &str) -> Option<Self> {
        Self::all().into_iter().find(|value| value.code() == code)
    }
}

macro_rules! codes {
    ($($name:ident: $prefix:literal),* $(,)?) => {
        $(impl Code for v1::$name {
            const PREFIX: &'static str = $prefix;

            fn full_name(self) -> &'static str {
                self.as_str_name()
            }
        })*
    };
}

codes! {
    AnswerReason: "ANSWER_REASON_",
    Capacity: "CAPACITY_",
    DeadlineStatus: "DEADLINE_STATUS_",
    DutyState: "DUTY_STATE_",
    Effect: "EFFECT_",
    IdentityKind: "IDENTITY_KIND_",
    ImportFile: "IMPORT_FILE_",
    ImportState: "IMPORT_STATE_",
    ListDifferenceKind: "LIST_DIFFERENCE_KIND_",
    ListingBar: "LISTING_BAR_",
    ListingState: "LISTING_STATE_",
    ObjectionGround: "OBJECTION_GROUND_",
    OnUnknown: "ON_UNKNOWN_",
    PartyRole: "PARTY_ROLE_",
    PetitionKind: "PETITION_KIND_",
    PetitionState: "PETITION_STATE_",
    Reason: "REASON_",
    Relation: "RELATION_",
    ReplicaReach: "REPLICA_REACH_",
    Sex: "SEX_",
    Verdict: "VERDICT_",
    Visibility: "VISIBILITY_",
}

/// The label of a value on the wire; `None` where it is not set. A value of a newer hub is told as such.
pub(crate) fn label<E: Code>(value: i32) -> Option<&'static str> {
    (value != 0).then(|| E::try_from(value).map_or("UNRECOGNISED", Code::label))
}

/// As [`label`], in the form of arguments and files.
pub(crate) fn code<E: Code>(value: i32) -> Option<String> {
    label::<E>(value).map(str::to_ascii_lowercase)
}

/// Takes the codes of a list as an argument, and offers them in help and completions.
pub(crate) fn parser<E: Code>() -> impl TypedValueParser<Value = E> {
    let values: Vec<PossibleValue> = E::all().into_iter().map(|value| PossibleValue::new(value.code())).collect();
    PossibleValuesParser::new(values).try_map(|code| E::from_code(&code).ok_or("not in the list"))
}

/// The value of a code in a file.
pub(crate) fn parse<E: Code>(code: &str) -> Result<E, String> {
    E::from_code(code.trim()).ok_or_else(|| {
        let known: Vec<String> = E::all().into_iter().map(Code::code).collect();
        format!("expected one of {}", known.join(", "))
    })
}
