//! A key of one of the four algorithms, with a clock of its own.

use core::fmt::Debug;

use premier_algorithms::{
    BucketLimit, BucketState, Calendar, Capacity, Change, Clock, Cost, Decision, Demand, Fixed, FixedLimit, Leaky,
    LimitDuration, MaxWait, Outcome as Answer, Period, Quota, RateLimit, Refund, Refundable, Retry, Sliding,
    SlidingLimit, Span, State, Timestamp, Token, Units, Window, Zone,
};

use super::Kind;
use crate::model::{ENDLESS, Limits, Outcome, Reply};

/// An algorithm under test.
pub(crate) trait Subject: RateLimit<State: Refundable + Debug + PartialEq> {
    fn limit(limits: &Limits) -> Self::Limit<'static>;

    /// Returns what a fresh key admits at once.
    fn full(limits: &Limits) -> u64;
}

fn window(limits: &Limits) -> SlidingLimit {
    SlidingLimit {
        quota: Quota::new(limits.quota).unwrap(),
        duration: LimitDuration::new(Span::from_micros(limits.duration)).unwrap(),
    }
}

fn fixed_window(limits: &Limits) -> FixedLimit {
    let SlidingLimit { quota, duration } = window(limits);
    let calendar = Calendar { period: Period::Time(duration), zone: Zone::UTC };
    let window = if limits.is_aligned { Window::Aligned(calendar) } else { Window::FromFirstCall(duration) };
    FixedLimit { quota, window }
}

fn bucket(limits: &Limits) -> BucketLimit {
    BucketLimit {
        quota: Quota::new(limits.quota).unwrap(),
        duration: LimitDuration::new(Span::from_micros(limits.duration)).unwrap(),
        capacity: limits.capacity.map(|units| Capacity::new(units).unwrap()),
        max_wait: limits.max_wait.map(|micros| MaxWait::new(Span::from_micros(micros)).unwrap()),
    }
}

macro_rules! subject {
    ($algorithm:ident, $limit:path, $full:expr) => {
        impl Subject for $algorithm {
            fn limit(limits: &Limits) -> Self::Limit<'static> {
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

    /// Makes a call at this reading of the clock, in µs.
    pub(crate) fn call(&mut self, reading: u64, limits: &Limits, cost: u64) -> Reply {
        let now = self.clock.read(Timestamp::from_micros(reading));
        let decision = A::decide(&self.state, now, &A::limit(limits), Cost::new(cost).unwrap());
        self.follow(decision)
    }

    /// Makes a call that is charged even if too little is left.
    pub(crate) fn force(&mut self, reading: u64, limits: &Limits, cost: u64) -> Reply {
        let now = self.clock.read(Timestamp::from_micros(reading));
        let decision = A::force(&self.state, now, &A::limit(limits), Cost::new(cost).unwrap());
        self.follow(decision)
    }

    /// Makes a call with this demand, and returns the units that are granted.
    pub(crate) fn ask_for(&mut self, reading: u64, limits: &Limits, demand: Demand) -> (Reply, u64) {
        let now = self.clock.read(Timestamp::from_micros(reading));
        let grant = demand.decide::<A>(&self.state, now, &A::limit(limits));
        let units = grant.units();
        (self.follow(grant.decision), units)
    }

    /// Returns the reply to a call of cost 0.
    pub(crate) fn look(&self, reading: u64, limits: &Limits) -> Reply {
        let now = self.clone().clock.read(Timestamp::from_micros(reading));
        reply_of(&A::look(&self.state, now, &A::limit(limits)))
    }

    /// Makes a call of this kind, limited or forced.
    pub(crate) fn make(&mut self, reading: u64, limits: &Limits, kind: Kind, cost: u64) -> Reply {
        match kind {
            Kind::Forced => self.force(reading, limits, cost),
            _ => self.call(reading, limits, cost),
        }
    }

    fn follow(&mut self, decision: Decision<Change<'_, A>>) -> Reply {
        let reply = reply_of(&decision);
        if let Answer::Admitted { change, .. } = decision.outcome {
            self.state.apply(&change);
        }
        reply
    }

    /// Refunds units of a key that expires after `reset`. A key of which nothing is used any more
    /// is fresh.
    pub(crate) fn refund(&mut self, reading: u64, reset: u64, units: u64) -> Refund {
        let now = self.clock.read(Timestamp::from_micros(reading));
        let refund = self.state.refund(now, Span::from_micros(reset), Units::new(units).unwrap());
        if refund.reset == Span::ZERO {
            self.state = A::State::default();
        }
        refund
    }

    /// Returns the reply that a call would get.
    pub(crate) fn ask(&self, reading: u64, limits: &Limits, cost: u64) -> Reply {
        self.clone().call(reading, limits, cost)
    }
}

impl Key<Token> {
    /// Returns a key whose bucket will be empty after `rest`.
    pub(crate) fn empty_after(rest: u64, reading: u64, limits: &Limits) -> Self {
        let mut clock = Clock::new();
        let now = clock.read(Timestamp::from_micros(reading));
        Self { state: BucketState::empty_after(Span::from_micros(rest), now, &bucket(limits)), clock }
    }

    /// Returns the reply of redis-cell to a call of cost 0.
    pub(crate) fn look_as_cell(&self, reading: u64, limits: &Limits) -> Reply {
        let now = self.clone().clock.read(Timestamp::from_micros(reading));
        reply_of(&Token::look_as_cell(&self.state, now, &bucket(limits)))
    }
}

/// Returns the decision in the model's terms.
pub(super) fn reply_of<Change>(decision: &Decision<Change>) -> Reply {
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
