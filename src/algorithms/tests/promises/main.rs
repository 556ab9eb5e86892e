//! What the four algorithms promise; each test is named after its promise.
//!
//! `premier_model` states the contract in rational numbers, independently of the source. `scenario`
//! makes up keys and calls.

use premier_model as model;

mod scenario;

mod accurate_retry_after;
mod aligned_windows;
mod arguments;
mod calendar;
mod changing_limits;
mod clock_steps;
mod demands;
mod encoding;
mod exactness;
mod expiry;
mod forced_calls;
mod fresh_key;
mod from_redis_cell;
mod holds;
mod holds_encoding;
mod holds_memory;
mod limited_calls;
mod never_too_much;
mod overflow;
mod refunds;
mod several_limits;
mod sketch;
mod sliding_memory;
mod strictness;
mod time_units;
mod zero_cost;
