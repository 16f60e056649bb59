//! The parts of `xinhub` that tests and tools use too.

pub mod certs;
