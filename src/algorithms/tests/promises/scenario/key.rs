//! A key of any of the four algorithms, with a clock of its own.

use core::fmt::Debug;

use premier_algorithms::{
    Algorithm, Bucket, Capacity, Clock, Cost, Decision, Fixed, FixedWindow, Leaky, MaxWait, Now, Outcome as Answer,
    Period, Quota, Retry, Sliding, Span, State, Timestamp, Token, Window, WindowStart,
};

use crate::model::{ENDLESS, Limits, Outcome, Reply};

/// One of the four algorithms.
pub(crate) trait Subject: Algorithm<State: Debug + PartialEq> {
    fn limit(limits: &Limits) -> Self::Limit;

    /// What a fresh key admits at once.
    fn full(limits: &Limits) -> u64;
}

fn window(limits: &Limits) -> Window {
    Window { quota: Quota::new(limits.quota).unwrap(), length: Period::new(Span::from_micros(limits.period)).unwrap() }
}

fn fixed_window(limits: &Limits) -> FixedWindow {
    let Window { quota, length } = window(limits);
    FixedWindow { quota, length, start: WindowStart::FirstCall }
}

fn bucket(limits: &Limits) -> Bucket {
    Bucket {
        quota: Quota::new(limits.quota).unwrap(),
        period: Period::new(Span::from_micros(limits.period)).unwrap(),
        capacity: limits.capacity.map(|units| Capacity::new(units).unwrap()),
        max_wait: limits.max_wait.map(|micros| MaxWait::new(Span::from_micros(micros)).unwrap()),
    }
}

macro_rules! subject {
    ($algorithm:ident, $limit:path, $full:expr) => {
        impl Subject for $algorithm {
            fn limit(limits: &Limits) -> Self::Limit {
                $limit(limits)
            }

            fn full(limits: &Limits) -> u64 {
                $full(limits)
            }
        }
    };
}

subject!(Fixed, fixed_window, |limits: &Limits| limits.quota);
subject!(Sliding, window, |limits: &Limits| limits.quota);
subject!(Token, bucket, Limits::bucket);
subject!(Leaky, bucket, Limits::bucket);

/// A key and the clock that serves it.
#[derive(Debug)]
pub(crate) struct Key<A: Subject> {
    pub(crate) state: A::State,
    pub(crate) clock: Clock,
}

impl<A: Subject> Clone for Key<A> {
    fn clone(&self) -> Self {
        Self { state: self.state.clone(), clock: self.clock }
    }
}

impl<A: Subject> Key<A> {
    pub(crate) fn fresh() -> Self {
        Self { state: A::State::default(), clock: Clock::new() }
    }

    /// A call at this reading of the clock, in µs.
    pub(crate) fn call(&mut self, reading: u64, limits: &Limits, cost: u64) -> Reply {
        let now = self.clock.read(Timestamp::from_micros(reading));
        let decision = decide::<A>(&self.state, now, limits, cost);
        let reply = reply_of(&decision);
        if let Answer::Admitted { change, .. } = decision.outcome {
            self.state.apply(change);
        }
        reply
    }

    /// What a call would be answered.
    pub(crate) fn ask(&self, reading: u64, limits: &Limits, cost: u64) -> Reply {
        self.clone().call(reading, limits, cost)
    }
}

fn decide<A: Subject>(state: &A::State, now: Now, limits: &Limits, cost: u64) -> Decision<<A::State as State>::Change> {
    A::decide(state, now, &A::limit(limits), Cost::new(cost).unwrap())
}

/// The decision in the model's terms.
fn reply_of<Change>(decision: &Decision<Change>) -> Reply {
    let micros = |span: Span| span.as_micros().min(ENDLESS);
    Reply {
        outcome: match decision.outcome {
            Answer::Admitted { wait, .. } => Outcome::Admitted { wait: micros(wait) },
            Answer::Limited { retry } => Outcome::Limited {
                retry: match retry {
                    Retry::After(span) => Some(micros(span)),
                    Retry::Never => None,
                },
            },
        },
        limit: decision.limit,
        remaining: decision.remaining,
        reset: micros(decision.reset),
    }
}

pub(crate) fn encoded<S: State>(state: &S) -> Vec<u8> {
    let mut bytes = Vec::new();
    state.encode(|piece| bytes.extend_from_slice(piece));
    bytes
}
