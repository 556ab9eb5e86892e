//! The effect of an admitted call, as replicas and the AOF receive it.
//!
//! | bytes | content |
//! | --- | --- |
//! | 1 | version of this format: 0 |
//! | 1 | letter of the data type |
//! | 8 | expiry of the key: milliseconds since the Unix epoch, or −1 for never; little-endian |
//! | the rest | the state, as in an RDB file |

use std::ffi::CStr;

use arrayvec::ArrayVec;
use premier_algorithms::{Log, Now, Span, State, Timestamp};

/// When a key expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expiry(Option<u64>);

impl Expiry {
    pub(crate) const NEVER: Self = Self(None);

    /// The expiry `span` from now. Rounded up to the server's milliseconds, as a key that expired
    /// early would be admitted anew.
    #[must_use]
    pub fn after(now: Now, span: Span) -> Self {
        Self(Some(now.millis_after(span)))
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

    /// The time from now until then.
    pub(crate) fn rest(self, now: Now) -> Span {
        self.0.map_or(Span::MAX, |millis| now.until(Span::from_millis(millis)))
    }
}

const VERSION: u8 = 0;
const HEADER_LEN: usize = 10;

/// The longest state is that of a sliding window.
const MAX_LEN: usize = HEADER_LEN + Log::MAX_ENCODED_LEN;

/// The effect of an admitted call on one key: the resulting state and the expiry.
#[derive(Debug)]
pub struct Effect(ArrayVec<u8, MAX_LEN>);

impl Effect {
    /// The command that applies effects. Its name is short: for each admitted call, servers look it
    /// up letter by letter and write it to the AOF.
    pub const COMMAND: &CStr = c"PREM";

    /// The largest number of effects, each on a key of its own, that one call may have.
    pub const MAX_TOGETHER: usize = 16;

    pub(crate) fn new(letter: u8, state: &impl State, expiry: Expiry) -> Self {
        let mut bytes = ArrayVec::new();
        let mut write = |part: &[u8]| bytes.try_extend_from_slice(part).expect("MAX_LEN is enough for every state");
        write(&[VERSION, letter]);
        write(&expiry.to_wire().to_le_bytes());
        state.encode(write);
        Self(bytes)
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// An effect as it was received: its state is not decoded yet.
#[derive(Debug)]
pub struct ReceivedEffect<'bytes> {
    /// The letter of the data type.
    pub letter: u8,
    /// When the key expires.
    pub expiry: Expiry,
    state: &'bytes [u8],
}

impl<'bytes> ReceivedEffect<'bytes> {
    /// Reads the header of an effect. `None` if it is not one of this version.
    #[must_use]
    pub fn read(bytes: &'bytes [u8]) -> Option<Self> {
        let ([VERSION, letter, expiry @ ..], state) = bytes.split_first_chunk::<HEADER_LEN>()? else {
            return None;
        };
        Some(Self { letter: *letter, expiry: Expiry::from_wire(i64::from_le_bytes(*expiry))?, state })
    }

    /// Decodes the state. `None` if it is not a valid state of this type.
    #[must_use]
    pub fn state<S: State>(&self) -> Option<S> {
        S::decode(self.state)
    }
}
