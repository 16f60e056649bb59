//! AuditService: what the hub can account for, to subjects and in numbers; and what it announces to everybody.

use std::collections::BTreeMap;
use std::sync::Arc;

use tonic::{Request, Response, Status};
use xinhub_api::convert::{self, listing_number};
use xinhub_api::reason::{Failure, FieldFaults};
use xinhub_api::v1;
use xinhub_api::v1::audit_service_server::AuditService;
use xinhub_domain::deadline::Clock;
use xinhub_domain::policy::{Policy, RegistryAsk, RemedyAsk, RemedyPermit, UnitAsk};
use xinhub_domain::time::Day;
use xinhub_ledger::resident::statistics::{Kept, Month, month_of};
use xinhub_ledger::{Act, Command, Count, Ledger, Request as LedgerRequest};

use super::call::{Call, unary};
use super::lookup::position_to;
use super::registry::body_of;
use super::{answers, page, status, subject};

/// Months in one answer.
const MAX_MONTHS: u32 = 120;

/// The service.
pub(super) struct Account;

#[tonic::async_trait]
impl AuditService for Account {
    async fn view_subject(
        &self,
        request: Request<v1::ViewSubjectRequest>,
    ) -> Result<Response<v1::ViewSubjectResponse>, Status> {
        unary(request, subject::view_subject).await
    }

    async fn defer_view(
        &self,
        request: Request<v1::DeferViewRequest>,
    ) -> Result<Response<v1::DeferViewResponse>, Status> {
        unary(request, defer_view).await
    }

    async fn issue_certificate(
        &self,
        request: Request<v1::IssueCertificateRequest>,
    ) -> Result<Response<v1::IssueCertificateResponse>, Status> {
        unary(request, subject::issue_certificate).await
    }

    async fn get_statistics(
        &self,
        request: Request<v1::GetStatisticsRequest>,
    ) -> Result<Response<v1::GetStatisticsResponse>, Status> {
        unary(request, get_statistics).await
    }

    async fn report_answers(
        &self,
        request: Request<v1::ReportAnswersRequest>,
    ) -> Result<Response<v1::ReportAnswersResponse>, Status> {
        unary(request, answers::report_answers).await
    }
}

async fn defer_view(call: Arc<Call>, mut request: v1::DeferViewRequest) -> Result<v1::DeferViewResponse, Failure> {
    let hub = Arc::clone(call.hub());
    let permit = hub.authority.permit(call.peer(), call.method(), &RegistryAsk { court: None }, call.now())?;
    call.charge(permit.client())?;
    let mut faults = FieldFaults::default();
    let head = faults.take(convert::mutation(request.mutation.as_ref()));
    let listing = faults.take(listing_number(request.listing, "listing"));
    let until = faults.take(convert::day(&request.until, "until"));
    let (Some(head), Some(listing), Some(until)) = (head, listing, until) else {
        return Err(faults.into());
    };
    if let Some(head) = request.mutation.as_mut() {
        head.request_id.clear();
    }
    let body = body_of(call.method(), &request);
    let command = Command::Defer { listing, ground: request.ground.trim().to_owned(), until };
    let act = Act::Registry(permit, command);
    let convert::Mutation { request_id, actor, approver, .. } = head;
    let request = LedgerRequest { act, request_id, body, etag: None, actor, approver };
    let outcome = hub.ledger.submit(request).await.map_err(status::command)?;
    call.note_listing(outcome.listing);
    call.note_token(outcome.position.token());
    Ok(v1::DeferViewResponse {
        listing,
        until: until.to_string(),
        position: Some(position_to(outcome.position)),
        replayed: outcome.replayed,
    })
}

/// What is asked of the counts.
struct Asked {
    first: Month,
    last: Month,
    court: String,
}

async fn get_statistics(
    call: Arc<Call>,
    request: v1::GetStatisticsRequest,
) -> Result<v1::GetStatisticsResponse, Failure> {
    let mut faults = FieldFaults::default();
    let this = month_of(call.now().day());
    let first = month(&request.from_month, "from_month", this, &mut faults);
    let last = month(&request.to_month, "to_month", this, &mut faults);
    if last < first || last - first >= MAX_MONTHS {
        faults.add("to_month", format!("lies before `from_month`, or over {MAX_MONTHS} months after it"));
    }
    let kind = request.kind();
    if kind == v1::StatisticsKind::Unspecified {
        faults.add("kind", "is missing: listings, deadlines or duties");
    }
    let permit = call.hub().authority.permit(call.peer(), call.method(), &RemedyAsk, call.now())?;
    if !faults.is_empty() {
        return Err(faults.into());
    }
    call.charge(permit.client())?;
    let hub = Arc::clone(call.hub());
    let position = hub.ledger.position();
    call.note_token(position.token());
    let (policy, today) = (hub.authority.policy(), call.now().day());
    let asked = Asked { first, last, court: request.court };
    let read = tokio::task::spawn_blocking(move || {
        // A court knows its own listings; nobody else is to single one out.
        let floor = if permit.court().is_some() { 0 } else { policy.report_floor() };
        let mut answer =
            v1::GetStatisticsResponse { floor: i32::try_from(floor).unwrap_or(i32::MAX), ..Default::default() };
        match kind {
            v1::StatisticsKind::Listings => answer.listings = listings(&hub.ledger, &permit, &asked, floor),
            v1::StatisticsKind::Deadlines => answer.deadlines = deadlines(&hub.ledger, &permit, &asked, &policy, floor),
            v1::StatisticsKind::Duties => answer.duties = duties(&hub.ledger, &permit, &policy, today, floor),
            v1::StatisticsKind::Unspecified => {}
        }
        answer
    });
    let answer = read.await.map_err(page::unread)?;
    Ok(v1::GetStatisticsResponse { position: Some(position_to(position)), ..answer })
}

/// Whether any of these counts could single somebody out.
fn is_small(counts: &[u64], floor: u32) -> bool {
    counts.iter().any(|count| (1..u64::from(floor)).contains(count))
}

fn listings(ledger: &Ledger, permit: &RemedyPermit, asked: &Asked, floor: u32) -> Vec<v1::ListingStatistics> {
    let counts = ledger.listing_counts(permit, asked.first, asked.last);
    let of_court = |count: &Count| asked.court.is_empty() || count.court == asked.court;
    counts.into_iter().filter(of_court).map(|count| listing_count(&count, floor)).collect()
}

fn listing_count(count: &Count, floor: u32) -> v1::ListingStatistics {
    let flow = &count.flow;
    // One of them alone would follow from the others and the numbers in force.
    let suppressed = is_small(&[flow.listed, flow.hidden, flow.revoked, flow.removed, flow.expired], floor);
    let shown = |value: u64| if suppressed { 0 } else { value };
    let rounded = |value: u64| value - if floor > 0 { value % u64::from(floor) } else { 0 };
    v1::ListingStatistics {
        court: count.court.clone(),
        month: month_text(count.month),
        ground: i32::from(count.ground),
        listed: shown(flow.listed),
        restored: if is_small(&[flow.restored], floor) { 0 } else { shown(flow.restored) },
        hidden: shown(flow.hidden),
        revoked: shown(flow.revoked),
        removed: shown(flow.removed),
        expired: shown(flow.expired),
        in_force: rounded(count.in_force),
        suppressed,
    }
}

fn deadlines(
    ledger: &Ledger,
    permit: &RemedyPermit,
    asked: &Asked,
    policy: &Policy,
    floor: u32,
) -> Vec<v1::DeadlineStatistics> {
    let mut by_bearer: BTreeMap<(String, Clock, Month), Kept> = BTreeMap::new();
    for (bearer, clock, month, kept) in ledger.deadlines_kept(permit, asked.first, asked.last) {
        let bearer = match bearer {
            Ok(court) if asked.court.is_empty() || court == asked.court => court,
            Err(client) if asked.court.is_empty() => unit_of(policy, &client),
            Ok(_) | Err(_) => continue,
        };
        let all = by_bearer.entry((bearer, clock, month)).or_default();
        all.kept += kept.kept;
        all.missed += kept.missed;
    }
    let counts = by_bearer.into_iter().map(|((bearer, clock, month), kept)| {
        let suppressed = is_small(&[kept.kept, kept.missed], floor);
        let shown = |value: u64| if suppressed { 0 } else { value };
        v1::DeadlineStatistics {
            bearer,
            clock: clock.code().to_owned(),
            month: month_text(month),
            kept: shown(kept.kept),
            missed: shown(kept.missed),
            suppressed,
        }
    });
    counts.collect()
}

fn duties(ledger: &Ledger, permit: &RemedyPermit, policy: &Policy, today: Day, floor: u32) -> Vec<v1::DutyStatistics> {
    let mut by_unit: BTreeMap<(String, Clock), (u64, u64, Option<Day>)> = BTreeMap::new();
    for (client, clock, open, overdue, oldest) in ledger.duty_counts(permit) {
        let all = by_unit.entry((unit_of(policy, &client), clock)).or_default();
        all.0 += open;
        all.1 += overdue;
        all.2 = [all.2, oldest].into_iter().flatten().min();
    }
    let counts = by_unit.into_iter().map(|((supervising_unit, clock), (open, overdue, oldest))| {
        let days = oldest.map_or(0, |day| today.0.saturating_sub(day.0));
        // What a unit owes is the unit's to answer for, and says nothing of anybody listed: only the open ones may be few.
        let suppressed = is_small(&[open], floor);
        v1::DutyStatistics {
            supervising_unit,
            clock: clock.code().to_owned(),
            open: if suppressed { 0 } else { open },
            overdue,
            oldest_days_overdue: i32::try_from(days).unwrap_or(i32::MAX),
            suppressed,
        }
    });
    counts.collect()
}

/// The unit that answers for a client; the client itself where none does.
fn unit_of(policy: &Policy, client: &str) -> String {
    policy.client(client).and_then(|client| client.unit()).unwrap_or(client).to_owned()
}

fn month_text(month: Month) -> String {
    format!("{:04}-{:02}", month / 12, month % 12 + 1)
}

fn month(text: &str, path: &str, this: Month, faults: &mut FieldFaults) -> Month {
    if text.trim().is_empty() {
        return this;
    }
    match convert::day(&format!("{}-01", text.trim()), path) {
        Ok(day) => month_of(day),
        Err(_) => {
            faults.add(path, "is no month: write YYYY-MM");
            this
        }
    }
}

/// Lifts of the last weeks, by case.
pub(super) async fn list_announcements(
    call: Arc<Call>,
    request: v1::ListAnnouncementsRequest,
) -> Result<v1::ListAnnouncementsResponse, Failure> {
    let mut faults = FieldFaults::default();
    let (limit, before) = page::place(request.page_size, &request.page_token, &mut faults);
    if !faults.is_empty() {
        return Err(faults.into());
    }
    let permit = call.hub().authority.permit(call.peer(), call.method(), &UnitAsk, call.now())?;
    call.charge(permit.client())?;
    let hub = Arc::clone(call.hub());
    let position = hub.ledger.position();
    call.note_token(position.token());
    let (policy, today) = (hub.authority.policy(), call.now().day());
    let read = tokio::task::spawn_blocking(move || {
        let rules = Arc::clone(policy.rules());
        let shown = |court: &str, day: Day| {
            let wanted = request.court.is_empty() || request.court == court;
            wanted && today <= day.plus_days(rules.deadlines(court).profile().announce_days)
        };
        hub.ledger.announcements(&permit, before, limit + 1, shown).map_err(status::command)
    });
    let mut found = read.await.map_err(page::unread)??;
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(|one| page::place_token(one.place));
    let announcements = found.into_iter().map(|one| v1::Announcement {
        court: one.court,
        case_number: one.case_number,
        lifted_on: one.lifted_on.to_string(),
    });
    Ok(v1::ListAnnouncementsResponse {
        announcements: announcements.collect(),
        next_page_token: next.unwrap_or_default(),
        position: Some(position_to(position)),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use xinhub_ledger::resident::statistics::Flow;

    use super::*;

    #[test]
    fn counts_that_single_somebody_out_are_left_out() {
        let flow = Flow { listed: 7, removed: 1, ..Flow::default() };
        let count = Count { court: "c".to_owned(), ground: 1, month: 2026 * 12 + 10, flow, in_force: 104 };
        let own = listing_count(&count, 0);
        assert_eq!((own.listed, own.removed, own.in_force, own.suppressed), (7, 1, 104, false));
        assert_eq!(own.month, "2026-11");
        let others = listing_count(&count, 5);
        assert_eq!((others.listed, others.removed, others.in_force, others.suppressed), (0, 0, 100, true));
        let flow = Flow { listed: 7, removed: 5, restored: 1, ..Flow::default() };
        let many = listing_count(&Count { flow, ..count }, 5);
        assert_eq!((many.listed, many.removed, many.restored, many.suppressed), (7, 5, 0, false));
    }

    #[test]
    fn months_are_read_and_written() {
        let mut faults = FieldFaults::default();
        assert_eq!(month_text(month("2026-02", "m", 0, &mut faults)), "2026-02");
        assert_eq!(month("", "m", 17, &mut faults), 17);
        assert!(faults.is_empty());
        month("2026-13", "m", 0, &mut faults);
        assert!(!faults.is_empty());
    }
}
