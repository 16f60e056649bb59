//! AdminService, and the view of the hub's state that it shares with metrics.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tonic::{Request, Response, Status};
use xinhub_api::convert::timestamp_to;
use xinhub_api::reason::{Failure, Reason};
use xinhub_api::v1::admin_service_server::AdminService;
use xinhub_api::v1::{self, GetStatusRequest, GetStatusResponse};
use xinhub_domain::deadline::Clock;
use xinhub_domain::policy::AdminAsk;
use xinhub_domain::time::Timestamp;

use super::call::{Call, unary};
use super::lookup::position_to;
use super::{Hub, sync};
use crate::audit::{AuditState, AuditStatus};
use crate::metrics::Snapshot;
use crate::sync::Subscriber;
use crate::tls::CrlHealth;

/// Days before the end of the hub's certificate at which an alarm is raised.
const CERTIFICATE_AMBER_DAYS: i64 = 30;

/// The service.
pub(super) struct Admin;

#[tonic::async_trait]
impl AdminService for Admin {
    async fn get_status(&self, request: Request<GetStatusRequest>) -> Result<Response<GetStatusResponse>, Status> {
        unary(request, |call, _request| async move { get_status(&call) }).await
    }

    async fn list_subscribers(
        &self,
        request: Request<v1::ListSubscribersRequest>,
    ) -> Result<Response<v1::ListSubscribersResponse>, Status> {
        unary(request, |call, _request| async move { list_subscribers(&call) }).await
    }

    async fn end_subscriber(
        &self,
        request: Request<v1::EndSubscriberRequest>,
    ) -> Result<Response<v1::EndSubscriberResponse>, Status> {
        unary(request, end_subscriber).await
    }
}

fn list_subscribers(call: &Arc<Call>) -> Result<v1::ListSubscribersResponse, Failure> {
    let hub = call.hub();
    let _permit = hub.authority.permit(call.peer(), call.method(), &AdminAsk, call.now())?;
    let listed = hub.sync.subscribers.list().into_iter().map(|one| v1::ReplicaSubscriber {
        client: one.who.client,
        instance: hex(&one.who.instance),
        audience: one.audience,
        acknowledged: one.acknowledged,
        heard_time: Some(timestamp_to(one.heard)),
        lease_ms: u32::try_from(one.lease_ms).unwrap_or(u32::MAX),
        reported: one.reported,
    });
    Ok(v1::ListSubscribersResponse { subscribers: listed.collect(), lift_seq: hub.ledger.lift_seq() })
}

async fn end_subscriber(
    call: Arc<Call>,
    request: v1::EndSubscriberRequest,
) -> Result<v1::EndSubscriberResponse, Failure> {
    let _permit = call.hub().authority.permit(call.peer(), call.method(), &AdminAsk, call.now())?;
    let unknown = || Failure::field(Reason::NotFound, "instance", "is no replica of this client: list the subscribers");
    let instance = u128::from_str_radix(&request.instance, 16).map_err(|_| unknown())?.to_be_bytes();
    let who = Subscriber { client: request.client, instance };
    if sync::end_subscriber(&call, who).await? { Ok(v1::EndSubscriberResponse {}) } else { Err(unknown()) }
}

fn get_status(call: &Arc<Call>) -> Result<GetStatusResponse, Failure> {
    let hub = call.hub();
    let _permit = hub.authority.permit(call.peer(), call.method(), &AdminAsk, call.now())?;
    let Overview { ledger, crl_hours, certificate_days, alarms, .. } = Overview::of(hub);
    Ok(GetStatusResponse {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        epoch: hex(&ledger.position.epoch),
        revision: ledger.position.revision,
        chain_hash: hex(&ledger.chain),
        position: Some(position_to(ledger.position)),
        start_time: Some(timestamp_to(hub.started)),
        index_keys: ledger.index_keys,
        index_bytes: ledger.index_bytes,
        listings: ledger.listings,
        listing_table_bytes: ledger.table_bytes,
        detail_revision: ledger.detail_revision,
        detail_cache_bytes: ledger.detail_cache_bytes,
        clock_frozen: ledger.clock_frozen,
        certificate_days: clamp(certificate_days),
        crl_hours: clamp(crl_hours),
        draining: hub.draining.is_cancelled(),
        alarms: alarms.into_iter().map(alarm_to).collect(),
        verifier_key: hub.signer.verifier_key(),
    })
}

fn clamp(value: i64) -> i32 {
    i32::try_from(value).unwrap_or(if value < 0 { i32::MIN } else { i32::MAX })
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn alarm_to(alarm: Alarm) -> v1::Alarm {
    v1::Alarm { name: alarm.name.to_owned(), text: alarm.text, since: Some(timestamp_to(alarm.since)) }
}

/// Something an operator must see to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alarm {
    /// Its name, `snake_case`.
    pub name: &'static str,
    /// What is wrong, and what to do.
    pub text: String,
    /// When it was first seen.
    pub since: Timestamp,
}

/// Since when each alarm stands.
#[derive(Debug, Default)]
pub struct Alarms(Mutex<HashMap<&'static str, Timestamp>>);

impl Alarms {
    /// Gives each alarm the time at which it was first seen, and forgets those that are over.
    fn note(&self, raised: Vec<(&'static str, String)>, now: Timestamp) -> Vec<Alarm> {
        let mut since = self.0.lock();
        since.retain(|name, _| raised.iter().any(|(raised, _)| raised == name));
        raised.into_iter().map(|(name, text)| Alarm { name, text, since: *since.entry(name).or_insert(now) }).collect()
    }
}

/// The hub's state as operators see it.
#[derive(Clone, Debug)]
pub struct Overview {
    /// Of the ledger.
    pub ledger: xinhub_ledger::Status,
    /// Of the audit log.
    pub audit: AuditStatus,
    /// Hours until the first revocation list ends; negative once it has.
    pub crl_hours: i64,
    /// Days until the hub's certificate ends; negative once it has.
    pub certificate_days: i64,
    /// Whether the hub is stopping.
    pub draining: bool,
    /// What an operator must see to.
    pub alarms: Vec<Alarm>,
    /// Deadlines that run, and that are overdue, by clock.
    pub deadlines: [(u64, u64); Clock::ALL.len()],
}

impl Overview {
    /// The state of a hub now.
    pub fn of(hub: &Hub) -> Overview {
        let now = hub.clock.wall();
        let now_s = now.0.div_euclid(1_000);
        let left_s = |end: u64| i64::try_from(end).unwrap_or(i64::MAX).saturating_sub(now_s);
        let (ledger, audit) = (hub.ledger.status(), hub.audit.status());
        let certificate_days = left_s(hub.tls.server_not_after_unix_s()).div_euclid(86_400);
        let crl_hours = left_s(hub.tls.first_crl_end_unix_s()).div_euclid(3_600);
        let mut raised = ledger.alarms.clone();
        raised.extend(audit_alarm(audit.state));
        raised.extend(crl_alarm(hub.tls.crl_health(u64::try_from(now_s).unwrap_or(0)), crl_hours));
        if certificate_days < CERTIFICATE_AMBER_DAYS {
            let text = format!("the hub's certificate ends in {certificate_days} days: renew it and reload");
            raised.push(("certificate_ends", text));
        }
        let grants = hub.authority.policy().warnings(now).len();
        if grants > 0 {
            let text =
                format!("policy.toml has {grants} warnings, such as grants about to end: see xinhubd check-config");
            raised.push(("policy_warnings", text));
        }
        let alarms = hub.alarms.note(raised, now);
        let (draining, deadlines) = (hub.draining.is_cancelled(), hub.ledger.deadline_counts());
        Overview { ledger, audit, crl_hours, certificate_days, draining, alarms, deadlines }
    }

    /// As metrics show it.
    pub fn snapshot(&self) -> Snapshot {
        let revision = self.ledger.position.revision;
        Snapshot {
            revision,
            index_keys: self.ledger.index_keys,
            index_bytes: self.ledger.index_bytes,
            listings: self.ledger.listings,
            listing_table_bytes: self.ledger.table_bytes,
            detail_lag: revision.saturating_sub(self.ledger.detail_revision),
            detail_cache_bytes: self.ledger.detail_cache_bytes,
            audit_waiting: self.audit.claimed as u64,
            clock_frozen: self.ledger.clock_frozen,
            draining: self.draining,
            alarms: self.alarms.len() as u64,
            crl_hours: self.crl_hours,
            certificate_days: self.certificate_days,
            deadlines: self.deadlines,
        }
    }
}

fn audit_alarm(state: AuditState) -> Option<(&'static str, String)> {
    match state {
        AuditState::Running | AuditState::Stopped => None,
        AuditState::Full => {
            Some(("audit_full", "the audit log's disk is full: answers stop until space returns".to_owned()))
        }
        AuditState::Failed => Some(("audit_failed", "the audit log failed: the hub stops and recovers".to_owned())),
    }
}

fn crl_alarm(health: CrlHealth, hours: i64) -> Option<(&'static str, String)> {
    match health {
        CrlHealth::Green => None,
        CrlHealth::Amber { .. } => {
            Some(("crl_ends", format!("a revocation list ends in {hours} hours: fetch its successor and reload")))
        }
        CrlHealth::Expired { .. } => Some((
            "crl_expired",
            "a revocation list has ended: its clients are refused, pinned courts may only lift; fetch it and reload"
                .to_owned(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_keeps_the_time_at_which_it_was_raised() {
        let alarms = Alarms::default();
        let raise = |names: &[&'static str], at: i64| {
            let raised = names.iter().map(|name| (*name, String::new())).collect();
            let noted = alarms.note(raised, Timestamp(at));
            noted.into_iter().map(|alarm| (alarm.name, alarm.since.0)).collect::<Vec<_>>()
        };
        assert_eq!(raise(&["a"], 1), [("a", 1)]);
        assert_eq!(raise(&["a", "b"], 2), [("a", 1), ("b", 2)]);
        assert_eq!(raise(&["b"], 3), [("b", 2)]);
        assert_eq!(raise(&["a", "b"], 4), [("a", 4), ("b", 2)], "one that was over begins anew");
    }
}
