//! A court hands over its whole list: compared and shown, then confirmed, lifts first.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use xinhub_domain::import::Mode;
use xinhub_tests::court::{actor, clerk};
use xinhub_tests::file::{
    Form, Imported, Row, approve_import, confirm_import, current_row, options, preview_import, row, send, send_listings,
};
use xinhub_tests::subject::days_ago;
use xinhub_tests::v1::ListDifferenceKind::{Changed, Differing, Gone, New, Newer, Waiting};
use xinhub_tests::v1::{ImportFile, ImportOptions, ImportState, ListingState, StagedImport, Verdict};
use xinhub_tests::{Ask, Code, Court, Error, Hub, Reason, Setup, Shell, Subject, parties, refused, v1};

const CURRENT: Form =
    Form { mode: Mode::Current, encoding: xinhub_cli::synthesize::Encoding::Utf8, bom: false, age_minutes: 0 };
const COMPLETE: Form = Form { mode: Mode::Complete, ..CURRENT };

async fn verdict(bank: &xinhub_client::Hub, subject: &Subject) -> Verdict {
    Ask::about(subject, "credit.lending").answer(bank).await.verdict()
}

fn changed(row: &Row, changes: &[(&'static str, &str)]) -> Row {
    let mut row = row.clone();
    row.extend(changes.iter().map(|(column, value)| (*column, (*value).to_owned())));
    row
}

fn people(count: usize) -> (Vec<Subject>, Vec<Row>) {
    let subjects: Vec<Subject> = (0..count).map(|_| Subject::person()).collect();
    let rows = subjects.iter().map(current_row).collect();
    (subjects, rows)
}

/// A complete list as of now: what was recorded before it is, what comes after it is not.
async fn complete(rows: &[Row]) -> Vec<u8> {
    let pause = || tokio::time::sleep(Duration::from_millis(20));
    pause().await;
    let file = COMPLETE.listings(rows);
    pause().await;
    file
}

async fn staged(court: &Court, file: &[u8]) -> (u64, Imported) {
    let sent = send(&court.client, options(ImportFile::Listings), file).await.unwrap();
    (sent.summary.staged.as_ref().unwrap().import, sent)
}

async fn waiting(court: &Court) -> Vec<StagedImport> {
    court.client.registry().list_imports(v1::ListImportsRequest {}).await.unwrap().imports
}

async fn confirm(court: &Court, import: u64, gone: u64) -> Result<Imported, Error> {
    confirm_import(&court.client, import, gone, clerk()).await
}

/// Gone, newer, differing, waiting, in force.
fn list(imported: &Imported) -> (u64, u64, u64, u64, u64) {
    let v1::ListCounts { gone, newer, differing, waiting, in_force } = imported.summary.list.unwrap();
    (gone, newer, differing, waiting, in_force)
}

/// Kind, listing and line of each difference, in order.
fn told(imported: &Imported) -> Vec<(v1::ListDifferenceKind, u64, u64)> {
    imported.differences.iter().map(|one| (one.kind(), one.listing, one.line)).collect()
}

async fn state(hub: &Hub, court: &Court, listing: u64) -> ListingState {
    hub.details_caught_up().await;
    court.read(listing).await.unwrap().state()
}

async fn sound(mut hub: Hub) {
    hub.stop().await;
    let checked = hub.daemon("fsck");
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
}

/// Of eight that are listed: the second, sixth and eighth changed, the third too, and the fourth left out; one row is at fault.
fn named(rows: &[Row], added: &Subject) -> Vec<Row> {
    vec![
        rows[0].clone(),
        changed(&rows[1], &[("performance", "部分履行"), ("performedPart", "一万元")]),
        // Its term would end a day later: that is left to a request that a second person sees.
        changed(&rows[2], &[("decisionDate", &days_ago(29)), ("performance", "部分履行")]),
        current_row(added),
        rows[4].clone(),
        changed(&rows[5], &[("duty", "支付货款")]),
        changed(&rows[6], &[("age", "about forty")]),
        changed(&rows[7], &[("ground", "4")]),
    ]
}

/// Import 1, of which two are gone.
async fn refused_as_it_stands(hub: &Hub, court: &Court) {
    let approved = approve_import(&court.client, 1, actor(parties::SIGNER, "judge")).await;
    refused(approved, Code::FailedPrecondition, Reason::State);
    refused(confirm(court, 1, 1).await, Code::FailedPrecondition, Reason::MoreGone);
    let mutation = Some(xinhub_client::mutation(clerk(), None));
    let unfounded = v1::ConfirmImportRequest { mutation, import: 1, gone: 2, ground: " ".to_owned() };
    let unfounded = court.client.registry().confirm_import(unfounded).await.unwrap().next().await;
    refused(unfounded, Code::InvalidArgument, Reason::InvalidField);
    refused(confirm(&hub.other_court().await, 1, 2).await, Code::NotFound, Reason::NotFound);
}

#[tokio::test]
async fn a_list_is_compared_shown_confirmed_and_taken_lifts_first() {
    let hub = Hub::start().await;
    let (court, bank) = (hub.court().await, hub.client(parties::BANK).await);
    let (subjects, rows) = people(8);
    send_listings(&court.client, &CURRENT.listings(&rows)).await.unwrap();
    // Listing 9 was migrated: its decision has no number that a row could be compared with.
    let migrated = Subject::person();
    send_listings(&court.client, &Form::default().listings(&[row(&migrated)])).await.unwrap();
    let added = Subject::person();
    // Line 3 is the first row. Listing 4 and the migrated one are not named.
    let file = complete(&named(&rows, &added)).await;
    // After the list's time: 10 is published, 5 lifted, 6 changed.
    let late = Subject::person();
    let listed = court.list(&late).await.listing;
    court.revoke(5).await.unwrap();
    let amend = ImportOptions { amend: true, ..options(ImportFile::Listings) };
    let since = CURRENT.listings(&[changed(&rows[5], &[("performance", "部分履行")])]);
    assert_eq!(send(&court.client, amend, &since).await.unwrap().counts(), (0, 1, 0, 0));

    let sending = options(ImportFile::Listings);
    let sent = send(&court.client, sending.clone(), &file).await.unwrap();
    let import = sent.summary.staged.clone().unwrap();
    assert_eq!((import.import, import.state(), &*import.mode), (1, ImportState::Staged, "complete"));
    assert_eq!(send(&court.client, sending, &file).await.unwrap().summary.staged.unwrap().import, 1, "it waits once");
    let shown = preview_import(&court.client, 1).await.unwrap();
    assert_eq!((shown.counts(), list(&shown)), ((1, 1, 1, 1), (2, 3, 2, 0, 9)), "{:?}", shown.faults);
    assert_eq!((list(&sent), import.list), (list(&shown), shown.summary.list));
    let expected = [
        (Changed, 2, 4),
        (Differing, 3, 5),
        (New, 0, 6),
        (Newer, 5, 7),
        (Newer, 6, 8),
        (Differing, 8, 10),
        (Gone, 4, 0),
        (Gone, 9, 0),
        (Newer, listed, 0),
    ];
    assert_eq!(told(&shown), expected);
    let fields = |at: usize| shown.differences[at].fields.join(",");
    assert_eq!((fields(0), fields(1)), ("performance,performed_part".into(), "decision,performance".into()));
    assert_eq!(fields(5), "ground");
    assert_eq!(shown.faults[0].line, 9, "its case is named all the same: listing 7 is not gone");
    assert_eq!((verdict(&bank, &subjects[3]).await, verdict(&bank, &added).await), (Verdict::Consider, Verdict::Clear));

    refused_as_it_stands(&hub, &court).await;
    assert_eq!(verdict(&bank, &subjects[3]).await, Verdict::Consider, "nothing was lifted yet");

    let taken = confirm(&court, 1, 2).await.unwrap();
    assert_eq!((taken.counts(), list(&taken)), ((1, 1, 1, 1), (2, 3, 2, 0, 9)));
    assert_eq!(told(&taken)[..2], [(Gone, 4, 0), (Gone, 9, 0)], "lifts come first");
    for (subject, expected) in [
        (&subjects[0], Verdict::Consider),
        (&subjects[3], Verdict::Clear),
        (&migrated, Verdict::Clear),
        (&subjects[4], Verdict::Clear),
        (&subjects[6], Verdict::Consider),
        (&late, Verdict::Consider),
        (&added, Verdict::Consider),
    ] {
        assert_eq!(verdict(&bank, subject).await, expected);
    }
    assert_eq!(state(&hub, &court, 4).await, ListingState::Removed);
    assert_eq!(court.read(2).await.unwrap().content.unwrap().performance, "部分履行");
    assert_eq!(court.read(3).await.unwrap().content.unwrap().performance, "全部未履行");
    assert!(waiting(&court).await.is_empty());
    let again =
        send(&court.client, ImportOptions { dry_run: true, ..options(ImportFile::Listings) }, &file).await.unwrap();
    assert_eq!(
        (again.counts(), list(&again).0, again.summary.staged),
        ((0, 0, 3, 1), 0, None),
        "nothing is left of it"
    );
    sound(hub).await;
}

#[tokio::test]
async fn one_actor_lifts_and_adds_a_share_and_a_second_releases_what_exceeds_it() {
    let hub = Hub::start_with(Setup { release: "two", ..Setup::default() }).await;
    let (court, bank) = (hub.court().await, hub.client(parties::BANK).await);
    let (subjects, mut rows) = people(20);
    let first = staged(&court, &CURRENT.listings(&rows)).await.0;
    approve_import(&court.client, first, actor(parties::SIGNER, "judge")).await.unwrap();

    // 1 of 20 is the share of 5 %.
    let within_share = Subject::person();
    rows.push(current_row(&within_share));
    let (import, sent) = staged(&court, &complete(&rows[1..]).await).await;
    assert_eq!((sent.counts(), list(&sent)), ((1, 0, 19, 0), (1, 0, 0, 0, 20)));
    let taken = confirm(&court, import, 1).await.unwrap();
    assert_eq!((taken.counts(), list(&taken).0), ((1, 0, 19, 0), 1));
    let now = (verdict(&bank, &subjects[0]).await, verdict(&bank, &within_share).await);
    assert_eq!(now, (Verdict::Clear, Verdict::Consider));
    assert!(waiting(&court).await.is_empty());

    let (beyond, mut more) = people(2);
    rows[5].insert("performance", "部分履行".to_owned());
    more.extend(rows.drain(2..));
    let (import, sent) = staged(&court, &complete(&more).await).await;
    assert_eq!((sent.counts(), list(&sent)), ((2, 1, 18, 0), (1, 0, 0, 2, 20)), "what would wait is told beforehand");
    let confirmed = confirm(&court, import, 1).await.unwrap();
    assert_eq!((confirmed.counts(), list(&confirmed)), ((0, 1, 18, 0), (1, 0, 0, 2, 20)));
    assert!(told(&confirmed).contains(&(Waiting, 0, 3)));
    let now = (verdict(&bank, &subjects[1]).await, verdict(&bank, &beyond[0]).await);
    assert_eq!(now, (Verdict::Clear, Verdict::Clear), "the lift isn't held up, the addition is");
    assert_eq!(waiting(&court).await[0].state(), ImportState::Confirmed);
    // Confirmed once more, what waits for a second person still does.
    assert_eq!(confirm(&court, import, 0).await.unwrap().summary.list.unwrap().waiting, 2);
    assert_eq!(verdict(&bank, &beyond[0]).await, Verdict::Clear);
    let alone = approve_import(&court.client, import, clerk()).await;
    refused(alone, Code::PermissionDenied, Reason::SecondPersonRequired);
    let released = approve_import(&court.client, import, actor(parties::SIGNER, "judge")).await.unwrap();
    assert_eq!(released.counts(), (2, 0, 19, 0));
    assert_eq!(verdict(&bank, &beyond[0]).await, Verdict::Consider);
    assert!(waiting(&court).await.is_empty());
    sound(hub).await;
}

#[tokio::test]
async fn what_is_recorded_between_preview_and_confirmation_only_takes_away_from_what_goes() {
    let mut hub = Hub::start().await;
    let (court, bank) = (hub.court().await, hub.client(parties::BANK).await);
    let (subjects, rows) = people(4);
    send_listings(&court.client, &CURRENT.listings(&rows)).await.unwrap();
    let (import, sent) = staged(&court, &complete(&rows[..1]).await).await;
    assert_eq!(list(&sent).0, 3);
    // Hidden and brought back: it is in force by a decision that the list can't know.
    let hidden = court.hide(2).await.unwrap();
    court.restore(2, &hidden.etag).await.unwrap();
    let late = Subject::person();
    court.list(&late).await;
    // As long as it waits, it may be confirmed after a restart as well.
    hub.kill_and_restart().await;
    let (court, bank_now) = (hub.court().await, hub.client(parties::BANK).await);
    drop(bank);
    let taken = confirm(&court, import, 3).await.unwrap();
    assert_eq!((list(&taken).0, list(&taken).1), (2, 2));
    for (subject, expected) in
        [(&subjects[1], Verdict::Consider), (&subjects[2], Verdict::Clear), (&late, Verdict::Consider)]
    {
        assert_eq!(verdict(&bank_now, subject).await, expected);
    }
    sound(hub).await;
}

#[tokio::test]
async fn an_older_list_says_nothing_any_more() {
    let mut hub = Hub::start_with(Setup { release: "two", ..Setup::default() }).await;
    let court = hub.court().await;
    let (_, rows) = people(3);
    let older = complete(&rows).await;
    let (first, second) = (staged(&court, &older).await.0, staged(&court, &complete(&rows[..1]).await).await.0);
    let held = confirm(&court, second, 0).await.unwrap();
    assert_eq!((held.counts(), list(&held).3), ((0, 0, 0, 0), 1), "of none in force any addition exceeds the share");
    let code = Code::FailedPrecondition;
    refused(confirm(&court, first, 0).await, code, Reason::OlderList);
    refused(preview_import(&court.client, first).await, code, Reason::OlderList);
    refused(send(&court.client, options(ImportFile::Listings), &older).await, code, Reason::OlderList);
    // Confirmed and not yet released, a list is overtaken just so.
    let third = staged(&court, &complete(&rows[..2]).await).await.0;
    confirm(&court, third, 0).await.unwrap();
    let signer = || actor(parties::SIGNER, "judge");
    refused(approve_import(&court.client, second, signer()).await, code, Reason::OlderList);
    // The fold knows it after a restart, from the journal and from a snapshot.
    hub.kill_and_restart().await;
    let court = hub.court().await;
    refused(confirm(&court, first, 0).await, code, Reason::OlderList);
    hub.stop().await;
    hub.serve().await;
    let court = hub.court().await;
    refused(confirm(&court, first, 0).await, code, Reason::OlderList);
    assert_eq!(approve_import(&court.client, third, signer()).await.unwrap().counts(), (2, 0, 0, 0));
    sound(hub).await;
}

#[tokio::test]
async fn what_is_no_complete_list_is_refused_whole() {
    let hub = Hub::start().await;
    let court = hub.court().await;
    let (_, rows) = people(3);
    send_listings(&court.client, &CURRENT.listings(&rows)).await.unwrap();
    let good = complete(&rows).await;
    let text = String::from_utf8(good.clone()).unwrap();
    let as_of = text.split(';').find(|field| field.starts_with("as_of=")).unwrap();
    let with = |from: &str, to: &str| text.replacen(from, to, 1).into_bytes();
    for (file, what, reason) in [
        (with(&format!(";{as_of}"), ""), "as_of: is missing", Reason::ImportFile),
        (with(as_of, "as_of=2099-01-01T00:00:00+08:00"), "future", Reason::ImportFile),
        (with("rows=3", "rows=4"), "rows: says 4", Reason::ImportFile),
        (with("支付货款", "支付租金"), "sha256", Reason::ImportFile),
        (with("court=leizhou", "court=xuwen"), "court", Reason::OtherCourt),
        (COMPLETE.listings(&[rows[0].clone(), changed(&rows[1], &[("caseCode", "?")])]), "line 4", Reason::ImportFile),
        (COMPLETE.relations(&[]), "mode", Reason::ImportFile),
    ] {
        let kind = if what == "mode" { ImportFile::Relations } else { ImportFile::Listings };
        let error = send(&court.client, options(kind), &file).await.unwrap_err();
        assert!(error.to_string().contains(what), "{what}: {error}");
        assert_eq!(error.reason(), Some(reason), "{what}");
    }
    assert!(waiting(&court).await.is_empty());
    // Another court's row, and one of an unknown person of a case that is listed: faults of their rows, which name their cases.
    let foreign = changed(&rows[0], &[("courtName", "广东省徐闻县人民法院")]);
    let strange = changed(&rows[1], &[("cardNum", "110101199001010008")]);
    let (import, sent) = staged(&court, &complete(&[foreign, strange]).await).await;
    let places: Vec<_> = sent.places().into_iter().map(|(line, column, _)| (line, column)).collect();
    assert_eq!((list(&sent).0, places), (1, vec![(3, "courtName"), (4, "cardNum")]));
    let current = staged_current(&court, &rows[0]).await;
    assert_eq!(current.summary.staged, None, "a file of mode current waits for nobody here");
    refused(confirm(&court, import, 0).await, Code::FailedPrecondition, Reason::MoreGone);
}

async fn staged_current(court: &Court, row: &Row) -> Imported {
    send_listings(&court.client, &CURRENT.listings(std::slice::from_ref(row))).await.unwrap()
}

#[tokio::test]
async fn the_command_line_shows_a_list_and_confirms_what_was_shown() {
    let hub = Hub::start().await;
    let (subjects, rows) = people(2);
    let shell = Shell::new(&hub, &[&subjects[0], &subjects[1]]);
    send_listings(&hub.court().await.client, &CURRENT.listings(&rows)).await.unwrap();
    let file = shell.dir().join("list.csv");
    std::fs::write(&file, complete(&rows[1..]).await).unwrap();
    let court = |words: &[&str]| shell.run(&[&["--context", parties::COURT, "--output", "json"], words].concat(), "");
    let sent = court(&["import", file.to_str().unwrap()]).code(0).lines();
    let gone = serde_json::json!({ "difference": "GONE", "listing": 1, "line": null, "fields": [] });
    assert_eq!((&sent[0], &sent[1]["list"]["gone"]), (&gone, &serde_json::json!(1)));
    assert_eq!(court(&["imports", "preview", "1"]).code(0).lines()[0], gone);
    // Nobody can be asked here, and nothing was named.
    court(&["imports", "confirm", "1", "--ground", "performed"]).fails(2);
    court(&["imports", "confirm", "1", "--ground", "performed", "--gone", "0"]).fails(29);
    let taken = court(&["imports", "confirm", "1", "--ground", "performed", "--gone", "1"]).code(0).lines();
    assert_eq!((&taken[0], &taken[1]["list"]["in_force"]), (&gone, &serde_json::json!(2)));
    let bank = hub.client(parties::BANK).await;
    assert_eq!(verdict(&bank, &subjects[0]).await, Verdict::Clear);
}

/// The kill falls between two commits of lifts: each is there whole, and who confirms again goes on.
#[tokio::test]
async fn what_a_kill_broke_off_is_confirmed_once_more_and_goes_on() {
    let mut hub = Hub::start().await;
    let court = hub.court().await;
    let (subjects, rows) = people(8_000);
    send_listings(&court.client, &CURRENT.listings(&rows)).await.unwrap();
    let (added, new) = people(1_500);
    let import = staged(&court, &complete(&new).await).await.0;
    let mutation = Some(xinhub_client::mutation(clerk(), None));
    let request = v1::ConfirmImportRequest { mutation, import, gone: 8_000, ground: "performed".to_owned() };
    let mut told = court.client.registry().confirm_import(request.clone()).await.unwrap();
    let _first_lift = told.next().await.unwrap().unwrap();
    hub.kill_and_restart().await;
    let (court, bank) = (hub.court().await, hub.client(parties::BANK).await);
    let left = preview_import(&court.client, import).await.unwrap();
    let (gone, .., in_force) = list(&left);
    assert!(
        (1..8_000).contains(&gone) && gone == in_force && gone % 1_000 == 0,
        "{gone} of {in_force}: no whole commits"
    );
    assert_eq!(left.counts().0, 1_500, "nothing is added before the last lift");
    assert_eq!(verdict(&bank, &subjects[0]).await, Verdict::Clear);
    // The same request: its outcome is kept, and it goes on.
    let mut told = court.client.registry().confirm_import(request).await.unwrap();
    while told.next().await.unwrap().is_some() {}
    assert!(waiting(&court).await.is_empty());
    let sure = send(&court.client, options(ImportFile::Listings), &complete(&new).await).await.unwrap();
    assert_eq!((sure.counts(), list(&sure)), ((0, 0, 1_500, 0), (0, 0, 0, 0, 1_500)));
    let now = (verdict(&bank, &subjects[7_999]).await, verdict(&bank, &added[1_499]).await);
    assert_eq!(now, (Verdict::Clear, Verdict::Consider));
    sound(hub).await;
}
