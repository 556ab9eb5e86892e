//! What an algorithm decides about traffic on a fresh key.

use premier_algorithms::{Algorithm, Clock, Cost, Outcome, Span, State, Timestamp};

use crate::traffic::LENGTH;

/// When the picture begins.
const START: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);

/// How often [`Replay::remaining`] is sampled. Every request comes at a multiple of it.
const SAMPLE_MILLIS: usize = 50;

/// The decisions about some traffic, and what remained in between. Times are milliseconds from the
/// start.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    pub(crate) admitted: Vec<Admitted>,
    pub(crate) limited: Vec<i32>,
    /// The units that remain, at each moment when their number changes.
    pub(crate) remaining: Vec<(i32, i32)>,
}

/// A call that was admitted.
#[derive(Debug)]
pub(crate) struct Admitted {
    pub(crate) at: i32,
    /// When its `wait` is over.
    pub(crate) goes_ahead: i32,
    /// When the key is fully reset.
    pub(crate) resets: i32,
}

impl Replay {
    /// Replays requests, which come in order, on a fresh key.
    pub(crate) fn new<A: Algorithm>(limit: &A::Limit<'_>, requests: &[i32]) -> Self {
        let mut replay = Self::default();
        let mut state = A::State::default();
        let mut clock = Clock::new();
        let mut requests = requests.iter().copied().peekable();
        for at in (0..LENGTH).step_by(SAMPLE_MILLIS) {
            let now = clock.read(START.plus(Span::from_millis(at.unsigned_abs().into())));
            while let Some(at) = requests.next_if(|request| *request <= at) {
                let decision = A::decide(&state, now, limit, Cost::ONE);
                match decision.outcome {
                    Outcome::Admitted { wait, change } => {
                        replay.admitted.push(Admitted {
                            at,
                            goes_ahead: at + millis(wait),
                            resets: at + millis(decision.reset),
                        });
                        state.apply(&change);
                    }
                    Outcome::Limited { .. } => replay.limited.push(at),
                }
            }
            // The decision on one more call says what would remain after it.
            let look = A::decide(&state, now, limit, Cost::ONE);
            let own = i32::from(matches!(look.outcome, Outcome::Admitted { .. }));
            let remaining = i32::try_from(look.remaining).expect("quotas in the pictures are small") + own;
            if replay.remaining.last().is_none_or(|(_, last)| *last != remaining) {
                replay.remaining.push((at, remaining));
            }
        }
        replay
    }
}

fn millis(span: Span) -> i32 {
    i32::try_from(span.as_millis_ceil()).expect("times in the pictures are short")
}
