//! What a hub signs, and how anyone checks it without the hub.
//!
//! Promises: what [`note`] verifies was signed by the holder of the key that its verifier key names, byte for byte; nothing here
//! knows what a listing is, so that an outside auditor needs this crate and no other.
#![warn(missing_docs)]

pub mod note;
