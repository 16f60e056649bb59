#![allow(clippy::unwrap_used)]
use super::*;

const SAMPLE: &str = include_str!("../../config-example/hub.toml");
const LEAST: &str = r#"
data_dir = "/d"
keys_dir = "/k"
[tls]
certificate = "c"
key = "k"
client_ca = "a"
crls = ["r"]
trust_domain = "t"
"#;

fn parse(text: &str) -> Result<Settings, Vec<Fault>> {
    Settings::parse(text, FILE, Path::new("/etc/xinhub"))
}

/// Keys whose default is what ships with the hub.
const SHIPPED: [&str; 3] = ["catalogue_dir", "profiles", "calendar"];

#[test]
fn the_sample_says_the_defaults() {
    let sample = parse(SAMPLE).unwrap();
    let uncommented: Vec<&str> = SAMPLE
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            // A default stands alone on its line: `key = value`. Where the shipped file is in force, there is none.
            Some(rest) if rest.split(" = ").next().is_some_and(|key| is_key(key) && !SHIPPED.contains(&key)) => rest,
            Some(_) | None => line,
        })
        .collect();
    let written = parse(&uncommented.join("\n")).unwrap();
    assert_eq!(format!("{sample:?}"), format!("{written:?}"));
    assert!(uncommented.iter().filter(|line| line.contains(" = ")).count() > 25, "defaults were not found");
    assert_eq!(sample.policy, Path::new("/etc/xinhub/policy.toml"));
    assert_eq!(sample.tls.key_path, Path::new("/etc/xinhub/tls/server.key"));
}

fn is_key(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_lowercase() || c == '_')
}

/// Checks the keys of all faults of a file: the least one, with `lines` before it and `tail` after.
fn check(lines: &str, tail: &str, expected: &[&str]) {
    let faults = parse(&format!("{lines}{LEAST}{tail}")).map(|_| ()).unwrap_err();
    let keys: Vec<&str> = faults.iter().map(|fault| fault.key.as_str()).collect();
    assert_eq!(keys, expected);
    assert!(faults.iter().all(|fault| !fault.fix.is_empty() && fault.file == FILE));
}

#[test]
fn every_fault_is_told_with_its_key() {
    assert!(parse(LEAST).is_ok());
    check("listen = \"x\"\nmetrics = \"y\"\n", "", &["listen", "metrics"]);
    check("listen = \"127.0.0.1:1\"\nmetrics = \"127.0.0.1:1\"\n", "", &["metrics"]);
    check(
        "policy = \"\"\n",
        "[limits]\nlease_seconds = 31\nstream_checks = 0\n",
        &["policy", "limits.lease_seconds", "limits.stream_checks"],
    );
    check("", "[audit]\nkeep_days = 30\n", &["audit.keep_days"]);
    check("unknown = 1\n", "", &["syntax"]);
    check("", "[limits]\nunknown = 1\n", &["syntax"]);
    let inside = LEAST.replace("\"/k\"", "\"/d/keys\"").replace("[\"r\"]", "[]");
    let faults = parse(&inside).unwrap_err();
    assert_eq!(faults.iter().map(|fault| fault.key.as_str()).collect::<Vec<_>>(), ["keys_dir", "tls.crls"]);
}

#[test]
fn syntax_faults_have_their_place() {
    let fault = parse("data_dir = \"/d\"\nkeys_dir = 7\n").unwrap_err().remove(0);
    assert_eq!((fault.line, fault.column), (Some(2), Some(12)));
}
