//! What servers of published APIs read requests with.

use std::marker::PhantomData;

use prost::Message;
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder};
use tonic_prost::{ProstCodec, ProstDecoder, ProstEncoder};

/// As [`ProstCodec`], for servers: bytes that are no message are INVALID_ARGUMENT, as they are the client's mistake. There, they are
/// INTERNAL, which is what they would be in an answer.
#[derive(Debug)]
pub struct RequestCodec<Answer, Asked>(PhantomData<(Answer, Asked)>);

impl<Answer, Asked> Default for RequestCodec<Answer, Asked> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<Answer, Asked> Codec for RequestCodec<Answer, Asked>
where
    Answer: Message + Send + 'static,
    Asked: Message + Default + Send + 'static,
{
    type Encode = Answer;
    type Decode = Asked;
    type Encoder = ProstEncoder<Answer>;
    type Decoder = RequestDecoder<Asked>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstCodec::<Answer, Asked>::default().encoder()
    }

    fn decoder(&mut self) -> Self::Decoder {
        RequestDecoder(ProstCodec::<Answer, Asked>::default().decoder())
    }
}

/// Reads requests.
#[derive(Debug)]
pub struct RequestDecoder<Asked>(ProstDecoder<Asked>);

impl<Asked: Message + Default> Decoder for RequestDecoder<Asked> {
    type Item = Asked;
    type Error = Status;

    fn decode(&mut self, bytes: &mut DecodeBuf<'_>) -> Result<Option<Asked>, Status> {
        let no_message = |error: Status| {
            Status::invalid_argument(format!("the request is no message of this call: {}", error.message()))
        };
        self.0.decode(bytes).map_err(no_message)
    }

    fn buffer_settings(&self) -> BufferSettings {
        self.0.buffer_settings()
    }
}
