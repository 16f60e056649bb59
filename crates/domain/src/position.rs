//! A point in the history, and the opaque token that names it to callers.

use crate::time::Timestamp;

/// The format of a token.
const TOKEN_FORMAT: u8 = 1;

/// Where the history stood: epoch and revision, and the time of its last entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Random, set when the ledger was created; another one means a rewound history.
    pub epoch: [u8; 16],
    /// How many events there are.
    pub revision: u64,
    /// When the last of them was recorded.
    pub time: Timestamp,
}

/// A token is none of this hub's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("consistency.at_least: is no token of this hub; pass on the bytes of `position.token` as they came")]
pub struct BadToken;

impl Position {
    /// The opaque token: format (1 byte), epoch (16), revision (8, big-endian).
    pub fn token(&self) -> Vec<u8> {
        let mut token = Vec::with_capacity(25);
        token.push(TOKEN_FORMAT);
        token.extend_from_slice(&self.epoch);
        token.extend_from_slice(&self.revision.to_be_bytes());
        token
    }

    /// Epoch and revision of a token.
    ///
    /// # Errors
    /// Where the bytes are no token.
    pub fn parse_token(token: &[u8]) -> Result<([u8; 16], u64), BadToken> {
        let (format, rest) = token.split_first().ok_or(BadToken)?;
        let (epoch, revision) = rest.split_first_chunk::<16>().ok_or(BadToken)?;
        let revision: [u8; 8] = revision.try_into().map_err(|_| BadToken)?;
        if *format != TOKEN_FORMAT { Err(BadToken) } else { Ok((*epoch, u64::from_be_bytes(revision))) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_come_back_or_are_refused() {
        let position = Position { epoch: [7; 16], revision: 300, time: Timestamp(0) };
        assert_eq!(Position::parse_token(&position.token()), Ok(([7; 16], 300)));
        for bad in [&[][..], &[1; 24], &[1; 26], &[2; 25]] {
            assert_eq!(Position::parse_token(bad), Err(BadToken));
        }
    }
}
