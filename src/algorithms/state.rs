use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::{Now, Span, Timestamp, Units};

/// The most units that a key may owe beyond its limit: 10¹².
pub(crate) const MAX_OWED: u64 = 1_000_000_000_000;

/// The most units that a state records as used, 2 · 10¹²: the largest limit plus the most that may
/// be owed.
pub const MAX_USED: u64 = 1_000_000_000_000 + MAX_OWED;

/// The result of a refund.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refund {
    /// The units that were given back.
    pub units: u64,
    /// The time until the key is fully reset. Zero if it is reset already; the key must then be
    /// deleted.
    pub reset: Span,
}

/// The state that is stored for a key. The default is the state of a fresh key.
pub trait State: Clone + Default {
    /// The change that an admitted call makes.
    type Change<'call>;

    /// What replicas and the AOF receive of a change.
    type Effect<'bytes>;

    /// Applies the change of an admitted call. The call must have been decided on this very state.
    fn apply(&mut self, change: &Self::Change<'_>);

    /// Applies an effect, whatever the state is. Applying it again changes nothing.
    fn apply_effect(&mut self, effect: Self::Effect<'_>);

    /// Returns whether an effect has led back to the state of a fresh key. The key must then be
    /// deleted.
    fn is_fresh(&self) -> bool {
        false
    }

    /// Writes the effect of a change piece by piece, when the change has been applied: by default
    /// the whole state.
    fn encode_effect(&self, _change: &Self::Change<'_>, write: impl FnMut(&[u8])) {
        self.encode(write);
    }

    /// Reads what [`encode_effect`](Self::encode_effect) wrote, or [`encode`](Self::encode).
    /// Returns `None` unless the bytes encode an effect, with every value in range.
    fn decode_effect(bytes: &[u8]) -> Option<Self::Effect<'_>>;

    /// Returns the units that are used now, rounded up.
    ///
    /// `reset` is the time until the key expires. A state does not know its limit, so it derives
    /// the rate at which units drain from `reset`. Keys expire at whole milliseconds; a bucket may
    /// therefore seem fuller than it is, by what drains in one millisecond, and in one more for
    /// each refund since the last admitted call. If draining takes 2⁶³ µs or more, nothing counts
    /// as drained.
    fn used(&self, now: Now, reset: Span) -> u64;

    /// Returns what else is known of a key without its limit.
    fn detail(&self, now: Now, reset: Span) -> Option<Detail>;

    /// Returns how many bytes the state occupies on the heap.
    fn heap_size(&self) -> usize {
        0
    }

    /// Lets everything that the state has on the heap be moved, but for the first parts, which have
    /// been moved already. Returns how many have been moved if there are more.
    fn relocate(&mut self, _moved: usize, _by: &impl Relocate) -> Option<usize> {
        None
    }

    /// Returns the latest timestamp in the state.
    fn latest_stamp(&self) -> Timestamp;

    /// Writes the encoding piece by piece.
    fn encode(&self, write: impl FnMut(&[u8]));

    /// Reads what [`encode`](Self::encode) wrote. Returns `None` unless the bytes encode the state
    /// of a key that was used, with every value in range.
    fn decode(bytes: &[u8]) -> Option<Self>;
}

/// Implements the effects of a [`State`] whose effects are whole states.
macro_rules! effects_are_whole_states {
    () => {
        type Effect<'bytes> = Self;

        fn apply_effect(&mut self, effect: Self) {
            *self = effect;
        }

        fn decode_effect(bytes: &[u8]) -> Option<Self> {
            Self::decode(bytes)
        }
    };
}
pub(crate) use effects_are_whole_states;

/// Moves allocations to places where they leave fewer gaps.
pub trait Relocate {
    /// Moves the items of a boxed slice, if that helps.
    fn boxed_slice<T>(&self, items: &mut Box<[T]>);

    /// Moves the items of a vector, if that helps.
    fn vec<T>(&self, items: &mut Vec<T>);

    /// Returns whether other things wait, so that the rest has to be moved later.
    fn is_interrupted(&self) -> bool;
}

/// What is known of a key besides the units that are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// When the window opened, on the clock that was read.
    Opened(Timestamp),
    /// The number of entries in the log that still count.
    Entries(usize),
    /// The number of holders.
    Holders(usize),
}

/// A state whose units can be given back.
pub trait Refundable: State {
    /// Gives units back, as if they had never been used: no more than are
    /// [used now](State::used), and the newest first where the order matters.
    fn refund(&mut self, now: Now, reset: Span, units: Units) -> Refund;

    /// Gives units back when the key may live `longer` than it should, because the clock stepped
    /// back: no more than are used now if it does, and no more than if it does not.
    fn refund_if_longer(&mut self, now: Now, reset: Span, longer: Span, units: Units) -> Refund {
        if longer == Span::ZERO {
            return self.refund(now, reset, units);
        }
        match Units::new(self.used(now, reset.saturating_sub(longer)).min(units.get())) {
            Ok(units) => self.refund(now, reset, units),
            // Nothing is used, or there is no telling how much.
            Err(_) => Refund { units: 0, reset },
        }
    }
}

/// Encodes two integers in 16 bytes, little-endian.
pub(crate) fn encode_pair(pair: [u64; 2]) -> [u8; 16] {
    (u128::from(pair[0]) | (u128::from(pair[1]) << 64)).to_le_bytes()
}

/// Decodes what [`encode_pair`] wrote.
#[expect(clippy::cast_possible_truncation, reason = "these are the two halves")]
pub(crate) fn decode_pair(bytes: &[u8; 16]) -> [u64; 2] {
    let pair = u128::from_le_bytes(*bytes);
    [pair as u64, (pair >> 64) as u64]
}
