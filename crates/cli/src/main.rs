//! `xinhub`, the command line of XinHub.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use xinhub_cli::certs::{self, CertsArgs};

#[derive(Parser)]
#[command(name = "xinhub", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Certs(CertsArgs),
}

#[allow(clippy::print_stderr)] // Messages to the user.
fn main() -> ExitCode {
    let Command::Certs(args) = Cli::parse().command;
    match certs::run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xinhub: {error}");
            ExitCode::FAILURE
        }
    }
}
