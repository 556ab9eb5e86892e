//! The rate-limiting algorithms of premier: pure functions over integers, without a server, I/O or
//! floating point.
//!
//! Each algorithm is a function of (state, now, limit, cost) and has a file of its own, which
//! begins with its promise: [`Fixed`], [`Sliding`], [`Token`], [`Leaky`] and [`Hold`]. It returns a
//! [`Decision`]. The decision on an admitted call carries the change of state; a limited call
//! changes nothing. A [`Demand`] says what a call asks of a rate limit: all of its cost, as much as
//! fits, or to be charged whatever is left. [`Refundable::refund`] gives units back, and
//! [`Hold::release`] frees those that were held.
//!
//! The crate also has what a command needs besides a decision: the [`Arguments`] of a call with
//! their bounds and error texts, a [`Clock`] that never steps back, and, with the feature `sketch`,
//! the keys that are limited most often.
//!
//! ```
//! use premier_algorithms::{
//!     Algorithm, Clock, Cost, LimitDuration, Outcome, Quota, Sliding, SlidingLimit, Span, State, Timestamp,
//! };
//!
//! let limit = SlidingLimit { quota: Quota::new(1)?, duration: LimitDuration::new(Span::from_secs(10))? };
//! let now = Clock::new().read(Timestamp::from_micros(1_800_000_000_000_000));
//!
//! let mut state = <Sliding as Algorithm>::State::default();
//! let decision = Sliding::decide(&state, now, &limit, Cost::ONE);
//! assert_eq!((decision.limit, decision.remaining), (1, 0));
//! let Outcome::Admitted { change, .. } = decision.outcome else { panic!("a fresh key admits its quota") };
//! state.apply(&change);
//!
//! let decision = Sliding::decide(&state, now, &limit, Cost::ONE);
//! assert!(matches!(decision.outcome, Outcome::Limited { .. }));
//! # Ok::<(), premier_algorithms::InvalidArgument>(())
//! ```
//!
//! A state records what was *used*, never when an old limit would have been reset: the limit comes
//! with each call and may change at any call. Numbers of units stay below 2⁴¹, those of all holders
//! together below 2⁵⁶, and times below 2⁵⁴ µs (the year 2540), so no arithmetic in this crate
//! overflows.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod algorithm;
mod arguments;
mod bucket;
mod calendar;
mod clock;
mod decision;
mod demand;
mod fixed;
mod hold;
mod holds;
mod joint;
mod leaky;
mod limit;
#[cfg(feature = "sketch")]
pub mod sketch;
mod sliding;
mod state;
mod time;
mod token;

pub use algorithm::{Algorithm, Change, RateLimit};
pub use arguments::{
    ALGORITHM, ALIGNED, AT_MOST, Argument, Arguments, CAPACITY, COST, CallOption, Capacity, Cost, DURATION, FORCE,
    HolderId, ID, InvalidArgument, InvalidCall, KEEP, Keep, LimitDuration, MAX_WAIT, MaxWait, Months, PEEK_COST,
    Peeked, QUOTA, Quota, UNITS, Units, Values, Weeks, ZONE, Zone,
};
pub use bucket::BucketState;
pub use calendar::{Calendar, Period};
pub use clock::{Clock, Now, SteadyClock};
pub use decision::{Decision, Outcome, Retry};
pub use demand::{Demand, Grant};
pub use fixed::{Fixed, FixedState};
pub use hold::{Full, Hold, Release};
pub use holds::{HoldChange, HoldEffect, Holds, MAX_HOLDERS};
pub use joint::Joint;
pub use leaky::Leaky;
pub use limit::{BucketLimit, FixedLimit, HoldLimit, SlidingLimit, Window};
pub use sliding::{Admission, Log, Sliding};
pub use state::{Detail, MAX_USED, Refund, Refundable, Relocate, State};
pub use time::{Span, Timestamp};
pub use token::Token;
