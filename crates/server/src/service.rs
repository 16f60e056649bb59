//! The services, and the one way into them.
//!
//! Promises: a method runs only behind [`door::Door`], which finds out who calls, refuses whom policy refuses, and sees to
//! it that the call is recorded, whatever becomes of it; an adverse answer leaves only once it is recorded; every failure
//! is an entry of the catalogue. A method itself has three steps: convert in, call, convert out.

mod account;
mod admin;
mod answers;
mod batch;
mod call;
mod check;
mod commands;
mod door;
mod follow;
mod import;
mod listings;
mod lookup;
mod page;
mod petitions;
mod registry;
mod routes;
#[cfg(feature = "faults")]
#[doc(hidden)]
pub mod simulated;
pub(crate) mod status;
mod stream;
mod subject;
mod sync;
mod tell;
mod units;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic_health::server::HealthReporter;
use xinhub_api::v1::admin_service_server::AdminServiceServer;
use xinhub_api::v1::audit_service_server::AuditServiceServer;
use xinhub_api::v1::lookup_service_server::LookupServiceServer;
use xinhub_api::v1::measure_service_server::MeasureServiceServer;
use xinhub_api::v1::registry_service_server::RegistryServiceServer;
use xinhub_api::v1::remedy_service_server::RemedyServiceServer;
use xinhub_api::v1::sync_service_server::SyncServiceServer;
use xinhub_domain::time::Timestamp;
use xinhub_ledger::Ledger;
use xinhub_ledger::clock::Clock;
use xinhub_translog::note::Signer;

use crate::audit::{Audit, Inquiries};
use crate::authorise::{Authority, TableError, check_table};
use crate::config::CallLimits;
use crate::import::Importer;
use crate::metrics::Metrics;
use crate::quota::Quotas;
use crate::sync::Replication;
use crate::tls::TlsState;

pub use admin::{Alarm, Alarms, Overview};
pub use call::Call;
pub use door::Door;
pub use routes::Services;

/// What every call works with.
pub struct Hub {
    /// State and history.
    pub ledger: Ledger,
    /// The policy in force.
    pub authority: Arc<Authority>,
    /// The record of every call.
    pub audit: Audit,
    /// The way into the audit log by listing.
    pub inquiries: Inquiries,
    /// Signs what outsiders check without the hub.
    pub signer: Signer,
    /// Takes courts' files.
    pub importer: Importer,
    /// What replicas are fed with.
    pub sync: Arc<Replication>,
    /// What clients have spent.
    pub quotas: Quotas,
    /// Counters.
    pub metrics: Metrics,
    /// Hub time.
    pub clock: Arc<dyn Clock>,
    /// Certificates in force.
    pub tls: Arc<TlsState>,
    /// What calls may take.
    pub limits: CallLimits,
    /// Since when each alarm stands.
    pub alarms: Alarms,
    /// When the hub started.
    pub started: Timestamp,
    /// Cancelled once the hub drains.
    pub draining: CancellationToken,
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub").finish_non_exhaustive()
    }
}

/// Why the services can't be put together.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// Permit table and services disagree.
    #[error(transparent)]
    Table(#[from] TableError),
    /// Reflection can't read its own descriptors.
    #[error("reflection: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
}

/// Services as health checks name them; the empty name is the hub as a whole.
const SERVICES: [&str; 8] = [
    "",
    "xinhub.v1.LookupService",
    "xinhub.v1.RegistryService",
    "xinhub.v1.RemedyService",
    "xinhub.v1.MeasureService",
    "xinhub.v1.AuditService",
    "xinhub.v1.SyncService",
    "xinhub.v1.AdminService",
];

/// Every service behind the door, and the handle that says whether they serve.
///
/// # Errors
/// Where a served method has no row in the permit table, or a row no method: nothing is served then.
pub async fn services(hub: &Arc<Hub>) -> Result<(Door<Services>, Health), ServiceError> {
    let own = xinhub_api::v1::FILE_DESCRIPTOR_SET;
    check_table(&[own, tonic_health::pb::FILE_DESCRIPTOR_SET, tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET])?;
    let (reporter, health) = tonic_health::server::health_reporter();
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(own)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()?;
    let limits = hub.limits;
    let lookup = LookupServiceServer::new(lookup::Lookup::new(Arc::clone(hub)))
        .max_decoding_message_size(limits.max_lookup_message_bytes)
        .max_encoding_message_size(4 * limits.max_lookup_message_bytes);
    let registry = RegistryServiceServer::new(registry::Registry)
        .max_decoding_message_size(limits.max_registry_message_bytes)
        .max_encoding_message_size(limits.max_registry_message_bytes);
    let remedies = RemedyServiceServer::new(petitions::Remedies)
        .max_decoding_message_size(limits.max_registry_message_bytes)
        .max_encoding_message_size(limits.max_registry_message_bytes);
    let units = MeasureServiceServer::new(units::Units)
        .max_decoding_message_size(SMALL_MESSAGE_BYTES)
        .max_encoding_message_size(limits.max_registry_message_bytes);
    let account = AuditServiceServer::new(account::Account)
        .max_decoding_message_size(SMALL_MESSAGE_BYTES)
        .max_encoding_message_size(4 * limits.max_registry_message_bytes);
    let sync = SyncServiceServer::new(sync::Replicas)
        .max_decoding_message_size(SMALL_MESSAGE_BYTES)
        .max_encoding_message_size(limits.max_registry_message_bytes);
    let admin = AdminServiceServer::new(admin::Admin)
        .max_decoding_message_size(SMALL_MESSAGE_BYTES)
        .max_encoding_message_size(limits.max_registry_message_bytes);
    let others = Routes::new(registry)
        .add_service(remedies)
        .add_service(units)
        .add_service(account)
        .add_service(sync)
        .add_service(admin)
        .add_service(health.max_decoding_message_size(SMALL_MESSAGE_BYTES))
        .add_service(reflection.max_decoding_message_size(SMALL_MESSAGE_BYTES))
        .prepare();
    Ok((Door::new(Arc::clone(hub), Services::new(lookup, others)), Health { reporter }))
}

/// Requests that carry next to nothing.
const SMALL_MESSAGE_BYTES: usize = 64 * 1024;

/// What health checks answer.
#[derive(Clone, Debug)]
pub struct Health {
    reporter: HealthReporter,
}

impl Health {
    /// Says of every service whether it serves.
    pub async fn set(&self, serving: bool) {
        let status =
            if serving { tonic_health::ServingStatus::Serving } else { tonic_health::ServingStatus::NotServing };
        for service in SERVICES {
            self.reporter.set_service_status(service, status).await;
        }
    }

    /// Ends every watch, once it has told its last status: a drain would else wait for watchers as long as it may.
    pub async fn end_watches(mut self) {
        for service in SERVICES {
            self.reporter.clear_service_status(service).await;
        }
    }
}

#[cfg(test)]
mod tests;
