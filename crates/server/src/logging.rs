//! JSON lines to stderr. A line names calls by their request id, clients by their id, and never an identity or a name:
//! nothing that holds one has a `Display`, and what is logged of a request is its method, code and reason.

use std::io;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

/// Whether a text is a filter.
///
/// # Errors
/// Where it isn't one.
pub fn check(filter: &str) -> Result<(), ParseError> {
    EnvFilter::builder().parse(filter).map(drop)
}

/// Starts logging with a filter such as `info` or `info,xinhub_server=debug`.
///
/// # Errors
/// Where the filter isn't one. Where logging runs already (in tests), nothing happens.
pub fn start(filter: &str) -> Result<(), ParseError> {
    let filter = EnvFilter::builder().parse(filter)?;
    let lines = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_env_filter(filter)
        // Told by `eprintln!`, which panics where stderr can't be written: a full disk for logs would end the writer.
        .log_internal_errors(false)
        .with_writer(io::stderr);
    // A second start keeps the first: only tests start twice in one process.
    let _ = lines.try_init();
    Ok(())
}
