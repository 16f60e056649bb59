//! The command line as scripts call it: the real `xinhub`, with a context for each client.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::leak::Secrets;
use crate::{Hub, Subject, binaries, parties};

/// The command line with a context for each client, in a directory of its own.
#[derive(Debug)]
pub struct Shell {
    dir: tempfile::TempDir,
    /// Numbers and names that no command may say on stderr, which ends up in logs.
    secrets: Secrets,
}

impl Shell {
    /// A command line for a hub. Whatever these are called and numbered, no command may say on standard error.
    ///
    /// # Panics
    /// Where the contexts can't be made.
    pub fn new(hub: &Hub, subjects: &[&Subject]) -> Shell {
        let mut secrets = Secrets::default();
        for subject in subjects {
            secrets.add(subject.number());
            secrets.add(&subject.name);
        }
        let shell = Shell { dir: tempfile::tempdir().unwrap(), secrets };
        let watchers = [parties::OPERATOR, parties::AUDITOR];
        let callers = [parties::COURT, parties::BANK, parties::HOTEL, parties::UNIT, parties::OTHER_UNIT];
        for client in callers.into_iter().chain(watchers) {
            let (certificate, key) = hub.certificate(client);
            let endpoint = format!("https://{}", hub.grpc());
            let path = |path: PathBuf| path.to_str().unwrap().to_owned();
            let (ca, certificate, key) = (path(hub.ca_path()), path(certificate), path(key));
            let mut words = vec!["context", "set", client, "--endpoint", &endpoint, "--ca", &ca];
            words.extend(["--cert", &certificate, "--key", &key]);
            if client == parties::COURT {
                words.extend(["--actor", "clerk-0001", "--post", "clerk"]);
            }
            shell.run(&words, "").code(0);
        }
        shell
    }

    /// Where its commands run.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Runs a command to its end, with this on standard input.
    ///
    /// # Panics
    /// Where it says on standard error whom it is about.
    pub fn run(&self, words: &[&str], input: &str) -> Ran {
        let mut command = Command::new(binaries::xinhub());
        command.args(words).current_dir(self.dir.path()).env("XINHUB_CONFIG", self.dir.path().join("contexts.toml"));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // A command that reads nothing may have ended by now.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let ran = Ran { words: words.join(" "), output: child.wait_with_output().unwrap() };
        let leaks = self.secrets.search(Path::new("stderr"), &ran.output.stderr);
        assert!(leaks.is_empty(), "{}: {leaks:?} in {}", ran.words, ran.said());
        ran
    }

    /// Asks about a subject; its number goes by standard input.
    pub fn check(&self, client: &str, subject: &Subject, measure: &[&str]) -> Ran {
        let kind =
            if subject.number().len() == 18 && subject.number().starts_with('9') { "uscc" } else { "resident_id" };
        let words = ["check", "--context", client, "--output", "json", "--kind", kind, "--stdin"];
        self.run(&[&words, measure].concat(), &format!("{}\n", subject.number()))
    }

    /// Acts for a person whose document was checked; number and name go by standard input.
    pub fn act_for(&self, client: &str, person: &Subject, words: &[&str]) -> Ran {
        let about = ["--context", client, "--kind", "resident_id", "--stdin", "--document", "居民身份证，原件"];
        self.run(&[words, &about].concat(), &format!("{}\n{}\n", person.number(), person.name))
    }

    /// Writes a file into its directory.
    ///
    /// # Panics
    /// Where it can't be written.
    pub fn file(&self, name: &str, bytes: &[u8]) -> String {
        fs::write(self.dir.path().join(name), bytes).unwrap();
        name.to_owned()
    }
}

/// How a command ended, and what it wrote.
#[derive(Debug)]
pub struct Ran {
    words: String,
    output: Output,
}

impl Ran {
    /// It ended with this code.
    ///
    /// # Panics
    /// Where it did not.
    #[track_caller]
    pub fn code(self, code: i32) -> Ran {
        assert_eq!(self.output.status.code(), Some(code), "{}\n{}{}", self.words, self.said(), self.text());
        self
    }

    /// It ended with this code, and told why on stderr.
    ///
    /// # Panics
    /// Where it did not.
    #[track_caller]
    pub fn fails(self, code: i32) -> Ran {
        assert!(!self.output.stderr.is_empty(), "{}: nothing on stderr", self.words);
        self.code(code)
    }

    /// What it wrote to standard error.
    pub fn said(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }

    /// What it wrote to standard output.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.output.stdout).into_owned()
    }

    /// As one JSON value a line.
    ///
    /// # Panics
    /// Where it is something else.
    #[track_caller]
    pub fn lines(&self) -> Vec<Value> {
        let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|_| panic!("{}: {line}", self.words));
        self.text().lines().map(parse).collect()
    }

    /// As one JSON value alone.
    ///
    /// # Panics
    /// Where it is something else.
    #[track_caller]
    pub fn json(&self) -> Value {
        let mut lines = self.lines();
        assert_eq!(lines.len(), 1, "{}: {}", self.words, self.text());
        lines.remove(0)
    }
}
