//! The wire contract of XinHub, and the only translation between proto and domain.
//!
//! What is promised here: a message that was converted is valid; every fault of a message is told at once, by its path in the
//! message and never by its value; every failure is one entry of a closed catalogue.

#![warn(missing_docs)]

pub mod convert;
pub mod reason;

impl v1::Answer {
    /// Whether the purchase, booking or award must be refused: `RESTRICTED` by a prohibition, and nothing else.
    pub fn must_refuse(&self) -> bool {
        self.verdict() == v1::Verdict::Restricted && self.effect() == v1::Effect::Prohibit
    }
}

impl v1::CheckResponse {
    /// As [`v1::Answer::must_refuse`]; false without an answer.
    pub fn must_refuse(&self) -> bool {
        self.answer.as_ref().is_some_and(v1::Answer::must_refuse)
    }
}

/// What `proto/xinhub/v1` generates.
pub mod v1 {
    #![allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic, clippy::disallowed_methods)]
    tonic::include_proto!("xinhub.v1");

    /// The encoded `FileDescriptorSet` of these files, for reflection and for the check of the permit table.
    pub const FILE_DESCRIPTOR_SET: &[u8] = tonic::include_file_descriptor_set!("xinhub_v1_descriptor");
}
