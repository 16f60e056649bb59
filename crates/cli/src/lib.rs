//! `xinhub`, the command line of XinHub, as a library: for its binary, and for tests and tools that need its certificates or
//! its synthetic rows.
//!
//! What is promised here: data on standard output and messages on standard error; one exit code for each way a command can
//! end ([`Exit`]); no secret taken from arguments or the environment; JSON output that is stable (OUTPUT.md).
#![warn(missing_docs)]
// A command line talks: messages go to standard error. Data is written through `output::Out` alone.
#![allow(clippy::print_stderr)]

mod announcements;
mod args;
mod batch;
mod certificate;
pub mod certs;
mod check;
mod cli;
mod codes;
mod content;
mod context;
mod deadlines;
mod duties;
mod exit;
mod import;
mod imports;
mod inquiry;
mod lang;
mod listing;
mod measure;
mod output;
mod petition;
mod replica;
mod report;
mod session;
mod shapes;
mod status;
mod subject;
mod subscribers;
pub mod synthesize;
mod template;
mod text;
mod words;

pub use cli::run;
pub use exit::Exit;
