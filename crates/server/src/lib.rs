//! The hub's parts, composed by the binary `xinhubd`: sockets, certificates, configuration, services, audit.

#![warn(missing_docs)]

pub mod audit;
pub mod authorise;
pub mod config;
pub mod import;
pub mod logging;
pub mod metrics;
pub mod quota;
pub mod run;
pub mod serve;
pub mod service;
pub mod sync;
pub mod tls;
