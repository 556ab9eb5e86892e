use crate::{Now, Span, Timestamp, Units};

/// The most units that may be owed beyond what the limit admits: 10¹².
pub(crate) const MAX_OWED: u64 = 1_000_000_000_000;

/// The most units that a key's state may say were used: those of the largest limit, and those owed.
pub const MAX_USED: u64 = 1_000_000_000_000 + MAX_OWED;

/// What came of giving back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refund {
    /// Units that were given back.
    pub units: u64,
    /// How long from now until the key is as good as new; nothing if it is, and is to be deleted.
    pub reset: Span,
}

/// What is kept of a key. The default is that of a fresh key.
pub trait State: Clone + Default {
    /// What an admitted call changes.
    type Change;

    /// The longest encoding, in bytes.
    const MAX_ENCODED_LEN: usize;

    /// Makes the change of an admitted call, which must have been decided on this very state.
    fn apply(&mut self, change: Self::Change);

    /// Gives back units that were used, as if they had never been: no more than are used now. The newest first, where there is
    /// a difference.
    ///
    /// `reset` is how long from now until the key expires. A state does not know the limit; how fast what was used is forgotten
    /// follows from when all of it will be. As keys expire at whole milliseconds, what is used in a bucket may be taken for up to
    /// what drains in one more than it is, and in one more still for each refund since the last admitted call. Where no span is
    /// long enough, nothing is taken to have drained.
    fn refund(&mut self, now: Now, reset: Span, units: Units) -> Refund;

    /// Bytes that it has on the heap.
    fn heap_size(&self) -> usize {
        0
    }

    /// The latest moment in it.
    fn latest_stamp(&self) -> Timestamp;

    /// Writes it piece by piece, [`MAX_ENCODED_LEN`](Self::MAX_ENCODED_LEN) bytes at most.
    fn encode(&self, write: impl FnMut(&[u8]));

    /// Reads what [`encode`](Self::encode) wrote. `None` unless it is the state of a key that was used, every value in range.
    fn decode(bytes: &[u8]) -> Option<Self>;
}

/// Two integers in 16 bytes, little-endian.
pub(crate) fn encode_pair(pair: [u64; 2]) -> [u8; 16] {
    (u128::from(pair[0]) | (u128::from(pair[1]) << 64)).to_le_bytes()
}

/// Reads what [`encode_pair`] wrote.
#[expect(clippy::cast_possible_truncation, reason = "these are the two halves")]
pub(crate) fn decode_pair(bytes: &[u8; 16]) -> [u64; 2] {
    let pair = u128::from_le_bytes(*bytes);
    [pair as u64, (pair >> 64) as u64]
}
