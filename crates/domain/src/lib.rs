//! The rules of XinHub, pure: who can be listed, what a listing is and becomes, what a measure asks, who may ask it, and what
//! the answer is.
//!
//! Promises:
//! - A value that exists is valid: [`identity::Identity`], [`listing::Content`], [`measure::Catalogue`] and
//!   [`policy::Policy`] come from parsing alone, and parsing tells every fault at once.
//! - Nobody is restricted but through a listing in force that the measure reaches ([`decision`]).
//! - No number and no name is shown by `Debug`, by an error or by a log line.
//! - Nothing here reads a clock, a file or a socket: whoever calls hands in the day and the bytes. The same input gives the
//!   same answer, today and when the journal is folded again in ten years.

#![warn(missing_docs)]
// A new state, event, effect or reason has to be thought about wherever it matters.
#![deny(clippy::wildcard_enum_match_arm)]

pub mod case_number;
mod closed;
pub mod deadline;
pub mod decision;
pub mod fault;
pub mod identity;
pub mod import;
pub mod listing;
pub mod measure;
pub mod name;
pub mod policy;
pub mod position;
pub mod text;
pub mod time;
