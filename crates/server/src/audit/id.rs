//! The name of one record, as a slip carries it.

use std::fmt;

use aws_lc_rs::digest::{Context, SHA256};
use xinhub_domain::time::Timestamp;
use xinhub_ledger::crypto;

const HOUR_MS: i64 = 3_600_000;
/// Crockford's base 32: no letter that is taken for a digit when read out over a telephone.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// 128 bits in fives.
const CHARS: usize = 26;

/// Names one record: 4 bytes of hours since 1970 (to find the segment by, and no finer: a slip tells no minute) and 12
/// random bytes, so that nobody guesses another's.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct AuditId([u8; 16]);

/// A text is no id of an audit record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is no reference of this hub: expected A- and 26 letters or digits, as on the slip")]
pub struct NotAnAuditId;

impl AuditId {
    /// A fresh id.
    pub fn random(now: Timestamp) -> AuditId {
        let hour = u32::try_from(now.0.div_euclid(HOUR_MS)).unwrap_or(0);
        let mut bytes: [u8; 16] = crypto::random_name();
        bytes[..4].copy_from_slice(&hour.to_be_bytes());
        AuditId(bytes)
    }

    /// The id of an answer that a replica gave by itself: the same whenever it is reported.
    pub fn of_replica(time: Timestamp, client: &str, instance: &[u8; 16], sequence: u64) -> AuditId {
        let mut context = Context::new(&SHA256);
        context.update(b"xinhub replica answer v1");
        context.update(instance);
        context.update(&sequence.to_be_bytes());
        context.update(client.as_bytes());
        let mut id = AuditId::random(time);
        id.0[4..].copy_from_slice(&context.finish().as_ref()[..12]);
        id
    }

    /// The raw bytes.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// The id of these bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> AuditId {
        AuditId(bytes)
    }

    /// The hour in which it was made.
    pub fn hour(&self) -> Timestamp {
        let [a, b, c, d, ..] = self.0;
        Timestamp(i64::from(u32::from_be_bytes([a, b, c, d])) * HOUR_MS)
    }

    /// Reads what [`Display`](fmt::Display) wrote; small letters, and O, I, L for 0 and 1, are taken too.
    ///
    /// # Errors
    ///
    /// The text has another shape.
    pub fn parse(text: &str) -> Result<AuditId, NotAnAuditId> {
        let text = text.trim();
        let digits = text.strip_prefix("A-").or_else(|| text.strip_prefix("a-")).ok_or(NotAnAuditId)?;
        if digits.len() != CHARS {
            return Err(NotAnAuditId);
        }
        let mut value: u128 = 0;
        for (index, c) in digits.bytes().enumerate() {
            let c = match c.to_ascii_uppercase() {
                b'O' => b'0',
                b'I' | b'L' => b'1',
                other => other,
            };
            let digit = ALPHABET.iter().position(|known| *known == c).ok_or(NotAnAuditId)?;
            // 26 digits hold 130 bits: the first is at most 7.
            if index == 0 && digit > 7 {
                return Err(NotAnAuditId);
            }
            value = value << 5 | digit as u128;
        }
        Ok(AuditId(value.to_be_bytes()))
    }
}

/// The start of the hour that `time` lies in.
pub(super) fn hour_of(time: Timestamp) -> Timestamp {
    Timestamp(time.0.div_euclid(HOUR_MS) * HOUR_MS)
}

impl fmt::Display for AuditId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = u128::from_be_bytes(self.0);
        f.write_str("A-")?;
        for index in (0..CHARS).rev() {
            let digit = (value >> (5 * index)) as usize & 31;
            write!(f, "{}", char::from(ALPHABET[digit]))?;
        }
        Ok(())
    }
}

impl fmt::Debug for AuditId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
