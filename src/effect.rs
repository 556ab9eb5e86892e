//! The effect of an admitted call, as it travels to replicas and into the AOF.
//!
//! | bytes | what |
//! | --- | --- |
//! | 1 | version of this format: 0 |
//! | 1 | letter of the data type |
//! | 8 | when the key expires: milliseconds since the Unix epoch, or −1 for never; little-endian |
//! | the rest | the state, as in an RDB file |

use std::ffi::CStr;

use arrayvec::ArrayVec;
use premier_algorithms::{Log, Now, Span, State, Timestamp};

use crate::server::DataType;

/// When a key expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Expiry(Option<u64>);

impl Expiry {
    pub(crate) const NEVER: Self = Self(None);

    /// Once `span` has gone by. Rounded up to the server's milliseconds, as a key that went early would be admitted anew.
    pub(crate) fn after(now: Now, span: Span) -> Self {
        Self(Some(now.millis_after(span)))
    }

    /// Milliseconds since the Unix epoch; −1 for never.
    pub(crate) fn to_wire(self) -> i64 {
        self.0.map_or(-1, u64::cast_signed)
    }

    /// How long until then.
    pub(crate) fn rest(self, now: Now) -> Span {
        self.0.map_or(Span::MAX, |millis| now.until(Span::from_millis(millis)))
    }

    /// The reverse of [`to_wire`](Self::to_wire), unless no key of ours expires so late.
    pub(crate) fn from_wire(millis: i64) -> Option<Self> {
        match millis {
            -1 => Some(Self::NEVER),
            _ => u64::try_from(millis)
                .ok()
                .filter(|millis| *millis <= Timestamp::MAX.millis_after(Span::MAX))
                .map(|millis| Self(Some(millis))),
        }
    }
}

const VERSION: u8 = 0;
const HEADER_LEN: usize = 10;

/// The longest state is that of a sliding window.
const MAX_LEN: usize = HEADER_LEN + Log::MAX_ENCODED_LEN;

/// What has come of an admitted call: the state of its key and when it expires.
#[derive(Debug)]
pub(crate) struct Effect(ArrayVec<u8, MAX_LEN>);

impl Effect {
    /// The command that applies it. A short name, as servers look it up letter by letter for each admitted call, and write it
    /// to the AOF each time.
    pub(crate) const COMMAND: &CStr = c"PREM";

    /// How many one call may have, each on a key of its own.
    pub(crate) const MAX_TOGETHER: usize = 16;

    pub(crate) fn new<T: DataType>(state: &T::State, expiry: Expiry) -> Self {
        let mut bytes = ArrayVec::new();
        let mut write = |part: &[u8]| bytes.try_extend_from_slice(part).expect("MAX_LEN is enough for every state");
        write(&[VERSION, T::LETTER]);
        write(&expiry.to_wire().to_le_bytes());
        state.encode(write);
        Self(bytes)
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// An effect that was received: whose state is still to be decoded.
#[derive(Debug)]
pub(crate) struct Received<'bytes> {
    pub(crate) letter: u8,
    pub(crate) expiry: Expiry,
    state: &'bytes [u8],
}

impl<'bytes> Received<'bytes> {
    pub(crate) fn read(bytes: &'bytes [u8]) -> Option<Self> {
        let ([VERSION, letter, expiry @ ..], state) = bytes.split_first_chunk::<HEADER_LEN>()? else {
            return None;
        };
        Some(Self { letter: *letter, expiry: Expiry::from_wire(i64::from_le_bytes(*expiry))?, state })
    }

    pub(crate) fn state<S: State>(&self) -> Option<S> {
        S::decode(self.state)
    }
}
