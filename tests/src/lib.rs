//! A hub to try out, whole: the real `xinhubd` as a process of its own, certificates made at run time, mutual TLS over
//! loopback, and the SDK as its clients.
//!
//! Promises: every port is ephemeral; every wait is bounded; every process that is started here is ended here, by its
//! process id, also where a test fails; every person and organisation is synthetic, and no two tests share one.
// A harness fails by panicking: a test that can't go on has failed.
#![allow(clippy::unwrap_used)]

pub mod ask;
pub mod binaries;
pub mod court;
pub mod desk;
pub mod file;
pub mod following;
pub mod hub;
pub mod leak;
pub mod parties;
pub mod proxy;
pub mod raw;
pub mod shell;
pub mod subject;
pub mod timed;
pub mod wait;

pub use ask::Ask;
pub use court::Court;
pub use desk::Desk;
pub use hub::{Hub, Setup, shared};
pub use proxy::Proxy;
pub use shell::Shell;
pub use subject::Subject;
pub use timed::Timed;
pub use v1::Reason;
pub use xinhub_client::{Code, Error, v1};

/// An instant as it goes over the wire.
pub fn timestamp(unix_seconds: i64) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: unix_seconds, nanos: 0 }
}

/// Asserts that a call was refused with this code and this reason of the catalogue; returns the refusal for more.
///
/// # Panics
/// Where it was answered, or refused otherwise.
#[track_caller]
pub fn refused<T: std::fmt::Debug>(result: Result<T, Error>, code: Code, reason: Reason) -> Error {
    let error = result.expect_err("the call was answered");
    assert_eq!((error.code(), error.reason()), (code, Some(reason)), "{error}");
    error
}
