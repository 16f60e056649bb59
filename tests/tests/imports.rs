//! A court's own file: taken whole or not at all, row by row, once.

#![allow(clippy::unwrap_used)]

use tokio_stream::iter;
use xinhub_cli::synthesize::Encoding;
use xinhub_domain::import::Mode;
use xinhub_tests::file::{
    Form, Imported, Row, current_row, messages, options, relation_row, row, send, send_listings, send_relations,
};
use xinhub_tests::subject::days_ago;
use xinhub_tests::v1::condition_answer::Answer as Condition;
use xinhub_tests::v1::{AnswerReason as Why, ImportFile, ImportOptions, Verdict};
use xinhub_tests::wait::within;
use xinhub_tests::{Ask, Code, Hub, Reason, Subject, parties, refused, shared, v1};

const LOAN: &str = "credit.lending";

async fn verdict(bank: &xinhub_client::Hub, subject: &Subject) -> Verdict {
    Ask::about(subject, LOAN).answer(bank).await.verdict()
}

fn changed(row: &Row, column: &'static str, value: &str) -> Row {
    let mut row = row.clone();
    row.insert(column, value.to_owned());
    row
}

#[tokio::test]
async fn a_migration_is_taken_in_both_encodings_with_and_without_a_mark() {
    let hub = shared().await;
    let (court, bank) = (hub.court().await, hub.client(parties::BANK).await);
    for (encoding, bom) in
        [(Encoding::Utf8, false), (Encoding::Utf8, true), (Encoding::Gb18030, false), (Encoding::Gb18030, true)]
    {
        // 𬭎 takes four bytes in GB 18030.
        let person = Subject { name: "欧阳𬭎瑜".to_owned(), ..Subject::person() };
        let company = Subject::organisation();
        let file = Form { encoding, bom, ..Form::default() }.listings(&[row(&person), row(&company)]);
        let imported = send_listings(&court.client, &file).await.unwrap();
        assert_eq!(imported.counts(), (2, 0, 0, 0), "{encoding:?} {bom}: {:?}", imported.faults);
        hub.details_caught_up().await;
        for subject in [&person, &company] {
            let ask = Ask::about(subject, LOAN).name(&subject.name);
            let answer = ask.expect(&bank, Verdict::Consider, Why::ListedDebtor).await;
            let listing = court.read(answer.listings[0]).await.unwrap();
            assert!(listing.attested && listing.state() == v1::ListingState::Listed);
            assert_eq!(listing.content.unwrap().obligation, "支付货款，以及\"利息\"");
        }
    }
}

#[tokio::test]
async fn a_current_file_brings_each_rows_own_decision() {
    let hub = shared().await;
    let (court, bank) = (hub.court().await, hub.client(parties::BANK).await);
    let form = Form { mode: Mode::Current, ..Form::default() };
    let (served, unserved) = (Subject::person(), Subject::person());
    let rows = [current_row(&served), changed(&current_row(&unserved), "servedDate", "")];
    let imported = send_listings(&court.client, &form.listings(&rows)).await.unwrap();
    assert_eq!(imported.counts(), (2, 0, 0, 0), "{:?}", imported.faults);
    assert_eq!((verdict(&bank, &served).await, verdict(&bank, &unserved).await), (Verdict::Consider, Verdict::Clear));
}

/// The list was in force before it came here: an honour acquired between publication and import falls to it.
#[tokio::test]
async fn a_migrated_listing_counts_from_its_publication() {
    let hub = shared().await;
    let (court, unit) = (hub.court().await, hub.client(parties::UNIT).await);
    let person = Subject::person();
    // Published 60 days ago.
    send_listings(&court.client, &Form::default().listings(&[row(&person)])).await.unwrap();
    hub.details_caught_up().await;
    let acquired = |days| {
        let answer = Condition::Date(days_ago(days));
        Ask::about(&person, "honour.withdraw-person").given("acquired_after_listing", answer)
    };
    acquired(30).expect(&unit, Verdict::Restricted, Why::ListedDebtor).await;
    acquired(90).expect(&unit, Verdict::Clear, Why::OutOfScope).await;
}

#[tokio::test]
async fn the_second_file_brings_related_people() {
    let hub = shared().await;
    let (court, unit) = (hub.court().await, hub.client(parties::UNIT).await);
    let (company, head, nobody) = (Subject::organisation(), Subject::person(), Subject::person());
    let listing = row(&company);
    send_listings(&court.client, &Form::default().listings(std::slice::from_ref(&listing))).await.unwrap();
    let relation = relation_row(&listing, "legal_representative", &head);
    let unknown = changed(&relation_row(&listing, "principal", &nobody), "caseCode", "(2025)粤0882执99999999号");
    let rows = [relation.clone(), unknown, changed(&relation, "role", "friend")];
    let imported = send_relations(&court.client, &Form::default().relations(&rows)).await.unwrap();
    assert_eq!(imported.counts(), (1, 0, 0, 2), "{:?}", imported.faults);
    assert_eq!(imported.places()[0], (4, "listing", Reason::NotFound), "{:?}", imported.faults);
    assert_eq!((imported.faults[1].line, imported.faults[1].column.as_str()), (5, "role"));
    let ask = |subject| Ask::about(subject, "transaction.real-estate").given("acquisition_only", Condition::Met(true));
    ask(&head).expect(&unit, Verdict::Restricted, Why::RelatedPerson).await;
    ask(&nobody).expect(&unit, Verdict::Clear, Why::NotListed).await;
    let again = send_relations(&court.client, &Form::default().relations(&rows[..1])).await.unwrap();
    assert_eq!(again.counts(), (0, 0, 1, 0));
}

#[tokio::test]
async fn a_dry_run_tells_everything_and_changes_nothing() {
    let hub = shared().await;
    let (court, bank) = (hub.court().await, hub.client(parties::BANK).await);
    let subject = Subject::person();
    let file = Form::default().listings(&[row(&subject), changed(&row(&Subject::person()), "cardNum", "1")]);
    let options = ImportOptions { dry_run: true, ..options(ImportFile::Listings) };
    let dry = send(&court.client, options, &file).await.unwrap();
    assert_eq!((dry.counts(), dry.summary.dry_run), ((1, 0, 0, 1), true));
    assert_eq!(verdict(&bank, &subject).await, Verdict::Clear);
    let real = send_listings(&court.client, &file).await.unwrap();
    assert_eq!((real.counts(), real.places()), ((1, 0, 0, 1), dry.places()));
    assert_eq!(verdict(&bank, &subject).await, Verdict::Consider);
}

#[tokio::test]
async fn a_row_that_differs_is_a_fault_unless_it_is_to_amend() {
    let hub = shared().await;
    let court = hub.court().await;
    let first = row(&Subject::person());
    let other = changed(&first, "performance", "部分履行");
    let file = |row: &Row| Form::default().listings(std::slice::from_ref(row));
    assert_eq!(send_listings(&court.client, &file(&first)).await.unwrap().counts(), (1, 0, 0, 0));
    assert_eq!(send_listings(&court.client, &file(&first)).await.unwrap().counts(), (0, 0, 1, 0));
    let refused = send_listings(&court.client, &file(&other)).await.unwrap();
    assert_eq!((refused.counts(), refused.places()), ((0, 0, 0, 1), vec![(3, "", Reason::ListingExists)]));
    let amend = ImportOptions { amend: true, ..options(ImportFile::Listings) };
    assert_eq!(send(&court.client, amend, &file(&other)).await.unwrap().counts(), (0, 1, 0, 0));
    assert_eq!(send_listings(&court.client, &file(&other)).await.unwrap().counts(), (0, 0, 1, 0));
}

#[tokio::test]
async fn no_import_revives_an_ended_case() {
    let hub = shared().await;
    let (court, bank) = (hub.court().await, hub.client(parties::BANK).await);
    let (removed, revoked, published) = (Subject::person(), Subject::person(), Subject::organisation());
    let rows = [row(&removed), row(&revoked)];
    send_listings(&court.client, &Form::default().listings(&rows)).await.unwrap();
    let listing = async |subject: &Subject| Ask::about(subject, LOAN).answer(&bank).await.listings[0];
    court.remove(listing(&removed).await).await.unwrap();
    court.revoke(listing(&revoked).await).await.unwrap();
    let content = xinhub_tests::court::content(&published);
    let by_call = changed(&row(&published), "caseCode", &content.case_number);
    court.remove(court.publish(content).await.unwrap().listing).await.unwrap();
    let rows = [rows[0].clone(), rows[1].clone(), by_call];
    // A list of before the end, one of after it, and one that is to amend.
    for (age_minutes, amend) in [(60, false), (0, false), (0, true)] {
        let file = Form { age_minutes, ..Form::default() }.listings(&rows);
        let options = ImportOptions { amend, ..options(ImportFile::Listings) };
        let imported = send(&court.client, options, &file).await.unwrap();
        assert_eq!(imported.counts(), (0, 0, 0, 3), "{:?}", imported.faults);
        assert!(imported.places().iter().all(|place| (place.1, place.2) == ("caseCode", Reason::EndedCase)));
        for subject in [&removed, &revoked, &published] {
            assert_eq!(verdict(&bank, subject).await, Verdict::Clear);
        }
    }
}

#[tokio::test]
async fn a_row_at_fault_is_told_with_line_and_column_and_the_rest_goes_on() {
    let hub = shared().await;
    let (court, bank) = (hub.court().await, hub.client(parties::BANK).await);
    let (first, last) = (Subject::person(), Subject::organisation());
    let new = || row(&Subject::person());
    let faults: Vec<(Row, &str)> = vec![
        (changed(&new(), "cardNum", "110101199001010008"), "cardNum"),
        (changed(&new(), "cardNum", ""), "cardNum"),
        (changed(&new(), "iname", ""), "iname"),
        (changed(&new(), "caseCode", "2023粤0882执1234号"), "caseCode"),
        (changed(&new(), "courtName", "广东省徐闻县人民法院"), "courtName"),
        (changed(&new(), "disruptTypeName", "不明"), "disruptTypeName"),
        (changed(&new(), "publishDate", "2026-02-30"), "publishDate"),
        (changed(&new(), "publishDate", &days_ago(-3)), "publishDate"),
        (changed(&new(), "partyTypeName", "船舶"), "partyTypeName"),
        (changed(&new(), "sexy", "x"), "sexy"),
        (changed(&new(), "age", "old"), "age"),
        (changed(&new(), "gistId", ""), "gistId"),
        (row(&Subject::minor()), "cardNum"),
    ];
    let mut rows = vec![row(&first)];
    rows.extend(faults.iter().map(|fault| fault.0.clone()));
    rows.push(row(&last));
    let imported = send_listings(&court.client, &Form::default().listings(&rows)).await.unwrap();
    assert_eq!(imported.counts(), (2, 0, 0, faults.len() as u64), "{:?}", imported.faults);
    // Line 1 is the header, 2 the columns, 3 the first row.
    let expected: Vec<(u64, &str)> = (4..).zip(faults.iter().map(|fault| fault.1)).collect();
    let found: Vec<(u64, &str)> = imported.faults.iter().map(|fault| (fault.line, &*fault.column)).collect();
    assert_eq!(found, expected, "{:?}", imported.faults);
    let texts: String = imported.faults.iter().map(|fault| fault.message.as_str()).collect();
    assert!(!texts.contains("110101199001010008") && !texts.contains("徐闻"), "{texts}");
    assert_eq!((verdict(&bank, &first).await, verdict(&bank, &last).await), (Verdict::Consider, Verdict::Consider));
}

/// A quoted line break makes one row of two lines; what follows is still counted by lines.
#[tokio::test]
async fn lines_are_those_of_the_file() {
    let hub = shared().await;
    let court = hub.court().await;
    let rows = [
        changed(&row(&Subject::person()), "duty", "一、支付货款\n二、支付利息"),
        changed(&row(&Subject::person()), "iname", ""),
    ];
    let imported = send_listings(&court.client, &Form::default().listings(&rows)).await.unwrap();
    assert_eq!((imported.counts(), imported.faults[0].line), ((1, 0, 0, 1), 5));
}

#[tokio::test]
async fn a_damaged_or_truncated_file_is_refused_whole() {
    let hub = shared().await;
    let (court, bank) = (hub.court().await, hub.client(parties::BANK).await);
    let subjects: Vec<Subject> = (0..20).map(|_| Subject::person()).collect();
    let rows: Vec<Row> = subjects.iter().map(row).collect();
    let whole = Form::default().listings(&rows);
    let text = String::from_utf8(whole.clone()).unwrap();
    let trailer = text.rfind("#end").unwrap();
    let line = |n: usize| text.match_indices('\n').nth(n).unwrap().0 + 1;
    let check = async |what: &str, file: &[u8]| {
        let error = refused(send_listings(&court.client, file).await, Code::InvalidArgument, Reason::ImportFile);
        assert!(error.to_string().contains("nothing was applied"), "{what}: {error}");
        for subject in &subjects {
            assert!(!error.to_string().contains(subject.number()), "{what}");
        }
    };
    check("empty", b"").await;
    check("header alone", &whole[..line(0)]).await;
    check("cut in the middle", &whole[..whole.len() / 2]).await;
    check("without its trailer", &whole[..trailer]).await;
    check("cut in the trailer", &whole[..whole.len() - 10]).await;
    let replace = |from: &str, to: &str| text.replacen(from, to, 1).into_bytes();
    let number = subjects[7].number();
    check("one digit changed", &replace(number, &format!("{}0", &number[..17]))).await;
    let flipped = if number.ends_with('1') { "2" } else { "1" };
    check("one digit changed", &replace(number, &format!("{}{flipped}", &number[..17]))).await;
    check("a row taken out", &[&whole[..line(4)], &whole[line(5)..]].concat()).await;
    check("a row twice", &[&whole[..line(5)], &whole[line(4)..]].concat()).await;
    check("rows miscounted", &replace("#end;rows=20", "#end;rows=19")).await;
    check("something after the trailer", &[&whole[..], b"x\n"].concat()).await;
    check("another format", &replace("format=1", "format=2")).await;
    check("no mode", &replace("mode=migration", "mode=maybe")).await;
    check("no header", &whole[line(0)..]).await;
    check("a column misnamed", &replace("cardNum", "cardNun")).await;
    let theirs = replace("court=leizhou", "court=xuwen");
    refused(send_listings(&court.client, &theirs).await, Code::PermissionDenied, Reason::OtherCourt);
    for subject in &subjects {
        assert_eq!(verdict(&bank, subject).await, Verdict::Clear);
    }
    assert_eq!(send_listings(&court.client, &whole).await.unwrap().counts(), (20, 0, 0, 0));
}

#[tokio::test]
async fn an_upload_needs_options_first_and_chunks_of_a_mebibyte() {
    let hub = shared().await;
    let court = hub.court().await;
    let file = Form::default().listings(&[row(&Subject::person())]);
    let check = async |messages: Vec<v1::ImportListingsRequest>, reason| {
        let error = match court.client.registry().import_listings(iter(messages)).await {
            Ok(mut responses) => loop {
                match within(responses.next()).await {
                    Ok(Some(_)) => {}
                    Ok(None) => panic!("the import ended well"),
                    Err(error) => break error,
                }
            },
            Err(error) => error,
        };
        assert_eq!((error.code(), error.reason()), (Code::InvalidArgument, Some(reason)), "{error}");
    };
    let good = messages(options(ImportFile::Listings), &file, 1 << 20);
    check(good[1..].to_vec(), Reason::InvalidField).await;
    check(Vec::new(), Reason::InvalidField).await;
    check([&good[..1], &good[..1], &good[1..]].concat(), Reason::ImportFile).await;
    let long = messages(options(ImportFile::Listings), &vec![b'x'; (1 << 20) + 1], 2 << 20);
    check(long, Reason::ImportFile).await;
    let untold = ImportOptions { file: 0, ..options(ImportFile::Listings) };
    check(messages(untold, &file, 1 << 20), Reason::InvalidField).await;
    let nobody = ImportOptions { actor: None, ..options(ImportFile::Listings) };
    check(messages(nobody, &file, 1 << 20), Reason::InvalidField).await;
    let old = ImportOptions { import_id: "x".to_owned(), ..options(ImportFile::Listings) };
    check(messages(old, &file, 1 << 20), Reason::RequestIdInvalid).await;
}

/// Sends a file of so many rows and kills the hub once the first of them is in force; returns the hub, which serves again,
/// what was sent, and how many rows were taken.
async fn break_off(rows: usize) -> (Hub, ImportOptions, Vec<u8>, u64) {
    let mut hub = Hub::start().await;
    let court = hub.court().await;
    let subjects: Vec<Subject> = (0..rows).map(|_| Subject::person()).collect();
    let file = Form::default().listings(&subjects.iter().map(row).collect::<Vec<Row>>());
    let options = options(ImportFile::Listings);
    let bank = hub.client(parties::BANK).await;
    let sending = tokio::spawn({
        let (client, options, file) = (court.client.clone(), options.clone(), file.clone());
        async move { send(&client, options, &file).await }
    });
    let first_is_in_force = async {
        // Without a pause: a batch of rows takes little longer than one.
        while verdict(&bank, &subjects[0]).await != Verdict::Consider {}
    };
    within(first_is_in_force).await;
    hub.kill();
    // It may have been done before the kill: the caller sees by what was taken.
    let _ = within(sending).await.unwrap();
    hub.serve().await;
    let taken = hub.status().await.listings;
    (hub, options, file, taken)
}

/// The file is sent again under its import id after a kill; what was taken is unchanged, and nothing is there twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_broken_by_a_kill_goes_on_without_duplicates() {
    // A kill that came too late for one file comes early in one that is twice as long.
    let (mut rows, mut broken) = (0, None);
    for longer in [6_000, 12_000, 24_000, 48_000] {
        let tried = break_off(longer).await;
        let taken = tried.3;
        assert!((1..=longer as u64).contains(&taken), "{taken} of {longer}");
        if taken < longer as u64 {
            (rows, broken) = (longer as u64, Some(tried));
            break;
        }
    }
    let (mut hub, options, file, taken) = broken.expect("no kill fell inside an import");
    let court = hub.court().await;
    let imported: Imported = send(&court.client, options.clone(), &file).await.unwrap();
    assert_eq!(imported.counts(), (rows - taken, 0, taken, 0));
    assert!(imported.progress.is_sorted() && imported.summary.rows == rows);
    assert_eq!(hub.status().await.listings, rows);
    assert_eq!(send(&court.client, options, &file).await.unwrap().counts(), (0, 0, rows, 0));
    hub.stop().await;
    let checked = hub.daemon("fsck");
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
}
