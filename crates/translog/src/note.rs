//! Signed notes, as C2SP's `signed-note` specifies them: a text, an empty line, and lines `— name base64(key hash ‖ signature)`.
//!
//! Signatures are Ed25519 (RFC 8032) over the text with its last line end. The same form will carry the log's checkpoints.

use std::fmt;

use aws_lc_rs::digest;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The number of Ed25519 in a key's hash and in a verifier key.
const ED25519_KIND: u8 = 1;
const KEY_BYTES: usize = 32;
const HASH_BYTES: usize = 4;
const SIGNATURE_BYTES: usize = 64;
/// What a signature's line begins with: an em dash and a space.
const MARK: &str = "— ";
/// Longer than any note of a hub: whoever checks one is not made to read a gigabyte.
pub const MAX_NOTE_BYTES: usize = 1 << 20;

/// Why a key or a note is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// A key name is empty, or holds white space or a plus sign.
    #[error("a key's name is empty, or holds white space or `+`")]
    Name,
    /// The seed makes no key pair.
    #[error("the seed is no Ed25519 seed of 32 bytes")]
    Seed,
    /// A verifier key is not `name+hash+key`, or its hash is another key's.
    #[error("is no verifier key: expected name+hash+key, as the hub shows it")]
    VerifierKey,
    /// The text has no last line end, or holds a control character.
    #[error("the text of a note ends with a line end and holds no other control character")]
    Text,
    /// It is not in the form of a signed note.
    #[error("is no signed note: expected a text, an empty line and signature lines")]
    Form,
    /// No line is by this key.
    #[error("carries no signature by this key; is it another hub's?")]
    NotSigned,
    /// A line by this key does not verify.
    #[error("does not verify: the text was changed, or the signature is forged")]
    Forged,
}

/// Signs notes under one name.
pub struct Signer {
    name: String,
    pair: Ed25519KeyPair,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Signer {
    /// A signer from an Ed25519 seed (RFC 8032, section 5.1.5).
    ///
    /// # Errors
    /// [`NoteError::Name`], [`NoteError::Seed`].
    pub fn from_seed(name: &str, seed: &[u8; 32]) -> Result<Signer, NoteError> {
        if !is_name(name) {
            return Err(NoteError::Name);
        }
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| NoteError::Seed)?;
        Ok(Signer { name: name.to_owned(), pair })
    }

    /// By which its notes are checked: `name+hash+key`.
    pub fn verifier_key(&self) -> String {
        let key = self.pair.public_key().as_ref();
        let encoded = STANDARD.encode([&[ED25519_KIND], key].concat());
        format!("{}+{}+{encoded}", self.name, hex(key_hash(&self.name, key)))
    }

    /// A note: the text, and its signature.
    ///
    /// # Errors
    /// [`NoteError::Text`].
    pub fn sign(&self, text: &str) -> Result<String, NoteError> {
        if !is_text(text) {
            return Err(NoteError::Text);
        }
        let signature = self.pair.sign(text.as_bytes());
        let hash = key_hash(&self.name, self.pair.public_key().as_ref());
        let encoded = STANDARD.encode([&hash, signature.as_ref()].concat());
        Ok(format!("{text}\n{MARK}{} {encoded}\n", self.name))
    }
}

/// Checks notes of one signer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verifier {
    name: String,
    hash: [u8; HASH_BYTES],
    key: [u8; KEY_BYTES],
}

impl Verifier {
    /// Reads a verifier key.
    ///
    /// # Errors
    /// [`NoteError::VerifierKey`].
    pub fn parse(verifier_key: &str) -> Result<Verifier, NoteError> {
        let mut parts = verifier_key.trim().splitn(3, '+');
        let (Some(name), Some(hash), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(NoteError::VerifierKey);
        };
        let bytes = STANDARD.decode(key).map_err(|_| NoteError::VerifierKey)?;
        let Some((&ED25519_KIND, key)) = bytes.split_first() else { return Err(NoteError::VerifierKey) };
        let key: [u8; KEY_BYTES] = key.try_into().map_err(|_| NoteError::VerifierKey)?;
        let verifier = Verifier { name: name.to_owned(), hash: key_hash(name, &key), key };
        let same = is_name(name) && hex(verifier.hash) == hash.to_ascii_lowercase();
        same.then_some(verifier).ok_or(NoteError::VerifierKey)
    }

    /// The signer's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The text of a note, if this key has signed it. Lines by other keys are passed over.
    ///
    /// # Errors
    /// It is none, not by this key, or forged.
    pub fn verify<'a>(&self, note: &'a str) -> Result<&'a str, NoteError> {
        if note.len() > MAX_NOTE_BYTES {
            return Err(NoteError::Form);
        }
        // The last empty line: the text may hold others.
        let at = note.rfind("\n\n").ok_or(NoteError::Form)?;
        let (text, lines) = (&note[..=at], &note[at + 2..]);
        if !is_text(text) || lines.is_empty() || !lines.ends_with('\n') {
            return Err(NoteError::Form);
        }
        let mut signed = false;
        for line in lines.lines() {
            let (name, encoded) =
                line.strip_prefix(MARK).and_then(|rest| rest.split_once(' ')).ok_or(NoteError::Form)?;
            let bytes = STANDARD.decode(encoded).map_err(|_| NoteError::Form)?;
            let Some((hash, signature)) = bytes.split_first_chunk::<HASH_BYTES>() else { return Err(NoteError::Form) };
            if name != self.name || *hash != self.hash {
                continue;
            }
            let known = UnparsedPublicKey::new(&ED25519, self.key);
            let verifies = signature.len() == SIGNATURE_BYTES && known.verify(text.as_bytes(), signature).is_ok();
            if !verifies {
                return Err(NoteError::Forged);
            }
            signed = true;
        }
        if signed { Ok(text) } else { Err(NoteError::NotSigned) }
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.chars().any(|c| c.is_whitespace() || c == '+')
}

fn is_text(text: &str) -> bool {
    text.ends_with('\n') && !text.chars().any(|c| c.is_ascii_control() && c != '\n')
}

fn key_hash(name: &str, key: &[u8]) -> [u8; HASH_BYTES] {
    let mut hashed = digest::Context::new(&digest::SHA256);
    for part in [name.as_bytes(), b"\n", &[ED25519_KIND], key] {
        hashed.update(part);
    }
    let whole = hashed.finish();
    std::array::from_fn(|at| whole.as_ref()[at])
}

fn hex(bytes: [u8; HASH_BYTES]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of Go's `golang.org/x/mod/sumdb/note`, an implementation of the same form.
    const PETER_KEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    const PETER_NOTE: &str = "If you think cryptography is the answer to your problem,\n\
        then you don't know what your problem is.\n\
        \n\
        — PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

    fn signer() -> Signer {
        Signer::from_seed("hub.example", &[7; 32]).unwrap()
    }

    #[test]
    fn notes_of_another_implementation_verify() {
        let text = Verifier::parse(PETER_KEY).unwrap().verify(PETER_NOTE).unwrap();
        assert!(text.starts_with("If you think") && text.ends_with("problem is.\n"));
    }

    #[test]
    fn what_is_signed_verifies_and_nothing_else() {
        let signer = signer();
        let verifier = Verifier::parse(&signer.verifier_key()).unwrap();
        let note = signer.sign("一\n\n二\n").unwrap();
        assert_eq!(verifier.verify(&note), Ok("一\n\n二\n"));
        for at in 0..note.len() {
            let mut bytes = note.clone().into_bytes();
            bytes[at] ^= 1;
            if let Ok(changed) = String::from_utf8(bytes) {
                assert!(verifier.verify(&changed).is_err(), "byte {at} was changed");
            }
            if note.is_char_boundary(at) {
                assert!(verifier.verify(&note[..at]).is_err(), "cut at {at}");
            }
        }
        let other = Verifier::parse(&Signer::from_seed("hub.example", &[8; 32]).unwrap().verifier_key()).unwrap();
        assert_eq!(other.verify(&note), Err(NoteError::NotSigned));
    }

    #[test]
    fn texts_names_and_keys_of_another_form_are_refused() {
        assert_eq!(signer().sign("no line end"), Err(NoteError::Text));
        assert_eq!(signer().sign("a\tb\n"), Err(NoteError::Text));
        for name in ["", "a b", "a+b"] {
            assert_eq!(Signer::from_seed(name, &[7; 32]).err(), Some(NoteError::Name));
        }
        let key = signer().verifier_key();
        let wrong_hash = key.replacen("hub.example", "hub.exampl", 1);
        for key in ["", "a+b", "hub.example+00000000+!", &wrong_hash] {
            assert_eq!(Verifier::parse(key), Err(NoteError::VerifierKey), "{key}");
        }
    }
}
