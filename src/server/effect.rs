//! The effect of a call on a key, as replicas and the AOF receive it.
//!
//! | bytes | content |
//! | --- | --- |
//! | 1 | version of this format: 0 |
//! | 1 | letter of the data type |
//! | 8 | expiry of the key: milliseconds since the Unix epoch, or −1 for never; little-endian |
//! | the rest | the effect on the state; for most data types the resulting state, as in an RDB file |

use std::ffi::CStr;

use arrayvec::ArrayVec;
use premier_algorithms::{Log, Now, Span, State, Timestamp};

use crate::data_type::DataType;
use crate::key::Change;

/// When a key expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expiry(Option<u64>);

/// How long a key stays after it is fully reset. A call within that time finds the key, which costs
/// less than deleting it, replicating that, and creating it again. Most keys of an API limit are
/// called more often than this.
const LINGER: Span = Span::from_secs(1);

impl Expiry {
    pub(crate) const NEVER: Self = Self(None);

    /// The expiry of a key that is fully reset after `reset`. Rounded up to the server's
    /// milliseconds, as a key that expired early would be admitted anew.
    #[must_use]
    pub fn after(now: Now, reset: Span) -> Self {
        Self(Some(now.millis_after(reset.plus(LINGER))))
    }

    /// Milliseconds since the Unix epoch; −1 for never.
    pub(crate) fn to_wire(self) -> i64 {
        self.0.map_or(-1, u64::cast_signed)
    }

    /// The reverse of [`to_wire`](Self::to_wire). `None` for a moment later than any key of premier
    /// expires.
    pub(crate) fn from_wire(millis: i64) -> Option<Self> {
        match millis {
            -1 => Some(Self::NEVER),
            _ => u64::try_from(millis)
                .ok()
                .filter(|millis| *millis <= Timestamp::MAX.millis_after(Span::MAX))
                .map(|millis| Self(Some(millis))),
        }
    }

    /// The time from now until the key is fully reset.
    pub(crate) fn reset(self, now: Now) -> Span {
        self.0.map_or(Span::MAX, |millis| now.until(Span::from_millis(millis)).saturating_sub(LINGER))
    }
}

const VERSION: u8 = 0;
const HEADER_LEN: usize = 10;

/// The longest effect that takes no memory from the heap: that of a sliding window.
const INLINE_LEN: usize = HEADER_LEN + Log::MAX_ENCODED_LEN;

/// The effect of a call on one key.
#[derive(Debug)]
pub struct Effect {
    inline: ArrayVec<u8, INLINE_LEN>,
    /// All bytes, if they are too many for `inline`; otherwise none.
    spilled: Vec<u8>,
}

impl Effect {
    /// The command that applies effects. Its name is short: for each admitted call, servers look it
    /// up letter by letter and write it to the AOF.
    pub const COMMAND: &CStr = c"PREM";

    /// The largest number of effects, each on a key of its own, that one call may have.
    pub const MAX_TOGETHER: usize = 16;

    /// The effect of a change, which has been applied.
    pub(crate) fn of_change<T: DataType>(state: &T::State, change: &Change<'_, T>, expiry: Expiry) -> Self {
        Self::new::<T>(expiry, |effect| state.encode_effect(change, |part| effect.write(part)))
    }

    /// The effect that leads to a state, whatever the state was before.
    pub(crate) fn of_state<T: DataType>(state: &T::State, expiry: Expiry) -> Self {
        Self::new::<T>(expiry, |effect| state.encode(|part| effect.write(part)))
    }

    #[inline]
    fn new<T: DataType>(expiry: Expiry, write_rest: impl FnOnce(&mut Self)) -> Self {
        let mut effect = Self { inline: ArrayVec::new(), spilled: Vec::new() };
        effect.write(&[VERSION, T::LETTER]);
        effect.write(&expiry.to_wire().to_le_bytes());
        write_rest(&mut effect);
        effect
    }

    #[inline]
    fn write(&mut self, part: &[u8]) {
        if !self.spilled.is_empty() || self.inline.try_extend_from_slice(part).is_err() {
            self.spill(part);
        }
    }

    #[cold]
    fn spill(&mut self, part: &[u8]) {
        if self.spilled.is_empty() {
            self.spilled.extend_from_slice(&self.inline);
        }
        self.spilled.extend_from_slice(part);
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        if self.spilled.is_empty() { &self.inline } else { &self.spilled }
    }
}

/// An effect as it was received: the effect on the state is not decoded yet.
#[derive(Debug)]
pub struct ReceivedEffect<'bytes> {
    /// The letter of the data type.
    pub letter: u8,
    /// When the key expires.
    pub expiry: Expiry,
    on_state: &'bytes [u8],
}

impl<'bytes> ReceivedEffect<'bytes> {
    /// Reads the header of an effect. `None` if it is not one of this version.
    #[must_use]
    pub fn read(bytes: &'bytes [u8]) -> Option<Self> {
        let ([VERSION, letter, expiry @ ..], on_state) = bytes.split_first_chunk::<HEADER_LEN>()? else {
            return None;
        };
        Some(Self { letter: *letter, expiry: Expiry::from_wire(i64::from_le_bytes(*expiry))?, on_state })
    }

    /// Decodes the effect on the state. `None` if it is not valid for this type.
    #[must_use]
    pub fn on_state<S: State>(&self) -> Option<S::Effect<'bytes>> {
        S::decode_effect(self.on_state)
    }
}
