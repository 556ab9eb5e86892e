//! The decisions of premier, and nothing else: no server, no clock, no I/O, no floats.
//!
//! Each algorithm is a pure function of (state, now, limit, cost) and stands in a file of its own, its promise at the top:
//! [`Fixed`], [`Sliding`], [`Token`] and [`Leaky`]. It answers a [`Decision`], which carries the change of state that an
//! admitted call makes; a limited call makes none. A call can be [forced](Algorithm::force), and what was used be
//! [given back](State::refund).
//!
//! ```
//! use premier_algorithms::{Algorithm, Clock, Cost, Outcome, Period, Quota, Sliding, Span, State, Timestamp, Window};
//!
//! let limit = Window { quota: Quota::new(1)?, length: Period::new(Span::from_secs(10))? };
//! let now = Clock::new().read(Timestamp::from_micros(1_800_000_000_000_000));
//!
//! let mut state = <Sliding as Algorithm>::State::default();
//! let decision = Sliding::decide(&state, now, &limit, Cost::ONE);
//! assert_eq!((decision.limit, decision.remaining), (1, 0));
//! let Outcome::Admitted { change, .. } = decision.outcome else { panic!("a fresh key admits its quota") };
//! state.apply(change);
//!
//! let decision = Sliding::decide(&state, now, &limit, Cost::ONE);
//! assert!(matches!(decision.outcome, Outcome::Limited { .. }));
//! # Ok::<(), premier_algorithms::InvalidArgument>(())
//! ```
//!
//! State says what was *used*, never when an old limit would have ended it: the limit comes with each call and may change
//! at each. Amounts of units stay below 2⁴¹ and times below 2⁵⁴ µs (the year 2540), so that no arithmetic here overflows.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod argument;
mod bucket;
mod clock;
mod decision;
mod fixed;
mod grammar;
mod joint;
mod leaky;
mod limit;
mod sliding;
mod state;
mod time;
mod token;

pub use argument::{
    ALGORITHM, ALIGNED, Argument, CAPACITY, COST, COUNT, DURATION, FORCE, InvalidArgument, MAX_BURST, MAX_WAIT, PERIOD,
    QUANTITY, QUOTA, TOP_COUNT, UNITS, Values,
};
pub use bucket::BucketState;
pub use clock::{Clock, Now};
pub use decision::{Decision, Outcome, Retry};
pub use fixed::{Fixed, FixedState};
pub use grammar::{Arguments, CallOption, InvalidCall};
pub use joint::Joint;
pub use leaky::Leaky;
pub use limit::{Bucket, Capacity, Cost, FixedWindow, MaxWait, Period, Quota, Units, Window, WindowStart};
pub use sliding::{Admission, Log, PackedEntry, Sliding};
pub use state::{Algorithm, MAX_USED, Refund, State};
pub use time::{Span, Timestamp};
pub use token::Token;
