//! Limits worth trying: small ones, those on either side of a change of method, the largest, and
//! odd ones.

use proptest::option;
use proptest::prelude::*;

use crate::model::Limits;

pub(crate) const MAX_UNITS: u64 = 1_000_000_000_000;
const MAX_TIME: u64 = 3650 * 24 * 60 * 60 * 1_000_000;

/// The number of units in a bucket from which on the drained part of the first may be rounded.
pub(crate) const MANY_UNITS: u64 = 1 << 24;

/// The longest duration for which it is not rounded.
pub(crate) const MAX_EXACT_DURATION: u64 = 1 << 32;

fn power_of_ten(most: u32) -> impl Strategy<Value = u64> {
    (0..=most).prop_map(|power| 10_u64.pow(power))
}

pub(crate) fn any_quota() -> impl Strategy<Value = u64> {
    prop_oneof![
        6 => 1..=10_u64,
        1 => Just(0),
        2 => 60..=70_u64,
        3 => power_of_ten(12),
        2 => 1..=MAX_UNITS,
        1 => MANY_UNITS - 5..=MANY_UNITS + 5,
        1 => MAX_UNITS - 5..=MAX_UNITS,
    ]
}

/// Buckets that are exact whatever they hold, as their duration is short.
pub(crate) fn short_bucket() -> impl Strategy<Value = Limits> {
    (any_quota(), duration().prop_map(|micros| micros.min(MAX_EXACT_DURATION)), capacity(), max_wait())
        .prop_map(|(quota, duration, capacity, max_wait)| Limits { capacity, max_wait, ..Limits::new(quota, duration) })
}

/// Buckets that are exact whatever their duration, as they never hold many units.
fn small_bucket() -> impl Strategy<Value = Limits> {
    (1..MANY_UNITS, duration(), option::of(1..MANY_UNITS))
        .prop_map(|(quota, duration, capacity)| Limits { capacity, ..Limits::new(quota, duration) })
}

pub(crate) fn exact_bucket() -> impl Strategy<Value = Limits> {
    prop_oneof![2 => short_bucket(), 1 => small_bucket()]
}

/// Buckets that may hold so much for so long that they are rounded.
pub(crate) fn huge_bucket() -> impl Strategy<Value = Limits> {
    let duration =
        prop_oneof![MAX_EXACT_DURATION + 1..=MAX_TIME, Just(MAX_TIME), MAX_EXACT_DURATION..=MAX_EXACT_DURATION + 5];
    (prop_oneof![any_quota(), MANY_UNITS..=MAX_UNITS], duration, capacity(), max_wait())
        .prop_map(|(quota, duration, capacity, max_wait)| Limits { capacity, max_wait, ..Limits::new(quota, duration) })
}

pub(crate) fn duration() -> impl Strategy<Value = u64> {
    prop_oneof![
        Just(1_000),
        Just(1_001),
        Just(1_000_000),
        Just(60_000_000),
        Just(MAX_TIME),
        1_000..=2_000_u64,
        1_000..=10_000_000_u64,
        1_000..=MAX_TIME,
    ]
}

fn capacity() -> impl Strategy<Value = Option<u64>> {
    option::of(prop_oneof![
        4 => 1..=10_u64,
        2 => 60..=70_u64,
        2 => power_of_ten(12),
        1 => 1..=MAX_UNITS,
    ])
}

fn max_wait() -> impl Strategy<Value = Option<u64>> {
    option::of(prop_oneof![
        1 => Just(0),
        1 => 0..=3_u64,
        2 => 0..=10_000_u64,
        2 => 0..=100_000_000_u64,
        1 => 0..=MAX_TIME,
        1 => Just(MAX_TIME),
    ])
}

pub(crate) fn any_limits() -> impl Strategy<Value = Limits> {
    (any_quota(), duration(), capacity(), max_wait()).prop_map(|(quota, duration, capacity, max_wait)| Limits {
        capacity,
        max_wait,
        ..Limits::new(quota, duration)
    })
}

/// Fixed windows, aligned or opened by the first call.
pub(crate) fn any_windows() -> impl Strategy<Value = Limits> {
    (any_limits(), any::<bool>()).prop_map(|(limits, is_aligned)| Limits { is_aligned, ..limits })
}

/// Limits that a test can use up call by call.
pub(crate) fn small_limits() -> impl Strategy<Value = Limits> {
    (1..=130_u64, duration(), option::of(1..=130_u64))
        .prop_map(|(quota, duration, capacity)| Limits { capacity, ..Limits::new(quota, duration) })
}
