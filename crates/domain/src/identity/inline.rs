//! Promises that what an identity holds lies within it: identities are made and dropped by the million, and what each would
//! have on the heap costs more than to look it up.

use super::Warning;

/// At most `MAX` bytes of text. Without `Debug`: it is somebody's number.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Inline<const MAX: usize> {
    len: u8,
    /// Zeros behind the text, so that equal texts are equal bytes.
    bytes: [u8; MAX],
}

impl<const MAX: usize> Inline<MAX> {
    /// Panics where the text is longer: whoever makes one has checked its shape.
    pub(super) fn new(text: &str) -> Inline<MAX> {
        let mut bytes = [0; MAX];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        Inline { len: u8::try_from(text.len()).expect("a short text"), bytes }
    }

    /// Of ASCII, of a length that is known: the copy takes two instructions.
    pub(super) fn of<const LEN: usize>(text: &[u8; LEN]) -> Inline<MAX> {
        const { assert!(LEN <= MAX, "a short text") };
        let mut bytes = [0; MAX];
        bytes[..LEN].copy_from_slice(text);
        Inline { len: const { u8_of(LEN) }, bytes }
    }

    pub(super) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..usize::from(self.len)]).expect("made of a text")
    }

    /// `LEN` characters from the one at `from` on, counted from 0; of a text that has as many.
    pub(super) fn part<const LEN: usize>(&self, from: usize) -> Inline<LEN> {
        let mut bytes = [0; LEN];
        bytes.copy_from_slice(&self.bytes[from..from + LEN]);
        Inline { len: const { u8_of(LEN) }, bytes }
    }

    /// How many of [`Inline::padded`] are the text.
    pub(super) fn len(&self) -> u8 {
        self.len
    }

    /// The text, and zeros behind it.
    pub(super) fn padded(&self) -> &[u8; MAX] {
        &self.bytes
    }
}

const fn u8_of(len: usize) -> u8 {
    assert!(len <= u8::MAX as usize, "a short text");
    len as u8
}

/// The warnings of one identity.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Warnings {
    len: u8,
    /// Always the same behind the last one, so that equal warnings are equal bytes.
    all: [Warning; Warnings::MAX],
}

impl Warnings {
    /// A credit code with both checks wrong, of an unknown region.
    const MAX: usize = 3;
    pub(super) const NONE: Warnings = Warnings { len: 0, all: [Warning::UnknownRegion; Warnings::MAX] };

    /// Panics past [`Warnings::MAX`], which no kind has.
    pub(super) fn push(&mut self, warning: Warning) {
        self.all[usize::from(self.len)] = warning;
        self.len += 1;
    }

    pub(super) fn as_slice(&self) -> &[Warning] {
        &self.all[..usize::from(self.len)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Identity;

    #[test]
    fn an_identity_lies_within_a_cache_line() {
        assert!(size_of::<Identity>() <= 64, "{}", size_of::<Identity>());
    }

    #[test]
    fn a_text_is_told_as_it_was_given_and_in_part() {
        let whole = Inline::<5>::new("abcde");
        assert_eq!((whole.as_str(), whole.len(), whole.padded()), ("abcde", 5, b"abcde"));
        let short = Inline::<5>::new("ab");
        assert_eq!((short.as_str(), short.len(), short.padded()), ("ab", 2, b"ab\0\0\0"));
        assert!(whole.part(1) == Inline::<2>::new("bc"));
        assert!(short != Inline::new("ab\0"), "with a zero it is another text");
    }

    #[test]
    #[should_panic(expected = "range end index 6")]
    fn a_longer_text_is_a_mistake() {
        Inline::<5>::new("abcdef");
    }
}
