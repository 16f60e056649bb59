//! A bank's credit check, answered in the bank's own process by a replica of the lenders' list.
//!
//! ```sh
//! export XINHUB_ENDPOINT=https://hub.example:7443 XINHUB_CA=ca.pem XINHUB_CERT=bank.pem XINHUB_KEY=bank.key
//! echo loan-17,resident_id,110101199001010007 | cargo run -p xinhub-client --example bank -- REPLICA_DIRECTORY
//! ```
//!
//! Applications come on standard input, `APPLICATION,KIND,NUMBER` each: others can read a command line. What to do comes on
//! standard output, by the bank's own number of the application.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::error::Error;
use std::time::Duration;
use std::{env, io};

use xinhub_client::v1::{CheckRequest, Identity, IdentityKind, Inquiry, ReplicaReach, Verdict};
use xinhub_client::{Config, Hub, Replica, ReplicaConfig, Replied};

/// The measure is the purpose: for lending, a listing means a stricter review and never a refusal.
const PURPOSE: &str = "credit.lending";
/// How often and when an UNKNOWN is asked again before a person looks.
const ASK_AGAIN: u32 = 2;
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(1);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let dir = env::args_os().nth(1).ok_or("usage: bank REPLICA_DIRECTORY <APPLICATIONS")?;
    let hub = Hub::connect(config()?).await?;
    // One for the life of the process. It follows by itself, through lost connections and restarts.
    let config = ReplicaConfig::new(dir).reach(ReplicaReach::Exact).on_lift(|lift| {
        // Nobody is named. `hub.measures().list_duties` says which of the bank's own measures are to be lifted, and
        // `hub.report_lifted` that they are.
        eprintln!("lift {}: look at the duties", lift.lift_seq);
    });
    let replica = Replica::open(&hub, config)?;
    replica.synced().await;
    for line in io::stdin().lines() {
        let (application, request) = question(&line?)?;
        println!("{application}: {}", next_step(&ask(&replica, request).await?));
    }
    // What was answered here is on record with the hub before this ends.
    Ok(replica.close().await?)
}

/// An UNKNOWN is asked again: what can't be told now can often be told a moment later.
async fn ask(replica: &Replica, request: CheckRequest) -> Result<Replied, xinhub_client::Error> {
    for _ in 0..ASK_AGAIN {
        // On the bank's disk before anybody acts on it.
        let replied = replica.check_recorded(request.clone()).await?;
        if replied.verdict() != Verdict::Unknown {
            return Ok(replied);
        }
        tokio::time::sleep(ASK_AGAIN_AFTER).await;
    }
    replica.check_recorded(request).await
}

/// Nothing is denied here, by no verdict.
fn next_step(replied: &Replied) -> &'static str {
    match replied.verdict() {
        // It says nothing about solvency: the bank's own checks go on.
        Verdict::Clear => "CLEAR, go on",
        Verdict::Consider => "CONSIDER, a credit officer decides; the listing is one fact among others",
        // What a newer hub may say beside these goes to a person too.
        Verdict::Unknown | Verdict::Restricted | Verdict::Unspecified => "UNKNOWN, a credit officer looks at it",
    }
}

fn config() -> Result<Config, env::VarError> {
    let [endpoint, ca, cert, key] = ["ENDPOINT", "CA", "CERT", "KEY"].map(|name| env::var(format!("XINHUB_{name}")));
    Ok(Config::new(endpoint?, ca?, cert?, key?))
}

/// `APPLICATION,KIND,NUMBER`. What is wrong with a line is told without the line: it holds a number.
fn question(line: &str) -> Result<(String, CheckRequest), &'static str> {
    let &[application, kind, number] = &*line.split(',').map(str::trim).collect::<Vec<_>>() else {
        return Err("expected APPLICATION,KIND,NUMBER");
    };
    let kind = IdentityKind::from_str_name(&format!("IDENTITY_KIND_{}", kind.to_uppercase()));
    let kind = kind.ok_or("expected a kind such as resident_id or uscc")?.into();
    let identity = Some(Identity { kind, number: number.to_owned(), ..Identity::default() });
    // The person concerned finds the bank's own reference in the hub's record.
    let inquiry = Some(Inquiry { identity, reference: application.to_owned(), ..Inquiry::default() });
    Ok((application.to_owned(), CheckRequest { inquiry, measure: PURPOSE.to_owned(), ..CheckRequest::default() }))
}
