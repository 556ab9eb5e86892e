use crate::state::{MAX_USED, decode_pair, effects_are_whole_states, encode_pair};
use crate::{
    Algorithm, Change, Cost, Decision, Detail, FixedLimit, Now, Outcome, RateLimit, Refund, Refundable, Retry, Span,
    State, Timestamp, Units, Window,
};

/// Fixed window: the first admitted call opens a window, in which at most `quota` units are
/// admitted. When the window ends, the whole quota is available again. An aligned window begins
/// where the latest window of the calendar does, at or before the call that opens it, on the clock
/// that was read.
///
/// If the limit changes while a window is open, the window keeps its beginning and what was used in
/// it. It ends when the new duration has passed since that beginning; with a duration in months, at
/// the end of the months in which it began.
///
/// The offset of a zone changes, so a window may have begun by another offset than that of the
/// call. If it began up to three hours before a month of the call's calendar, it belongs to that
/// month. If it began up to three hours before or after a window of whole days or weeks, by whole
/// quarters of an hour, it is that window. It then ends with it: a day may take 23 or 25 hours. Any
/// other window ends one duration after it began.
///
/// If the clock that is read has been set back by more than three hours since a window of months
/// opened, nobody knows which month it showed then. The window ends when 31 days have passed for
/// each of its months.
///
/// Around the edge between two windows, up to twice the quota may be admitted within a moment.
/// Where that matters, use [`Sliding`](crate::Sliding).
#[derive(Debug, Clone, Copy)]
pub struct Fixed;

/// When the window opened, and the units used in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FixedState {
    opened: Timestamp,
    used: u64,
}

/// The window at the time of a decision.
#[derive(Debug, Clone, Copy)]
struct Current {
    window: FixedState,
    /// The time until the window ends.
    rest: Span,
}

impl Current {
    /// Returns the open window, or a new one in which nothing is used.
    fn new(state: &FixedState, now: Now, limit: &FixedLimit) -> Self {
        let opened = now.date(state.opened);
        let rest = match limit.window {
            Window::FromFirstCall(duration) => duration.get().saturating_sub(now.at().since(opened)),
            Window::Aligned(calendar) => calendar.rest(opened, now),
        };
        if state.used > 0 && rest > Span::ZERO {
            return Self { window: FixedState { opened, used: state.used }, rest };
        }
        match limit.window {
            Window::FromFirstCall(duration) => {
                Self { window: FixedState { opened: now.at(), used: 0 }, rest: duration.get() }
            }
            Window::Aligned(calendar) => {
                let (since_start, rest) = calendar.current(now);
                Self { window: FixedState { opened: now.at().minus(since_start), used: 0 }, rest }
            }
        }
    }

    /// Returns the units that are left.
    fn remaining(&self, limit: &FixedLimit) -> u64 {
        limit.quota.get().saturating_sub(self.window.used)
    }

    /// Returns the time until the quota is available again.
    fn reset(&self) -> Span {
        if self.window.used > 0 { self.rest } else { Span::ZERO }
    }

    fn admitted(self, limit: &FixedLimit, used: u64) -> Decision<FixedState> {
        let quota = limit.quota.get();
        Decision {
            outcome: Outcome::Admitted { wait: Span::ZERO, change: FixedState { used, ..self.window } },
            limit: quota,
            remaining: quota.saturating_sub(used),
            reset: self.rest,
        }
    }
}

impl Algorithm for Fixed {
    type State = FixedState;
    type Limit<'call> = FixedLimit;

    fn decide<'call>(state: &FixedState, now: Now, limit: &FixedLimit, cost: Cost) -> Decision<Change<'call, Self>> {
        let quota = limit.quota.get();
        let current = Current::new(state, now, limit);
        let used = current.window.used + cost.get();
        if used <= quota {
            return current.admitted(limit, used);
        }
        Decision {
            outcome: Outcome::Limited {
                retry: if cost.get() > quota { Retry::Never } else { Retry::After(current.rest) },
            },
            limit: quota,
            remaining: current.remaining(limit),
            reset: current.reset(),
        }
    }

    fn look(state: &FixedState, now: Now, limit: &FixedLimit) -> Decision<()> {
        let current = Current::new(state, now, limit);
        Decision::looked(limit.quota.get(), current.remaining(limit), Span::ZERO, current.reset())
    }
}

impl RateLimit for Fixed {
    fn room(state: &FixedState, now: Now, limit: &FixedLimit) -> u64 {
        Current::new(state, now, limit).remaining(limit)
    }

    fn force<'call>(state: &FixedState, now: Now, limit: &FixedLimit, cost: Cost) -> Decision<Change<'call, Self>> {
        if limit.quota.get() == 0 {
            return Self::decide(state, now, limit, cost);
        }
        let current = Current::new(state, now, limit);
        current.admitted(limit, MAX_USED.min(current.window.used + cost.get()))
    }
}

impl Refundable for FixedState {
    fn refund(&mut self, now: Now, reset: Span, units: Units) -> Refund {
        let units = units.get().min(self.used(now, reset));
        self.used -= units;
        Refund { units, reset: if self.used > 0 { reset } else { Span::ZERO } }
    }
}

impl State for FixedState {
    type Change<'call> = Self;

    effects_are_whole_states!();

    fn apply(&mut self, change: &Self) {
        *self = *change;
    }

    fn used(&self, _: Now, reset: Span) -> u64 {
        if reset > Span::ZERO { self.used } else { 0 }
    }

    fn detail(&self, now: Now, _: Span) -> Option<Detail> {
        Some(Detail::Opened(now.reading_at(self.opened)))
    }

    fn latest_stamp(&self) -> Timestamp {
        self.opened
    }

    fn encode(&self, mut write: impl FnMut(&[u8])) {
        write(&encode_pair([self.opened.as_micros(), self.used]));
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let [opened, used] = decode_pair(bytes.try_into().ok()?);
        let in_range = opened <= Timestamp::MAX.as_micros() && (1..=MAX_USED).contains(&used);
        in_range.then_some(Self { opened: Timestamp::from_micros(opened), used })
    }
}
