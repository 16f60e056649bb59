//! The command line against a running hub: what a script relies on.

#![allow(clippy::unwrap_used)]

use std::fs;

use serde_json::Value;
use xinhub_tests::court::case_number;
use xinhub_tests::file::{Form, Row, relation_row, row};
use xinhub_tests::subject::days_ago;
use xinhub_tests::{Hub, Setup, Shell, Subject, parties};

#[tokio::test]
async fn a_script_can_tell_every_outcome_apart() {
    let mut hub = Hub::start().await;
    let (company, head, person) = (Subject::organisation(), Subject::person(), Subject::person());
    let (nobody, flagged, unnamed) = (Subject::person(), Subject::flagged_organisation(), Subject::person());
    let mut mistyped = Subject::person();
    let number = &mut mistyped.identities[0].number;
    // A wrong check character.
    let last = if number.ends_with('1') { "2" } else { "1" };
    number.replace_range(17.., last);
    let shell = Shell::new(&hub, &[&company, &head, &person, &nobody, &flagged, &unnamed, &mistyped]);
    const LOAN: &[&str] = &["--measure", "credit.lending"];
    const ROOM: &[&str] = &["--measure", "consumption.hotel", "--item", "star_rated"];
    let rows: Vec<Row> = vec![row(&company), row(&person)];
    let listings = shell.file("listings.csv", &Form::default().listings(&rows));
    let import = ["import", "--context", parties::COURT, "--output", "json"];
    let dry = shell.run(&[&import[..], &["--dry-run", &listings]].concat(), "").code(0).lines();
    let summary = |lines: &[Value]| lines.last().unwrap().clone();
    assert_eq!((&summary(&dry)["added"], &summary(&dry)["dry_run"]), (&Value::from(2), &Value::from(true)));
    let done = shell.run(&[&import[..], &[&listings]].concat(), "").code(0).lines();
    assert_eq!(summary(&done)["added"], 2);
    let relations = [relation_row(&rows[0], "legal_representative", &head)];
    let relations = shell.file("relations.csv", &Form::default().relations(&relations));
    shell.run(&[&import[..], &["--relations", &relations]].concat(), "").code(0);
    let mut wrong = row(&unnamed);
    wrong.insert("iname", String::new());
    let faulty = shell.file("faulty.csv", &Form::default().listings(&[wrong]));
    shell.run(&[&import[..], &[&faulty]].concat(), "").code(5);
    let cut = shell.file("cut.csv", &fs::read(shell.dir().join(&listings)).unwrap()[..300]);
    shell.run(&[&import[..], &[&cut]].concat(), "").fails(23);
    shell.run(&[&import[..], &["missing.csv"]].concat(), "").fails(1);

    let considered = shell.check(parties::BANK, &company, LOAN).code(11).json();
    assert_eq!((&considered["verdict"], &considered["reason"]), (&"CONSIDER".into(), &"LISTED_DEBTOR".into()));
    let restricted = shell.check(parties::HOTEL, &head, ROOM).code(10).json();
    assert_eq!((&restricted["reason"], &restricted["relation"]), (&"COURT_ORDER".into(), &Value::Null));
    assert!(restricted["slip"]["reference"].as_str().unwrap().starts_with("A-"));
    shell.check(parties::BANK, &nobody, LOAN).code(0);
    shell.check(parties::BANK, &flagged, LOAN).code(12);
    shell.check(parties::HOTEL, &person, LOAN).fails(27);
    shell.check(parties::BANK, &person, &["--measure", "no.such-measure"]).fails(23);
    shell.check(parties::BANK, &person, &[]).fails(2);
    shell.check("nobody", &person, LOAN).fails(3);
    shell.check(parties::BANK, &mistyped, LOAN).fails(23);

    let listing = considered["listings"][0].to_string();
    let got = shell.run(&["get", "--context", parties::COURT, "--output", "json", &listing], "").code(0).json();
    assert_eq!(got["state"], "LISTED", "{got}");
    let remove = ["listing", "--context", parties::COURT, "--output", "json", "remove", "--ground", "early_deletion"];
    let removed = shell.run(&[&remove[..], &[&listing]].concat(), "").code(0).json();
    assert_eq!(removed["state"], "REMOVED", "{removed}");
    shell.run(&[&remove[..], &["999999"]].concat(), "").fails(25);
    shell.check(parties::BANK, &company, LOAN).code(0);
    shell.run(&["status", "--context", parties::BANK, "--output", "json"], "").fails(27);
    let status = shell.run(&["status", "--context", parties::OPERATOR, "--output", "json"], "").code(0).json();
    assert_eq!(status["listings"], 2, "{status}");

    let batch =
        format!("kind,number,reference\nresident_id,{},a\nresident_id,{},b\n", person.number(), mistyped.number());
    let batch = shell.file("batch.csv", batch.as_bytes());
    let words = ["batch", "--context", parties::BANK, "--output", "json", "--measure", "credit.lending", &batch];
    let answers = shell.run(&words, "").code(5).lines();
    assert_eq!((&answers[0]["answer"]["verdict"], &answers[0]["line"]), (&"CONSIDER".into(), &Value::from(2)));
    assert_eq!((&answers[1]["error"]["reason"], answers.len()), (&"INVALID_IDENTITY".into(), 2));
    hub.stop().await;
    shell.check(parties::BANK, &person, LOAN).fails(4);
}

/// An objection as a clerk writes it down.
fn objection(shell: &Shell, debtor: &Subject) -> String {
    let text = format!(
        "role = \"debtor\"\nname = \"{}\"\nground = \"should_not_be_listed\"\nstatement = \"已提供充分有效担保\"\n\
         documents = [\"担保函\"]\n[party]\nkind = \"resident_id\"\nnumber = \"{}\"\n",
        debtor.name,
        debtor.number()
    );
    shell.file("objection.toml", text.as_bytes())
}

#[tokio::test]
async fn an_objection_is_followed_to_the_last_lifted_measure() {
    let hub = Hub::start().await;
    let debtor = Subject::person();
    let shell = Shell::new(&hub, &[&debtor]);
    let run =
        |client: &str, words: &[&str]| shell.run(&[&["--context", client, "--output", "json"], words].concat(), "");
    const LOAN: &[&str] = &["--measure", "credit.lending"];
    const ROOM: &[&str] = &["--measure", "consumption.hotel", "--item", "star_rated"];
    const CLERK: &[&str] = &["--actor", "teller-0001", "--post", "teller"];
    let listings = shell.file("listings.csv", &Form::default().listings(&[row(&debtor)]));
    run(parties::COURT, &["import", &listings]).code(0);
    let listing = shell.check(parties::BANK, &debtor, LOAN).code(11).json()["listings"][0].to_string();
    shell.check(parties::HOTEL, &debtor, ROOM).code(10);
    let granted = run(parties::BANK, &["measure", "list", "--granted"]).code(0).lines();
    assert_eq!((granted.len(), &granted[0]["measure"]), (1, &"credit.lending".into()));
    let today = days_ago(0);
    let imposed = ["measure", "imposed", &listing, "--measure", "credit.lending", "--on", &today];
    run(parties::BANK, &imposed).fails(2);
    let reported = run(parties::BANK, &[&imposed[..], CLERK].concat()).code(0).json();
    assert_eq!(reported["duty_state"], "NONE", "nothing is owed while it is in force: {reported}");

    let content = objection(&shell, &debtor);
    let filed = run(parties::COURT, &["objection", "file", &listing, "--content", &content]).code(0).json();
    assert_eq!((&filed["state"], &filed["late"]), (&"FILED".into(), &false.into()), "{filed}");
    let petition = filed["petition"].to_string();
    let due = run(parties::COURT, &["deadlines", "--clock", "review", "--status", "running"]).code(0).json();
    assert_eq!((&due["petition"], &due["bearer"]), (&filed["petition"], &parties::LEIZHOU.into()), "{due}");
    hub.details_caught_up().await;
    let shown = run(parties::COURT, &["objection", "show", &petition]).code(0).json();
    assert_eq!(shown["content"]["party"]["number"], debtor.number());
    assert_eq!(shown["deadline"]["due"], due["due"]);
    let listed = run(parties::COURT, &["objection", "list", "--state", "filed", "--listing", &listing]).code(0).json();
    assert_eq!(listed, shown);
    assert!(run(parties::COURT, &["complaint", "list"]).code(0).lines().is_empty());
    let clerk = shell.run(&["--context", parties::COURT, "--lang", "zh", "objection", "show", &petition], "").code(0);
    for text in ["纠正申请", "不应纳入名单", "审查纠正申请", &debtor.name] {
        assert!(clerk.text().contains(text), "{text}: {}", clerk.text());
    }

    let decide = ["objection", "decide", &petition, "--upheld", "--revoke", "--reasons", "担保足以覆盖债务"];
    // Who may not read it learns not even that it is there.
    run(parties::BANK, &[&decide[..], CLERK].concat()).fails(25);
    let upheld = run(parties::COURT, &decide).code(0).json();
    assert_eq!((&upheld["state"], &upheld["listing_state"]), (&"UPHELD".into(), &"REVOKED".into()), "{upheld}");
    shell.check(parties::BANK, &debtor, LOAN).code(0);

    let duty = run(parties::BANK, &["duties"]).code(0).json();
    assert_eq!((&duty["state"], &duty["clock"]), (&"OPEN".into(), &"lift_measures".into()), "{duty}");
    assert_eq!(duty["imposed"][0]["measure"], "credit.lending", "{duty}");
    let seen = run(parties::OPERATOR, &["deadlines", "--unit", "central-bank"]).code(0).json();
    assert_eq!((&seen["bearer"], &seen["due"]), (&parties::BANK.into(), &duty["due"]), "{seen}");
    let csv = shell.run(&["deadlines", "--context", parties::OPERATOR, "--output", "csv"], "").code(0).text();
    assert_eq!(csv.lines().filter(|line| line.starts_with("lift_measures,")).count(), 2, "{csv}");
    assert!(csv.starts_with("clock,bearer,supervising_unit,court,"), "{csv}");
    assert!(run(parties::OPERATOR, &["deadlines", "--board"]).code(0).lines().is_empty(), "nothing is overdue yet");
    // The hotel imposed nothing: its machine says so. The bank did impose, so that a person has to report.
    let closed = run(parties::HOTEL, &["measure", "acknowledge", &listing]).code(0).json();
    assert_eq!(closed["duty_state"], "CLOSED", "{closed}");
    run(parties::BANK, &["measure", "acknowledge", &listing]).fails(23);
    let lifted = ["measure", "lifted", &listing, "--on", &today, "--note", "已恢复授信"];
    let closed = run(parties::BANK, &[&lifted[..], CLERK].concat()).code(0).json();
    assert_eq!(closed["duty_state"], "CLOSED", "{closed}");
    assert!(run(parties::BANK, &["duties"]).code(0).lines().is_empty());
    let closed = run(parties::BANK, &["duties", "--state", "closed"]).code(0).json();
    assert_eq!(closed["closed_by"], "lifted", "{closed}");
}

/// A listing in force once it is approved.
fn content_file(shell: &Shell, debtor: &Subject) -> String {
    let content = serde_json::json!({
        "name": debtor.name,
        "identities": [{ "kind": "resident_id", "number": debtor.number() }],
        "ground": 3,
        "case_number": case_number(),
        "basis_document": "(2024)粤0882民初100号",
        "basis_issuer": parties::LEIZHOU_NAME,
        "filed_on": days_ago(90),
        "obligation": "支付货款",
        "performance": "全部未履行",
        "conduct": "隐匿、转移财产规避执行",
        "notice_served_on": days_ago(60),
        "decision": {
            "number": "(2025)粤0882失1号",
            "date": days_ago(30),
            "reasons": "以隐匿财产的方法规避执行",
            "term_months": 24,
            "signer": "president-0001",
            "served_on": days_ago(25),
        },
    });
    shell.file("listing.json", content.to_string().as_bytes())
}

#[tokio::test]
async fn what_is_approved_is_what_was_shown() {
    let hub = Hub::start_with(Setup { release: "two", ..Setup::default() }).await;
    let debtor = Subject::person();
    let shell = Shell::new(&hub, &[&debtor]);
    let run = |words: &[&str]| shell.run(&[&["--context", parties::COURT, "--output", "json"], words].concat(), "");
    const LOAN: &[&str] = &["--measure", "credit.lending"];
    const SIGNER: &[&str] = &["--actor", parties::SIGNER, "--post", "president"];
    let content = content_file(&shell, &debtor);
    let proposed = run(&["propose", "--content", &content]).code(0).json();
    assert_eq!(proposed["state"], "PROPOSED", "{proposed}");
    hub.details_caught_up().await;
    let listing = proposed["listing"].to_string();
    let approve = [&["approve", &listing][..], SIGNER].concat();
    // Nobody is there to confirm: it is shown, and stays as it is.
    let shown = run(&approve).fails(2).json();
    assert_eq!(shown["becomes"]["state"], "LISTED", "{shown}");
    assert_eq!((&shown["listing"]["etag"], &shown["listing"]["state"]), (&proposed["etag"], &"PROPOSED".into()));
    shell.check(parties::BANK, &debtor, LOAN).code(0);
    // An approval of another version than the one that is there.
    run(&[&approve[..], &["--yes", "--etag", "1"]].concat()).fails(29);
    run(&["approve", &listing, "--yes"]).fails(27);
    let done = run(&[&approve[..], &["--yes"]].concat()).code(0).lines();
    assert_eq!(done.len(), 2);
    assert_eq!((&done[0], &done[1]["state"]), (&shown, &"LISTED".into()));
    hub.details_caught_up().await;
    let got = run(&["get", &listing]).code(0).json();
    assert_eq!(got["until"], shown["becomes"]["until"], "the last day is the one that was shown");
    shell.check(parties::BANK, &debtor, LOAN).code(11);
    // What restricts further takes a second person; nobody is one by half.
    let etag = got["etag"].as_str().unwrap();
    let extend = ["listing", "extend", &listing, "--months", "12", "--ground", "several_acts", "--etag", etag];
    run(&extend).fails(29);
    let with = |words: &[&str]| run(&[&extend[..], words].concat());
    with(&["--approver", parties::SIGNER]).fails(2);
    with(&["--approver", "clerk-0001", "--approver-post", "clerk"]).fails(27);
    with(&["--approver", parties::SIGNER, "--approver-post", "president"]).code(0);
}
