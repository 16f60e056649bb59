//! The examples of the Rust client, run as whoever integrates would run them.

#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;
use xinhub_tests::{Hub, Subject, binaries, parties};

/// Runs an example as a client, with a replica of its own, on `REFERENCE,KIND,NUMBER` lines. It names nobody.
fn run(hub: &Hub, client: &str, asked: &[(&str, &Subject)]) -> String {
    let dir = TempDir::new().unwrap();
    let ((certificate, key), replica) = (hub.certificate(client), dir.path().join("replica"));
    let mut command = Command::new(binaries::example(client));
    let path = |name: &str, path: &Path| (name.to_owned(), path.as_os_str().to_owned());
    command.arg(replica).env("XINHUB_ENDPOINT", format!("https://{}", hub.grpc()));
    command.envs([path("XINHUB_CA", &hub.ca_path()), path("XINHUB_CERT", &certificate), path("XINHUB_KEY", &key)]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let kind = |subject: &Subject| if subject.number().starts_with("91") { "uscc" } else { "resident_id" };
    let lines = asked.iter().map(|(reference, one)| format!("{reference},{},{}\n", kind(one), one.number()));
    child.stdin.take().unwrap().write_all(lines.collect::<String>().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let (told, said) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success(), "{client}: {told}{said}");
    for (_, subject) in asked {
        assert!(![&told, &said].iter().any(|text| text.contains(subject.number())), "{client} names somebody");
    }
    told
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_examples_do_what_they_say() {
    let hub = Hub::start().await;
    let court = hub.court().await;
    let (debtor, guest, company) = (Subject::person(), Subject::person(), Subject::organisation());
    let (first, second) = (Subject::organisation(), Subject::organisation());
    court.list(&debtor).await;
    court.list(&company).await;
    let mut mistyped = Subject::person();
    let last = if mistyped.number().ends_with('1') { "2" } else { "1" };
    mistyped.identities[0].number.replace_range(17.., last);

    let told = run(&hub, parties::BANK, &[("loan-1", &debtor), ("loan-2", &guest)]);
    let steps: Vec<&str> = told.lines().collect();
    assert!(steps[0].starts_with("loan-1: CONSIDER, a credit officer decides"), "{told}");
    assert_eq!(steps[1..], ["loan-2: CLEAR, go on"]);

    let told = run(&hub, parties::HOTEL, &[("a", &guest), ("b", &debtor), ("c", &mistyped)]);
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines[..2], ["a: proceed", "b: refuse this room, and hand this over"]);
    assert!(lines[2].contains('法') && lines[3].contains("court"), "the slip, in both languages: {told}");
    assert!(lines[4].contains("A-"), "whom to ask, under which reference: {told}");
    assert_eq!(lines[5..], ["c: proceed"]);

    // The second bidder is a consortium, and one of its members is listed.
    let told = run(&hub, parties::PROCUREMENT, &[("1", &first), ("2", &second), ("2", &company)]);
    let evidence: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let decided: Vec<_> = evidence.iter().map(|one| (one["bidder"].clone(), one["decision"].clone())).collect();
    assert_eq!(decided, [("1".into(), "admit".into()), ("2".into(), "exclude".into())]);
    assert_eq!(evidence[1]["verdicts"], serde_json::json!(["VERDICT_CLEAR", "VERDICT_RESTRICTED"]));
    assert_eq!(evidence[0]["position"], evidence[1]["position"]);
    assert!(evidence[0]["position"].as_str().is_some_and(|token| token.len() > 16), "{told}");
    assert!(evidence[0]["time"].as_str().is_some_and(|time| time.ends_with('Z')), "{told}");
}
