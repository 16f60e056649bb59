//! How values of other modules are stored inside a body.

/// A relation is stored as its bit.
pub(super) mod relation_bit {
    use minicbor::{Decoder, Encoder};

    use crate::measure::Relation;

    pub(crate) fn encode<C, W: minicbor::encode::Write>(
        relation: &Relation,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.u8(relation.bit())?;
        Ok(())
    }

    pub(crate) fn decode<C>(d: &mut Decoder<'_>, _: &mut C) -> Result<Relation, minicbor::decode::Error> {
        let bit = d.u8()?;
        let known = Relation::ALL.iter().find(|relation| relation.bit() == bit);
        known.copied().ok_or_else(|| minicbor::decode::Error::message("no such relation"))
    }
}

/// Sex is stored as GB/T 2261.1 codes it: 1 male, 2 female, 0 not known.
pub(super) mod sex_code {
    use minicbor::{Decoder, Encoder};

    use crate::identity::Sex;

    pub(crate) fn encode<C, W: minicbor::encode::Write>(
        sex: &Option<Sex>,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.u8(match sex {
            None => 0,
            Some(Sex::Male) => 1,
            Some(Sex::Female) => 2,
        })?;
        Ok(())
    }

    pub(crate) fn decode<C>(d: &mut Decoder<'_>, _: &mut C) -> Result<Option<Sex>, minicbor::decode::Error> {
        match d.u8()? {
            0 => Ok(None),
            1 => Ok(Some(Sex::Male)),
            2 => Ok(Some(Sex::Female)),
            3..=u8::MAX => Err(minicbor::decode::Error::message("no such sex")),
        }
    }
}
