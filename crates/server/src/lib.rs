//! The hub's parts, composed by the binary `xinhubd`: sockets, certificates, configuration, services, audit.

pub mod serve;
pub mod tls;
