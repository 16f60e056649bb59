#![allow(clippy::unwrap_used)]
//! What a review found wrong in the writer once, each kept as a reproduction.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use xinhub_domain::deadline::Clock as Deadline;
use xinhub_domain::identity::{Kind, synthetic};
use xinhub_domain::import::{FileKind, ImportCounts, StagedImport};
use xinhub_domain::listing::{Body, Content, Draft, DraftDecision, Exemption, RawIdentity, Stage, State, Visibility};
use xinhub_domain::measure::{Relation, RelationSet};
use xinhub_domain::time::{Day, Timestamp};

use super::LULL;
use super::tick::DUE_AT_ONCE;
use crate::clock::Clock;
use crate::command::{
    Act, Command, CommandError, ImportRow, ListingRef, MAX_IMPORT_ROWS, Outcome, Request, RowFault, RowOutcome,
    StagedCommand,
};
use crate::keys::Keyring;
use crate::ledger::{Ledger, OpenError};
use crate::resident::remedy::Bound;
use crate::seglog::{LogPurpose, SegmentedLog};
use crate::storage::sim::SimStorage;
use crate::table::Closing;
use crate::testing::*;
use crate::vault::{Opened, Slots, Vault};

const DAY_MS: i64 = 86_400_000;

async fn send(ledger: &Ledger, client: &str, etag: Option<u64>, command: Command) -> Result<Outcome, CommandError> {
    ledger.submit(request(client, "j-1", etag, command)).await
}

async fn publish(ledger: &Ledger, client: &str, draft: &Draft) -> Outcome {
    send(ledger, client, None, Command::Publish { listing: None, content: content(draft), application: None })
        .await
        .unwrap()
}

async fn import(ledger: &Ledger, rows: Vec<ImportRow>) -> Vec<RowOutcome> {
    ledger.import(court("court-one"), batch(rows)).await.unwrap()
}

fn etag(ledger: &Ledger, listing: u64) -> u64 {
    ledger.inspect(|resident| resident.table.row(listing as u32 - 1).revision())
}

fn related(listing: &Draft, who: RawIdentity) -> ImportRow {
    let (case_number, subject) = (content(listing).case_number, identity(&listing.identities[0]));
    let content = relation(who, Relation::Principal, "");
    ImportRow::Relation { listing: ListingRef::Case { case_number, subject }, content }
}

/// The other listing was lost from the chain of the key.
#[tokio::test]
async fn a_rectified_identity_leaves_every_other_listing_of_its_key_in_force() {
    let bench = Bench::new(1);
    let ledger = bench.open();
    let code = |number: u64| {
        let number = synthetic::uscc("91", "440882", number)[8..17].to_owned();
        RawIdentity { kind: Kind::OrganisationCode, number, issuing_state: None }
    };
    let with = |more: Vec<RawIdentity>, case| {
        let first = draft(organisation(1), case);
        Draft { identities: [first.identities.clone(), more].concat(), ..first }
    };
    let one = publish(&ledger, "court-one", &with(vec![code(2)], 1)).await;
    let two = publish(&ledger, "court-two", &draft(organisation(2), 2)).await;
    let new = content(&with(vec![code(3)], 1));
    send(&ledger, "court-one", Some(one.etag), Command::Rectify { listing: one.listing, content: new, note: None })
        .await
        .unwrap();
    let debtor = RelationSet::only(Relation::Debtor);
    assert_eq!(held(&ledger, &code(2)), debtor, "by the other court");
    assert_eq!((held(&ledger, &code(3)), held(&ledger, &organisation(1))), (debtor, debtor));
    let revoke = Command::Revoke { listing: two.listing, ground: String::new() };
    send(&ledger, "court-two", None, revoke).await.unwrap();
    assert_eq!(held(&ledger, &code(2)), RelationSet::EMPTY);
}

/// A file from before the correction listed the wrong person again.
#[tokio::test]
async fn no_import_lists_an_identity_that_was_corrected_or_revives_a_relation_that_was_ended() {
    let bench = Bench::new(2);
    let ledger = bench.open();
    let (wrong, right) = (draft(organisation(1), 1), draft(organisation(2), 1));
    let one = publish(&ledger, "court-one", &wrong).await;
    let rectify = Command::Rectify { listing: one.listing, content: content(&right), note: None };
    send(&ledger, "court-one", Some(one.etag), rectify).await.unwrap();
    let set = Command::SetRelation { listing: one.listing, relation: relation(person(5), Relation::Principal, "") };
    let set = send(&ledger, "court-one", Some(etag(&ledger, one.listing)), set).await.unwrap();
    let end = Command::EndRelation { listing: one.listing, relation: set.record, basis_document: "d".into() };
    send(&ledger, "court-one", None, end).await.unwrap();
    let outcomes = import(&ledger, vec![ImportRow::Listing(content(&wrong)), related(&right, person(5))]).await;
    for outcome in &outcomes {
        assert!(matches!(outcome, RowOutcome::Fault(RowFault::Refused(_))), "{outcome:?}");
    }
    assert_eq!(held(&ledger, &organisation(1)), RelationSet::EMPTY);
    assert_eq!(held(&ledger, &person(5)), RelationSet::EMPTY);
}

/// Relations found nothing, the same row was listed twice in a dry run, and each relation of a listing took a sync.
#[tokio::test]
async fn rows_of_one_import_see_those_before_them_and_go_into_one_entry() {
    let bench = Bench::new(3);
    let ledger = bench.open();
    let org = draft(organisation(1), 1);
    let rows = vec![
        ImportRow::Listing(content(&org)),
        related(&org, person(5)),
        related(&org, person(6)),
        ImportRow::Listing(content(&org)),
        related(&org, person(5)),
    ];
    let sequence = ledger.inspect(|resident| resident.sequence);
    let (added, unchanged) = (RowOutcome::Added { listing: 1 }, RowOutcome::Unchanged { listing: 1 });
    let expected = [added.clone(), added.clone(), added, unchanged.clone(), unchanged];
    assert_eq!(import(&ledger, rows).await, expected);
    assert_eq!(ledger.inspect(|resident| resident.sequence), sequence + 1);
    assert_eq!(held(&ledger, &person(6)), RelationSet::only(Relation::Principal));
}

/// The second of an organisation's two keys was not exempted, and a match was told twice.
#[tokio::test]
async fn an_exemption_covers_every_key_of_a_debtor_and_a_listing_is_told_once() {
    let bench = Bench::new(4);
    let ledger = bench.open();
    let one = publish(&ledger, "court-one", &draft(organisation(1), 1)).await;
    let permit = lookup("hotel", "consumption.hotel", Some("star_rated"));
    let found = || ledger.probe(&permit, &identity(&organisation(1)), RelationSet::ALL).unwrap();
    assert_eq!(found().listings.len(), 1);
    let exemption = Exemption {
        identity: identity(&organisation(1)),
        measures: vec![],
        items: vec![],
        from: start(),
        until: Timestamp(start().0 + DAY_MS),
        ground: "illness".into(),
        approver: "president".into(),
    };
    let command = Command::Exempt { listing: one.listing, exemption: Box::new(exemption) };
    send(&ledger, "court-one", None, command).await.unwrap();
    assert!(found().hit.exempt);
}

/// The disclosure wrote the state that it had read, and put a hidden listing back into force.
#[tokio::test]
async fn a_disclosure_beside_a_lift_undoes_nothing() {
    let bench = Bench::new(5);
    let ledger = bench.open();
    let one = publish(&ledger, "court-one", &draft(person(1), 1)).await;
    let hide = Command::Hide { listing: one.listing, ground: String::new() };
    let clients: Vec<Arc<str>> = (0..40).map(|number| format!("client-{number}").into()).collect();
    let listings = [one.listing];
    let told = clients.iter().map(|client| ledger.disclose(client, &listings));
    let sequence = ledger.inspect(|resident| resident.sequence);
    let (hidden, told) = tokio::join!(send(&ledger, "court-one", None, hide), join_all(told));
    assert_eq!(hidden.unwrap().state, State::Hidden);
    assert!(told.into_iter().all(|done| done.is_ok()));
    assert_eq!(held(&ledger, &person(1)), RelationSet::EMPTY);
    assert_eq!(ledger.disclosed_to(one.listing).len(), 40);
    assert!(ledger.inspect(|resident| resident.sequence) < sequence + 40, "many share one sync");
    let running = ledger.inspect(|resident| resident.remedy.running.len());
    assert_eq!(
        running, 41,
        "each client owes the lift, also one that was told a moment after it; the court owes a reason"
    );
}

async fn join_all<T>(futures: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut futures: Vec<_> = futures.map(Box::pin).collect();
    let mut done: Vec<Option<T>> = futures.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        let mut pending = false;
        for (future, done) in futures.iter_mut().zip(&mut done) {
            if done.is_none() {
                match future.as_mut().poll(context) {
                    std::task::Poll::Ready(value) => *done = Some(value),
                    std::task::Poll::Pending => pending = true,
                }
            }
        }
        if pending { std::task::Poll::Pending } else { std::task::Poll::Ready(()) }
    })
    .await;
    done.into_iter().flatten().collect()
}

/// Its directory was unlocked while the writer went on.
#[tokio::test]
async fn a_ledger_that_is_dropped_ends_before_its_directory_is_unlocked() {
    let bench = Bench::new(6);
    for _ in 0..3 {
        let ledger = bench.open();
        assert!(matches!(bench.try_open(), Err(OpenError::Locked)));
        publish(&ledger, "court-one", &draft(person(1), 1)).await;
        drop(ledger);
        let ledger = bench.open();
        assert_eq!(held(&ledger, &person(1)), RelationSet::only(Relation::Debtor));
        let remove = Command::Remove { listing: ledger.status().listings, ground: "performed".into() };
        send(&ledger, "court-one", None, remove).await.unwrap();
    }
}

/// A clock set a year ahead refused every lift, and left an event from the future on which all later ones were out of date.
#[tokio::test]
async fn a_clock_set_ahead_refuses_no_lift_and_leaves_no_trace() {
    let bench = Bench::new(7);
    let ledger = bench.open();
    let one = publish(&ledger, "court-one", &draft(person(1), 1)).await;
    bench.clock.step_ms(400 * DAY_MS);
    eventually("the clock is frozen", || ledger.status().clock_frozen.then_some(()));
    let hide = Command::Hide { listing: one.listing, ground: String::new() };
    send(&ledger, "court-one", None, hide).await.unwrap();
    assert_eq!(ledger.position().time, start(), "hub time goes on by boot time");
    bench.clock.step_ms(-400 * DAY_MS);
    eventually("the clock goes on", || (!ledger.status().clock_frozen).then_some(()));
    publish(&ledger, "court-one", &draft(person(2), 2)).await;
}

/// An operator's word did not end a freeze when the clock was right and the last event was not.
#[tokio::test]
async fn an_operator_accepts_a_clock_behind_the_last_event() {
    let bench = Bench::new(8);
    let ledger = bench.open();
    bench.clock.advance_ms(30 * DAY_MS as u64);
    let ahead = request_at(
        bench.clock.wall(),
        "court-one",
        "j-1",
        None,
        Command::Publish { listing: None, content: content(&draft(person(1), 1)), application: None },
    );
    ledger.submit(ahead).await.unwrap();
    drop(ledger);
    bench.clock.step_ms(-30 * DAY_MS);
    let ledger = bench.open();
    let new = || Command::Publish { listing: None, content: content(&draft(person(2), 2)), application: None };
    assert_eq!(send(&ledger, "court-one", None, new()).await.unwrap_err(), CommandError::ClockUnsure);
    ledger.accept_clock().await;
    send(&ledger, "court-one", None, new()).await.unwrap();
}

/// Slot files were left half made, and the next `init` took them for whole.
#[tokio::test]
async fn an_init_that_was_cut_short_is_finished_by_the_next() {
    for ops in (0..60).step_by(2) {
        let sim = SimStorage::new(ops);
        let cut = Bench::blank(sim, Arc::new(Keyring::ephemeral()));
        cut.sim.power_off_after(ops);
        let made = cut.create();
        let again = cut.on(cut.sim.crash(ops));
        match again.create() {
            Ok(()) => assert!(made.is_err(), "after {ops} operations"),
            Err(error) => assert!(matches!(error, OpenError::Exists), "after {ops} operations: {error}"),
        }
        again.try_open().unwrap();
    }
}

/// A row of what was decided with this hub brings its notice, or the case stands as noticed: its row then lists it, once.
#[tokio::test]
async fn no_row_lists_without_a_notice_and_a_noticed_case_is_listed_by_its_row() {
    let bench = Bench::new(12);
    let ledger = bench.open();
    let unnoticed = |case| Draft { notice_served_on: String::new(), ..draft(organisation(u64::from(case)), case) };
    let row = |case| ImportRow::Listing(content(&unnoticed(case)));
    for (case, notice_served_on) in [(2, "2026-02-01"), (3, ""), (4, "2026-02-28")] {
        let content = Content { decision: None, ground: None, ..*content(&draft(organisation(case), case as u32)) };
        let content = Box::new(Content { notice_served_on: Day::parse(notice_served_on).ok(), ..content });
        send(&ledger, "court-one", None, Command::Notice { content }).await.unwrap();
    }
    let outcomes = import(&ledger, vec![row(1), row(2), row(2), row(3), row(4)]).await;
    let expected = [
        RowOutcome::Fault(RowFault::NoNotice),
        RowOutcome::Added { listing: 1 },
        RowOutcome::Unchanged { listing: 1 },
        RowOutcome::Fault(RowFault::NoNotice),
        // Decided on the 27th.
        RowOutcome::Fault(RowFault::LateNotice { listing: 3 }),
    ];
    assert_eq!(outcomes, expected);
    let debtor = RelationSet::only(Relation::Debtor);
    let lists = |case| held(&ledger, &organisation(case)) == debtor;
    assert_eq!([1, 2, 3, 4].map(lists), [false, true, false, false]);
    assert_eq!(import(&ledger, vec![row(2)]).await, [RowOutcome::Unchanged { listing: 1 }]);
    // The row's own day, where the notice's service was not recorded.
    let outcomes = import(&ledger, vec![ImportRow::Listing(content(&draft(organisation(3), 3)))]).await;
    assert_eq!((outcomes, lists(3)), (vec![RowOutcome::Added { listing: 2 }], true));
}

/// A notice that only the subject's own unit may be shown.
async fn notice_to_the_own_unit(ledger: &Ledger, row: &Draft) -> Outcome {
    let (visibility, own_unit) = (Visibility::OwnUnitOnly, "bank".to_owned());
    let noticed = Draft { decision: None, visibility, own_unit, ..row.clone() };
    let content = Box::new(Content::check(&noticed, Stage::Notice, start()).unwrap().0);
    send(ledger, "court-one", None, Command::Notice { content }).await.unwrap()
}

/// The own unit was bound by nothing: only a request started its clock.
#[tokio::test]
async fn a_file_that_brings_an_own_unit_only_entry_into_force_starts_its_units_clock() {
    let bench = Bench::new(1);
    let ledger = bench.open();
    let row = draft(person(1), 1);
    let listing = notice_to_the_own_unit(&ledger, &row).await.listing;
    assert_eq!(import(&ledger, vec![ImportRow::Listing(content(&row))]).await, [RowOutcome::Added { listing }]);
    let duties = ledger.inspect(|resident| resident.table.extra(listing as u32 - 1).unwrap().rest.duties.clone());
    let clocks: Vec<Deadline> = duties.iter().map(|duty| duty.clock).collect();
    assert_eq!(clocks, [Deadline::HandleNotice]);
}

/// A decision that was silent on it listed in public whom a notice had kept to the own unit.
#[tokio::test]
async fn what_a_notice_keeps_to_the_own_unit_stays_there_with_the_decision() {
    let bench = Bench::new(1);
    let ledger = bench.open();
    let row = draft(person(1), 1);
    let notice = notice_to_the_own_unit(&ledger, &row).await;
    let silent = Command::Publish { listing: Some(notice.listing), content: content(&row), application: None };
    send(&ledger, "court-one", Some(notice.etag), silent).await.unwrap();
    assert_eq!(held(&ledger, &person(1)), RelationSet::EMPTY);
    assert!(ledger.inspect(|resident| resident.table.row(0).has(crate::table::OWN_UNIT_ONLY)));
}

/// The unit that an entry was pushed to heard of it, and of its end nothing.
#[tokio::test]
async fn the_unit_that_a_notice_went_to_owes_the_end_of_the_entry() {
    let bench = Bench::new(15);
    let ledger = bench.open();
    let (visibility, own_unit) = (Visibility::OwnUnitOnly, "bank".to_owned());
    let listing = publish(&ledger, "court-one", &Draft { visibility, own_unit, ..draft(person(1), 1) }).await.listing;
    let revoke = Command::Revoke { listing, ground: "wrongly_listed".to_owned() };
    send(&ledger, "court-one", None, revoke).await.unwrap();
    let duties = ledger.inspect(|resident| resident.table.extra(listing as u32 - 1).unwrap().rest.duties.clone());
    let clocks: Vec<_> = duties.iter().map(|duty| (duty.clock, duty.closed)).collect();
    // Else it would stay overdue with a notice of what is over.
    assert_eq!(clocks, [(Deadline::HandleNotice, Some(Closing::Ended)), (Deadline::LiftMeasures, None)]);
    let running = ledger.inspect(|resident| resident.remedy.running.keys().copied().collect::<Vec<_>>());
    let runs = |of| running.iter().any(|bound| matches!(bound, Bound::Duty { clock, .. } if *clock == of));
    assert_eq!((runs(Deadline::HandleNotice), runs(Deadline::LiftMeasures)), (false, true));
}

/// Whom a change names as its second person is on record with it, also where nobody is needed.
#[tokio::test]
async fn the_second_person_is_sealed_with_what_they_have_seen() {
    let bench = Bench::new(17);
    let ledger = bench.open();
    let one = publish(&ledger, "court-one", &draft(organisation(1), 1)).await;
    let listing = one.listing;
    let with = |etag, command| Request { approver: Some(actor("j-2")), ..request("court-one", "j-1", etag, command) };
    let content = content(&draft(organisation(2), 1));
    ledger.submit(with(Some(one.etag), Command::Rectify { listing, content, note: None })).await.unwrap();
    let place = ledger.inspect(|resident| resident.table.row(0).place);
    let disk = bench.sim.restart(0).storage();
    let (log, _) = SegmentedLog::inspect(disk.dir("journal").unwrap(), LogPurpose::Journal).unwrap();
    let slots = Slots::open(&*disk.dir("slots").unwrap(), &bench.keyring).unwrap();
    let (_, opened) = Vault::new(Arc::new(log), &slots).read(place).unwrap();
    let Opened::Body(body) = opened else { panic!("it has a body") };
    assert!(matches!(*body, Body::Content { approver: Some(second), .. } if second == actor("j-2")));
}

/// Each was counted against what was committed, and not against those that went into the same entry.
#[tokio::test]
async fn no_more_imports_wait_than_may_however_many_come_at_once() {
    let bench = Bench::new(16);
    let ledger = bench.open();
    let import = StagedImport {
        client: "court-one".to_owned(),
        file: FileKind::Listings,
        header: String::new(),
        amend: false,
        rows: 1,
        sha256: [0; 32],
        trailer_line: 3,
        body_bytes: 1,
        kept_bytes: 1,
        gb18030: false,
        copy: [0; 16],
        key: [0; 32],
        foreseen: ImportCounts::default(),
        knows: None,
    };
    let staged = (0..40).map(|_| {
        let command = StagedCommand::Stage { import: Box::new(import.clone()) };
        let act = Act::Staged(court("court-one"), command);
        let (request_id, body) = (request_id(start()), Vec::new());
        ledger.submit(Request { act, request_id, body, etag: None, actor: Some(actor("clerk")), approver: None })
    });
    let staged = join_all(staged).await;
    assert_eq!(staged.iter().filter(|one| one.is_ok()).count(), 16);
}

/// A row, the row before it once more, and somebody related to that one.
fn chained_rows(number: u64) -> Vec<ImportRow> {
    let of = |number: u64| draft(organisation(number), number as u32);
    let before = of(number - 1);
    let related = related(&before, person(number as u16));
    vec![ImportRow::Listing(content(&of(number))), ImportRow::Listing(content(&before)), related]
}

/// Rows are decided while the entry before theirs is synced: they see it, and whatever else comes between sees both.
#[tokio::test]
async fn rows_see_the_entry_that_is_on_its_way() {
    let bench = Bench::new(18);
    let ledger = bench.open();
    import(&ledger, vec![ImportRow::Listing(content(&draft(organisation(900), 900)))]).await;
    import(&ledger, vec![ImportRow::Listing(content(&draft(organisation(1), 1)))]).await;
    let mut begun = Vec::new();
    for number in 2..60 {
        begun.push(ledger.begin_import(court("court-one"), batch(chained_rows(number))).await.unwrap());
        if number == 30 {
            let hide = Command::Hide { listing: 2, ground: String::new() };
            send(&ledger, "court-one", None, hide).await.unwrap();
            assert_eq!(held(&ledger, &organisation(1)), RelationSet::EMPTY);
        }
    }
    for (importing, listing) in begun.into_iter().zip(3..) {
        let before = listing - 1;
        let expected = [
            RowOutcome::Added { listing },
            RowOutcome::Unchanged { listing: before },
            RowOutcome::Added { listing: before },
        ];
        assert_eq!(importing.outcomes().await.unwrap(), expected);
    }
    assert_eq!(held(&ledger, &person(59)), RelationSet::only(Relation::Principal));
    let folded = bench.fold().unwrap();
    ledger.inspect(|resident| {
        assert_eq!((resident.sequence, resident.revision), (folded.sequence, folded.revision));
        assert!(resident.table.iter().eq(folded.table.iter()));
    });
}

/// What was acknowledged before the journal failed is there after a restart; of what was decided on top of the entry that failed
/// nobody is told that it was taken.
#[tokio::test]
async fn rows_on_top_of_an_entry_that_failed_are_not_taken() {
    for nth in [1, 2, 5, 9] {
        let bench = Bench::new(nth);
        let ledger = bench.open();
        import(&ledger, vec![ImportRow::Listing(content(&draft(organisation(1), 1)))]).await;
        bench.sim.fail_sync(nth, std::io::ErrorKind::Other);
        let mut begun = Vec::new();
        for number in 2..20 {
            begun.extend(ledger.begin_import(court("court-one"), batch(chained_rows(number))).await);
        }
        let mut taken = 1;
        let mut failed = false;
        for importing in begun {
            match importing.outcomes().await {
                Ok(_) => {
                    assert!(!failed, "taken on top of what was not");
                    taken += 1;
                }
                Err(_) => failed = true,
            }
        }
        assert!(failed && taken < 19, "sync {nth} failed, and {taken} were taken");
        drop(ledger);
        let again = bench.on(bench.sim.restart(nth)).open();
        let listings = again.status().listings;
        // The entry whose sync failed may be there or not.
        assert!((taken..=taken + 1).contains(&listings), "{taken} of {listings}");
    }
}

/// Rows went on while those who listen were being told of a lift, and took the processors from them.
#[tokio::test]
async fn rows_behind_a_lift_wait_for_a_lull() {
    let mut bench = Bench::new(22);
    bench.settings.lull = LULL;
    let ledger = bench.open();
    import(&ledger, vec![ImportRow::Listing(content(&draft(organisation(1), 1)))]).await;
    for number in 2..12 {
        let listed = publish(&ledger, "court-one", &draft(organisation(number + 100), 100 + number as u32)).await;
        let revoke = Command::Revoke { listing: listed.listing, ground: String::new() };
        let row = ImportRow::Listing(content(&draft(organisation(number), number as u32)));
        // The lift is on its way when the row comes.
        let (syncing, go_on) = bench.sim.hold_syncs();
        let mut lift = pin!(send(&ledger, "court-one", None, revoke));
        assert!(lift.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        syncing.recv_timeout(Duration::from_secs(60)).unwrap();
        let importing = ledger.begin_import(court("court-one"), batch(vec![row])).await.unwrap();
        let begun = tokio::time::Instant::now();
        drop(go_on);
        let (lift, rows) = tokio::join!(lift, importing.outcomes());
        assert!(lift.is_ok() && matches!(rows.unwrap()[..], [RowOutcome::Added { .. }]));
        assert!(begun.elapsed() >= LULL, "{:?}", begun.elapsed());
    }
}

/// Rows that landed just before a lift were told and followed while those were told who waited for it.
#[tokio::test]
async fn what_lands_in_front_of_a_lift_is_in_its_lull() {
    let mut bench = Bench::new(24);
    bench.settings.lull = Duration::from_secs(3_600);
    let ledger = bench.open();
    let rows = |number| vec![ImportRow::Listing(content(&draft(organisation(number), number as u32)))];
    import(&ledger, rows(1)).await;
    assert_eq!(ledger.lull(), Duration::ZERO);
    // The next entry stays on its way until the lift is there.
    let (syncing, go_on) = bench.sim.hold_syncs();
    let importing = ledger.begin_import(court("court-one"), batch(rows(2))).await.unwrap();
    syncing.recv().unwrap();
    let revoke = Command::Revoke { listing: 9, ground: String::new() };
    let (refused, _) = tokio::join!(send(&ledger, "court-one", None, revoke), async { drop(go_on) });
    assert!(matches!(refused, Err(CommandError::NotFound(_))));
    assert!(matches!(importing.outcomes().await.unwrap()[..], [RowOutcome::Added { .. }]));
    assert!(ledger.lull() > Duration::ZERO);
}

/// Each publication waited for two syncs.
#[tokio::test]
async fn the_keys_of_records_made_soon_after_one_another_share_a_sync() {
    let bench = Bench::new(19);
    let ledger = bench.open();
    publish(&ledger, "court-one", &draft(person(1), 1)).await;
    let syncs = bench.sim.counts().syncs;
    publish(&ledger, "court-one", &draft(person(2), 2)).await;
    assert_eq!(bench.sim.counts().syncs, syncs + 1, "the entry's own");
}

/// Each row of a file that was sent again read a whole entry: here each is read once, and then event by event.
#[tokio::test]
async fn rows_that_are_known_are_found_in_the_midst_of_their_entry() {
    let bench = Bench::new(20);
    let ledger = bench.open();
    let rows =
        || (1..=40).map(|number| ImportRow::Listing(content(&draft(organisation(number), number as u32)))).collect();
    import(&ledger, rows()).await;
    for _ in 0..2 {
        let expected: Vec<_> = (1..=40).map(|listing| RowOutcome::Unchanged { listing }).collect();
        assert_eq!(import(&ledger, rows()).await, expected);
    }
}

/// The last row of each full batch made an entry of its own: two syncs more, and a batch that was taken in part.
#[tokio::test]
async fn as_many_rows_as_a_batch_takes_are_one_entry() {
    let bench = Bench::new(21);
    let ledger = bench.open();
    let sequence = ledger.inspect(|resident| resident.sequence);
    let row = |number: usize| ImportRow::Listing(content(&draft(organisation(number as u64), 1 + number as u32)));
    let outcomes = import(&ledger, (0..MAX_IMPORT_ROWS).map(row).collect()).await;
    assert!(outcomes.iter().all(|outcome| matches!(outcome, RowOutcome::Added { .. })));
    let after = ledger.inspect(|resident| (resident.sequence, resident.table.len()));
    assert_eq!(after, (sequence + 1, MAX_IMPORT_ROWS));
}

/// A lift waited until the end of every term that ended with the day was written.
#[tokio::test]
async fn a_lift_overtakes_a_midnight_but_not_what_ends_of_its_own_listing() {
    let bench = Bench::new(31);
    let ledger = bench.open();
    let fixed = |number: u64| {
        // By its own ground a listing ends by itself, 24 months on.
        let decision =
            draft(organisation(number), 1).decision.map(|decision| DraftDecision { term_months: 24, ..decision });
        let draft = Draft { ground: 2, decision, ..draft(organisation(number), number as u32) };
        ImportRow::Listing(content(&draft))
    };
    const ENDING: u64 = MAX_IMPORT_ROWS as u64;
    let rows = import(&ledger, (1..=ENDING).map(fixed).collect()).await;
    assert!(rows.iter().all(|row| matches!(row, RowOutcome::Added { .. })));
    let stays = publish(&ledger, "court-one", &draft(organisation(ENDING + 1), 90_000)).await.listing;
    let until = ledger.inspect(|resident| resident.table.row(0).until()).unwrap();
    // At midnight the disk stays at its first entry until the lifts are there.
    let (syncing, go_on) = bench.sim.hold_syncs();
    let before = ledger.position().revision;
    bench.clock.advance_ms((until.end().0 - bench.clock.wall().0) as u64);
    syncing.recv().unwrap();
    let lift = |listing| {
        let remove = Command::Remove { listing, ground: "performed".into() };
        ledger.submit(request_at(bench.clock.wall(), "court-one", "j-1", None, remove))
    };
    // The last of those that end: terms of one day are taken from its end, so that the first listings' come last.
    let (ending, list) = (1..=20, [21, stays]);
    // Of no list that anybody has confirmed, so that it frees nobody.
    let gone = batch(list.into_iter().map(ImportRow::Gone).collect());
    let entries = || ledger.inspect(|resident| resident.sequence);
    let entries_before = entries();
    let (lifted, ended, gone, _) =
        tokio::join!(lift(stays), join_all(ending.clone().map(lift)), ledger.import(court("court-one"), gone), async {
            drop(go_on)
        });
    assert_eq!(lifted.unwrap().etag, before + DUE_AT_ONCE as u64 + 1, "behind the entry that was on its way");
    assert!(ended.iter().all(|ended| matches!(ended, Err(CommandError::State(_)))), "{ended:?}");
    assert!(matches!(gone.unwrap()[..], [RowOutcome::Newer { .. }, RowOutcome::Newer { .. }]));
    assert!(ending.chain([21]).all(|listing| etag(&ledger, listing) > before + DUE_AT_ONCE as u64));
    while ledger.position().revision < before + ENDING + 1 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let listed = |listing: u64| ledger.inspect(|resident| resident.table.row(listing as u32 - 1).state());
    assert!((1..=ENDING).all(|listing| listed(listing) != Some(State::Listed)));
    assert_eq!(ledger.position().revision, before + ENDING + 1, "each once");
    assert_eq!(
        entries() - entries_before,
        ENDING.div_ceil(DUE_AT_ONCE as u64) + 1,
        "no more than without lifts, and theirs"
    );
}
