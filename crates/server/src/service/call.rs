//! One call, from the moment it is let in to its record.
//!
//! Promises: a call that may tell something of somebody has its place in the audit log before it runs; its record is
//! written exactly once, by whoever answers it, by the door if its method forgot, or on drop where the caller went away;
//! an answer that speaks against somebody leaves only once its record and its disclosure are durable.

use std::future::Future;
use std::sync::Arc;

use parking_lot::Mutex;
use tonic::{Code, Request, Response, Status};
use uuid::Uuid;
use xinhub_api::reason::{Failure, Reason};
use xinhub_domain::policy::permissions::Demand;
use xinhub_domain::policy::{Client, LookupPermit, Method};
use xinhub_domain::time::Timestamp;

use super::{Hub, status};
use crate::audit::{AuditId, AuditItem, Record, Ticket};
use crate::serve::Peer;

/// One call. See the module.
pub struct Call {
    hub: Arc<Hub>,
    peer: Peer,
    /// As policy had it when the call was let in; `None` for a client that it doesn't know.
    client: Option<Arc<Client>>,
    method: Method,
    request_id: Uuid,
    open: Mutex<Option<Open>>,
}

/// What will be recorded.
struct Open {
    /// `None` for lifts that the audit log has no room for: the journal records them, and lifting wins.
    ticket: Option<Ticket>,
    noted: Noted,
}

/// What a method has noted for the record.
#[derive(Default)]
struct Noted {
    measure: Option<Arc<str>>,
    item: Option<Arc<str>>,
    reference: String,
    token: Vec<u8>,
    items: Vec<AuditItem>,
    /// The listings that somebody was told of, one way or another.
    disclosed: Vec<u64>,
    /// The method closes the call itself, later than its first answer.
    deferred: bool,
}

impl Call {
    /// Lets a call in, or records why not.
    ///
    /// # Errors
    /// What policy says, or that the audit log can't take a record: then nothing is answered, save lifts.
    pub(super) fn open(hub: &Arc<Hub>, peer: &Peer, method: Method, request_id: Uuid) -> Result<Arc<Call>, Failure> {
        let row = method.row();
        let ticket = match row.demand {
            // Health and reflection tell nothing of anybody.
            Demand::Session => None,
            _ if row.is_lift => hub
                .audit
                .claim_lift()
                .inspect_err(|error| tracing::warn!(%error, "a lift goes on without a record"))
                .ok(),
            Demand::Lookup
            | Demand::Detail
            | Demand::Registry
            | Demand::Remedy
            | Demand::Unit
            | Demand::Subject
            | Demand::Sync
            | Demand::Admin => Some(hub.audit.claim().map_err(|error| status::audit(&error))?),
        };
        let (client, admitted) = hub.authority.admit(peer, method, hub.clock.wall());
        let open = Mutex::new(Some(Open { ticket, noted: Noted::default() }));
        let call = Call { hub: Arc::clone(hub), peer: peer.clone(), client, method, request_id, open };
        match call.may_begin().and(admitted) {
            Ok(()) => Ok(Arc::new(call)),
            Err(failure) => {
                call.close_with(failure.code(), Some(failure.reason()));
                Err(failure)
            }
        }
    }

    /// A call of its own within a stream: one question, one record.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub(super) fn within(&self) -> Result<Arc<Call>, Failure> {
        Call::open(&self.hub, &self.peer, self.method, self.request_id)
    }

    /// The same call once more, with a record of its own: its answer was overtaken while it was being recorded.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub(super) fn again(&self, permit: &LookupPermit, reference: &str) -> Result<Arc<Call>, Failure> {
        let call = self.within()?;
        call.note_question(permit, reference);
        Ok(call)
    }

    /// Whether policy, as it is now, lets this client call the method at all.
    pub(super) fn admit(&self) -> Result<(), Failure> {
        self.may_begin().and(self.hub.authority.admit(&self.peer, self.method, self.now()).1)
    }

    /// Nothing is begun that the hub's stop would have to wait for.
    fn may_begin(&self) -> Result<(), Failure> {
        let row = self.method.row();
        let may_wait = match row.demand {
            Demand::Lookup
            | Demand::Detail
            | Demand::Registry
            | Demand::Remedy
            | Demand::Unit
            | Demand::Subject
            | Demand::Sync => !row.is_lift,
            // What tells how the hub is.
            Demand::Session | Demand::Admin => false,
        };
        if may_wait && self.hub.draining.is_cancelled() {
            return Err(Failure::new(Reason::Draining, "this hub is stopping; connect again and send the call anew"));
        }
        Ok(())
    }

    /// The call of a request that came through the door.
    pub(super) fn of<T>(request: &Request<T>) -> Result<Arc<Call>, Status> {
        request
            .extensions()
            .get::<Arc<Call>>()
            .cloned()
            .ok_or_else(|| Failure::new(Reason::Internal, "the call came by another way than the door").into())
    }

    /// The hub.
    pub(super) fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    /// Who calls.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// What is called.
    pub fn method(&self) -> Method {
        self.method
    }

    /// The id of its line in the log.
    pub(super) fn request_id(&self) -> Uuid {
        self.request_id
    }

    /// Hub time.
    pub(super) fn now(&self) -> Timestamp {
        self.hub.clock.wall()
    }

    /// Takes one check from a client's quota.
    ///
    /// # Errors
    /// Where rate or daily quota is spent.
    pub(super) fn charge(&self, client: &Client) -> Result<(), Failure> {
        super::lookup::charge_client(self, client, 1, self.now())
    }

    /// The id under which the record of this call will stand.
    pub(super) fn audit_reference(&self) -> Option<AuditId> {
        let open = self.open.lock();
        open.as_ref()?.ticket.as_ref().map(Ticket::id)
    }

    /// Notes what was asked, once it is permitted. An item that the measure doesn't have is free text and is left out.
    pub(super) fn note_question(&self, permit: &LookupPermit, reference: &str) {
        let measure = permit.measure();
        self.note(|noted| {
            noted.measure = Some(Arc::clone(&measure.code));
            noted.item = permit.item().and_then(|item| measure.items.get(item.index())).map(Arc::clone);
            noted.reference = reference.to_owned();
        });
    }

    /// Notes the state that was read.
    pub(super) fn note_token(&self, token: Vec<u8>) {
        self.note(|noted| noted.token = token);
    }

    /// Notes one item of the record: whom, what was answered, on which listings.
    pub(super) fn note_item(&self, item: AuditItem, disclosed: &[u64]) {
        self.note(|noted| {
            if noted.items.is_empty() {
                // Nearly always it stays alone.
                noted.items.reserve_exact(1);
            }
            noted.items.push(item);
            noted.disclosed.extend_from_slice(disclosed);
        });
    }

    /// Notes the items of a batch, and all the listings that somebody was told of.
    pub(super) fn note_items(&self, items: Vec<AuditItem>, disclosed: Vec<u64>) {
        self.note(|noted| (noted.items, noted.disclosed) = (items, disclosed));
    }

    /// Notes that a listing itself was shown.
    pub(super) fn note_listing(&self, listing: u64) {
        self.note_item(AuditItem { listings: vec![listing], ..AuditItem::default() }, &[]);
    }

    /// The method goes on after its first answer, and closes the call itself.
    pub(super) fn defer(&self) {
        self.note(|noted| noted.deferred = true);
    }

    fn note(&self, change: impl FnOnce(&mut Noted)) {
        if let Some(open) = self.open.lock().as_mut() {
            change(&mut open.noted);
        }
    }

    /// Records the call with what came of it, and lets the answer go.
    ///
    /// # Errors
    /// The failure itself; or that record or disclosure could not be made durable, and so no answer is given.
    pub(super) async fn close<A>(&self, result: Result<A, Failure>) -> Result<A, Failure> {
        let Some(Open { ticket: Some(ticket), noted }) = self.open.lock().take() else {
            return result;
        };
        let mut noted = noted;
        let disclosed = std::mem::take(&mut noted.disclosed);
        let (code, reason) = match &result {
            Ok(_) => (Code::Ok, None),
            Err(failure) => (failure.code(), Some(failure.reason())),
        };
        let record = self.record(noted, code, reason);
        if result.is_ok() && (record.is_adverse() || !disclosed.is_empty()) {
            let recorded = self.hub.audit.record_durable(ticket, record);
            let disclosed = self.hub.ledger.disclose(self.peer.client_id(), &disclosed);
            let (recorded, disclosed) = tokio::join!(recorded, disclosed);
            recorded.map_err(|error| status::audit(&error))?;
            disclosed.map_err(status::command)?;
            return result;
        }
        match self.hub.audit.record_soon(ticket, record) {
            // What the ledger has already done stays done, and its caller has to know.
            Err(error) if !self.method.writes() => Err(status::audit(&error)),
            Ok(_) | Err(_) => result,
        }
    }

    fn record(&self, mut noted: Noted, code: Code, reason: Option<Reason>) -> Record {
        if code != Code::Ok {
            // Nothing was answered, whatever was worked out.
            for item in &mut noted.items {
                (item.verdict, item.subject_view) = (None, None);
                item.listings.clear();
            }
            if noted.items.is_empty() {
                noted.items.push(AuditItem::default());
            }
            for item in noted.items.iter_mut().filter(|item| item.error.is_none()) {
                item.error = reason.map(|reason| reason as i32);
            }
        }
        let client = self.client.as_ref();
        Record {
            caller: Arc::clone(self.peer.client_id()),
            class: client.map(|client| client.class()),
            audit_class: client.map_or_else(|| "".into(), |client| Arc::clone(client.audit_class())),
            method: self.method,
            measure: noted.measure,
            item: noted.item,
            time: self.now(),
            reference: noted.reference,
            token: noted.token,
            request_id: *self.request_id.as_bytes(),
            code: code as i32,
            items: noted.items,
        }
    }

    /// Records a call that nobody else has recorded.
    pub(super) fn close_if_open(&self, code: Code, reason: Option<Reason>) {
        let deferred = self.open.lock().as_ref().is_some_and(|open| open.noted.deferred);
        if !deferred {
            self.close_with(code, reason);
        }
    }

    /// Records the call, at the latest within 100 ms.
    pub(super) fn close_with(&self, code: Code, reason: Option<Reason>) {
        let Some(Open { ticket: Some(ticket), noted }) = self.open.lock().take() else {
            return;
        };
        if let Err(error) = self.hub.audit.record_soon(ticket, self.record(noted, code, reason)) {
            tracing::error!(request_id = %self.request_id, %error, "a call without an answer left no record");
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.close_with(Code::Cancelled, None);
    }
}

impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Call")
            .field("method", &self.method)
            .field("request_id", &self.request_id)
            .finish_non_exhaustive()
    }
}

/// Runs a method of one request and one answer: `run` converts in, calls and converts out, and the answer leaves as
/// [`Call::close`] allows.
pub(super) async fn unary<Q, A, F>(
    request: Request<Q>,
    run: impl FnOnce(Arc<Call>, Q) -> F + Send,
) -> Result<Response<A>, Status>
where
    Q: Send,
    F: Future<Output = Result<A, Failure>> + Send,
{
    let call = Call::of(&request)?;
    let result = run(Arc::clone(&call), request.into_inner()).await;
    call.close(result).await.map(Response::new).map_err(Status::from)
}
