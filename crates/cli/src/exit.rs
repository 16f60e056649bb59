//! How `xinhub` ends: every exit code, mapped in this one place.

use std::io;
use std::process::ExitCode;

use xinhub_client::{Code, v1};

use crate::certs::CertsError;
use crate::synthesize::SynthesizeError;

/// For `--help`.
pub(crate) const HELP: &str = "\
Exit codes:
   0  success; for `check`: CLEAR
   1  a file could not be read or written
   2  wrong arguments
   3  wrong or missing configuration: context, certificate files
   4  no connection to the hub
   5  some rows of a batch or an import have faults; the rest went through
  10  check: RESTRICTED
  11  check: CONSIDER, a person decides
  12  check: UNKNOWN, never a restriction
  13  certificate verify: not genuine
  14  certificate verify: genuine, and no longer valid
  20  and more: the hub refused or failed, 20 + the gRPC code, such as
      23 INVALID_ARGUMENT, 24 DEADLINE_EXCEEDED, 25 NOT_FOUND, 26 ALREADY_EXISTS,
      27 PERMISSION_DENIED, 28 RESOURCE_EXHAUSTED, 29 FAILED_PRECONDITION,
      33 INTERNAL, 34 UNAVAILABLE, 36 UNAUTHENTICATED

Data goes to standard output, messages to standard error. Keys are named by path alone: no
secret is taken from arguments or the environment.";

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done; for a check, the verdict was CLEAR.
    Success,
    /// A file could not be read or written.
    Io,
    /// Arguments that say nothing sensible.
    Usage,
    /// No usable configuration.
    Config,
    /// The hub never answered.
    Connection,
    /// Some rows have faults.
    RowFaults,
    /// A check's verdict other than CLEAR.
    Verdict(v1::Verdict),
    /// What is shown as a hub's certificate isn't one.
    NotGenuine,
    /// A certificate's time is over.
    Expired,
    /// The hub refused or failed.
    Hub(Code),
}

impl Exit {
    /// The number for the shell.
    pub fn code(self) -> u8 {
        match self {
            Exit::Success => 0,
            Exit::Io => 1,
            Exit::Usage => 2,
            Exit::Config => 3,
            Exit::Connection => 4,
            Exit::RowFaults => 5,
            Exit::Verdict(v1::Verdict::Clear) => 0,
            Exit::Verdict(v1::Verdict::Restricted) => 10,
            Exit::Verdict(v1::Verdict::Consider) => 11,
            // A verdict that this version doesn't know must not pass for CLEAR, nor for a restriction.
            Exit::Verdict(v1::Verdict::Unknown | v1::Verdict::Unspecified) => 12,
            Exit::NotGenuine => 13,
            Exit::Expired => 14,
            // gRPC codes end at 16.
            Exit::Hub(code) => 20 + u8::try_from(i32::from(code)).unwrap_or(2),
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}

/// Why a command did not do what it should.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("{0}")]
    Usage(String),
    #[error("{0}")]
    Config(String),
    #[error("{what}: {source}")]
    Io { what: String, source: io::Error },
    #[error(transparent)]
    Hub(#[from] xinhub_client::Error),
    #[error(transparent)]
    Certs(#[from] CertsError),
    #[error(transparent)]
    Synthesize(#[from] SynthesizeError),
}

impl Failure {
    /// What reading or writing `what` met.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Failure {
        let what = what.into();
        move |source| Failure::Io { what, source }
    }

    /// Nobody reads our output any more; there is nobody to tell either.
    pub(crate) fn is_broken_pipe(&self) -> bool {
        match self {
            Failure::Io { source, .. } | Failure::Synthesize(SynthesizeError::Io(source)) => {
                source.kind() == io::ErrorKind::BrokenPipe
            }
            Failure::Usage(_) | Failure::Config(_) | Failure::Hub(_) | Failure::Certs(_) | Failure::Synthesize(_) => {
                false
            }
        }
    }

    pub(crate) fn exit(&self) -> Exit {
        use xinhub_client::Error;
        match self {
            Failure::Usage(_) | Failure::Synthesize(SynthesizeError::Setting { .. }) => Exit::Usage,
            Failure::Config(_) | Failure::Hub(Error::Config(_)) => Exit::Config,
            Failure::Io { .. } | Failure::Synthesize(SynthesizeError::Io(_)) | Failure::Certs(_) => Exit::Io,
            Failure::Hub(Error::Connection(_)) => Exit::Connection,
            Failure::Hub(error) => Exit::Hub(error.code()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_has_its_code() {
        let check = |exit: Exit, code: u8| assert_eq!(exit.code(), code, "{exit:?}");
        check(Exit::Success, 0);
        check(Exit::Io, 1);
        check(Exit::Usage, 2);
        check(Exit::Config, 3);
        check(Exit::Connection, 4);
        check(Exit::RowFaults, 5);
        check(Exit::Verdict(v1::Verdict::Clear), 0);
        check(Exit::Verdict(v1::Verdict::Restricted), 10);
        check(Exit::Verdict(v1::Verdict::Consider), 11);
        check(Exit::Verdict(v1::Verdict::Unknown), 12);
        check(Exit::Verdict(v1::Verdict::Unspecified), 12);
        check(Exit::NotGenuine, 13);
        check(Exit::Expired, 14);
        for grpc in 1..=16 {
            check(Exit::Hub(Code::from_i32(grpc)), 20 + u8::try_from(grpc).unwrap());
        }
    }

    #[test]
    fn every_failure_has_its_end() {
        use std::time::Duration;
        use xinhub_client::Error;
        let check = |failure: Failure, exit: Exit| assert_eq!(failure.exit(), exit, "{failure}");
        check(Failure::Usage(String::new()), Exit::Usage);
        check(Failure::Config(String::new()), Exit::Config);
        check(Failure::io("f")(io::Error::other("full")), Exit::Io);
        check(Error::Config(String::new()).into(), Exit::Config);
        check(Error::Connection(String::new()).into(), Exit::Connection);
        check(Error::Deadline(Duration::ZERO).into(), Exit::Hub(Code::DeadlineExceeded));
        check(SynthesizeError::Setting { field: "rows", problem: "" }.into(), Exit::Usage);
        check(SynthesizeError::Io(io::Error::other("full")).into(), Exit::Io);
    }

    #[test]
    fn help_and_output_md_tell_the_same_codes() {
        let documented = include_str!("../OUTPUT.md");
        for code in [0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 14] {
            assert!(documented.contains(&format!("\n| {code} |")), "OUTPUT.md lacks {code}");
            assert!(HELP.contains(&format!("\n  {code:2}  ")), "--help lacks {code}");
        }
        for code in 21..=36 {
            assert!(documented.contains(&format!("| {code} |")), "OUTPUT.md lacks {code}");
        }
    }
}
