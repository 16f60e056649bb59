//! The Rust SDK of XinHub.
//!
//! What is promised here:
//! - A call is made over TLS 1.3 with the client's own certificate, and with the post-quantum group X25519MLKEM768 where the hub
//!   has it, or not at all.
//! - A connection that is gone is made anew at the next call, with the certificate files as they are then.
//! - Every call has a deadline, which the hub is told too.
//! - A call whose connection broke is sent once more, within its deadline. This never applies a mutation twice: its
//!   `request_id` stays, and the hub answers a repeated one from what it kept.
//! - An [`Error`] tells apart a hub that refused, with its reason, from a hub that never answered.
//!
//! ```no_run
//! # async fn example() -> Result<(), xinhub_client::Error> {
//! use xinhub_client::{Config, Hub, v1};
//!
//! let hub = Hub::connect(Config::new("https://hub.example:7443", "ca.pem", "bank.pem", "bank.key")).await?;
//! let identity = v1::Identity {
//!     kind: v1::IdentityKind::Uscc.into(),
//!     number: "91110101000000019Y".to_owned(),
//!     ..Default::default()
//! };
//! let request = v1::CheckRequest {
//!     inquiry: Some(v1::Inquiry { identity: Some(identity), ..Default::default() }),
//!     measure: "credit.lending".to_owned(),
//!     ..Default::default()
//! };
//! let answer = hub.lookup().check(request).await?.answer.unwrap_or_default();
//! // UNKNOWN is never a restriction; CONSIDER is for a person to decide.
//! let restricted = answer.verdict() == v1::Verdict::Restricted;
//! # let _ = restricted;
//! # Ok(())
//! # }
//! ```
#![warn(missing_docs)]

mod channel;
mod config;
mod error;
mod packing;
mod replica;
mod services;
mod tls;

use std::sync::Arc;

use tonic::transport::Channel;

pub use config::{Config, Timeouts};
pub use error::{Error, FieldFault, Refusal};
#[doc(hidden)]
pub use replica::Fault;
#[cfg(feature = "faults")]
#[doc(hidden)]
pub use replica::simulated;
pub use replica::{By, Lifted, Replica, ReplicaConfig, ReplicaState, Replied};
pub use services::{Admin, Audit, Lookup, Measures, Registry, Remedy, Replication, Responses};
pub use tonic::Code;
pub use xinhub_api::convert::Inquiry;
pub use xinhub_api::v1;
pub use xinhub_domain::decision::Answer;

/// A hub, and the way to it. Cheap to clone; clones share one connection.
#[derive(Clone)]
pub struct Hub {
    channel: Channel,
    config: Arc<Config>,
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub").field("endpoint", &self.config.endpoint).finish_non_exhaustive()
    }
}

impl Hub {
    /// Reads the certificate files and makes the first connection. From then on it is made anew as needed.
    ///
    /// The hub judges the client's certificate after the handshake has ended on this side, so a refused certificate shows at
    /// the first call, as [`Error::Connection`].
    ///
    /// # Errors
    /// [`Error::Config`] names the file or field at fault; [`Error::Connection`] when nobody answers or the hub's certificate
    /// isn't trusted.
    pub async fn connect(config: Config) -> Result<Self, Error> {
        channel::first(&config).await.map(|channel| Self { channel, config: Arc::new(config) })
    }

    /// Reads the certificate files; the first call connects.
    ///
    /// # Errors
    /// [`Error::Config`] names the file or field at fault.
    pub fn connect_lazy(config: Config) -> Result<Self, Error> {
        channel::lazy(&config).map(|channel| Self { channel, config: Arc::new(config) })
    }

    /// Questions: may this be granted to that person or organisation?
    pub fn lookup(&self) -> Lookup {
        Lookup::new(self.channel.clone(), Arc::clone(&self.config))
    }

    /// What a court does with its own listings.
    pub fn registry(&self) -> Registry {
        Registry::new(self.channel.clone(), Arc::clone(&self.config))
    }

    /// What parties ask, what becomes of it, and by when.
    pub fn remedy(&self) -> Remedy {
        Remedy::new(self.channel.clone(), Arc::clone(&self.config))
    }

    /// What units do with a listing, and that they stop.
    pub fn measures(&self) -> Measures {
        Measures::new(self.channel.clone(), Arc::clone(&self.config))
    }

    /// Tells the hub that what this client had imposed on a listing is lifted since `on` (YYYY-MM-DD): closes its duty after a lift.
    /// `note` says what was done, and `actor` who stands behind it. Under a new request id, and sent again like any mutation where the
    /// connection breaks.
    ///
    /// # Errors
    /// As any call. Where the end is unclear ([`Error::is_unanswered`]) call it again: [`Code::NotFound`] says then that the first was
    /// taken, and nothing is owed.
    pub async fn report_lifted(
        &self,
        listing: u64,
        on: &str,
        note: &str,
        actor: v1::Actor,
    ) -> Result<v1::ReportResponse, Error> {
        let lifted = v1::LiftedReport { on: on.to_owned(), note: note.to_owned() };
        let report = Some(v1::report_request::Report::Lifted(lifted));
        self.measures().report(v1::ReportRequest { mutation: Some(mutation(actor, None)), listing, report }).await
    }

    /// What the hub accounts for, to subjects and in numbers.
    pub fn audit(&self) -> Audit {
        Audit::new(self.channel.clone(), Arc::clone(&self.config))
    }

    /// What replicas are fed with. [`Replica`] does all of it by itself.
    pub fn sync(&self) -> Replication {
        Replication::new(self.channel.clone(), Arc::clone(&self.config))
    }

    /// How it is reached.
    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// For the hub's operators.
    pub fn admin(&self) -> Admin {
        Admin::new(self.channel.clone(), Arc::clone(&self.config))
    }
}

/// A request id for a new mutation: a UUIDv7. Keep it until the outcome is known; sent again with the same body, it gets
/// the outcome of the first time.
pub fn request_id() -> String {
    uuid::Uuid::now_v7().to_string()
}

/// What a mutation carries, under a new request id. `etag` is the listing's as last read; lifts and new listings need none.
pub fn mutation(actor: v1::Actor, etag: Option<String>) -> v1::Mutation {
    v1::Mutation { request_id: request_id(), etag: etag.unwrap_or_default(), actor: Some(actor), approver: None }
}

/// Asks for an answer at least as new as `position`, which came with an earlier answer or mutation.
pub fn at_least(position: &v1::Position) -> v1::Consistency {
    v1::Consistency { at_least: position.token.clone() }
}
