//! A procurement platform's supplier check: every bidder and every member of a consortium at one place in the history, and the
//! evidence of it for the tender file.
//!
//! ```sh
//! export XINHUB_ENDPOINT=https://hub.example:7443 XINHUB_CA=ca.pem XINHUB_CERT=platform.pem XINHUB_KEY=platform.key
//! cargo run -p xinhub-client --example procurement -- REPLICA_DIRECTORY <bidders.csv >>tender-file.jsonl
//! ```
//!
//! Standard input has `BIDDER,KIND,NUMBER` for each supplier, and a consortium's number in the tender once for each member.
#![allow(clippy::print_stdout)]

use std::collections::BTreeMap;
use std::error::Error;
use std::{env, io};

use xinhub_client::v1::batch_check_result::Result::Answer;
use xinhub_client::v1::{BatchCheckRequest, BatchCheckResult, Identity, IdentityKind, Inquiry, ReplicaReach, Verdict};
use xinhub_client::{Config, Hub, Replica, ReplicaConfig};

const PURPOSE: &str = "procurement.supplier";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let dir = env::args_os().nth(1).ok_or("usage: procurement REPLICA_DIRECTORY <BIDDERS")?;
    let inquiries = io::stdin().lines().map(|line| supplier(&line?)).collect::<Result<Vec<_>, Box<dyn Error>>>()?;
    let bidders: Vec<String> = inquiries.iter().map(|inquiry| inquiry.reference.clone()).collect();
    let hub = Hub::connect(config()?).await?;
    let replica = Replica::open(&hub, ReplicaConfig::new(dir).reach(ReplicaReach::Exact))?;
    replica.synced().await;
    // All by the same state of the list: no bidder is measured by another day than its competitors.
    let measure = PURPOSE.to_owned();
    let answered = replica.check_many(BatchCheckRequest { measure, inquiries, ..Default::default() }).await?;
    // What the replica has answered is on record with the hub before anybody relies on it.
    replica.close().await?;

    let mut members: BTreeMap<String, Vec<BatchCheckResult>> = BTreeMap::new();
    for (bidder, result) in bidders.into_iter().zip(answered.results) {
        members.entry(bidder).or_default().push(result);
    }
    // Where in the history of the list all of it was read, and when.
    let place = answered.position.unwrap_or_default();
    let position: String = place.token.iter().map(|byte| format!("{byte:02x}")).collect();
    let time = place.time.map(|time| time.to_string());
    for (bidder, results) in members {
        let verdicts: Vec<&str> = results.iter().map(|result| verdict(result).as_str_name()).collect();
        let decision = decide(&results);
        // The bidder by its number in the tender: a tender file is read by many, and holds no identity number.
        let line = serde_json::json!({
            "bidder": bidder, "decision": decision, "verdicts": verdicts, "measure": PURPOSE, "position": position, "time": time,
        });
        println!("{line}");
    }
    Ok(())
}

/// A consortium stands and falls with its members.
fn decide(results: &[BatchCheckResult]) -> &'static str {
    let must_refuse = |one: &BatchCheckResult| matches!(&one.result, Some(Answer(answer)) if answer.must_refuse());
    if results.iter().any(must_refuse) {
        return "exclude";
    }
    // Whoever can't be told now is asked again until the bids are opened, and excluded by no machine.
    if results.iter().all(|one| verdict(one) == Verdict::Clear) { "admit" } else { "ask_again" }
}

/// A question that the hub did not take, such as a mistyped number, has none.
fn verdict(one: &BatchCheckResult) -> Verdict {
    if let Some(Answer(answer)) = &one.result { answer.verdict() } else { Verdict::Unspecified }
}

fn config() -> Result<Config, env::VarError> {
    let [endpoint, ca, cert, key] = ["ENDPOINT", "CA", "CERT", "KEY"].map(|name| env::var(format!("XINHUB_{name}")));
    Ok(Config::new(endpoint?, ca?, cert?, key?))
}

/// What is wrong with a line is told without the line: it holds a number.
fn supplier(line: &str) -> Result<Inquiry, Box<dyn Error>> {
    let &[bidder, kind, number] = &*line.split(',').map(str::trim).collect::<Vec<_>>() else {
        return Err("expected BIDDER,KIND,NUMBER".into());
    };
    let kind = IdentityKind::from_str_name(&format!("IDENTITY_KIND_{}", kind.to_uppercase()));
    let kind = kind.ok_or("expected a kind such as uscc or resident_id")?.into();
    let identity = Some(Identity { kind, number: number.to_owned(), ..Identity::default() });
    Ok(Inquiry { identity, reference: bidder.to_owned(), ..Inquiry::default() })
}
