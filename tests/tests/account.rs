//! What the hub accounts for, through the command line: to subjects, offline, and in numbers.

#![allow(clippy::unwrap_used)]

use std::fs;

use serde_json::Value;
use xinhub_tests::file::{Form, Row, row};
use xinhub_tests::subject::{days_ago, in_days};
use xinhub_tests::{Hub, Shell, Subject, Timed, parties};

#[tokio::test]
async fn a_subject_is_told_who_asked_and_gets_a_certificate_once_nothing_reaches_them() {
    let hub = Hub::start().await;
    let (debtor, stranger) = (Subject::person(), Subject::person());
    let shell = Shell::new(&hub, &[&debtor, &stranger]);
    let run =
        |client: &str, words: &[&str]| shell.run(&[&["--context", client, "--output", "json"], words].concat(), "");
    const VIEW: &[&str] = &["subject", "view", "--output", "json"];
    const ISSUE: &[&str] = &["certificate", "issue"];
    let row = row(&debtor);
    let case = row["caseCode"].clone();
    let listings = shell.file("listings.csv", &Form::default().listings(&[row]));
    run(parties::COURT, &["import", &listings]).code(0);
    let asked = shell.check(parties::BANK, &debtor, &["--measure", "credit.lending"]).code(11).json();
    let listing = asked["listings"][0].to_string();
    let slip = shell.check(parties::HOTEL, &debtor, &["--measure", "consumption.hotel", "--item", "star_rated"]);
    let slip = slip.code(10).json()["slip"]["reference"].clone();
    hub.details_caught_up().await;

    let seen = shell.act_for(parties::COURT, &debtor, VIEW).code(0).json();
    let one = &seen["listings"][0];
    assert_eq!((one["listing"].to_string(), &one["state"]), (listing.clone(), &"LISTED".into()), "{seen}");
    assert_eq!(one["content"]["identities"][0]["number"], debtor.number(), "in full: it is theirs");
    assert_eq!(one["told"].as_array().unwrap().len(), 2, "{one}");
    let (newest, oldest) = (&seen["inquiries"][0], &seen["inquiries"][1]);
    assert_eq!((&newest["client"], &newest["reference"]), (&parties::HOTEL.into(), &slip), "{seen}");
    assert_eq!((&oldest["client"], &oldest["relation"]), (&parties::BANK.into(), &"debtor".into()), "{seen}");
    let page = shell.act_for(parties::COURT, &debtor, &[VIEW, &["--limit", "1"]].concat()).code(0).json();
    assert_eq!(&page["inquiries"][0], newest);
    let older = ["--page-token", page["next_page_token"].as_str().unwrap()];
    let page = shell.act_for(parties::COURT, &debtor, &[VIEW, &older].concat()).code(0).json();
    assert_eq!((&page["inquiries"][0], &page["next_page_token"]), (oldest, &Value::Null));
    let shown = shell.act_for(parties::COURT, &debtor, &["subject", "view", "--lang", "zh", "--limit", "1"]).code(0);
    for text in ["已列入", "被执行人", &case, parties::HOTEL] {
        assert!(shown.text().contains(text), "{text}: {}", shown.text());
    }
    assert!(shown.said().contains("还有更早的查询：--page-token"), "{}", shown.said());
    let nobody = shell.act_for(parties::COURT, &stranger, &["subject", "view", "--lang", "en"]).code(0);
    assert!(nobody.text().starts_with("No listing, petition or inquiry"), "{}", nobody.text());
    // One unit is granted to act for subjects and the other isn't; and a document with another's name is none of theirs.
    let as_clerk = [VIEW, &["--actor", "s-1", "--post", "clerk"]].concat();
    let at_unit = shell.act_for(parties::UNIT, &debtor, &as_clerk).code(0).json();
    assert_eq!(at_unit["inquiries"], seen["inquiries"]);
    shell.act_for(parties::OTHER_UNIT, &debtor, &as_clerk).fails(27);
    shell.act_for(parties::COURT, &debtor, &[VIEW, &["--name", &stranger.name]].concat()).fails(23);

    let until = in_days(3);
    let defer = ["subject", "defer", &listing, "--ground", "impedes_duty", "--until", &until];
    let deferred = run(parties::COURT, &defer).code(0).json();
    assert_eq!((deferred["listing"].to_string(), &deferred["until"]), (listing.clone(), &until.as_str().into()));
    run(parties::COURT, &defer).fails(27);
    let seen = shell.act_for(parties::COURT, &debtor, VIEW).code(0).json();
    assert_eq!((seen["inquiries"].as_array().unwrap().len(), &seen["listings"][0]["state"]), (0, &"LISTED".into()));

    shell.act_for(parties::COURT, &debtor, ISSUE).fails(29);
    run(parties::COURT, &["listing", "remove", &listing, "--ground", "performed"]).code(0);
    hub.details_caught_up().await;
    shell.act_for(parties::COURT, &debtor, &[ISSUE, &["--out", "note"]].concat()).code(0);
    shell.act_for(parties::COURT, &debtor, &[ISSUE, &["--out", "note"]].concat()).fails(1);
    let key = run(parties::OPERATOR, &["status"]).code(0).json()["verifier_key"].as_str().unwrap().to_owned();
    let verify = |file: &str| run("nobody", &["certificate", "verify", file, "--key", &key]);
    let valid = verify("note").code(0).json();
    let certified = &valid["certified"];
    assert_eq!((&valid["result"], &certified["number"]), (&"VALID".into(), &debtor.number().into()), "{valid}");
    assert_eq!(
        (&certified["name"], &certified["issued_through"]),
        (&debtor.name.as_str().into(), &parties::COURT.into())
    );
    let note = fs::read_to_string(shell.dir().join("note")).unwrap();
    let others = shell.file("others", note.replace(debtor.number(), stranger.number()).as_bytes());
    let refused = verify(&others).code(13).json();
    assert_eq!((&refused["result"], &refused["certified"]), (&"NOT_GENUINE".into(), &Value::Null));
    // Without --out the note itself is what is written.
    let written = shell.act_for(parties::COURT, &stranger, &[ISSUE, &["--lang", "zh"]].concat()).code(0);
    assert!(written.said().contains(&format!("验签公钥: {key}")), "{}", written.said());
    verify(&shell.file("written", written.text().as_bytes())).code(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_of_a_past_day_is_refused() {
    // This hub's clock stands at a day in March 2026, and the command line's is the machine's.
    let hub = Timed::start().await;
    let person = Subject::person();
    let shell = Shell::new(&hub, &[&person]);
    let issued = shell.act_for(parties::COURT, &person, &["certificate", "issue", "--output", "json"]).code(0).json();
    assert_eq!(issued["expire_time"], "2026-03-05T02:00:00Z");
    let note = shell.file("note", issued["certificate"].as_str().unwrap().as_bytes());
    let verify = ["certificate", "verify", &note, "--key", issued["verifier_key"].as_str().unwrap()];
    let refused = shell.run(&[&verify[..], &["--output", "json"]].concat(), "").code(14).json();
    assert_eq!((&refused["result"], &refused["certified"]["number"]), (&"EXPIRED".into(), &person.number().into()));
    let told = shell.run(&[&verify[..], &["--lang", "zh"]].concat(), "").code(14);
    assert!(told.text().contains("真实，但已过有效期"), "{}", told.text());
}

#[tokio::test]
async fn counts_and_announcements_name_nobody() {
    let hub = Hub::start().await;
    let debtors: Vec<Subject> = (0..6).map(|_| Subject::person()).collect();
    let shell = Shell::new(&hub, &debtors.iter().collect::<Vec<_>>());
    let run =
        |client: &str, words: &[&str]| shell.run(&[&["--context", client, "--output", "json"], words].concat(), "");
    let rows: Vec<Row> = debtors.iter().map(row).collect();
    let listings = shell.file("listings.csv", &Form::default().listings(&rows));
    run(parties::COURT, &["import", &listings]).code(0);
    assert!(run(parties::HOTEL, &["announcements"]).code(0).lines().is_empty());
    let asked = shell.check(parties::BANK, &debtors[0], &["--measure", "credit.lending"]).code(11).json();
    let listing = asked["listings"][0].to_string();
    run(parties::COURT, &["listing", "remove", &listing, "--ground", "performed"]).code(0);

    let own = run(parties::COURT, &["report", "listings"]).code(0).json();
    let counts = |row: &Value| ["listed", "removed", "in_force", "floor"].map(|field| row[field].as_u64());
    assert_eq!(counts(&own), [Some(6), Some(1), Some(5), Some(0)], "{own}");
    let watched = run(parties::OPERATOR, &["report", "listings"]).code(0).json();
    assert_eq!(counts(&watched), [None, None, Some(5), Some(5)], "one removed could be singled out: {watched}");
    assert_eq!(watched["suppressed"], true);
    let csv = |words: &[&str]| {
        shell.run(&[&["--context", parties::OPERATOR, "--output", "csv"], words].concat(), "").code(0).text()
    };
    let listed = csv(&["report", "listings"]);
    let lines: Vec<&str> = listed.lines().collect();
    assert_eq!(lines[0], "court,month,ground,listed,restored,hidden,revoked,removed,expired,in_force,suppressed,floor");
    assert!(lines.len() == 2 && lines[1].ends_with(",,,,,,,5,true,5"), "{listed}");
    let table = shell.run(&["--context", parties::OPERATOR, "--lang", "zh", "report", "listings"], "").code(0);
    assert!(table.text().contains("月末有效") && table.text().contains('–'), "{}", table.text());
    assert!(table.said().contains("小于5的数"), "{}", table.said());

    let duty = run(parties::OPERATOR, &["report", "duties"]).code(0).json();
    assert_eq!((&duty["supervising_unit"], &duty["clock"]), (&"central-bank".into(), &"lift_measures".into()));
    assert_eq!((&duty["open"], &duty["overdue"]), (&Value::Null, &0.into()), "{duty}");
    run(parties::BANK, &["measure", "acknowledge", &listing]).code(0);
    let month = &days_ago(0)[..7];
    let kept = run(parties::COURT, &["report", "deadlines", "--from", month, "--to", month]).code(0).lines();
    assert!(kept.iter().all(|row| row["missed"] == 0), "{kept:?}");
    run(parties::BANK, &["report", "duties"]).fails(27);
    run(parties::OPERATOR, &["report", "listings", "--from", "2026-13"]).fails(23);

    let announced = run(parties::HOTEL, &["announcements", "--court", parties::LEIZHOU]).code(0).json();
    assert_eq!(
        (&announced["case_number"], &announced["lifted_on"]),
        (&rows[0]["caseCode"].as_str().into(), &days_ago(0).into())
    );
    assert!(run(parties::HOTEL, &["announcements", "--court", parties::XUWEN]).code(0).lines().is_empty());
    let table = shell.run(&["--context", parties::HOTEL, "--lang", "zh", "announcements"], "").code(0);
    assert!(table.text().contains("解除日期") && table.text().contains(&rows[0]["caseCode"]), "{}", table.text());
}
