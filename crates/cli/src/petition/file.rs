//! What a party asks, as a file: numbers and names never stand on a command line, where a shell's history keeps them.

use serde::{Deserialize, Serialize};
use xinhub_client::v1;

use crate::codes::{self, code};
use crate::content::IdentityFile;
use crate::shapes::some;

/// A petition's content. Its kind is the command's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PetitionFile {
    role: Option<String>,
    pub(super) name: String,
    /// Objections alone.
    ground: Option<String>,
    pub(super) statement: String,
    pub(super) documents: Vec<String>,
    /// Absent: today.
    pub(super) received_on: Option<String>,
    /// Complaints alone.
    pub(super) against: Option<String>,
    /// Applications alone.
    pub(super) case_number: Option<String>,
    pub(super) debtor_name: Option<String>,
    party: Option<IdentityFile>,
    debtor: Option<IdentityFile>,
}

impl TryFrom<PetitionFile> for v1::PetitionContent {
    type Error = String;

    fn try_from(file: PetitionFile) -> Result<Self, String> {
        let role =
            file.role.map(|role| codes::parse::<v1::PartyRole>(&role).map_err(|problem| format!("role: {problem}")));
        let ground = file
            .ground
            .map(|ground| codes::parse::<v1::ObjectionGround>(&ground).map_err(|problem| format!("ground: {problem}")));
        let identity = |file: Option<IdentityFile>, field: &str| {
            file.map(v1::Identity::try_from).transpose().map_err(|problem| format!("{field}: {problem}"))
        };
        Ok(Self {
            // The command sets it.
            kind: v1::PetitionKind::Unspecified.into(),
            role: role.transpose()?.unwrap_or_default().into(),
            party: identity(file.party, "party")?,
            name: file.name,
            ground: ground.transpose()?.unwrap_or_default().into(),
            statement: file.statement,
            documents: file.documents,
            received_on: file.received_on.unwrap_or_default(),
            against: file.against.unwrap_or_default(),
            case_number: file.case_number.unwrap_or_default(),
            debtor_name: file.debtor_name.unwrap_or_default(),
            debtor: identity(file.debtor, "debtor")?,
        })
    }
}

impl From<v1::PetitionContent> for PetitionFile {
    fn from(content: v1::PetitionContent) -> Self {
        Self {
            role: code::<v1::PartyRole>(content.role),
            name: content.name,
            ground: code::<v1::ObjectionGround>(content.ground),
            statement: content.statement,
            documents: content.documents,
            received_on: some(content.received_on),
            against: some(content.against),
            case_number: some(content.case_number),
            debtor_name: some(content.debtor_name),
            party: content.party.map(IdentityFile::from),
            debtor: content.debtor.map(IdentityFile::from),
        }
    }
}

/// An empty file, with what belongs where.
pub(super) fn template(kind: v1::PetitionKind) -> &'static str {
    match kind {
        v1::PetitionKind::Application => APPLICATION,
        v1::PetitionKind::Complaint => COMPLAINT,
        v1::PetitionKind::Objection | v1::PetitionKind::Unspecified => OBJECTION,
    }
}

const APPLICATION: &str = r#"# A creditor's application, for `xinhub application file --court COURT --content FILE` (法释〔2017〕7号 art. 5).
# Dates are YYYY-MM-DD. Take the # away from what applies.

role = "creditor"
name = ""                  # of the creditor
statement = ""             # in the creditor's own words, at most 4,000 characters
documents = []             # numbers of what was handed in, at most 20
# received_on = ""         # without it: today. The court's clock counts from there
case_number = ""           # the enforcement case, such as (2023)粤0882执1234号
debtor_name = ""

# The creditor's document, if it was seen.
# [party]
# kind = "resident_id"     # resident_id, uscc, passport, ...; see `xinhub listing template`
# number = ""
# issuing_state = ""       # passports: three letters, such as CHN

[debtor]
kind = "resident_id"
number = ""
# issuing_state = ""
"#;

const OBJECTION: &str = r#"# An objection, for `xinhub objection file LISTING --content FILE` (法释〔2017〕7号 art. 11).
# Dates are YYYY-MM-DD. Take the # away from what applies. A late one is taken and marked, never refused.

role = "debtor"            # debtor, related_person, or not_me for anyone who says: that is not me
name = ""                  # who objects, as on the document
ground = "should_not_be_listed" # should_not_be_listed, data_wrong, should_be_deleted
statement = ""             # in the party's own words, at most 4,000 characters
documents = []             # numbers of what was handed in, at most 20
# received_on = ""         # without it: today. The court's clock counts from there

# The document that the intake has checked.
[party]
kind = "resident_id"       # resident_id, uscc, passport, ...; see `xinhub listing template`
number = ""
# issuing_state = ""       # passports: three letters, such as CHN
"#;

const COMPLAINT: &str = r#"# A complaint that somebody still restricts after a lift, for `xinhub complaint file LISTING --content FILE`.
# Dates are YYYY-MM-DD. Take the # away from what applies.

role = "debtor"            # debtor, related_person, or not_me for anyone who says: that is not me
name = ""                  # who complains, as on the document
against = ""               # the client id of who still restricts
statement = ""             # in the party's own words, at most 4,000 characters
documents = []             # numbers of what was handed in, at most 20
# received_on = ""         # without it: today. The clock counts from there

# The document that the intake has checked.
[party]
kind = "resident_id"       # resident_id, uscc, passport, ...; see `xinhub listing template`
number = ""
# issuing_state = ""       # passports: three letters, such as CHN
"#;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::parse;

    const KINDS: [v1::PetitionKind; 3] =
        [v1::PetitionKind::Application, v1::PetitionKind::Objection, v1::PetitionKind::Complaint];

    #[test]
    fn templates_are_valid() {
        for kind in KINDS {
            let content = parse::<PetitionFile>(template(kind)).and_then(v1::PetitionContent::try_from).unwrap();
            assert_ne!(content.role, 0, "{kind:?}");
            assert_eq!(content.ground != 0, kind == v1::PetitionKind::Objection, "{kind:?}");
            assert_eq!(content.debtor.is_some(), kind == v1::PetitionKind::Application, "{kind:?}");
        }
    }

    #[test]
    fn templates_offer_every_field() {
        let mut offered = std::collections::BTreeSet::new();
        for kind in KINDS {
            let uncommented: Vec<&str> = template(kind).lines().map(|line| uncomment(line).unwrap_or(line)).collect();
            let file: PetitionFile = parse(&uncommented.join("\n")).unwrap();
            let json = serde_json::to_value(&file).unwrap();
            offered.extend(json.as_object().unwrap().iter().filter(|(_, v)| !v.is_null()).map(|(k, _)| k.clone()));
        }
        let all = serde_json::to_value(PetitionFile::default()).unwrap();
        assert_eq!(offered, all.as_object().unwrap().keys().cloned().collect());
    }

    fn uncomment(line: &str) -> Option<&str> {
        line.strip_prefix("# ").filter(|rest| rest.contains(" = ") || rest.starts_with('['))
    }

    #[test]
    fn files_are_read_strictly_and_told_without_values() {
        let check = |text: &str, part: &str| {
            let problem = parse::<PetitionFile>(text).and_then(v1::PetitionContent::try_from).unwrap_err();
            assert!(problem.contains(part), "{problem:?} lacks {part:?}");
            assert!(!problem.contains("110101199001010007"), "{problem}");
        };
        check("role = \"boss\"", "role: expected one of debtor, related_person, creditor, not_me");
        check("ground = \"wrong\"", "ground: expected one of should_not_be_listed");
        check("kind = \"objection\"", "unknown field `kind`");
        check("[party]\nkind = \"id\"\nnumber = \"110101199001010007\"", "party: identity kind: expected one of");
        check("[party]\nkind = \"uscc\"\nnumber = 110101199001010007", "line 3: wrong type or value");
    }

    #[test]
    fn what_show_prints_can_be_sent_again() {
        let text = "role = \"not_me\"\nname = \"测试\"\nground = \"data_wrong\"\nstatement = \"并非本人\"\n\
            documents = [\"1\"]\nreceived_on = \"2026-01-05\"\n[party]\nkind = \"passport\"\nnumber = \"E12345678\"\n\
            issuing_state = \"CHN\"\n";
        let content: v1::PetitionContent = parse::<PetitionFile>(text).unwrap().try_into().unwrap();
        let shown = serde_json::to_string(&PetitionFile::from(content.clone())).unwrap();
        let again: v1::PetitionContent = parse::<PetitionFile>(&shown).unwrap().try_into().unwrap();
        assert_eq!(again, content);
    }
}
