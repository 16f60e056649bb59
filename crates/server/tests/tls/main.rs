//! The gate over real sockets, with certificates made at run time: who gets in, who doesn't, and what becomes of a connection
//! when its certificate no longer stands.

#![allow(clippy::unwrap_used)]

mod admission;
mod hub;
mod limits;
mod pki;
mod reload;

const WEEK_S: i64 = 7 * 86_400;
