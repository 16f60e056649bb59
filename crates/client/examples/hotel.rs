//! A hotel's check before a star-rated room is let, with a replica that holds no more than a filter.
//!
//! ```sh
//! export XINHUB_ENDPOINT=https://hub.example:7443 XINHUB_CA=ca.pem XINHUB_CERT=hotel.pem XINHUB_KEY=hotel.key
//! echo booking-3,resident_id,110101199001010007 | cargo run -p xinhub-client --example hotel -- REPLICA_DIRECTORY
//! ```
//!
//! Guests come on standard input, `BOOKING,KIND,NUMBER` each: others can read a command line. What the desk does comes on
//! standard output.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::error::Error;
use std::{env, io};

use xinhub_client::v1::{CheckRequest, Identity, IdentityKind, Inquiry, ReplicaReach, Slip};
use xinhub_client::{Config, Hub, Replica, ReplicaConfig};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let dir = env::args_os().nth(1).ok_or("usage: hotel REPLICA_DIRECTORY <GUESTS")?;
    let hub = Hub::connect(config()?).await?;
    // Of nearly every guest the filter says by itself that nothing stands against them, and the hub never hears of them. Whom it
    // does not clear, the hub is asked about: the filter names nobody.
    let replica = Replica::open(&hub, ReplicaConfig::new(dir).reach(ReplicaReach::Filter))?;
    replica.synced().await;
    for line in io::stdin().lines() {
        let (booking, request) = question(&line?)?;
        match replica.check(request).await {
            Ok(replied) if replied.must_refuse() => {
                println!("{booking}: refuse this room, and hand this over");
                hand_over(&replied.response.answer.and_then(|answer| answer.slip).unwrap_or_default());
            }
            // CLEAR; and UNKNOWN, which restricts nobody: no guest waits at the desk because a hub can't be reached.
            Ok(_) => println!("{booking}: proceed"),
            // What is wrong with the question, such as a mistyped number. It is never told with the number.
            Err(error) => {
                eprintln!("{booking}: {error}");
                println!("{booking}: proceed");
            }
        }
    }
    Ok(replica.close().await?)
}

/// All that the hotel learns and all that the guest needs: whom to ask, under which reference. No list, no case, no reason.
fn hand_over(slip: &Slip) {
    println!("  {}\n  {}\n  {} {}", slip.text_zh, slip.text_en, slip.court, slip.reference);
}

fn config() -> Result<Config, env::VarError> {
    let [endpoint, ca, cert, key] = ["ENDPOINT", "CA", "CERT", "KEY"].map(|name| env::var(format!("XINHUB_{name}")));
    Ok(Config::new(endpoint?, ca?, cert?, key?))
}

/// `BOOKING,KIND,NUMBER`. What is wrong with a line is told without the line: it holds a number.
fn question(line: &str) -> Result<(String, CheckRequest), &'static str> {
    let &[booking, kind, number] = &*line.split(',').map(str::trim).collect::<Vec<_>>() else {
        return Err("expected BOOKING,KIND,NUMBER");
    };
    let kind = IdentityKind::from_str_name(&format!("IDENTITY_KIND_{}", kind.to_uppercase()));
    let kind = kind.ok_or("expected a kind such as resident_id or passport")?.into();
    let identity = Some(Identity { kind, number: number.to_owned(), ..Identity::default() });
    let inquiry = Some(Inquiry { identity, reference: booking.to_owned(), ..Inquiry::default() });
    // The measure is the purpose, and the item what the guest books: an ordinary room is nobody's concern.
    let (measure, item) = ("consumption.hotel".to_owned(), "star_rated".to_owned());
    Ok((booking.to_owned(), CheckRequest { inquiry, measure, item, ..CheckRequest::default() }))
}
