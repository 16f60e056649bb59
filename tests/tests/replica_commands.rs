//! The command line of replicas: what it answers and who did, and what operators see of it.

#![allow(clippy::unwrap_used)]

use serde_json::Value;
use xinhub_tests::following::leased;
use xinhub_tests::shell::Ran;
use xinhub_tests::v1;
use xinhub_tests::wait::until;
use xinhub_tests::{Hub, Shell, Subject, parties};

const LOAN: &[&str] = &["--measure", "credit.lending"];
const EXACT: &[&str] = &["exact", "--reach", "exact"];
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

    let synced = run(parties::BANK, &["sync", "exact", "--reach", "exact"]).code(0).json();
    assert_eq!((&synced["synced"], synced["entries"].as_u64()), (&true.into(), Some(1)), "{synced}");
    let answered = ask(&shell, parties::BANK, EXACT, &debtor, LOAN).code(11);
    assert_eq!(by(&answered), told("CONSIDER", "replica"));
    let online = shell.check(parties::BANK, &debtor, LOAN).code(11).json();
    for field in ["reason", "effect", "relation", "open_condition", "slip"] {
        assert_eq!(answered.json()[field], online[field], "{field}");
    }
    assert_eq!(by(&ask(&shell, parties::BANK, EXACT, &nobody, LOAN).code(0)), told("CLEAR", "replica"));
    let at_least = online["position"]["token"].as_str().unwrap();
    let answered = ask(&shell, parties::BANK, &[EXACT, &["--at-least", at_least]].concat(), &nobody, LOAN).code(0);
    assert_eq!(by(&answered), told("CLEAR", "hub"), "what has to be as new as that, the hub says");
    ask(&shell, parties::BANK, EXACT, &nobody, &[]).fails(2);

    // A filter asks for whoever it does not clear, and a caller of one bit has nothing else.
    run(parties::BANK, &["sync", "filter"]).code(0);
    assert!(shell.dir().join("filter/filter.snap").exists());
    let answered = ask(&shell, parties::BANK, &["filter"], &debtor, LOAN).code(11);
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
    ask(&shell, parties::BANK, EXACT, &nobody, LOAN).fails(4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_watched_comes_line_by_line_and_a_lift_tells_how_far_it_is() {
    let hub = Hub::start_with(leased(2)).await;
    let (court, operator) = (hub.court().await, hub.client(parties::OPERATOR).await);
    // With a lease the newest has been told that it holds all.
    let follows = async |count: usize| {
        let seen = operator.admin().list_subscribers(v1::ListSubscribersRequest {}).await.unwrap().subscribers;
        let newest = seen.iter().max_by_key(|one| &one.instance);
        seen.len() == count && newest.is_some_and(|one| one.lease_ms > 0)
    };
    for (at, (format, lang)) in (1..).zip([("json", "en"), ("table", "zh")]) {
        let (freed, kept) = (Subject::person(), Subject::person());
        let listed = court.list(&freed).await;
        let shell = Shell::new(&hub, &[&freed, &kept]);
        let watching = tokio::task::spawn_blocking(move || {
            let words = ["watch", "replica", "--context", parties::BANK, "--output", format, "--lang", lang];
            // The list that the second begins with is from before the first lift.
            shell.run(&[&words[..], &["--reach", "exact", "--lifts", &at.to_string()]].concat(), "").code(0)
        });
        until("it follows", || async { follows(at).await.then_some(()) }).await;
        court.list(&kept).await;
        let lift = court.remove(listed.listing).await.unwrap();
        let watched = watching.await.unwrap();
        if format == "json" {
            let lines = watched.lines();
            let last = lines.last().unwrap();
            assert_eq!((&last["event"], &last["keys"]), (&"lift".into(), &1.into()), "{last}");
            let states: Vec<_> =
                lines.iter().filter(|line| line["event"] == "state" && line["synced"] == true).collect();
            assert!(
                states.iter().all(|state| state["token"].as_str().is_some_and(|token| token.len() == 50)),
                "{states:?}"
            );
            assert!(!states.is_empty() && states.iter().all(|state| state["alarms"] == 0), "{states:?}");
        } else {
            let text = watched.text();
            let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
            assert_eq!(rows[0], ["事件", "修订号", "解除次数", "条目数", "落后", "租约秒数", "故障"], "{text}");
            let last = rows.last().unwrap();
            assert_eq!((last[0], last.last()), ("解除", Some(&"-1")), "{text}");
        }
        let shell = Shell::new(&hub, &[]);
        let token: String = lift.position.unwrap().token.iter().map(|byte| format!("{byte:02x}")).collect();
        let seen = || shell.run(&["lifts", &token, "--context", parties::COURT, "--output", "json"], "").code(0).json();
        let complete = until("the lift is complete", || async {
            let seen = seen();
            (seen["complete"] == true).then_some(seen)
        });
        let complete = complete.await;
        assert_eq!((&complete["subscribers"], &complete["pending"]), (&at.into(), &0.into()), "{complete}");
        assert!(complete["acknowledged"].as_u64() > Some(0) && complete["complete_time"].is_string(), "{complete}");
        shell.run(&["lifts", "00", "--context", parties::COURT], "").fails(23);
        shell.run(&["lifts", &token, "--context", parties::BANK], "").fails(27);
    }
}
