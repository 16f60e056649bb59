//! What a trust domain, a client id, a DNS name and a serial number look like.

use super::error::CertsError;

/// SPIFFE-ID §2.1; 64 rather than its 255 characters, since it is also the CA's organisation name (X.520).
pub(super) fn valid_trust_domain(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_');
    (1..=64).contains(&text.len()) && text.bytes().all(allowed)
}

/// What the hub accepts, and besides no leading dot, since it is a file name here.
pub(super) fn valid_client_id(id: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    (1..=64).contains(&id.len()) && id.bytes().all(allowed) && !id.starts_with('.')
}

pub(super) fn valid_dns_name(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(label)
}

/// 16 octets, the first in 0x40..=0x7f: positive and of one length (RFC 5280 §4.1.2.2 allows 20).
pub(super) fn random_serial() -> Result<[u8; 16], CertsError> {
    let mut serial = [0; 16];
    aws_lc_rs::rand::fill(&mut serial).map_err(|_| CertsError::Random)?;
    serial[0] = serial[0] & 0x3f | 0x40;
    Ok(serial)
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The octets of a serial number in hex, either case, colons between octets allowed as `openssl` prints them.
pub(super) fn serial_bytes(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text.bytes().filter(|b| *b != b':').map(hex_digit).collect::<Option<_>>()?;
    if digits.is_empty() || !digits.len().is_multiple_of(2) || digits.len() > 40 {
        return None;
    }
    Some(digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}
