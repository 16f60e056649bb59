//! RegistryService: what a court does with its own listings. Every mutation goes one way, [`mutate`].

use std::sync::Arc;

use prost::Message;
use tonic::{Request, Response, Status, Streaming};
use xinhub_api::convert::{self, etag_to, state_to};
use xinhub_api::reason::{Failure, FieldFaults, Reason};
use xinhub_api::v1;
use xinhub_api::v1::registry_service_server::RegistryService;
use xinhub_domain::listing::Content;
use xinhub_domain::policy::{Method, RegistryAsk, RegistryPermit, Release};
use xinhub_ledger::{Act, Command, Ledger, Outcome, Request as LedgerRequest};

use super::call::{Call, unary};
use super::commands::{Converted, Mutation, Terms};
use super::import::{self, ImportStream};
use super::lookup::position_to;
use super::status;

/// The service.
pub(super) struct Registry;

/// Convert in, submit, convert out. Returns once the mutation is durable and visible.
async fn mutate<M: Mutation>(call: Arc<Call>, mut request: M) -> Result<M::Response, Failure> {
    let (hub, now) = (call.hub(), call.now());
    let permit = hub.authority.permit(call.peer(), call.method(), &RegistryAsk { court: None }, now)?;
    if call.method() == Method::Publish && permit.release() == Release::Two {
        let text = "this hub releases by two people: propose the listing, and have another actor approve it";
        return Err(Failure::new(Reason::Release, text));
    }
    let catalogue = Arc::clone(hub.authority.policy().catalogue());
    let terms = Terms { now, grace_max_days: permit.grace_max_days(), catalogue: &catalogue };
    let mut faults = FieldFaults::default();
    let head = faults.take(convert::mutation(request.head().as_ref()));
    let converted = faults.take(request.convert(&terms));
    let (Some(head), Some(Converted { command, warnings })) = (head, converted) else {
        return Err(faults.into());
    };
    // A mutation costs one check. A lift costs nothing: it is never refused.
    if !command.is_lift() {
        call.charge(permit.client())?;
    }
    check_attested(&hub.ledger, &permit, &command)?;
    let body = body(call.method(), &mut request);
    let act = Act::Registry(permit, command);
    let convert::Mutation { request_id, etag, actor, approver } = head;
    let request = LedgerRequest { act, request_id, body, etag, actor, approver };
    let outcome = hub.ledger.submit(request).await.map_err(status::command)?;
    call.note_listing(outcome.listing);
    call.note_token(outcome.position.token());
    Ok(M::response(outcome_to(&outcome, warnings)))
}

/// A decision without number and reasons is kept only where a migration import attested it.
fn check_attested(ledger: &Ledger, permit: &RegistryPermit, command: &Command) -> Result<(), Failure> {
    let (Command::Amend { listing, content } | Command::Rectify { listing, content, .. }) = command else {
        return Ok(());
    };
    let attested = |content: &Content| content.decision.as_ref().is_some_and(|decision| decision.attested);
    // Another court's listing isn't read without a permit for it; like one that isn't there, it is the ledger's to refuse.
    if !attested(content) || ledger.court_of(*listing).is_none_or(|court| court != permit.court()) {
        return Ok(());
    }
    match ledger.detail(*listing).map_err(status::detail)? {
        Some(detail) if !attested(&detail.content) => {
            let mut faults = FieldFaults::default();
            for field in ["content.decision.number", "content.decision.reasons"] {
                faults.add(field, "is required");
            }
            Err(faults.into())
        }
        Some(_) | None => Ok(()),
    }
}

/// What tells a repetition from another request under the same id: the method and the message without that id.
fn body<M: Mutation>(method: Method, request: &mut M) -> Vec<u8> {
    if let Some(head) = request.head().as_mut() {
        head.request_id.clear();
    }
    body_of(method, request)
}

/// The method and the message, which no longer holds its request id.
pub(super) fn body_of(method: Method, request: &impl Message) -> Vec<u8> {
    let mut body = method.path().as_bytes().to_vec();
    body.push(0);
    // Writing to a vector can't run out of room.
    let _ = request.encode(&mut body);
    body
}

fn outcome_to(outcome: &Outcome, warnings: Vec<String>) -> v1::MutationOutcome {
    v1::MutationOutcome {
        listing: outcome.listing,
        record: outcome.record,
        state: state_to(outcome.state) as i32,
        etag: etag_to(outcome.etag),
        position: Some(position_to(outcome.position)),
        stale: outcome.stale,
        replayed: outcome.replayed,
        warnings,
        reason_owed: outcome.reason_owed,
    }
}

macro_rules! registry {
    ($($method:ident: $request:ident => $response:ident,)+) => {
        #[tonic::async_trait]
        impl RegistryService for Registry {
            $(
                async fn $method(
                    &self,
                    request: Request<v1::$request>,
                ) -> Result<Response<v1::$response>, Status> {
                    unary(request, mutate).await
                }
            )+

            type ImportListingsStream = ImportStream<v1::ImportListingsResponse>;
            type PreviewImportStream = ImportStream<v1::PreviewImportResponse>;
            type ApproveImportStream = ImportStream<v1::ApproveImportResponse>;
            type ConfirmImportStream = ImportStream<v1::ConfirmImportResponse>;

            async fn import_listings(
                &self,
                request: Request<Streaming<v1::ImportListingsRequest>>,
            ) -> Result<Response<Self::ImportListingsStream>, Status> {
                let call = Call::of(&request)?;
                Ok(Response::new(import::start(call, request.into_inner())))
            }

            async fn list_imports(
                &self,
                request: Request<v1::ListImportsRequest>,
            ) -> Result<Response<v1::ListImportsResponse>, Status> {
                unary(request, import::list).await
            }

            async fn preview_import(
                &self,
                request: Request<v1::PreviewImportRequest>,
            ) -> Result<Response<Self::PreviewImportStream>, Status> {
                let call = Call::of(&request)?;
                Ok(Response::new(import::preview(call, request.into_inner())))
            }

            async fn approve_import(
                &self,
                request: Request<v1::ApproveImportRequest>,
            ) -> Result<Response<Self::ApproveImportStream>, Status> {
                let call = Call::of(&request)?;
                Ok(Response::new(import::approve(call, request.into_inner())))
            }

            async fn confirm_import(
                &self,
                request: Request<v1::ConfirmImportRequest>,
            ) -> Result<Response<Self::ConfirmImportStream>, Status> {
                let call = Call::of(&request)?;
                Ok(Response::new(import::confirm(call, request.into_inner())))
            }

            async fn reject_import(
                &self,
                request: Request<v1::RejectImportRequest>,
            ) -> Result<Response<v1::RejectImportResponse>, Status> {
                unary(request, import::reject).await
            }
        }
    };
}

registry! {
    notice: NoticeRequest => NoticeResponse,
    propose: ProposeRequest => ProposeResponse,
    approve: ApproveRequest => ApproveResponse,
    reject: RejectRequest => RejectResponse,
    withdraw: WithdrawRequest => WithdrawResponse,
    publish: PublishRequest => PublishResponse,
    serve: ServeRequest => ServeResponse,
    amend: AmendRequest => AmendResponse,
    rectify: RectifyRequest => RectifyResponse,
    hide: HideRequest => HideResponse,
    restore: RestoreRequest => RestoreResponse,
    revoke: RevokeRequest => RevokeResponse,
    remove: RemoveRequest => RemoveResponse,
    extend: ExtendRequest => ExtendResponse,
    exempt: ExemptRequest => ExemptResponse,
    end_exemption: EndExemptionRequest => EndExemptionResponse,
    set_relation: SetRelationRequest => SetRelationResponse,
    end_relation: EndRelationRequest => EndRelationResponse,
    widen_grace: WidenGraceRequest => WidenGraceResponse,
    give_reason: GiveReasonRequest => GiveReasonResponse,
    record_performance: RecordPerformanceRequest => RecordPerformanceResponse,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_leaves_out_the_request_id_alone() {
        let request = |id: &str, etag: &str| v1::HideRequest {
            mutation: Some(v1::Mutation { request_id: id.into(), etag: etag.into(), actor: None, approver: None }),
            listing: 7,
            ground: "performed".into(),
        };
        let bytes = |mut request: v1::HideRequest| body(Method::Hide, &mut request);
        assert_eq!(bytes(request("a", "1")), bytes(request("b", "1")));
        assert_ne!(bytes(request("a", "1")), bytes(request("a", "2")));
        let mut revoke = v1::RevokeRequest {
            mutation: Some(v1::Mutation { request_id: "a".into(), etag: "1".into(), actor: None, approver: None }),
            listing: 7,
            ground: "performed".into(),
        };
        assert_ne!(bytes(request("a", "1")), body(Method::Revoke, &mut revoke), "another method is another body");
    }
}
