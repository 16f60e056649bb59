//! Promises that what was stored once can be read for ever: decoding checks shape (kind, length,
//! characters) and trusts the rest, so that a region table or a check rule that becomes stricter
//! never makes an old record unreadable. Birth date, sex and warnings are not stored; they follow
//! from the number. A flag, once set, stays.

use minicbor::{Decode, Decoder, Encode, Encoder, decode, encode};

use super::inline::Inline;
use super::number::Number;
use super::travel::STATE_SEPARATOR;
use super::{Identities, Identity, Kind};

/// `[kind, normal form, number as given (if it says more), flagged]`.
#[derive(Encode, Decode)]
#[cbor(array)]
struct Stored<'a> {
    #[n(0)]
    kind: u8,
    #[b(1)]
    normal: &'a str,
    #[b(2)]
    given: Option<&'a str>,
    #[n(3)]
    flagged: bool,
}

impl<C> Encode<C> for Kind {
    fn encode<W: encode::Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), encode::Error<W::Error>> {
        e.u8(*self as u8)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for Kind {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Kind, decode::Error> {
        kind_of(d.u8()?)
    }
}

fn kind_of(number: u8) -> Result<Kind, decode::Error> {
    let kind = Kind::ALL.into_iter().find(|&kind| kind as u8 == number);
    kind.ok_or_else(|| decode::Error::message("identity.kind: unknown; written by a newer version?"))
}

impl<C> Encode<C> for Identity {
    fn encode<W: encode::Write>(&self, e: &mut Encoder<W>, ctx: &mut C) -> Result<(), encode::Error<W::Error>> {
        let stored =
            Stored { kind: self.kind as u8, normal: self.normal_form(), given: self.given(), flagged: self.flagged };
        stored.encode(e, ctx)
    }
}

impl<'b, C> Decode<'b, C> for Identity {
    fn decode(d: &mut Decoder<'b>, ctx: &mut C) -> Result<Identity, decode::Error> {
        let Stored { kind, normal, given, flagged } = Stored::decode(d, ctx)?;
        Identity::from_stored(kind_of(kind)?, normal, given, flagged)
            .ok_or_else(|| decode::Error::message("identity.number: has not the shape of its kind"))
    }
}

impl Identity {
    fn given(&self) -> Option<&str> {
        self.given.as_ref().map(Inline::as_str)
    }

    /// The identity that was stored so, if these parts have the shape of one.
    fn from_stored(kind: Kind, normal: &str, given: Option<&str>, flagged: bool) -> Option<Identity> {
        let (issuing_state, number) = match normal.split_once(STATE_SEPARATOR) {
            Some((state, number)) if kind == Kind::Passport => (Some(state), number),
            Some(_) | None => (None, normal),
        };
        let number = Number::fold(kind, given.unwrap_or(number), issuing_state);
        let mut found = Vec::new();
        number.check_shape(&mut found);
        if !found.is_empty() {
            return None;
        }
        let mut identity = number.into_identity();
        if identity.normal_form() != normal || identity.given() != given {
            return None;
        }
        identity.flagged |= flagged;
        Some(identity)
    }
}

impl<C> Encode<C> for Identities {
    fn encode<W: encode::Write>(&self, e: &mut Encoder<W>, ctx: &mut C) -> Result<(), encode::Error<W::Error>> {
        self.as_slice().encode(e, ctx)
    }
}

impl<'b, C> Decode<'b, C> for Identities {
    fn decode(d: &mut Decoder<'b>, ctx: &mut C) -> Result<Identities, decode::Error> {
        Identities::parse(Vec::decode(d, ctx)?).map_err(decode::Error::custom)
    }
}
