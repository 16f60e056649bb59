//! `xinhub certs`: a small certificate authority in a directory, for trying the hub out and for tests.
//!
//! An institution with a CA of its own uses that instead: what the hub asks of a client certificate is one URI SAN
//! `spiffe://<trust-domain>/client/<id>`, extended key usage clientAuth, and a revocation list of its issuer.

pub mod ca;
mod error;
mod files;
mod index;
mod names;

use std::io::{self, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};

use ca::{Authority, Issued, Revoke};
pub use error::CertsError;

/// Makes a CA, certificates for the hub and its clients, and revocation lists.
#[derive(Debug, Args)]
pub struct CertsArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a CA: ca.pem, ca.key, an empty crl.pem and index.tsv, the register of what it issues
    Init(Init),
    /// Issue a certificate and its private key
    Issue(Issue),
    /// Revoke certificates, and sign the revocation list that says so
    Revoke(RevokeArgs),
    /// Sign a fresh revocation list with the same content, before the last one ends
    Crl(Crl),
}

#[derive(Debug, Args)]
struct Init {
    #[command(flatten)]
    at: At,
    /// The `<trust-domain>` of clients' names, spiffe://<trust-domain>/client/<id>
    #[arg(long, value_name = "DOMAIN")]
    trust_domain: String,
    /// How long the CA is valid
    #[arg(long, value_name = "DAYS", default_value_t = 3650, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    days: u32,
    #[command(flatten)]
    crl: CrlDays,
}

#[derive(Debug, Args)]
struct Issue {
    #[command(flatten)]
    at: At,
    #[command(flatten)]
    holder: Holder,
    /// A DNS name of the server; may be given several times
    #[arg(long, value_name = "NAME", conflicts_with = "client")]
    dns: Vec<String>,
    /// An IP address of the server; may be given several times
    #[arg(long, value_name = "ADDRESS", conflicts_with = "client")]
    ip: Vec<IpAddr>,
    /// How long the certificate is valid
    #[arg(long, value_name = "DAYS", default_value_t = 90, value_parser = clap::value_parser!(u32).range(1..=3650))]
    days: u32,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Holder {
    /// For the hub: server.pem and server.key
    #[arg(long)]
    server: bool,
    /// For the client of this id: ID.pem and ID.key
    #[arg(long, value_name = "ID")]
    client: Option<String>,
}

#[derive(Debug, Args)]
struct RevokeArgs {
    #[command(flatten)]
    at: At,
    #[command(flatten)]
    whose: Whose,
    #[command(flatten)]
    crl: CrlDays,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Whose {
    /// All certificates of this client
    #[arg(long, value_name = "ID")]
    client: Option<String>,
    /// The certificate of this serial number, as in index.tsv
    #[arg(long, value_name = "HEX")]
    serial: Option<String>,
}

#[derive(Debug, Args)]
struct Crl {
    #[command(flatten)]
    at: At,
    #[command(flatten)]
    crl: CrlDays,
}

#[derive(Debug, Args)]
struct At {
    /// The CA's directory
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
}

#[derive(Debug, Args)]
struct CrlDays {
    /// How long the revocation list is valid; past its end the hub refuses everyone but pinned courts
    #[arg(long, value_name = "DAYS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=3650))]
    crl_days: u32,
}

/// Runs `xinhub certs …`. Writes what it made to standard output, one item a line: paths, or serial numbers revoked.
///
/// # Errors
/// Names the file or argument at fault, and the way out. Nothing that existed is overwritten, but for `crl.pem` and
/// `index.tsv`, each replaced at once.
pub fn run(args: CertsArgs) -> Result<(), CertsError> {
    let lines = match args.command {
        Command::Init(init) => {
            let ca = Authority::init(&init.at.dir, &init.trust_domain, days(init.days), days(init.crl.crl_days))?;
            [ca.certificate_path(), ca.key_path(), ca.crl_path()].iter().map(|path| path_line(path)).collect()
        }
        Command::Issue(issue) => {
            let ca = Authority::open(&issue.at.dir)?;
            let issued = match issue.holder.client {
                Some(id) => ca.issue_client(&id, days(issue.days))?,
                None => ca.issue_server(&issue.dns, &issue.ip, days(issue.days))?,
            };
            issued_lines(&issued)
        }
        Command::Revoke(revoke) => {
            let whose = match (revoke.whose.client, revoke.whose.serial) {
                (Some(id), _) => Revoke::Client(id),
                (None, serial) => Revoke::Serial(serial.unwrap_or_default()),
            };
            Authority::open(&revoke.at.dir)?.revoke(&whose, days(revoke.crl.crl_days))?
        }
        Command::Crl(crl) => {
            let ca = Authority::open(&crl.at.dir)?;
            ca.renew_crl(days(crl.crl.crl_days))?;
            vec![path_line(&ca.crl_path())]
        }
    };
    let mut out = io::stdout().lock();
    let written = lines.iter().try_for_each(|line| writeln!(out, "{line}"));
    written.map_err(|source| CertsError::Io { path: "standard output".into(), source })
}

fn issued_lines(issued: &Issued) -> Vec<String> {
    vec![path_line(&issued.certificate_path), path_line(&issued.key_path)]
}

fn path_line(path: &Path) -> String {
    path.display().to_string()
}

fn days(days: u32) -> Duration {
    Duration::from_secs(u64::from(days) * 86_400)
}

#[cfg(test)]
mod tests;
