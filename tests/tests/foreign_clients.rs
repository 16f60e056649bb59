//! What a bank or hotel without Rust does: a Check over mutual TLS from Python (grpcio) and from Node (@grpc/grpc-js), each
//! with stubs from the project's proto files.

#![allow(clippy::unwrap_used, reason = "a test may stop at once")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use xinhub_tests::{Hub, Subject, parties, v1};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
const LANGUAGES: [Language; 2] = [Language::Python, Language::Node];

#[derive(Clone, Copy, Debug)]
enum Language {
    Python,
    Node,
}

/// Where tests/setup.sh puts what these clients need; a fresh clone has to be told how to get there.
fn installed(variable: &str, default: &str, file: &str) -> PathBuf {
    let dir = std::env::var_os(variable).map_or_else(|| Path::new(ROOT).join(default), PathBuf::from);
    let path = dir.join(file);
    assert!(path.exists(), "{} is missing; run `make test-setup`", path.display());
    path
}

impl Language {
    fn command(self) -> Command {
        let foreign = Path::new(ROOT).join("tests/foreign");
        match self {
            Language::Python => {
                let mut command = Command::new(installed("XINHUB_TEST_VENV", "target/test-venv", "bin/python"));
                command.arg(foreign.join("python/check.py"));
                command
            }
            Language::Node => {
                installed("XINHUB_TEST_NODE", "target/test-node", "node_modules/@grpc/grpc-js");
                let mut command = Command::new("node");
                command.arg(foreign.join("node/check.mjs"));
                command
            }
        }
    }
}

/// One call: who asks, about whom, for what. Everything else follows from the hub.
struct Call<'a> {
    client: &'a str,
    subject: &'a Subject,
    measure: &'a str,
    item: &'a str,
}

impl Call<'_> {
    /// The exit code, and the JSON of the answer or else of the error.
    async fn make(&self, hub: &Hub, language: Language) -> (i32, Value) {
        let (certificate, key) = hub.certificate(self.client);
        let mut command = language.command();
        // By name: an address is no server name in TLS (RFC 6066 §3), of which Node warns.
        command.arg("--target").arg(format!("localhost:{}", hub.grpc().port()));
        command.arg("--ca").arg(hub.ca_path()).arg("--cert").arg(certificate).arg("--key").arg(key);
        command.args(["--measure", self.measure, "--item", self.item, "--timeout", "20"]);
        command.args(["--kind", kind(self.subject)]);
        let number = self.subject.number().to_owned();
        tokio::task::spawn_blocking(move || run(command, &number)).await.unwrap()
    }

    /// Asks from each language, and expects the same of both.
    async fn check(&self, hub: &Hub, code: i32, expected: &[(&str, &str)]) -> Vec<Value> {
        let mut told = Vec::new();
        for language in LANGUAGES {
            let (exit, value) = self.make(hub, language).await;
            assert_eq!(exit, code, "{language:?}: {value}");
            for (pointer, text) in expected {
                let found = value.pointer(pointer).and_then(Value::as_str);
                assert_eq!(found, Some(*text), "{language:?}: {pointer} of {value}");
            }
            told.push(value);
        }
        told
    }
}

fn kind(subject: &Subject) -> &'static str {
    match subject.identity().kind() {
        v1::IdentityKind::Uscc => "uscc",
        _ => "resident_id",
    }
}

fn run(mut command: Command, number: &str) -> (i32, Value) {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{:?}: {error}", command.get_program()));
    writeln!(child.stdin.take().unwrap(), "{number}").unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!said.contains(number), "standard error holds the number");
    let exit = output.status.code().unwrap_or_else(|| panic!("{}: {said}", output.status));
    let json = if exit < 20 { String::from_utf8_lossy(&output.stdout) } else { said.clone() };
    (exit, serde_json::from_str(json.trim()).unwrap_or_else(|_| panic!("exit code {exit}, no JSON: {json} {said}")))
}

#[tokio::test(flavor = "multi_thread")]
async fn python_and_node_get_the_answers_that_rust_gets() {
    let hub = Hub::start().await;
    let (person, company, nobody) = (Subject::person(), Subject::organisation(), Subject::person());
    let court = hub.court().await;
    court.list(&person).await;
    court.list(&company).await;

    let lending = |subject| Call { client: parties::BANK, subject, measure: "credit.lending", item: "" };
    let consider =
        [("/verdict", "CONSIDER"), ("/reason", "LISTED_DEBTOR"), ("/effect", "STRICT_REVIEW"), ("/relation", "DEBTOR")];
    lending(&person).check(&hub, 11, &consider).await;
    lending(&company).check(&hub, 11, &consider).await;
    lending(&nobody).check(&hub, 0, &[("/verdict", "CLEAR"), ("/reason", "NOT_LISTED")]).await;

    let hotel = Call { client: parties::HOTEL, subject: &person, measure: "consumption.hotel", item: "star_rated" };
    let restricted = [("/verdict", "RESTRICTED"), ("/reason", "COURT_ORDER"), ("/slip/court", parties::LEIZHOU_NAME)];
    for answer in hotel.check(&hub, 10, &restricted).await {
        let reference = answer.pointer("/slip/reference").and_then(Value::as_str).unwrap_or_default();
        assert!(reference.starts_with("A-"), "{answer}");
        assert!(answer["use_by"].is_string(), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn python_and_node_learn_why_they_were_refused() {
    let hub = Hub::start().await;
    let person = Subject::person();

    let denied = Call { client: parties::HOTEL, subject: &person, measure: "credit.lending", item: "" };
    let reason = [("/error/code", "PERMISSION_DENIED"), ("/error/reason", "MEASURE_NOT_GRANTED")];
    denied.check(&hub, 27, &reason).await;

    let mut wrong = person.clone();
    let digit = if person.number().ends_with('1') { "2" } else { "1" };
    let cut = person.number().len() - 1;
    wrong.identities[0].number.replace_range(cut.., digit);
    let mistaken = Call { client: parties::BANK, subject: &wrong, measure: "credit.lending", item: "" };
    let field = [("/error/code", "INVALID_ARGUMENT"), ("/error/reason", "INVALID_IDENTITY")];
    for error in mistaken.check(&hub, 23, &field).await {
        let fields = error["error"]["fields"].to_string();
        assert!(fields.contains("identity.number"), "{error}");
    }
}
