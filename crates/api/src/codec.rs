//! How messages become bytes: as prost writes them, in buffers that begin small.
//!
//! tonic's own codec begins with 8 KiB for a message in and as much for one out, where a check and its answer take some hundred
//! bytes. Larger messages grow their buffer once their length is known.

use std::marker::PhantomData;

use prost::Message;
use tonic::codec::{BufferSettings, Codec as TonicCodec};
use tonic_prost::{ProstDecoder, ProstEncoder};

/// With what a buffer begins, in bytes.
const FIRST_BYTES: usize = 256;
/// Messages of a stream leave together once they have so many bytes, or there are no more just now.
const TOGETHER_BYTES: usize = 32 * 1024;

/// The codec of every service.
#[derive(Clone, Debug)]
pub struct Codec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for Codec<T, U> {
    fn default() -> Self {
        Codec(PhantomData)
    }
}

impl<T, U> TonicCodec for Codec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = ProstDecoder<U>;

    fn encoder(&mut self) -> ProstEncoder<T> {
        ProstEncoder::new(BufferSettings::new(FIRST_BYTES, TOGETHER_BYTES))
    }

    fn decoder(&mut self) -> ProstDecoder<U> {
        ProstDecoder::new(BufferSettings::new(FIRST_BYTES, TOGETHER_BYTES))
    }
}
