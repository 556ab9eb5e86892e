use crate::state::{MAX_USED, decode_pair, encode_pair};
use crate::{Algorithm, Cost, Decision, Now, Outcome, Retry, Span, State, Timestamp, Window};

/// Fixed window: the first admitted call opens a window, and at most `quota` units are admitted in it.
///
/// Two windows in a row may admit twice the quota within a moment, around the end of the first: where that matters take
/// [`Sliding`](crate::Sliding).
#[derive(Debug, Clone, Copy)]
pub struct Fixed;

/// When the window opened, and what was used in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FixedState {
    opened: Timestamp,
    used: u64,
}

impl Algorithm for Fixed {
    type State = FixedState;
    type Limit = Window;

    fn decide(state: &FixedState, now: Now, limit: &Window, cost: Cost) -> Decision<FixedState> {
        let quota = limit.quota.get();
        let length = limit.length.get();

        let opened = now.date(state.opened);
        let rest = length.saturating_sub(now.at().since(opened));
        let (window, rest) = if state.used > 0 && rest > Span::ZERO {
            let used = state.used;
            (FixedState { opened, used }, rest)
        } else {
            let opened = now.at();
            (FixedState { opened, used: 0 }, Span::ZERO)
        };

        let used = window.used + cost.get();
        if used <= quota {
            return Decision {
                outcome: Outcome::Admitted { wait: Span::ZERO, change: FixedState { used, ..window } },
                limit: quota,
                remaining: quota - used,
                reset: if window.used == 0 { length } else { rest },
            };
        }
        let retry = if cost.get() > quota { Retry::Never } else { Retry::After(rest) };
        Decision {
            outcome: Outcome::Limited { retry },
            limit: quota,
            remaining: quota.saturating_sub(window.used),
            reset: rest,
        }
    }
}

impl State for FixedState {
    type Change = Self;

    const MAX_ENCODED_LEN: usize = 16;

    fn apply(&mut self, change: Self) {
        *self = change;
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
