//! Hashes of what happened and of what is, over the postcard encoding, which has one form for each value.

use postcard::ser_flavors::Flavor;
use serde::Serialize;

/// Large enough that the hash runs at full width, small enough to clear for each command.
const BUFFER: usize = 4096;

struct Hashing {
    hasher: blake3::Hasher,
    buffer: [u8; BUFFER],
    filled: usize,
}

impl Hashing {
    fn flush(&mut self) {
        self.hasher.update(&self.buffer[..self.filled]);
        self.filled = 0;
    }
}

impl Flavor for Hashing {
    type Output = [u8; 32];

    #[inline]
    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        if self.filled == BUFFER {
            self.flush();
        }
        self.buffer[self.filled] = byte;
        self.filled += 1;
        Ok(())
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        if bytes.len() > BUFFER - self.filled {
            self.flush();
        }
        if bytes.len() > BUFFER {
            self.hasher.update(bytes);
        } else {
            self.buffer[self.filled..self.filled + bytes.len()].copy_from_slice(bytes);
            self.filled += bytes.len();
        }
        Ok(())
    }

    fn finalize(mut self) -> postcard::Result<[u8; 32]> {
        self.flush();
        Ok(*self.hasher.finalize().as_bytes())
    }
}

/// BLAKE3 of the encoding of `value`, never holding the encoding as a whole.
#[expect(clippy::expect_used, reason = "derived encodings of sized data into memory have no way to fail")]
pub(crate) fn hash(value: &impl Serialize) -> [u8; 32] {
    let hashing = Hashing { hasher: blake3::Hasher::new(), buffer: [0; BUFFER], filled: 0 };
    postcard::serialize_with_flavor(value, hashing).expect("an encoding")
}
