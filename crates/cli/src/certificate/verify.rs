//! A certificate's check: offline, by the hub's verifier key alone.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use xinhub_domain::time::Timestamp;
use xinhub_translog::note::{NoteError, Verifier};

use crate::content::read_text;
use crate::exit::{Exit, Failure};
use crate::lang::Lang;
use crate::output::{Line, Out};

/// The first line of what a hub signs.
const FORM: &str = "xinhub release certificate 1";

/// What to verify, and by which key.
#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// The certificate; - is standard input
    file: PathBuf,
    /// The hub's verifier key, got from the hub's operator and not from whoever shows the certificate: NAME+HASH+KEY
    #[arg(long, value_name = "VERIFIER_KEY")]
    key: String,
}

/// How a check ended, and what the certificate says.
#[derive(Serialize)]
pub(crate) struct Checked {
    /// `VALID`, `EXPIRED`, `NOT_GENUINE`.
    result: &'static str,
    /// Why it is not genuine.
    problem: Option<String>,
    #[serde(skip)]
    fault: Option<Fault>,
    /// Whose key signed it.
    signer: String,
    /// Of a genuine one alone: what nobody signed, says nothing.
    certified: Option<Certified>,
}

/// Why a text proves nothing.
#[derive(Clone, Copy)]
enum Fault {
    /// It is no note, or not by this key.
    Note(NoteError),
    /// It is signed, and is something else.
    Form,
}

impl Fault {
    fn told(self, lang: Lang) -> String {
        let (en, zh) = match self {
            Fault::Form => (
                "is signed by this hub, and is no certificate of a form that this version knows".to_owned(),
                "由该平台签名，但不是本版本可识别的证明",
            ),
            Fault::Note(error) => (
                error.to_string(),
                match error {
                    NoteError::NotSigned => "没有该公钥的签名；是否由其他平台签发？",
                    NoteError::Forged => "签名核验不通过：内容被改动，或者签名系伪造",
                    NoteError::Form | NoteError::Text | NoteError::Name | NoteError::Seed | NoteError::VerifierKey => {
                        "不是完整的签名文书：应含正文、空行和签名行"
                    }
                },
            ),
        };
        lang.pick(&en, zh).to_owned()
    }
}

/// What was signed.
#[derive(Serialize)]
struct Certified {
    kind: String,
    number: String,
    issuing_state: Option<String>,
    name: Option<String>,
    at: String,
    expires: String,
    epoch: String,
    revision: u64,
    issued_through: String,
}

pub(super) fn run(args: &VerifyArgs, out: &mut Out) -> Result<Exit, Failure> {
    let key = Verifier::parse(&args.key).map_err(|problem| Failure::Usage(format!("--key: {problem}")))?;
    let note = read_text(&args.file)?;
    let now = Timestamp(jiff::Timestamp::now().as_millisecond());
    let (exit, checked) = check(&note, &key, now);
    let lang = out.lang;
    if checked.certified.as_ref().and_then(|one| instant(&one.at)).is_some_and(|at| at > now) {
        let told = lang.pick(
            "it was issued later than this machine's clock says; is the clock right?",
            "签发时间晚于本机时钟；请核对本机时钟",
        );
        eprintln!("{}: {told}", lang.pick("note", "注意"));
    }
    out.record(&checked, || lines(&checked, exit, lang))?;
    Ok(exit)
}

/// What stands in a note, if this key has signed it, and whether its time is over at `now`.
fn check(note: &str, key: &Verifier, now: Timestamp) -> (Exit, Checked) {
    let read = key.verify(note).map_err(Fault::Note).and_then(|text| certified(text).ok_or(Fault::Form));
    let signer = key.name().to_owned();
    let (exit, result, fault, certified) = match read {
        Err(fault) => (Exit::NotGenuine, "NOT_GENUINE", Some(fault), None),
        Ok((one, expires)) if expires <= now => (Exit::Expired, "EXPIRED", None, Some(one)),
        Ok((one, _)) => (Exit::Success, "VALID", None, Some(one)),
    };
    let problem = fault.map(|fault| fault.told(Lang::En));
    (exit, Checked { result, problem, fault, signer, certified })
}

/// The lines of a certificate for programs, and when it ends.
fn certified(text: &str) -> Option<(Certified, Timestamp)> {
    let mut lines = text.lines().take_while(|line| !line.is_empty());
    if lines.next() != Some(FORM) {
        return None;
    }
    let fields: Vec<(&str, &str)> = lines.map(|line| line.split_once(": ")).collect::<Option<_>>()?;
    let field = |name: &str| fields.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
    let identity = field("identity")?;
    let (kind, number) = identity.split_once(' ')?;
    let (number, issuing_state) = match number.split_once(" (") {
        Some((number, state)) => (number, Some(state.strip_suffix(')')?.to_owned())),
        None => (number, None),
    };
    let history = field("history")?;
    let (epoch, revision) = history.split_once(' ')?;
    // In UTC, as all times of this program's output.
    let time = |name: &str| field(name)?.parse::<jiff::Timestamp>().ok();
    let (at, expires) = (time("at")?, time("expires")?);
    let one = Certified {
        kind: kind.to_owned(),
        number: number.to_owned(),
        issuing_state,
        name: field("name").filter(|name| name != "-"),
        at: at.to_string(),
        expires: expires.to_string(),
        epoch: epoch.to_owned(),
        revision: revision.parse().ok()?,
        issued_through: field("issued-through")?,
    };
    Some((one, Timestamp(expires.as_millisecond())))
}

fn instant(text: &str) -> Option<Timestamp> {
    text.parse::<jiff::Timestamp>().ok().map(|at| Timestamp(at.as_millisecond()))
}

fn lines(checked: &Checked, exit: Exit, lang: Lang) -> Vec<Line> {
    let name = |en: &'static str, zh: &'static str| lang.pick(en, zh);
    let told = match exit {
        Exit::Success => name(
            "Genuine, and its time is not over. It says nothing of what came after it was issued, nor about solvency or character.",
            "真实，且在有效期内。它不涉及签发之后的情况，也不说明其偿付能力、品行。",
        ),
        Exit::Expired => name("Genuine, and no longer valid: ask for a new one.", "真实，但已过有效期：请重新开具。"),
        _ => name("Not genuine: it proves nothing.", "不真实：不能证明任何事项。"),
    };
    let mut lines = vec![
        (name("result", "结论"), format!("{}\n{told}", checked.result)),
        (name("problem", "问题"), checked.fault.map(|fault| fault.told(lang)).unwrap_or_default()),
        (name("key of", "公钥所属平台"), checked.signer.clone()),
    ];
    if let Some(one) = &checked.certified {
        let issuer = one.issuing_state.as_ref().map(|state| format!(" ({state})")).unwrap_or_default();
        lines.extend([
            (name("identity", "证件"), format!("{} {}{issuer}", one.kind, one.number)),
            (name("name", "姓名或名称"), one.name.clone().unwrap_or_default()),
            (name("issued at", "签发时间"), one.at.clone()),
            (name("valid until", "有效至"), one.expires.clone()),
            (name("issued through", "经办单位"), one.issued_through.clone()),
        ]);
    }
    lines
}

/// One with every field, for the tests of OUTPUT.md.
#[cfg(test)]
pub(crate) fn sample() -> Checked {
    let text = format!(
        "{FORM}\nidentity: passport E12345678 (CHN)\nname: -\nat: 2026-02-03T04:05:06Z\nexpires: 2026-02-06T04:05:06Z\n\
         history: 00 1\nissued-through: legal-aid\n\n"
    );
    let (certified, _) = certified(&text).unwrap();
    Checked { result: "VALID", problem: None, fault: None, signer: String::new(), certified: Some(certified) }
}

#[cfg(test)]
mod tests {
    use xinhub_translog::note::Signer;

    use super::*;

    const TEXT: &str = "xinhub release certificate 1\nidentity: resident_id 110101199001010007\nname: 合成某\n\
        at: 2026-02-03T12:05:06+08:00\nexpires: 2026-02-06T12:05:06+08:00\nhistory: 0011 123\nissued-through: legal-aid\n\nAt the time above…\n";

    fn checked(note: &str, key: &str, at: &str) -> (u8, Checked) {
        let (exit, checked) = check(note, &Verifier::parse(key).unwrap(), instant(at).unwrap());
        (exit.code(), checked)
    }

    #[test]
    fn a_certificate_is_valid_to_its_last_second_and_by_its_hub_s_key_alone() {
        let signer = Signer::from_seed("hub.example", &[7; 32]).unwrap();
        let (note, key) = (signer.sign(TEXT).unwrap(), signer.verifier_key());
        let other = Signer::from_seed("hub.example", &[8; 32]).unwrap().verifier_key();
        let end = |note: &str, key: &str, at: &str| {
            let (code, checked) = checked(note, key, at);
            assert_eq!(checked.certified.is_some(), code != 13, "what nobody signed is not told");
            assert_eq!(checked.problem.is_some(), code == 13);
            code
        };
        assert_eq!(end(&note, &key, "2026-02-06T04:05:05Z"), 0);
        assert_eq!(end(&note, &key, "2026-02-06T04:05:06Z"), 14);
        assert_eq!(end(&note, &other, "2026-02-04T00:00:00Z"), 13);
        let prolonged = note.replace("2026-02-06", "2036-02-06");
        assert_eq!(end(&prolonged, &key, "2026-02-07T00:00:00Z"), 13);
        assert_eq!(end("nothing", &key, "2026-02-04T00:00:00Z"), 13);
        // Signed, and something else.
        for text in
            ["another form 1\n", &TEXT.replace("certificate 1", "certificate 2"), &TEXT.replace("expires: ", "ends: ")]
        {
            assert_eq!(end(&signer.sign(text).unwrap(), &key, "2026-02-04T00:00:00Z"), 13, "{text}");
        }
    }

    #[test]
    fn what_was_signed_is_told_part_by_part() {
        let signer = Signer::from_seed("hub.example", &[7; 32]).unwrap();
        let (_, checked) = checked(&signer.sign(TEXT).unwrap(), &signer.verifier_key(), "2026-02-04T00:00:00Z");
        let one = checked.certified.unwrap();
        assert_eq!(
            (one.kind.as_str(), one.number.as_str(), one.issuing_state),
            ("resident_id", "110101199001010007", None)
        );
        assert_eq!((one.name.as_deref(), one.epoch.as_str(), one.revision), (Some("合成某"), "0011", 123));
        assert_eq!((one.issued_through.as_str(), one.at.as_str()), ("legal-aid", "2026-02-03T04:05:06Z"));
        let passport = sample().certified.unwrap();
        assert_eq!((passport.number.as_str(), passport.issuing_state.as_deref()), ("E12345678", Some("CHN")));
        assert_eq!(passport.name, None);
    }
}
