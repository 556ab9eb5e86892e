use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ops::Range;

use crate::state::{MAX_USED, decode_pair, effects_are_whole_states};
use crate::{
    Algorithm, Change, Cost, Decision, Detail, Now, Outcome, RateLimit, Refund, Refundable, Relocate, Retry,
    SlidingLimit, Span, State, Timestamp, Units,
};

/// Sliding window: at most `quota` units in *any* span of `duration`, whatever the pattern of
/// calls.
///
/// The state is a log of how many units were admitted when, which has at most 66 entries, however
/// large the quota. Up to a quota of 64 it is exact, and so it is above that while the units in the
/// window were admitted at no more than 66 moments. When the log is full, units admitted within the
/// same 64th of `duration` share one entry, which counts from the latest of them. A unit may thus
/// count for up to `duration / 64` longer than it should, never shorter.
///
/// If the duration changes from call to call, this is a 64th of the longest duration under which
/// units were admitted that still count, and entries may have to be up to twice as wide to stay
/// within 66. So they may if calls are forced, also below a quota of 64.
#[derive(Debug, Clone, Copy)]
pub struct Sliding;

/// The log of admitted units, oldest first.
///
/// A boxed slice takes 16 bytes, like the state of every other algorithm, and has no spare
/// capacity.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Log(Box<[PackedEntry]>);

/// An entry as it is encoded, so that encoding a log is a single copy. Little-endian; from the
/// highest bits: 54 for the time of the latest unit in microseconds since the Unix epoch, 33 for
/// the width (how long before that the first unit was admitted), 41 for the number of units.
type PackedEntry = [u8; 16];

/// Units that were admitted at about the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    /// When the first unit was admitted, or slightly earlier.
    first: Timestamp,
    /// When the latest unit was admitted.
    latest: Timestamp,
    units: u64,
}

/// The change that an admitted call makes to a [`Log`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Admission {
    now: Now,
    expired: usize,
    units: u64,
    max_width: Span,
}

/// The largest quota that is counted exactly.
const MAX_EXACT_QUOTA: u64 = 64;

/// The number of parts into which a window is divided above that quota. They begin at multiples of
/// their length.
const PARTS: u64 = 64;

/// The most entries of a log. A window that begins within a part overlaps 65 of them, so two
/// entries of a longer log are in the same part.
const MAX_ENTRIES: usize = 66;

const UNITS_BITS: u32 = 41;
const WIDTH_BITS: u32 = 33;

const UNITS_MASK: u64 = (1 << UNITS_BITS) - 1;

impl Entry {
    /// Marks a first moment that is at least 2³² µs before the latest, stored in steps of 2¹² µs.
    const COARSE: u64 = 1 << (WIDTH_BITS - 1);
    const COARSE_BITS: u32 = 12;

    fn new(at: Timestamp, units: u64) -> Self {
        Self { first: at, latest: at, units }
    }

    fn width(self) -> Span {
        self.latest.since(self.first)
    }

    /// Merges this entry with a later one.
    fn merged(self, later: Self) -> Self {
        Self { first: self.first, latest: later.latest, units: self.units + later.units }
    }

    /// Returns whether this entry and a later one are in the same part. The moments of a part are
    /// at most `max_width` apart.
    fn shares_part(self, later: Self, max_width: Span) -> bool {
        let part = |moment: Timestamp| moment.as_micros() / (max_width.as_micros() + 1);
        let width = self.merged(later).width().as_micros();
        // The first moment may be stored as up to a step earlier.
        let slack = if width < Self::COARSE { 0 } else { (1 << Self::COARSE_BITS) - 1 };
        part(self.latest) == part(later.latest) && width <= max_width.as_micros() + slack
    }

    fn pack(self) -> PackedEntry {
        let (first, latest) = (self.first.as_micros(), self.latest.as_micros());
        let width = if latest - first < Self::COARSE {
            latest - first
        } else {
            let steps = (latest >> Self::COARSE_BITS) - (first >> Self::COARSE_BITS);
            Self::COARSE | steps.min(Self::COARSE - 1)
        };
        ((u128::from(latest) << (WIDTH_BITS + UNITS_BITS)) | (u128::from(width) << UNITS_BITS) | u128::from(self.units))
            .to_le_bytes()
    }

    #[expect(clippy::cast_possible_truncation, reason = "each part is shorter than 64 bits")]
    fn unpack(packed: &PackedEntry) -> Self {
        let packed = u128::from_le_bytes(*packed);
        let latest = (packed >> (WIDTH_BITS + UNITS_BITS)) as u64;
        let width = (packed >> UNITS_BITS) as u64 & ((1 << WIDTH_BITS) - 1);
        let first = if width < Self::COARSE {
            latest.saturating_sub(width)
        } else {
            (latest >> Self::COARSE_BITS).saturating_sub(width - Self::COARSE) << Self::COARSE_BITS
        };
        Self {
            first: Timestamp::from_micros(first),
            latest: Timestamp::from_micros(latest),
            units: packed as u64 & UNITS_MASK,
        }
    }
}

impl Algorithm for Sliding {
    type State = Log;
    type Limit<'call> = SlidingLimit;

    #[inline]
    fn decide<'call>(log: &Log, now: Now, limit: &SlidingLimit, cost: Cost) -> Decision<Change<'call, Self>> {
        if log.is_ahead_of(now) {
            return Self::decide(&log.dated(now), now, limit, cost);
        }
        let quota = limit.quota.get();
        let current = Current::new(log, now, limit.duration.get());
        let used_after = current.used + cost.get();
        if used_after <= quota {
            return current.admitted(limit, cost.get());
        }
        let mut live = current.live();
        let retry = if cost.get() > quota {
            Retry::Never
        } else {
            // The call fits when the oldest entries that together hold the excess have expired.
            let mut excess = used_after - quota;
            let last_blocking = live.find(|entry| {
                excess = excess.saturating_sub(entry.units);
                excess == 0
            });
            Retry::After(last_blocking.map_or(Span::ZERO, |entry| current.rest(&entry)))
        };
        Decision {
            outcome: Outcome::Limited { retry },
            limit: quota,
            remaining: quota.saturating_sub(current.used),
            reset: current.reset(),
        }
    }

    fn look(log: &Log, now: Now, limit: &SlidingLimit) -> Decision<()> {
        if log.is_ahead_of(now) {
            return Self::look(&log.dated(now), now, limit);
        }
        let current = Current::new(log, now, limit.duration.get());
        let quota = limit.quota.get();
        Decision::looked(quota, quota.saturating_sub(current.used), Span::ZERO, current.reset())
    }
}

impl RateLimit for Sliding {
    fn room(log: &Log, now: Now, limit: &SlidingLimit) -> u64 {
        Self::look(log, now, limit).remaining
    }

    fn force<'call>(log: &Log, now: Now, limit: &SlidingLimit, cost: Cost) -> Decision<Change<'call, Self>> {
        if limit.quota.get() == 0 {
            return Self::decide(log, now, limit, cost);
        }
        if log.is_ahead_of(now) {
            return Self::force(&log.dated(now), now, limit, cost);
        }
        let current = Current::new(log, now, limit.duration.get());
        current.admitted(limit, cost.get().min(MAX_USED - current.used))
    }
}

/// A log at the time of a decision. The log is not [ahead of](Log::is_ahead_of) that time.
#[derive(Debug)]
struct Current<'log> {
    now: Now,
    duration: Span,
    /// The entries that still count.
    live: &'log [PackedEntry],
    /// The number of entries that have expired; they are the oldest.
    expired: usize,
    /// The units of the entries that still count.
    used: u64,
}

impl<'log> Current<'log> {
    #[inline]
    fn new(Log(entries): &'log Log, now: Now, duration: Span) -> Self {
        let is_expired = |entry: &PackedEntry| now.at().since(Entry::unpack(entry).latest) >= duration;
        let expired = entries.iter().take_while(|entry| is_expired(entry)).count();
        let live = &entries[expired..];
        Self { now, duration, live, expired, used: units_of(live) }
    }

    /// Returns the log of a key that expires after `reset`: one duration after its newest entry.
    fn until_expiry(log: &'log Log, now: Now, reset: Span) -> Self {
        let newest = log.newest().map_or(now.at(), |newest| newest.latest);
        Self::new(log, now, reset.plus(now.at().since(newest)))
    }

    /// Returns how long an entry still counts.
    fn rest(&self, entry: &Entry) -> Span {
        self.duration.saturating_sub(self.now.at().since(entry.latest))
    }

    /// Returns the entries that still count, oldest first.
    fn live(&self) -> impl DoubleEndedIterator<Item = Entry> + Clone {
        self.live.iter().map(Entry::unpack)
    }

    /// Returns the time until the newest entry expires.
    fn reset(&self) -> Span {
        self.live().next_back().map_or(Span::ZERO, |entry| self.rest(&entry))
    }

    fn admitted(&self, limit: &SlidingLimit, units: u64) -> Decision<Admission> {
        let quota = limit.quota.get();
        Decision {
            outcome: Outcome::Admitted {
                wait: Span::ZERO,
                change: Admission {
                    now: self.now,
                    expired: self.expired,
                    units,
                    max_width: if quota <= MAX_EXACT_QUOTA { Span::ZERO } else { self.duration.divided_by(PARTS) },
                },
            },
            limit: quota,
            remaining: quota.saturating_sub(self.used + units),
            // If there was no room for a unit, no entry is added, and the newest one is as old as
            // before.
            reset: if units > 0 { self.duration } else { self.reset() },
        }
    }
}

impl Log {
    /// The length of the longest encoding, in bytes.
    pub const MAX_ENCODED_LEN: usize = MAX_ENTRIES * size_of::<PackedEntry>();

    /// Reads the log of a key that expires after `reset`.
    fn with_current<T>(&self, now: Now, reset: Span, read: impl FnOnce(&Current) -> T) -> T {
        if self.is_ahead_of(now) {
            read(&Current::until_expiry(&self.dated(now), now, reset))
        } else {
            read(&Current::until_expiry(self, now, reset))
        }
    }

    fn newest(&self) -> Option<Entry> {
        self.0.last().map(Entry::unpack)
    }

    /// Returns whether a timestamp is ahead of `now`. Another clock made it, and the log must be
    /// dated before a decision.
    fn is_ahead_of(&self, now: Now) -> bool {
        self.latest_stamp() > now.at()
    }

    /// Returns the log with its timestamps [dated](Now::date): none in the future, oldest first.
    #[cold]
    fn dated(&self, now: Now) -> Self {
        let mut latest = Timestamp::default();
        let dated = self.0.iter().map(Entry::unpack).map(|entry| {
            latest = latest.max(now.date(entry.latest));
            Entry { first: latest.minus(entry.width()), latest, ..entry }.pack()
        });
        Self(dated.collect())
    }

    fn date(&mut self, now: Now) {
        if self.is_ahead_of(now) {
            *self = self.dated(now);
        }
    }

    /// Keeps only these entries, and appends one. Reallocates only if the number of entries
    /// changes.
    fn set(&mut self, kept: Range<usize>, added: Option<Entry>) {
        let len_kept = kept.len();
        let len = len_kept + usize::from(added.is_some());
        let added = added.map(Entry::pack);
        if len == self.0.len() {
            self.0.copy_within(kept, 0);
            self.0[len_kept..].copy_from_slice(added.as_slice());
        } else {
            let mut entries = Vec::with_capacity(len);
            entries.extend_from_slice(&self.0[kept]);
            entries.extend(added);
            self.0 = entries.into_boxed_slice();
        }
    }

    fn forget(&mut self, expired: usize) {
        if expired > 0 {
            self.set(expired..self.0.len(), None);
        }
    }

    /// Merges the two neighbours in the same part that together are the narrowest. If no two are
    /// in the same part, as some entries were made under another limit, it merges the narrowest of
    /// all.
    #[cold]
    fn merge_narrowest(&mut self, max_width: Span) {
        let entries = self.0.iter().map(Entry::unpack);
        let pairs = entries.clone().zip(entries.skip(1)).enumerate();
        let narrowest = pairs.min_by_key(|(_, (earlier, later))| {
            (!earlier.shares_part(*later, max_width), earlier.merged(*later).width())
        });
        if let Some((index, (earlier, later))) = narrowest {
            self.0[index + 1] = earlier.merged(later).pack();
            self.0.copy_within(..index, 1);
            self.forget(1);
        }
    }
}

/// Returns the sum of the units of entries in one log, which is at most [`MAX_USED`].
fn units_of(entries: &[PackedEntry]) -> u64 {
    const { assert!(MAX_USED <= UNITS_MASK) };
    // The units are the lowest bits, so the bits above them can be masked off the sum. Adding both
    // halves compiles to a shorter loop than adding only one, which compilers vectorize without any
    // gain.
    let add = |[low, high]: [u64; 2], [more_low, more_high]: [u64; 2]| {
        [low.wrapping_add(more_low), high.wrapping_add(more_high)]
    };
    let [sum, _] = entries.iter().map(decode_pair).fold([0; 2], add);
    sum & UNITS_MASK
}

impl State for Log {
    type Change<'call> = Admission;

    effects_are_whole_states!();

    fn apply(&mut self, admission: &Admission) {
        let Admission { now, expired, units, max_width } = *admission;
        self.date(now);
        if units == 0 {
            // There was no room for a unit: the entries that still count add up to MAX_USED. A log
            // never holds more than that, so nothing has expired either.
            return;
        }
        let entry = Entry::new(now.at(), units);
        let is_full = self.0.len() - expired >= MAX_ENTRIES;
        let newest = self.0.last_mut();
        match newest.map(|newest| (Entry::unpack(newest), newest)) {
            Some((before, newest)) if before.latest == now.at() || is_full && before.shares_part(entry, max_width) => {
                *newest = before.merged(entry).pack();
                self.forget(expired);
            }
            _ => self.set(expired..self.0.len(), Some(entry)),
        }
        if self.0.len() > MAX_ENTRIES {
            self.merge_narrowest(max_width);
        }
    }

    fn used(&self, now: Now, reset: Span) -> u64 {
        self.with_current(now, reset, |current| current.used)
    }

    fn detail(&self, now: Now, reset: Span) -> Option<Detail> {
        Some(Detail::Entries(self.with_current(now, reset, |current| current.live.len())))
    }

    fn heap_size(&self) -> usize {
        size_of_val(&*self.0)
    }

    fn relocate(&mut self, _: usize, by: &impl Relocate) -> Option<usize> {
        by.boxed_slice(&mut self.0);
        None
    }

    fn latest_stamp(&self) -> Timestamp {
        self.newest().map_or(Timestamp::default(), |newest| newest.latest)
    }

    fn encode(&self, mut write: impl FnMut(&[u8])) {
        write(self.0.as_flattened());
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (entries, rest) = bytes.as_chunks();
        if entries.is_empty() || entries.len() > MAX_ENTRIES || !rest.is_empty() {
            return None;
        }
        let unpacked = entries.iter().map(Entry::unpack);
        if !unpacked.clone().is_sorted_by_key(|entry| entry.latest) || unpacked.clone().any(|entry| entry.units == 0) {
            return None;
        }
        let units: u64 = unpacked.map(|entry| entry.units).sum();
        (units <= MAX_USED).then(|| Self(entries.into()))
    }
}

impl Refundable for Log {
    fn refund(&mut self, now: Now, reset: Span, units: Units) -> Refund {
        self.date(now);
        let current = Current::until_expiry(self, now, reset);
        let duration = current.duration;
        let units = units.get().min(current.used);
        let mut left = units;
        let mut newest_first = current.live().rev();
        let newest = newest_first.find_map(|entry| {
            let kept = entry.units.saturating_sub(left);
            left = left.saturating_sub(entry.units);
            (kept > 0).then_some(Entry { units: kept, ..entry })
        });
        let (expired, others) = (current.expired, newest_first.count());
        self.set(expired..expired + others, newest);
        let reset = newest.map_or(Span::ZERO, |newest| duration.saturating_sub(now.at().since(newest.latest)));
        Refund { units, reset }
    }
}
