//! The policy in force, and the one way from a call to a permit.
//!
//! Promises: every permit is decided by the policy in force at that moment; a policy is replaced whole; and the hub does not
//! start with a method that has no row in the permit table, nor with a row for a method that it doesn't serve.

use std::collections::BTreeSet;
use std::sync::Arc;

use arc_swap::ArcSwap;
use prost::Message;
use prost_types::FileDescriptorSet;
use tokio::sync::watch;
use xinhub_api::reason::Failure;
use xinhub_domain::policy::{Ask, Client, Method, Moment, Policy, SessionAsk, decide};
use xinhub_domain::time::Timestamp;

use crate::serve::Peer;

/// Decides calls by the policy in force.
#[derive(Debug)]
pub struct Authority {
    policy: ArcSwap<Policy>,
    changes: watch::Sender<()>,
}

impl Authority {
    /// Puts the first policy in force.
    pub fn new(policy: Policy) -> Self {
        Authority { policy: ArcSwap::from_pointee(policy), changes: watch::channel(()).0 }
    }

    /// The policy in force.
    pub fn policy(&self) -> Arc<Policy> {
        self.policy.load_full()
    }

    /// Puts another policy in force. Calls under way keep their permits; streams are told to ask again.
    pub fn replace(&self, policy: Policy) {
        self.policy.store(Arc::new(policy));
        self.changes.send_replace(());
    }

    /// Tells of each change of policy.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// The client of `peer` as the policy in force has it, and whether it may call the method at all.
    pub fn admit(&self, peer: &Peer, method: Method, now: Timestamp) -> (Option<Arc<Client>>, Result<(), Failure>) {
        let (policy, moment) = (self.policy.load(), Moment { now, crl_expired: peer.crl_expired() });
        let admitted = decide(&policy, peer.client_id(), method, &SessionAsk, moment);
        (policy.client(peer.client_id()).cloned(), admitted.map(drop).map_err(Failure::from))
    }

    /// The permit for what `peer` asks, or why it gets none.
    ///
    /// # Errors
    /// The denial, as an entry of the catalogue of failures.
    pub fn permit<A: Ask>(&self, peer: &Peer, method: Method, ask: &A, now: Timestamp) -> Result<A::Permit, Failure> {
        let moment = Moment { now, crl_expired: peer.crl_expired() };
        decide(&self.policy.load(), peer.client_id(), method, ask, moment).map_err(Failure::from)
    }
}

/// Why permit table and services disagree.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The compiled-in descriptors can't be read.
    #[error("the compiled-in descriptors can't be read: {0}")]
    Descriptors(#[from] prost::DecodeError),
    /// A method is served that nobody decided on.
    #[error("served methods without a row in the permit table: {0}")]
    NoRow(String),
    /// A row names a method that isn't served.
    #[error("rows of the permit table without a served method: {0}")]
    NotServed(String),
}

/// Compares what the hub serves, by the descriptors of its services, with the permit table.
///
/// # Errors
/// Names the methods on which they disagree. The hub doesn't start then.
pub fn check_table(descriptors: &[&[u8]]) -> Result<(), TableError> {
    let mut served = BTreeSet::new();
    for encoded in descriptors {
        served.extend(methods_of(&FileDescriptorSet::decode(*encoded)?));
    }
    let known: BTreeSet<String> = Method::ALL.iter().map(|method| method.path().to_owned()).collect();
    let listed = |set: Vec<&String>| set.into_iter().cloned().collect::<Vec<_>>().join(", ");
    let no_row: Vec<&String> = served.difference(&known).collect();
    if !no_row.is_empty() {
        return Err(TableError::NoRow(listed(no_row)));
    }
    let not_served: Vec<&String> = known.difference(&served).collect();
    if !not_served.is_empty() {
        return Err(TableError::NotServed(listed(not_served)));
    }
    Ok(())
}

fn methods_of(set: &FileDescriptorSet) -> Vec<String> {
    let mut paths = Vec::new();
    for file in &set.file {
        for service in &file.service {
            let methods = service.method.iter();
            paths.extend(methods.map(|method| format!("/{}.{}/{}", file.package(), service.name(), method.name())));
        }
    }
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_and_the_services_agree() {
        let health = tonic_health::pb::FILE_DESCRIPTOR_SET;
        let reflection = tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET;
        let own = xinhub_api::v1::FILE_DESCRIPTOR_SET;
        assert!(check_table(&[own, health, reflection]).is_ok());
        assert!(
            matches!(check_table(&[own, health]), Err(TableError::NotServed(methods)) if methods.contains("reflection"))
        );
        let stranger = FileDescriptorSet {
            file: vec![prost_types::FileDescriptorProto {
                package: Some("x".into()),
                service: vec![prost_types::ServiceDescriptorProto {
                    name: Some("S".into()),
                    method: vec![prost_types::MethodDescriptorProto { name: Some("M".into()), ..Default::default() }],
                    ..Default::default()
                }],
                ..Default::default()
            }],
        };
        let stranger = stranger.encode_to_vec();
        let all = [own, health, reflection, &stranger];
        assert!(matches!(check_table(&all), Err(TableError::NoRow(methods)) if methods == "/x.S/M"));
    }
}
