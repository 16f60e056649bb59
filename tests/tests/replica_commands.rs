//! The command line of replicas: what it answers and who did, and what operators see of it.

#![allow(clippy::unwrap_used)]

use serde_json::Value;
use xinhub_tests::following::leased;
use xinhub_tests::shell::Ran;
use xinhub_tests::wait::until;
use xinhub_tests::{Hub, Shell, Subject, parties};

const LOAN: &[&str] = &["--measure", "credit.lending"];
const ROOM: &[&str] = &["--measure", "consumption.hotel", "--item", "star_rated"];

fn ask(shell: &Shell, client: &str, at: &[&str], subject: &Subject, measure: &[&str]) -> Ran {
    let words = ["replica", "check", "--context", client, "--output", "json", "--kind", "resident_id", "--stdin"];
    shell.run(&[&words, at, measure].concat(), &format!("{}\n", subject.number()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_answers_as_the_hub_does_and_says_who_did() {
    let mut hub = Hub::start_with(leased(2)).await;
    let (debtor, nobody) = (Subject::person(), Subject::person());
    hub.court().await.list(&debtor).await;
    let shell = Shell::new(&hub, &[&debtor, &nobody]);
    let run =
        |client: &str, words: &[&str]| shell.run(&[&["--context", client, "--output", "json"], words].concat(), "");
    let by = |ran: &Ran| (ran.json()["verdict"].clone(), ran.json()["by"].clone());
    let told = |verdict: &str, by: &str| (Value::from(verdict), Value::from(by));

    let synced = run(parties::BANK, &["sync", "exact"]).code(0).json();
    assert_eq!((&synced["synced"], synced["entries"].as_u64()), (&true.into(), Some(1)), "{synced}");
    let answered = ask(&shell, parties::BANK, &["exact"], &debtor, LOAN).code(11);
    assert_eq!(by(&answered), told("CONSIDER", "replica"));
    let online = shell.check(parties::BANK, &debtor, LOAN).code(11).json();
    for field in ["reason", "effect", "relation", "open_condition", "slip"] {
        assert_eq!(answered.json()[field], online[field], "{field}");
    }
    assert_eq!(by(&ask(&shell, parties::BANK, &["exact"], &nobody, LOAN).code(0)), told("CLEAR", "replica"));
    let at_least = online["position"]["token"].as_str().unwrap();
    let answered = ask(&shell, parties::BANK, &["exact", "--at-least", at_least], &nobody, LOAN).code(0);
    assert_eq!(by(&answered), told("CLEAR", "hub"), "what has to be as new as that, the hub says");
    ask(&shell, parties::BANK, &["exact"], &nobody, &[]).fails(2);

    // A filter asks for whoever it does not clear, and a caller of one bit has nothing else.
    run(parties::BANK, &["sync", "filter", "--reach", "filter"]).code(0);
    assert!(shell.dir().join("filter/filter.snap").exists());
    let answered = ask(&shell, parties::BANK, &["filter", "--reach", "filter"], &debtor, LOAN).code(11);
    assert_eq!(by(&answered), told("CONSIDER", "hub"));
    let answered = ask(&shell, parties::HOTEL, &["room"], &debtor, ROOM).code(10);
    assert_eq!(by(&answered), told("RESTRICTED", "hub"));
    assert!(answered.json()["slip"]["reference"].as_str().is_some_and(|reference| reference.starts_with("A-")));
    // Whoever may have no replica is answered by the hub, and refused by it.
    let inspection = ["--measure", "supervision.inspection"];
    assert_eq!(by(&ask(&shell, parties::COURT, &["none"], &nobody, &inspection).code(0)), told("CLEAR", "hub"));
    ask(&shell, parties::COURT, &["none"], &nobody, LOAN).fails(27);

    let seen = run(parties::AUDITOR, &["subscribers"]).code(0).lines();
    let clients: Vec<_> = seen.iter().map(|one| one["client"].clone()).collect();
    assert_eq!(clients, [parties::BANK, parties::BANK, parties::HOTEL], "{seen:?}");
    assert!(seen.iter().any(|one| one["reported"].as_u64() > Some(0)), "what was answered is on record: {seen:?}");
    assert!(seen.iter().all(|one| one["acknowledged"] == one["lift_seq"] && one["heard_time"].is_string()), "{seen:?}");
    let instance = seen[0]["instance"].as_str().unwrap();
    let end = ["subscribers", "end", parties::BANK, instance];
    run(parties::BANK, &["subscribers"]).fails(27);
    run(parties::AUDITOR, &end).fails(27);
    let ended = run(parties::OPERATOR, &end).code(0).json();
    assert_eq!((&ended["client"], &ended["instance"]), (&parties::BANK.into(), &instance.into()));
    until("it is forgotten once its lease is over", || async {
        let left = run(parties::OPERATOR, &["subscribers"]).code(0).lines();
        (left.len() == 2).then_some(())
    })
    .await;
    run(parties::OPERATOR, &end).fails(25);
    let table = shell.run(&["subscribers", "--context", parties::OPERATOR, "--lang", "zh"], "").code(0).text();
    assert!(table.contains("已确认的解除") && table.contains("hotels"), "{table}");
    hub.stop().await;
    ask(&shell, parties::BANK, &["exact"], &nobody, LOAN).fails(4);
}
