//! Looks for what must be nowhere: known identity numbers and names, in plain or as a hash that anyone could work out.
//!
//! Searched for, of each number and each name: the text in UTF-8, GB 18030 and UTF-16 (both orders); its unsalted MD5,
//! SHA-1, SHA-256, SHA-512 and BLAKE3, as bytes, as hex in both cases and in Base64. Every pattern has eight bytes or more,
//! so that chance finds none in what is encrypted.

use std::collections::HashMap;
use std::fmt::Write;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest;
use md5::{Digest, Md5};

/// The length of what is looked up at each byte; the rest is compared.
const WINDOW: usize = 8;

/// What is looked for.
#[derive(Debug, Default)]
pub struct Secrets {
    by_window: HashMap<[u8; WINDOW], Vec<Pattern>>,
    patterns: usize,
}

#[derive(Clone, Debug)]
struct Pattern {
    bytes: Vec<u8>,
    form: &'static str,
}

/// Where something was found, and in which form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leak {
    /// The file, or what else was searched.
    pub place: PathBuf,
    /// Such as `SHA-256 in hex`.
    pub form: &'static str,
    /// The byte.
    pub offset: usize,
}

/// What a search has read, and what it has found.
#[derive(Clone, Debug, Default)]
pub struct Searched {
    /// What was found.
    pub leaks: Vec<Leak>,
    /// Every file that was read, each once.
    pub files: Vec<PathBuf>,
    /// How many bytes were read.
    pub bytes: u64,
}

impl Secrets {
    /// Adds a number or a name.
    ///
    /// # Panics
    /// Where it is so short that chance would find it.
    pub fn add(&mut self, text: &str) {
        let gb18030 = encoding_rs::GB18030.encode(text).0.into_owned();
        let utf16: Vec<u16> = text.encode_utf16().collect();
        self.pattern("UTF-16LE", utf16.iter().flat_map(|unit| unit.to_le_bytes()).collect());
        self.pattern("UTF-16BE", utf16.iter().flat_map(|unit| unit.to_be_bytes()).collect());
        self.pattern("UTF-8", text.as_bytes().to_vec());
        for bytes in [text.as_bytes(), &gb18030] {
            self.hashes(bytes);
        }
        if gb18030 != text.as_bytes() {
            self.pattern("GB 18030", gb18030);
        }
    }

    fn hashes(&mut self, bytes: &[u8]) {
        let of = |algorithm| digest::digest(algorithm, bytes).as_ref().to_vec();
        for (form, hash) in [
            ("MD5", Md5::digest(bytes).to_vec()),
            ("SHA-1", of(&digest::SHA1_FOR_LEGACY_USE_ONLY)),
            ("SHA-256", of(&digest::SHA256)),
            ("SHA-512", of(&digest::SHA512)),
            ("BLAKE3", blake3::hash(bytes).as_bytes().to_vec()),
        ] {
            let mut hex = String::new();
            for byte in &hash {
                let _ = write!(hex, "{byte:02x}");
            }
            self.pattern(form, hex.to_uppercase().into_bytes());
            self.pattern(form, hex.into_bytes());
            self.pattern(form, base64(&hash));
            // A hub that kept a part of the hash would leak as well.
            self.pattern(form, hash[..16].to_vec());
        }
    }

    fn pattern(&mut self, form: &'static str, bytes: Vec<u8>) {
        let window: [u8; WINDOW] = bytes.get(..WINDOW).expect("too short to be told from chance").try_into().unwrap();
        let patterns = self.by_window.entry(window).or_default();
        if !patterns.iter().any(|pattern| pattern.bytes == bytes) {
            patterns.push(Pattern { bytes, form });
            self.patterns += 1;
        }
    }

    /// How many patterns are looked for.
    pub fn len(&self) -> usize {
        self.patterns
    }

    /// Whether nothing is looked for.
    pub fn is_empty(&self) -> bool {
        self.patterns == 0
    }

    /// Searches bytes.
    pub fn search(&self, place: &Path, bytes: &[u8]) -> Vec<Leak> {
        let mut leaks = Vec::new();
        for (offset, window) in bytes.windows(WINDOW).enumerate() {
            // Room that a log has set aside.
            if window == [0; WINDOW] {
                continue;
            }
            let key: &[u8; WINDOW] = window.try_into().unwrap();
            let found = self.by_window.get(key).into_iter().flatten();
            let found = found.filter(|pattern| bytes[offset..].starts_with(&pattern.bytes));
            leaks.extend(found.map(|pattern| Leak { place: place.to_owned(), form: pattern.form, offset }));
        }
        leaks
    }

    /// Searches every file below a directory, names of files included. One that is removed meanwhile is passed over.
    pub fn search_files(&self, dir: &Path) -> Searched {
        let mut searched = Searched::default();
        let mut left = vec![dir.to_owned()];
        while let Some(dir) = left.pop() {
            for entry in fs::read_dir(&dir).unwrap().map(Result::unwrap) {
                let path = entry.path();
                searched.leaks.extend(self.search(&path, entry.file_name().as_encoded_bytes()));
                if path.is_dir() {
                    left.push(path);
                    continue;
                }
                let bytes = match fs::read(&path) {
                    Err(error) if error.kind() == ErrorKind::NotFound => continue,
                    read => read.unwrap(),
                };
                searched.bytes += bytes.len() as u64;
                searched.leaks.extend(self.search(&path, &bytes));
                searched.files.push(path);
            }
        }
        searched
    }
}

/// RFC 4648, without the last group: it depends on what follows.
fn base64(bytes: &[u8]) -> Vec<u8> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let groups = bytes.chunks_exact(3);
    let digits = groups.flat_map(|group| {
        let bits = u32::from(group[0]) << 16 | u32::from(group[1]) << 8 | u32::from(group[2]);
        [18, 12, 6, 0].map(|shift| ALPHABET[(bits >> shift & 63) as usize])
    });
    digits.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Subject;

    fn check(written: &[u8], expected: Option<&str>) {
        let subject = Subject { identities: Vec::new(), name: "欧阳瑾瑜".to_owned() };
        let mut secrets = Secrets::default();
        secrets.add("110101199001010007");
        secrets.add(&subject.name);
        let mut around = vec![0xA5; 50];
        around.extend_from_slice(written);
        around.extend_from_slice(&[0x5A; 50]);
        let found = secrets.search(Path::new("x"), &around);
        assert_eq!(found.first().map(|leak| (leak.form, leak.offset)), expected.map(|form| (form, 50)));
    }

    #[test]
    fn every_form_of_a_secret_is_found_and_nothing_else() {
        let number = "110101199001010007";
        let gb = encoding_rs::GB18030.encode("欧阳瑾瑜").0.into_owned();
        let sha256 = digest::digest(&digest::SHA256, number.as_bytes());
        check(number.as_bytes(), Some("UTF-8"));
        check("欧阳瑾瑜".as_bytes(), Some("UTF-8"));
        check(&gb, Some("GB 18030"));
        check(sha256.as_ref(), Some("SHA-256"));
        check(blake3::hash("欧阳瑾瑜".as_bytes()).to_hex().as_bytes(), Some("BLAKE3"));
        check(&Md5::digest(&gb), Some("MD5"));
        check(b"MTEwMTAxMTk5MDAxMDEwMDA3 110101199001010015", None);
        // echo -n 110101199001010007 | openssl sha256 -binary | base64
        check(&base64(sha256.as_ref()), Some("SHA-256"));
    }
}
