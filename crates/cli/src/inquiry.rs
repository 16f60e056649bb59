//! What is asked about, from arguments and files.
//!
//! An identity number on a command line stays in the shell's history and shows in the list of processes: `--stdin` and
//! `--identity-file` take it from elsewhere.

use std::path::{Path, PathBuf};

use clap::Args;
use xinhub_client::v1;
use xinhub_client::v1::condition_answer::Answer;

use crate::codes;
use crate::content::read_text;
use crate::exit::Failure;

/// As a file: standard input.
const STDIN: &str = "-";

/// The purpose of a question.
#[derive(Clone, Debug, Args)]
pub(crate) struct PurposeArgs {
    /// The measure: its code is the purpose, such as credit.lending
    #[arg(long, value_name = "CODE")]
    pub(crate) measure: String,
    /// The item, where the measure has a list of them, such as star_rated
    #[arg(long, value_name = "ITEM")]
    pub(crate) item: Option<String>,
    /// The token (hex) of an earlier answer or mutation: the answer is at least as new
    #[arg(long, value_name = "TOKEN", value_parser = token)]
    pub(crate) at_least: Option<Token>,
}

/// The bytes of a consistency token.
#[derive(Clone, Debug)]
pub(crate) struct Token(Vec<u8>);

impl From<Token> for Vec<u8> {
    fn from(token: Token) -> Vec<u8> {
        token.0
    }
}

pub(crate) fn token(text: &str) -> Result<Token, String> {
    let byte = |pair: &[u8]| std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok());
    let bytes: Option<Vec<u8>> = text.as_bytes().chunks(2).map(|pair| byte(pair).filter(|_| pair.len() == 2)).collect();
    bytes.filter(|bytes| !bytes.is_empty()).map(Token).ok_or_else(|| "expected hex, as JSON output shows it".to_owned())
}

impl PurposeArgs {
    pub(crate) fn consistency(&self) -> Option<v1::Consistency> {
        self.at_least.as_ref().map(|token| v1::Consistency { at_least: token.0.clone() })
    }
}

/// One identity of a person or organisation.
#[derive(Debug, Args)]
pub(crate) struct IdentityArgs {
    /// The kind of the identity number
    #[arg(long, value_name = "KIND", value_parser = codes::parser::<v1::IdentityKind>())]
    kind: v1::IdentityKind,
    #[command(flatten)]
    source: NumberSource,
    /// Passports: the state that issued it, three letters
    #[arg(long, value_name = "STATE", required_if_eq("kind", "passport"))]
    issuing_state: Option<String>,
}

/// Whom the question is about, and what narrows the answer.
#[derive(Debug, Args)]
pub(crate) struct InquiryArgs {
    #[command(flatten)]
    identity: IdentityArgs,
    /// The name, to confirm a hit; it never makes one. Or the second line of the identity file
    #[arg(long)]
    name: Option<String>,
    /// An officer of the organisation asked about: CAPACITY:KIND:NUMBER, passports CAPACITY:passport:STATE:NUMBER.
    /// May be given several times
    #[arg(long, value_name = "CAPACITY:KIND:NUMBER")]
    officer: Vec<String>,
    /// Officers from a file, one a line as for --officer; - is standard input
    #[arg(long, value_name = "FILE")]
    officers_file: Option<PathBuf>,
    /// What is known of a condition: NAME=met, NAME=not_met, NAME=amount:FEN or NAME=date:YYYY-MM-DD. May be given
    /// several times
    #[arg(long, value_name = "NAME=ANSWER", value_parser = condition)]
    condition: Vec<v1::ConditionAnswer>,
    /// Your own reference, at most 64 characters; never an identity number
    #[arg(long)]
    reference: Option<String>,
}

/// Where the number comes from.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct NumberSource {
    /// The identity number; seen in shell history and process list, so rather use --stdin or --identity-file
    #[arg(long)]
    number: Option<String>,
    /// A file with the number in its first line, and the name in its second if it is to be confirmed; - is standard input
    #[arg(long, value_name = "FILE")]
    identity_file: Option<PathBuf>,
    /// As --identity-file -
    #[arg(long)]
    stdin: bool,
}

impl IdentityArgs {
    /// The file to read; `-` is standard input.
    fn file(&self) -> Option<&Path> {
        self.source.identity_file.as_deref().or(self.source.stdin.then_some(Path::new(STDIN)))
    }

    /// Reads the file, if there is one: the identity, and the name that stands beside it.
    pub(crate) fn read(&self) -> Result<(v1::Identity, Option<String>), Failure> {
        let (number, name) = match (self.file(), &self.source.number) {
            (Some(file), _) => identity_of(&read_start(file)?, file)?,
            (None, number) => (number.clone().unwrap_or_default(), None),
        };
        let issuing_state = self.issuing_state.clone().unwrap_or_default();
        Ok((v1::Identity { kind: self.kind.into(), number, issuing_state }, name))
    }
}

impl InquiryArgs {
    /// Reads the files, and makes the question whole.
    pub(crate) fn read(&self) -> Result<v1::Inquiry, Failure> {
        let stdin = Path::new(STDIN);
        if self.identity.file() == Some(stdin) && self.officers_file.as_deref() == Some(stdin) {
            return Err(Failure::Usage("standard input holds either the identity or the officers".to_owned()));
        }
        let (identity, name) = self.identity.read()?;
        // Parsed here, since clap repeats what it refuses, and this holds numbers.
        let given = self.officer.iter().map(|text| officer(text));
        let mut officers: Vec<v1::Officer> =
            given.collect::<Result<_, _>>().map_err(|problem| Failure::Usage(format!("--officer: {problem}")))?;
        if let Some(file) = &self.officers_file {
            officers.extend(officers_of(&read_text(file)?, file)?);
        }
        Ok(v1::Inquiry {
            identity: Some(identity),
            name: self.name.clone().or(name).unwrap_or_default(),
            officers,
            conditions: self.condition.clone(),
            reference: self.reference.clone().unwrap_or_default(),
        })
    }
}

/// A terminal is asked for the number alone, in one line; a file is read whole.
fn read_start(file: &Path) -> Result<String, Failure> {
    use std::io::IsTerminal;
    if file != Path::new(STDIN) || !std::io::stdin().is_terminal() {
        return read_text(file);
    }
    let mut line = String::new();
    eprintln!("identity number:");
    std::io::stdin().read_line(&mut line).map_err(Failure::io("standard input"))?;
    Ok(line)
}

/// Number and name.
fn identity_of(text: &str, file: &Path) -> Result<(String, Option<String>), Failure> {
    let refuse = |problem: &str| Failure::Usage(format!("{}: {problem}", file.display()));
    let mut lines = text.trim_start_matches('\u{FEFF}').lines().map(str::trim);
    let number =
        lines.next().filter(|line| !line.is_empty()).ok_or_else(|| refuse("the first line holds no number"))?;
    let name = lines.next().filter(|line| !line.is_empty());
    if lines.any(|line| !line.is_empty()) {
        return Err(refuse("more than a number and a name; for many identities use `xinhub batch`"));
    }
    Ok((number.to_owned(), name.map(str::to_owned)))
}

fn officers_of(text: &str, file: &Path) -> Result<Vec<v1::Officer>, Failure> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(at, line)| {
            officer(line.trim())
                .map_err(|problem| Failure::Usage(format!("{}: line {}: {problem}", file.display(), at + 1)))
        })
        .collect()
}

/// Errors never repeat the argument: it holds a number.
fn officer(text: &str) -> Result<v1::Officer, String> {
    let parts: Vec<&str> = text.split(':').collect();
    let (capacity, kind, state, number) = match parts.as_slice() {
        [capacity, kind, number] => (capacity, kind, "", number),
        [capacity, kind, state, number] => (capacity, kind, *state, number),
        _ => return Err("expected CAPACITY:KIND:NUMBER".to_owned()),
    };
    let capacity = codes::parse::<v1::Capacity>(capacity).map_err(|problem| format!("capacity: {problem}"))?;
    let kind = codes::parse::<v1::IdentityKind>(kind).map_err(|problem| format!("kind: {problem}"))?;
    let identity = v1::Identity { kind: kind.into(), number: (*number).to_owned(), issuing_state: state.to_owned() };
    Ok(v1::Officer { capacity: capacity.into(), identity: Some(identity) })
}

fn condition(text: &str) -> Result<v1::ConditionAnswer, String> {
    const EXPECTED: &str = "expected NAME=met, NAME=not_met, NAME=amount:FEN or NAME=date:YYYY-MM-DD";
    let (name, answer) = text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or(EXPECTED)?;
    let answer = match answer.split_once(':') {
        None if answer == "met" => Answer::Met(true),
        None if answer == "not_met" => Answer::Met(false),
        Some(("amount", fen)) => {
            Answer::AmountFen(fen.parse().map_err(|_| "amount: expected fen (1/100 yuan), a whole number".to_owned())?)
        }
        Some(("date", date)) => {
            let date: jiff::civil::Date = date.parse().map_err(|_| "date: expected YYYY-MM-DD".to_owned())?;
            Answer::Date(date.to_string())
        }
        None | Some(_) => return Err(EXPECTED.to_owned()),
    };
    Ok(v1::ConditionAnswer { condition: name.to_owned(), answer: Some(answer) })
}

#[cfg(test)]
#[path = "inquiry_tests.rs"]
mod tests;
