//! Content from files: what a court writes down once and sends, in TOML or JSON. The same shape that `xinhub get` shows as
//! JSON, so that what was read can be corrected and sent back.

use std::io::Read;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use xinhub_client::v1;

use crate::codes::{self, code};
use crate::exit::Failure;
use crate::shapes::{some, time};

/// Larger than any content; keeps a mistaken path from filling memory.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// A listing's content.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ContentFile {
    name: String,
    /// `male`, `female`, or absent.
    sex: Option<String>,
    birth_date: Option<String>,
    representative_name: Option<String>,
    ground: i32,
    case_number: String,
    basis_document: String,
    basis_issuer: String,
    filed_on: Option<String>,
    published_on: Option<String>,
    area: Option<String>,
    obligation: Option<String>,
    performance: Option<String>,
    performed_part: Option<String>,
    unperformed_part: Option<String>,
    conduct: Option<String>,
    /// When the risk notice that came before the decision was served.
    notice_served_on: Option<String>,
    /// `public`, `departmental`, `own_unit_only`; absent: public.
    visibility: Option<String>,
    /// For `own_unit_only`: that unit's client id.
    own_unit: Option<String>,
    /// What was found that bars ground 1: `security_given`, `seized_covers_debt`, `later_in_order`, `not_able_but_refuses`.
    bars: Vec<String>,
    identities: Vec<IdentityFile>,
    decision: Option<DecisionFile>,
}

/// One identity.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct IdentityFile {
    kind: String,
    number: String,
    #[serde(default)]
    issuing_state: Option<String>,
}

/// The written decision to list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct DecisionFile {
    number: String,
    date: String,
    reasons: String,
    term_months: i32,
    signer: String,
    served_on: Option<String>,
    grace_days: i32,
}

/// A related person.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RelationFile {
    relation: String,
    name: String,
    basis_document: String,
    from: String,
    #[serde(default)]
    until: Option<String>,
    identity: IdentityFile,
}

/// An exemption.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExemptionFile {
    #[serde(default)]
    measures: Vec<String>,
    #[serde(default)]
    items: Vec<String>,
    from: String,
    until: String,
    ground: String,
    approver: String,
    identity: IdentityFile,
}

/// A file as an argument; `-` is standard input.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ContentArg {
    /// TOML, or JSON if it begins with {; - is standard input. The subcommand `template` of this command, or of `listing`, prints
    /// an empty one
    #[arg(long, value_name = "FILE")]
    content: PathBuf,
}

impl ContentArg {
    /// Reads the file into what the hub takes.
    pub(crate) fn read<F, M>(&self) -> Result<M, Failure>
    where
        F: DeserializeOwned,
        M: TryFrom<F, Error = String>,
    {
        read(&self.content)
    }
}

/// Reads a file of content into what the hub takes.
pub(crate) fn read<F, M>(path: &Path) -> Result<M, Failure>
where
    F: DeserializeOwned,
    M: TryFrom<F, Error = String>,
{
    let text = read_text(path)?;
    let refuse = |problem: String| Failure::Usage(format!("{}: {problem}", path.display()));
    parse::<F>(&text).map_err(refuse)?.try_into().map_err(refuse)
}

/// The text of a file, or of standard input for `-`.
pub(crate) fn read_text(path: &Path) -> Result<String, Failure> {
    let failed = Failure::io(path.display().to_string());
    let mut text = String::new();
    let read = if path == Path::new("-") {
        std::io::stdin().lock().take(MAX_FILE_BYTES).read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(MAX_FILE_BYTES).read_to_string(&mut text))
    };
    match read {
        Ok(bytes) if u64::try_from(bytes).is_ok_and(|bytes| bytes < MAX_FILE_BYTES) => Ok(text),
        Ok(_) => Err(Failure::Usage(format!("{}: larger than 1 MiB; is it the right file?", path.display()))),
        Err(error) => Err(failed(error)),
    }
}

/// Errors tell line and key, and never a value: it could be a number or a name. So the excerpt of TOML's errors is left out.
pub(crate) fn parse<F: DeserializeOwned>(text: &str) -> Result<F, String> {
    if text.trim_start().starts_with('{') {
        return serde_json::from_str(text)
            .map_err(|error| format!("line {}: {}", error.line(), without_value(&error.to_string())));
    }
    toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
        format!("line {line}: {}", without_value(error.message()))
    })
}

/// Serde quotes the value that it refuses.
fn without_value(message: &str) -> String {
    let quotes = message.starts_with("invalid type") || message.starts_with("invalid value");
    match message.rsplit_once(", expected ").filter(|_| quotes) {
        Some((_, expected)) => format!("wrong type or value, expected {expected}"),
        None if quotes => "wrong type or value".to_owned(),
        None => message.to_owned(),
    }
}

fn text(value: Option<String>) -> String {
    value.unwrap_or_default()
}

impl TryFrom<IdentityFile> for v1::Identity {
    type Error = String;

    fn try_from(file: IdentityFile) -> Result<Self, String> {
        let kind =
            codes::parse::<v1::IdentityKind>(&file.kind).map_err(|problem| format!("identity kind: {problem}"))?;
        Ok(Self { kind: kind.into(), number: file.number, issuing_state: text(file.issuing_state) })
    }
}

impl From<v1::Identity> for IdentityFile {
    fn from(identity: v1::Identity) -> Self {
        let kind = code::<v1::IdentityKind>(identity.kind).unwrap_or_default();
        Self { kind, number: identity.number, issuing_state: some(identity.issuing_state) }
    }
}

impl TryFrom<ContentFile> for v1::ListingContent {
    type Error = String;

    fn try_from(file: ContentFile) -> Result<Self, String> {
        let sex = file.sex.map(|sex| codes::parse::<v1::Sex>(&sex).map_err(|problem| format!("sex: {problem}")));
        let visibility = file.visibility.map(|visibility| {
            codes::parse::<v1::Visibility>(&visibility).map_err(|problem| format!("visibility: {problem}"))
        });
        let decision = file.decision.map(v1::Decision::try_from).transpose()?;
        let bar = |bar: &String| codes::parse::<v1::ListingBar>(bar).map_err(|problem| format!("bars: {problem}"));
        let bars = file.bars.iter().map(bar).collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            identities: file.identities.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
            name: file.name,
            sex: sex.transpose()?.unwrap_or_default().into(),
            birth_date: text(file.birth_date),
            representative_name: text(file.representative_name),
            decision,
            ground: file.ground,
            case_number: file.case_number,
            basis_document: file.basis_document,
            basis_issuer: file.basis_issuer,
            filed_on: text(file.filed_on),
            published_on: text(file.published_on),
            area: text(file.area),
            obligation: text(file.obligation),
            performance: text(file.performance),
            performed_part: text(file.performed_part),
            unperformed_part: text(file.unperformed_part),
            conduct: text(file.conduct),
            notice_served_on: text(file.notice_served_on),
            visibility: visibility.transpose()?.unwrap_or_default().into(),
            own_unit: text(file.own_unit),
            bars: bars.into_iter().map(i32::from).collect(),
        })
    }
}

impl From<v1::ListingContent> for ContentFile {
    fn from(content: v1::ListingContent) -> Self {
        Self {
            name: content.name,
            sex: code::<v1::Sex>(content.sex),
            birth_date: some(content.birth_date),
            representative_name: some(content.representative_name),
            ground: content.ground,
            case_number: content.case_number,
            basis_document: content.basis_document,
            basis_issuer: content.basis_issuer,
            filed_on: some(content.filed_on),
            published_on: some(content.published_on),
            area: some(content.area),
            obligation: some(content.obligation),
            performance: some(content.performance),
            performed_part: some(content.performed_part),
            unperformed_part: some(content.unperformed_part),
            conduct: some(content.conduct),
            notice_served_on: some(content.notice_served_on),
            visibility: code::<v1::Visibility>(content.visibility),
            own_unit: some(content.own_unit),
            bars: content.bars.into_iter().filter_map(code::<v1::ListingBar>).collect(),
            identities: content.identities.into_iter().map(IdentityFile::from).collect(),
            decision: content.decision.map(DecisionFile::from),
        }
    }
}

impl TryFrom<DecisionFile> for v1::Decision {
    type Error = String;

    fn try_from(file: DecisionFile) -> Result<Self, String> {
        Ok(Self {
            number: file.number,
            date: file.date,
            reasons: file.reasons,
            term_months: file.term_months,
            signer: file.signer,
            served_on: text(file.served_on),
            grace_days: file.grace_days,
        })
    }
}

impl From<v1::Decision> for DecisionFile {
    fn from(decision: v1::Decision) -> Self {
        Self {
            number: decision.number,
            date: decision.date,
            reasons: decision.reasons,
            term_months: decision.term_months,
            signer: decision.signer,
            served_on: some(decision.served_on),
            grace_days: decision.grace_days,
        }
    }
}

impl TryFrom<RelationFile> for v1::RelationContent {
    type Error = String;

    fn try_from(file: RelationFile) -> Result<Self, String> {
        let relation =
            codes::parse::<v1::Relation>(&file.relation).map_err(|problem| format!("relation: {problem}"))?;
        Ok(Self {
            relation: relation.into(),
            identity: Some(file.identity.try_into()?),
            name: file.name,
            basis_document: file.basis_document,
            from: file.from,
            until: text(file.until),
        })
    }
}

impl From<v1::RelationContent> for RelationFile {
    fn from(content: v1::RelationContent) -> Self {
        Self {
            relation: code::<v1::Relation>(content.relation).unwrap_or_default(),
            name: content.name,
            basis_document: content.basis_document,
            from: content.from,
            until: some(content.until),
            identity: content.identity.unwrap_or_default().into(),
        }
    }
}

impl TryFrom<ExemptionFile> for v1::ExemptionContent {
    type Error = String;

    fn try_from(file: ExemptionFile) -> Result<Self, String> {
        Ok(Self {
            identity: Some(file.identity.try_into()?),
            measures: file.measures,
            items: file.items,
            from: Some(instant(&file.from, "from")?),
            until: Some(instant(&file.until, "until")?),
            ground: file.ground,
            approver: file.approver,
        })
    }
}

impl From<v1::ExemptionContent> for ExemptionFile {
    fn from(content: v1::ExemptionContent) -> Self {
        Self {
            measures: content.measures,
            items: content.items,
            from: time(content.from).unwrap_or_default(),
            until: time(content.until).unwrap_or_default(),
            ground: content.ground,
            approver: content.approver,
            identity: content.identity.unwrap_or_default().into(),
        }
    }
}

fn instant(text: &str, field: &str) -> Result<prost_types::Timestamp, String> {
    let at: Timestamp =
        text.parse().map_err(|_| format!("{field}: expected RFC 3339, such as 2026-03-01T08:00:00+08:00"))?;
    Ok(prost_types::Timestamp { seconds: at.as_second(), nanos: at.subsec_nanosecond() })
}

#[cfg(test)]
#[path = "content_tests.rs"]
mod tests;
