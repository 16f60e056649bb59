//! The wire contract of XinHub, and the only translation between proto and domain.
//!
//! What is promised here: a message that was converted is valid; every fault of a message is told at once, by its path in the
//! message and never by its value; every failure is one entry of a closed catalogue.

#![warn(missing_docs)]

pub mod codec;
pub mod convert;
pub mod reason;

impl v1::Answer {
    /// Whether the purchase, booking or award must be refused: `RESTRICTED` by a prohibition, and nothing else.
    ///
    /// A caller of one bit is told an effect only where it is less than a prohibition, and is given a slip to hand over.
    pub fn must_refuse(&self) -> bool {
        let is_prohibited = match self.effect() {
            v1::Effect::Prohibit => true,
            v1::Effect::Unspecified => self.slip.is_some() && self.limit_fen == 0,
            _ => false,
        };
        self.verdict() == v1::Verdict::Restricted && is_prohibited
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

#[cfg(test)]
mod tests {
    use super::v1::{Answer, Effect, Slip, Verdict};

    #[test]
    fn what_must_be_refused_is_prohibited_and_restricted() {
        let check = |verdict: Verdict, effect: Effect, slip: bool, limit_fen: i64, expected: bool| {
            let slip = slip.then(Slip::default);
            let (verdict, effect) = (verdict as i32, effect as i32);
            let answer = Answer { verdict, effect, slip, limit_fen, ..Answer::default() };
            assert_eq!(answer.must_refuse(), expected, "{answer:?}");
        };
        check(Verdict::Restricted, Effect::Prohibit, false, 0, true);
        check(Verdict::Restricted, Effect::Limit, false, 100, false);
        check(Verdict::Restricted, Effect::Withdraw, false, 0, false);
        check(Verdict::Consider, Effect::StrictReview, false, 0, false);
        // A hotel is told one bit: that it was never to refuse was a bug.
        check(Verdict::Restricted, Effect::Unspecified, true, 0, true);
        check(Verdict::Restricted, Effect::Unspecified, true, 100, false);
        check(Verdict::Restricted, Effect::Unspecified, false, 0, false);
        for verdict in [Verdict::Clear, Verdict::Unknown, Verdict::Consider, Verdict::Unspecified] {
            check(verdict, Effect::Unspecified, true, 0, false);
        }
    }
}
