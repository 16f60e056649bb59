//! The services of the hub, one typed client each.

use std::sync::Arc;
use std::time::Duration;

use tokio_stream::Stream;
use tonic::transport::Channel;
use tonic::{Request, Response, Status, Streaming};
use xinhub_api::v1;
use xinhub_api::v1::admin_service_client::AdminServiceClient;
use xinhub_api::v1::audit_service_client::AuditServiceClient;
use xinhub_api::v1::lookup_service_client::LookupServiceClient;
use xinhub_api::v1::measure_service_client::MeasureServiceClient;
use xinhub_api::v1::registry_service_client::RegistryServiceClient;
use xinhub_api::v1::remedy_service_client::RemedyServiceClient;
use xinhub_api::v1::sync_service_client::SyncServiceClient;

use crate::{Config, Error, Timeouts, packing};

/// One message after the other from the hub, until the stream ends.
#[derive(Debug)]
pub struct Responses<T> {
    stream: Streaming<T>,
}

impl<T> Responses<T> {
    /// The next message; `None` at the orderly end of the stream.
    ///
    /// # Errors
    /// As any call; the stream is over then.
    pub async fn next(&mut self) -> Result<Option<T>, Error> {
        self.stream.message().await.map_err(|status| Error::from_status(&status, None))
    }
}

/// Makes a call within `deadline`, and once more if its connection broke.
async fn unary<Q, A, F>(deadline: Duration, message: Q, call: impl Fn(Request<Q>) -> F) -> Result<A, Error>
where
    Q: Clone,
    F: Future<Output = Result<Response<A>, Status>>,
{
    let once = || {
        let mut request = Request::new(message.clone());
        request.set_timeout(deadline);
        let called = call(request);
        async move { called.await.map(Response::into_inner).map_err(|status| Error::from_status(&status, Some(deadline))) }
    };
    let twice = async {
        match once().await {
            // A connection that died while idle is noticed by the call that uses it.
            Err(Error::Connection(_)) => once().await,
            answered => answered,
        }
    };
    tokio::time::timeout(deadline, twice).await.unwrap_or(Err(Error::Deadline(deadline)))
}

/// A service's client: the generated one, with deadlines, the second attempt and our errors.
macro_rules! service {
    (
        $(#[$doc:meta])* $name:ident over $generated:ident;
        $( $(#[$call_doc:meta])* $call:ident($request:ident) -> $response:ident within $timeout:ident; )*
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $name {
            client: $generated<Channel>,
            timeouts: Timeouts,
            deadline: Option<Duration>,
        }

        impl $name {
            pub(crate) fn new(channel: Channel, config: Arc<Config>) -> Self {
                let client = $generated::new(channel)
                    .max_decoding_message_size(config.max_receive_bytes)
                    .max_encoding_message_size(config.max_send_bytes);
                Self { client, timeouts: config.timeouts, deadline: None }
            }

            /// Gives every call made through this value `deadline` in place of the configured one.
            #[must_use]
            pub fn within(mut self, deadline: Duration) -> Self {
                self.deadline = Some(deadline);
                self
            }

            $(
                $(#[$call_doc])*
                ///
                /// # Errors
                /// [`Error`] says whether the hub refused, and why, or never answered.
                pub async fn $call(&self, request: v1::$request) -> Result<v1::$response, Error> {
                    let deadline = self.deadline.unwrap_or(self.timeouts.$timeout);
                    unary(deadline, request, |request| {
                        let mut client = self.client.clone();
                        async move { client.$call(request).await }
                    })
                    .await
                }
            )*
        }
    };
}

service! {
    /// Answers one question: is this identity restricted for this purpose?
    Lookup over LookupServiceClient;
    /// One identity, one measure.
    check(CheckRequest) -> CheckResponse within lookup;
    /// The detail of a listing, for callers with the reach `detail` and for its court.
    get_listing(GetListingRequest) -> GetListingResponse within lookup;
    /// Listings of the caller's own court, by number.
    list_listings(ListListingsRequest) -> ListListingsResponse within batch;
    /// Lifts of the last weeks by case, newest first: for whoever has published a listing and takes it down.
    list_announcements(ListAnnouncementsRequest) -> ListAnnouncementsResponse within batch;
}

impl Lookup {
    /// At most 10,000 identities for one measure, all answered at one revision, with an error per item.
    ///
    /// Where all inquiries are an identity and nothing else, they travel packed, at a fraction of the cost; the response is the same.
    ///
    /// # Errors
    /// [`Error`] says whether the hub refused, and why, or never answered.
    pub async fn batch_check(&self, request: v1::BatchCheckRequest) -> Result<v1::BatchCheckResponse, Error> {
        match packing::pack(&request) {
            Some(packed) => self.send_batch(packed).await.map(packing::unpack),
            None => self.send_batch(request).await,
        }
    }

    async fn send_batch(&self, request: v1::BatchCheckRequest) -> Result<v1::BatchCheckResponse, Error> {
        unary(self.deadline.unwrap_or(self.timeouts.batch), request, |request| {
            let mut client = self.client.clone();
            async move { client.batch_check(request).await }
        })
        .await
    }

    /// Many checks over one stream, answered as they are decided; `correlation_id` tells which is which. Has no deadline.
    ///
    /// # Errors
    /// As any call. A stream that breaks is not sent again: what was answered is known to the caller alone.
    pub async fn check_stream(
        &self,
        requests: impl Stream<Item = v1::CheckStreamRequest> + Send + 'static,
    ) -> Result<Responses<v1::CheckStreamResponse>, Error> {
        opened(self.client.clone().check_stream(requests).await)
    }
}

service! {
    /// What a court does with its own listings. Every mutation is answered only when it is durable, and needs a
    /// [`Mutation`](v1::Mutation) with a request id and an actor.
    Registry over RegistryServiceClient;
    /// Opens a listing with the risk notice that must come before it.
    notice(NoticeRequest) -> NoticeResponse within mutation;
    /// Proposes a listing for release by a second actor.
    propose(ProposeRequest) -> ProposeResponse within mutation;
    /// Releases a proposed listing. The actor is another than the proposer.
    approve(ApproveRequest) -> ApproveResponse within mutation;
    /// Refuses a proposed listing.
    reject(RejectRequest) -> RejectResponse within mutation;
    /// Takes back a notice, a proposal, or a decision not yet served.
    withdraw(WithdrawRequest) -> WithdrawResponse within mutation;
    /// Lists in one step, where the release policy is `one`.
    publish(PublishRequest) -> PublishResponse within mutation;
    /// Records the service of the decision; the measures reach the subject after it and the grace period.
    serve(ServeRequest) -> ServeResponse within mutation;
    /// Corrects data that identify nobody, such as the state of performance.
    amend(AmendRequest) -> AmendResponse within mutation;
    /// Corrects wrong data on an objection, identities included. A lift for whom it frees.
    rectify(RectifyRequest) -> RectifyResponse within mutation;
    /// Masks for now. A lift.
    hide(HideRequest) -> HideResponse within mutation;
    /// Brings a hidden listing back, by a new decision.
    restore(RestoreRequest) -> RestoreResponse within mutation;
    /// Undoes a listing that should not have been. A lift.
    revoke(RevokeRequest) -> RevokeResponse within mutation;
    /// Ends a listing: performed, settled, or the case lawfully over. A lift.
    remove(RemoveRequest) -> RemoveResponse within mutation;
    /// Lengthens a fixed term on its lawful grounds (法释〔2017〕7号 art. 2).
    extend(ExtendRequest) -> ExtendResponse within mutation;
    /// Exempts one person from measures of one listing for a time.
    exempt(ExemptRequest) -> ExemptResponse within mutation;
    /// Ends an exemption early.
    end_exemption(EndExemptionRequest) -> EndExemptionResponse within mutation;
    /// Names a related person of a listed organisation, on evidence.
    set_relation(SetRelationRequest) -> SetRelationResponse within mutation;
    /// Ends a relation, on evidence such as a change of legal representative. A lift.
    end_relation(EndRelationRequest) -> EndRelationResponse within mutation;
    /// Lengthens the grace period of a listing, within the profile's maximum. A lift for whom it frees.
    widen_grace(WidenGraceRequest) -> WidenGraceResponse within mutation;
    /// Gives the reason that a lift still owes.
    give_reason(GiveReasonRequest) -> GiveReasonResponse within mutation;
    /// Records that the obligation was performed: the court's duty to lift begins.
    record_performance(RecordPerformanceRequest) -> RecordPerformanceResponse within mutation;
    /// The court's imports that wait for their release, or are being taken.
    list_imports(ListImportsRequest) -> ListImportsResponse within lookup;
    /// Refuses a waiting import; its file goes.
    reject_import(RejectImportRequest) -> RejectImportResponse within mutation;
}

impl Registry {
    /// Takes a file in the courts' own column layout: the options first, then the file in chunks of at most 1 MiB. Answers
    /// with progress, faults of rows, and a summary at the end. Has no deadline: a file takes as long as it takes.
    ///
    /// # Errors
    /// As any call. After a break, send the whole file again under the same import id: what was taken is unchanged.
    pub async fn import_listings(
        &self,
        requests: impl Stream<Item = v1::ImportListingsRequest> + Send + 'static,
    ) -> Result<Responses<v1::ImportListingsResponse>, Error> {
        opened(self.client.clone().import_listings(requests).await)
    }

    /// What a waiting import would change, as the listings are now. Answers and has no deadline as
    /// [`import_listings`](Self::import_listings).
    ///
    /// # Errors
    /// As any call.
    pub async fn preview_import(
        &self,
        request: v1::PreviewImportRequest,
    ) -> Result<Responses<v1::PreviewImportResponse>, Error> {
        opened(self.client.clone().preview_import(request).await)
    }

    /// Releases a waiting import and takes its rows. Answers and has no deadline as
    /// [`import_listings`](Self::import_listings).
    ///
    /// # Errors
    /// As any call. After a break, call it again: what was taken is unchanged, the rest follows.
    pub async fn approve_import(
        &self,
        request: v1::ApproveImportRequest,
    ) -> Result<Responses<v1::ApproveImportResponse>, Error> {
        opened(self.client.clone().approve_import(request).await)
    }

    /// Confirms a complete list: lifts what it does not name, then takes its rows. Answers and has no deadline as
    /// [`import_listings`](Self::import_listings).
    ///
    /// # Errors
    /// As any call. After a break, call it again: what was lifted and taken stays, the rest follows.
    pub async fn confirm_import(
        &self,
        request: v1::ConfirmImportRequest,
    ) -> Result<Responses<v1::ConfirmImportResponse>, Error> {
        opened(self.client.clone().confirm_import(request).await)
    }
}

fn opened<T>(response: Result<Response<Streaming<T>>, Status>) -> Result<Responses<T>, Error> {
    let stream = response.map_err(|status| Error::from_status(&status, None))?.into_inner();
    Ok(Responses { stream })
}

service! {
    /// What parties ask, and what becomes of it. Nothing is stayed meanwhile, and a late objection is taken and marked.
    Remedy over RemedyServiceClient;
    /// Takes a petition in: the clock of whoever has to decide it begins.
    file_petition(FilePetitionRequest) -> FilePetitionResponse within mutation;
    /// Refuses a petition's intake, with reasons.
    refuse_intake(RefuseIntakeRequest) -> RefuseIntakeResponse within mutation;
    /// Decides a petition, with reasons. An upheld objection frees in the same commit.
    decide_petition(DecidePetitionRequest) -> DecidePetitionResponse within mutation;
    /// Records the service of a refusal or dismissal: the party's own clock begins.
    serve_finding(ServeFindingRequest) -> ServeFindingResponse within mutation;
    /// The party asks the court above.
    ask_reconsideration(AskReconsiderationRequest) -> AskReconsiderationResponse within mutation;
    /// The court above decides. Upheld, it frees in the same commit.
    decide_reconsideration(DecideReconsiderationRequest) -> DecideReconsiderationResponse within mutation;
    /// The party takes its petition back.
    withdraw_petition(WithdrawPetitionRequest) -> WithdrawPetitionResponse within mutation;
    /// One petition that the caller may read.
    get_petition(GetPetitionRequest) -> GetPetitionResponse within lookup;
    /// The petitions that the caller may read, newest first.
    list_petitions(ListPetitionsRequest) -> ListPetitionsResponse within batch;
    /// What falls due, is due and is overdue, as far as the caller may see it.
    list_deadlines(ListDeadlinesRequest) -> ListDeadlinesResponse within batch;
}

service! {
    /// What units do with a listing, and that they stop.
    Measures over MeasureServiceClient;
    /// The catalogue in force, with what the caller is granted of it.
    list_measures(ListMeasuresRequest) -> ListMeasuresResponse within lookup;
    /// Reports what the caller imposed on a listing that it was told of, lifted, or keeps by its own act.
    report(ReportRequest) -> ReportResponse within mutation;
    /// The caller's own duties, and what it keeps. Nobody sees another's.
    list_duties(ListDutiesRequest) -> ListDutiesResponse within batch;
}

service! {
    /// What the hub accounts for: to the person or organisation concerned, and in numbers that name nobody.
    Audit over AuditServiceClient;
    /// All that concerns one subject, for a court or unit that acts for them after an identity check.
    view_subject(ViewSubjectRequest) -> ViewSubjectResponse within batch;
    /// Keeps who asked about a listing's subject out of the subject's view for a time; it is told afterwards.
    defer_view(DeferViewRequest) -> DeferViewResponse within mutation;
    /// A signed statement that no listing in force reaches this subject; anyone can check it without the hub.
    issue_certificate(IssueCertificateRequest) -> IssueCertificateResponse within lookup;
    /// Numbers by court and month, by bearer and clock, or by unit.
    get_statistics(GetStatisticsRequest) -> GetStatisticsResponse within batch;
    /// What a replica has answered by itself. [`Replica`](crate::Replica) reports by itself.
    report_answers(ReportAnswersRequest) -> ReportAnswersResponse within mutation;
}

service! {
    /// What replicas begin with and follow, and how far a lift has come.
    Replication over SyncServiceClient;
    /// The audience, its key, and the snapshot to fetch. The hub may have to make that first.
    get_manifest(GetManifestRequest) -> GetManifestResponse within snapshot;
    /// Who has confirmed a lift, and whether it is complete.
    get_lift_status(GetLiftStatusRequest) -> GetLiftStatusResponse within lookup;
    /// Ends a replica's subscription.
    unsubscribe(UnsubscribeRequest) -> UnsubscribeResponse within lookup;
}

impl Replication {
    /// A snapshot from a byte on. Has no deadline.
    ///
    /// # Errors
    /// As any call. After a break, fetch on from the byte that is missing.
    pub async fn fetch_chunks(
        &self,
        request: v1::FetchChunksRequest,
    ) -> Result<Responses<v1::FetchChunksResponse>, Error> {
        opened(self.client.clone().fetch_chunks(request).await)
    }

    /// Lifts and beats, until either side ends the stream. The first message says from where.
    ///
    /// # Errors
    /// As any call.
    pub async fn follow_lifts(
        &self,
        requests: impl Stream<Item = v1::FollowLiftsRequest> + Send + 'static,
    ) -> Result<Responses<v1::FollowLiftsResponse>, Error> {
        opened(self.client.clone().follow_lifts(requests).await)
    }

    /// All changes in order, until either side ends the stream. The first message says from where.
    ///
    /// # Errors
    /// As any call.
    pub async fn follow_changes(
        &self,
        requests: impl Stream<Item = v1::FollowChangesRequest> + Send + 'static,
    ) -> Result<Responses<v1::FollowChangesResponse>, Error> {
        opened(self.client.clone().follow_changes(requests).await)
    }
}

service! {
    /// For operators of the hub.
    Admin over AdminServiceClient;
    /// How the hub is.
    get_status(GetStatusRequest) -> GetStatusResponse within lookup;
    /// The replicas that lifts wait for.
    list_subscribers(ListSubscribersRequest) -> ListSubscribersResponse within lookup;
    /// Ends the subscription of a replica that is gone for good.
    end_subscriber(EndSubscriberRequest) -> EndSubscriberResponse within lookup;
}
