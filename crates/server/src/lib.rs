//! The hub's parts, composed by the binary `xinhubd`: sockets, certificates, configuration, services, audit.

pub mod authorise;
pub mod config;
pub mod logging;
pub mod metrics;
pub mod quota;
pub mod serve;
pub mod tls;
