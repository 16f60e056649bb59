//! What the command line accepts, and how it ends where no hub is asked.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// Runs `xinhub` with nothing of this machine's configuration.
fn xinhub(dir: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_xinhub"))
        .args(args)
        .current_dir(dir)
        .env_clear()
        .env("XINHUB_CONFIG", dir.join("contexts.toml"))
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// Ends with `code`, and says `part` on standard error.
fn check(args: &[&str], code: i32, part: &str) {
    let dir = TempDir::new().unwrap();
    let output = xinhub(dir.path(), args);
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {told}");
    assert!(told.contains(part), "{args:?}: {told:?} lacks {part:?}");
    if code != 0 {
        assert!(output.stdout.is_empty(), "{args:?} wrote data");
    }
}

const ASK: [&str; 4] = ["check", "--measure", "credit.lending", "--kind"];

fn ask<'a>(rest: &[&'a str]) -> Vec<&'a str> {
    ASK.iter().chain(rest).copied().collect()
}

#[test]
fn arguments() {
    // Help is no fault, and nothing at all is one.
    check(&["--help"], 0, "");
    check(&["listing", "exempt", "--help"], 0, "");
    check(&["--version"], 0, "");
    check(&[], 2, "Usage");
    check(&["chekc"], 2, "unrecognized subcommand");
    // One source of the number, and a kind that exists.
    check(&ask(&["uscc"]), 2, "--number");
    check(&ask(&["uscc", "--number", "1", "--stdin"]), 2, "cannot be used with");
    check(&ask(&["id", "--number", "1"]), 2, "possible values");
    check(&ask(&["passport", "--number", "1"]), 2, "--issuing-state");
    check(&["check", "--kind", "uscc", "--number", "1"], 2, "--measure");
    check(&ask(&["uscc", "--number", "1", "--condition", "x=maybe"]), 2, "NAME=not_met");
    check(&ask(&["uscc", "--number", "1", "--at-least", "xyz"]), 2, "expected hex");
    check(&["batch", "f.csv", "--measure", "m", "--chunk", "10001"], 2, "1..=10000");
    check(&["listing", "list", "--state", "gone"], 2, "possible values");
    check(&["listing", "hide", "first"], 2, "invalid");
    check(&["completions", "cobol"], 2, "possible values");
    check(&["status", "--output", "xml"], 2, "possible values");
    check(&["status", "--output", "csv"], 2, "csv is for `batch`, `deadlines` and `report`");
    check(&["synthesize", "--rows", "100000000", "--court", "c", "--court-name", "n", "--out", "f"], 2, "99,999,999");
    check(&["synthesize", "--rows", "1", "--court", "a;b", "--court-name", "n", "--out", "f"], 2, "court:");
}

#[test]
fn arguments_of_due_process() {
    for command in ["objection", "application", "complaint", "measure", "duties", "deadlines", "approve"] {
        check(&[command, "--help"], 0, "");
    }
    let decide = |rest: &[&'static str]| [&["objection", "decide", "7", "--reasons", "r"], rest].concat();
    // One finding, and at most one redress, which belongs to an upheld objection.
    check(&decide(&[]), 2, "--upheld");
    check(&decide(&["--upheld", "--dismissed"]), 2, "cannot be used with");
    check(&decide(&["--upheld", "--revoke", "--remove", "performed"]), 2, "cannot be used with");
    check(&decide(&["--dismissed", "--revoke"]), 2, "cannot be used with");
    check(&decide(&["--upheld", "--rectify", "f"]), 2, "--listing-etag");
    check(&decide(&["--upheld", "--end-relation", "1"]), 2, "--basis-document");
    check(&decide(&["--upheld", "--revoke", "--listing-etag", "1"]), 2, "cannot be used with");
    check(&["objection", "decide", "7", "--upheld", "--revoke"], 2, "--reasons");
    check(&["application", "decide", "7", "--upheld", "--reasons", "r", "--revoke"], 2, "unexpected argument");
    check(&["complaint", "refuse", "7", "--reasons", "r"], 2, "unrecognized subcommand");
    check(&["objection", "list", "--state", "gone"], 2, "possible values");
    check(&["application", "file", "--content", "f"], 2, "--court");
    check(&["objection", "list", "--output", "csv"], 2, "csv is for");
    check(&["deadlines", "--clock", "sundial"], 2, "expected one of decide_application");
    check(&["deadlines", "--board", "--status", "due"], 2, "cannot be used with");
    check(&["deadlines", "--min-days-overdue=-1"], 2, "0..");
    check(&["duties", "--state", "late"], 2, "possible values");
    check(&["measure", "retain", "7", "--measure", "m", "--until", "2026-01-01"], 2, "--legal-basis");
    // The short forms take what the long ones take.
    for approve in [&["approve"][..], &["listing", "approve"]] {
        check(approve, 2, "<LISTING>");
        check(&[approve, &["7", "--yes"]].concat(), 3, "give --endpoint");
    }
    check(&["notice"], 2, "--content");
    check(&["propose"], 2, "--content");
    // With everything given but who acts, nobody is asked.
    let hub = ["--endpoint", "https://127.0.0.1:1", "--ca", "a", "--cert", "b", "--key", "c"];
    check(&[&decide(&["--dismissed"]), &hub[..]].concat(), 2, "--actor");
    check(&[&["measure", "lifted", "7", "--on", "2026-01-01"], &hub[..]].concat(), 2, "--actor");
    // A machine may acknowledge: it gets as far as its certificate.
    check(&[&["measure", "acknowledge", "7"], &hub[..]].concat(), 3, "");
}

#[test]
fn arguments_of_what_is_accounted_for() {
    for command in ["subject", "certificate", "report", "announcements"] {
        check(&[command, "--help"], 0, "");
    }
    // Whose document was checked, and which; and one source of the number.
    let subject = ["--kind", "resident_id", "--identity-file", "f"];
    for command in [["subject", "view"], ["certificate", "issue"]] {
        check(&[&command[..], &subject].concat(), 2, "--document");
        let whole = [&command[..], &subject, &["--document", "seen"]].concat();
        check(&whole, 3, "give --endpoint");
        check(&[&whole[..], &["--stdin"]].concat(), 2, "cannot be used with");
        check(&[&whole[..], &["--output", "csv"]].concat(), 2, "csv is for");
        // Nobody's number is read before it is known who asks for it.
        let hub = ["--endpoint", "https://127.0.0.1:1", "--ca", "a", "--cert", "b", "--key", "c"];
        check(&[&whole[..], &hub].concat(), 2, "--actor");
    }
    let view = ["subject", "view", "--kind", "uscc", "--stdin", "--document", "seen"];
    check(&[&view[..], &["--limit", "0"]].concat(), 2, "1..=1000");
    check(&["subject", "defer", "7", "--ground", "curiosity", "--until", "2026-01-01"], 2, "confidential_by_law");
    check(&["subject", "defer", "7", "--ground", "impedes_duty"], 2, "--until");
    check(&["report"], 2, "Usage");
    check(&["report", "duties", "--from", "2026-01"], 2, "unexpected argument");
    check(&["report", "listings", "--from", "2026-01", "--output", "csv"], 3, "give --endpoint");
    check(&["announcements", "--limit", "few"], 2, "invalid");
}

/// A hub's key, and a certificate that it signed, whose time is long over.
fn certificate() -> (String, String) {
    let signer = xinhub_translog::note::Signer::from_seed("hub.example", &[7; 32]).unwrap();
    let text = "xinhub release certificate 1\nidentity: resident_id 110101199001010007\nname: -\nat: 2020-01-01T00:00:00Z\n\
        expires: 2020-01-04T00:00:00Z\nhistory: 00 7\nissued-through: legal-aid\n\n";
    (signer.sign(text).unwrap(), signer.verifier_key())
}

#[test]
fn certificates_are_verified_without_a_hub() {
    let (note, key) = certificate();
    let dir = TempDir::new().unwrap();
    std::fs::write(dir.path().join("note"), &note).unwrap();
    std::fs::write(dir.path().join("forged"), note.replace("2020-01-04", "2099-01-04")).unwrap();
    let verify = |file: &str, key: &str| {
        let output = xinhub(dir.path(), &["certificate", "verify", file, "--key", key, "--output", "json"]);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!told.contains("110101199001010007"), "{told}");
        let result = serde_json::from_slice(&output.stdout).map(|told: serde_json::Value| told["result"].clone());
        (output.status.code().unwrap(), result.unwrap_or_default())
    };
    assert_eq!(verify("note", &key), (14, "EXPIRED".into()));
    assert_eq!(verify("forged", &key), (13, "NOT_GENUINE".into()));
    assert_eq!(verify("absent", &key), (1, serde_json::Value::Null));
    assert_eq!(verify("note", "hub.example+00000000+key"), (2, serde_json::Value::Null));
}

#[test]
fn configuration() {
    let number = ask(&["uscc", "--number", "1"]);
    check(&number, 3, "give --endpoint, --ca, --cert, --key");
    let with_endpoint: Vec<&str> = number.iter().copied().chain(["--endpoint", "https://127.0.0.1:1"]).collect();
    check(&with_endpoint, 3, "give --ca, --cert, --key");
    check(&["--context", "nowhere", "status"], 3, "context nowhere");
    let files = ["--ca", "ca.pem", "--cert", "c.pem", "--key", "c.key"];
    let absent: Vec<&str> = with_endpoint.iter().copied().chain(files).collect();
    check(&absent, 3, "ca.pem");
    let plain: Vec<&str> = number.iter().copied().chain(files).chain(["--endpoint", "http://127.0.0.1:1"]).collect();
    check(&plain, 3, "another scheme than https");
}

#[test]
fn a_refused_officer_is_not_repeated() {
    let dir = TempDir::new().unwrap();
    let endpoint = ["--endpoint", "https://127.0.0.1:1", "--ca", "a", "--cert", "b", "--key", "c"];
    let mut args = ask(&["uscc", "--number", "1", "--officer", "boss:resident_id:110101199001010007"]);
    args.extend(endpoint);
    let output = xinhub(dir.path(), &args);
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("--officer: capacity") && !told.contains("110101199001010007"), "{told}");
}

#[test]
fn contexts_are_kept() {
    let dir = TempDir::new().unwrap();
    let run = |args: &[&str]| {
        let output = xinhub(dir.path(), args);
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
    };
    let endpoint = "https://127.0.0.1:7443";
    assert_eq!(run(&["context", "set", "bank", "--endpoint", endpoint, "--ca", "ca.pem"]).0, 0);
    assert_eq!(run(&["context", "set", "court", "--endpoint", endpoint, "--actor", "s-1", "--post", "judge"]).0, 0);
    assert_eq!(run(&["context", "set", "bank", "--cert", "bank.pem"]).0, 0);
    assert_eq!(run(&["context", "use", "court"]).0, 0);
    assert_eq!(run(&["context", "use", "nobody"]).0, 3);
    let (code, listed) = run(&["context", "list", "--output", "json"]);
    assert_eq!(code, 0);
    let contexts: Vec<serde_json::Value> = listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(contexts.len(), 2);
    assert_eq!((&contexts[0]["name"], &contexts[0]["current"]), (&"bank".into(), &false.into()));
    assert_eq!(contexts[0]["endpoint"], endpoint);
    // Absolute, whatever was given.
    let ca = contexts[0]["ca"].as_str().unwrap();
    assert!(Path::new(ca).is_absolute() && ca.ends_with("ca.pem"), "{ca}");
    assert!(contexts[0]["cert"].as_str().unwrap().ends_with("bank.pem"));
    assert_eq!((&contexts[1]["actor"], &contexts[1]["current"]), (&"s-1".into(), &true.into()));
    // OUTPUT.md's example has the same fields.
    let documented = include_str!("../OUTPUT.md").split("```json context\n").nth(1).unwrap().lines().next().unwrap();
    let documented: serde_json::Value = serde_json::from_str(documented).unwrap();
    let names = |value: &serde_json::Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&documented), names(&contexts[0]));
    assert_eq!(run(&["context", "remove", "court"]).0, 0);
    assert_eq!(run(&["context", "remove", "court"]).0, 3);
}

#[test]
fn a_broken_file_of_contexts_is_told() {
    let dir = TempDir::new().unwrap();
    std::fs::write(dir.path().join("contexts.toml"), "[contexts.bank]\nendpiont = \"x\"\n").unwrap();
    let output = xinhub(dir.path(), &["status"]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{told}");
    assert!(told.contains("contexts.toml") && told.contains("endpiont"), "{told}");
}

#[test]
fn failures_are_json_where_output_is() {
    let dir = TempDir::new().unwrap();
    let output = xinhub(dir.path(), &["status", "--output", "json"]);
    let told: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!(told["error"]["exit"], 3);
    let documented = include_str!("../OUTPUT.md").split("```json error\n").nth(1).unwrap().lines().next().unwrap();
    let documented: serde_json::Value = serde_json::from_str(documented).unwrap();
    let names = |value: &serde_json::Value| value["error"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&documented), names(&told));
}

#[test]
fn templates_and_completions_are_data() {
    let dir = TempDir::new().unwrap();
    for what in ["listing", "decision", "relation", "exemption"] {
        let output = xinhub(dir.path(), &["listing", "template", what]);
        assert!(output.status.success() && output.stderr.is_empty());
        assert!(toml_like(&output.stdout), "{what}");
    }
    for what in ["objection", "application", "complaint"] {
        let output = xinhub(dir.path(), &[what, "template"]);
        assert!(output.status.success() && output.stderr.is_empty());
        assert!(toml_like(&output.stdout), "{what}");
    }
    for shell in ["bash", "zsh", "fish"] {
        let output = xinhub(dir.path(), &["completions", shell]);
        assert!(output.status.success() && String::from_utf8_lossy(&output.stdout).contains("xinhub"), "{shell}");
    }
}

fn toml_like(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| text.starts_with("# ") && text.contains(" = "))
}
