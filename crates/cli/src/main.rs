//! `xinhub`, the command line of XinHub.

use std::process::ExitCode;

fn main() -> ExitCode {
    xinhub_cli::run(std::env::args_os())
}
