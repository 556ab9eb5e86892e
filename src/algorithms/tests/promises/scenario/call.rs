//! The time and the cost of a call.

use proptest::collection;
use proptest::prelude::*;

use super::limits::MAX_UNITS;
use crate::model::{Limits, Outcome, Reply};

const LAST_MOMENT: u64 = (1 << 54) - 1;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Call {
    pub(crate) pause: Pause,
    pub(crate) kind: Kind,
    cost: Load,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Limited,
    /// Charged even if too little is left.
    Forced,
    /// Refunds what the call would cost.
    Refund,
}

/// The time between two calls.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pause {
    Micros(u64),
    /// The wait of the last reply, give or take a microsecond.
    Wait(i64),
    /// The time until the key is fully reset, give or take a microsecond.
    Reset(i64),
    /// This many 64ths of a duration.
    Share(u64),
    /// The time that this many units take, rounded down.
    Units(u64),
    ToTheEnd,
}

/// What a call costs.
#[derive(Debug, Clone, Copy)]
enum Load {
    Units(u64),
    /// This many 64ths of the limit.
    Share(u64),
    /// This much more than the limit.
    TooMuch(u64),
}

impl Call {
    /// Returns the moment of the call, after a call at `now` with the reply `last`.
    pub(crate) fn moment(&self, now: u64, last: Option<&Reply>, limits: &Limits) -> u64 {
        let nearly = |micros: u64, more: i64| micros.saturating_add_signed(more);
        let pause = match (self.pause, last) {
            (Pause::Micros(micros), _) => micros,
            (Pause::Wait(more), Some(last)) => match last.outcome {
                Outcome::Admitted { wait } => nearly(wait, more),
                Outcome::Limited { retry } => retry.map_or(0, |retry| nearly(retry, more)),
            },
            (Pause::Reset(more), Some(last)) => nearly(last.reset, more),
            (Pause::Wait(_) | Pause::Reset(_), None) => 0,
            (Pause::Share(share), _) => limits.duration.saturating_mul(share) / 64,
            (Pause::Units(units), _) => limits.duration.saturating_mul(units) / limits.quota.max(1),
            (Pause::ToTheEnd, _) => LAST_MOMENT,
        };
        // When the clock has reached its end, there is nothing left to try: waits that reach beyond
        // it are not waited for.
        match now.saturating_add(pause) {
            moment if moment <= LAST_MOMENT => moment,
            _ if matches!(self.pause, Pause::ToTheEnd) => LAST_MOMENT,
            _ => now,
        }
    }

    pub(crate) fn cost(&self, limit: u64) -> u64 {
        let units = match self.cost {
            Load::Units(units) => units,
            Load::Share(share) => limit * share / 64,
            Load::TooMuch(more) => limit + more,
        };
        units.clamp(1, MAX_UNITS)
    }
}

/// The moment of the first call.
pub(crate) fn start() -> impl Strategy<Value = u64> {
    prop_oneof![
        1 => Just(0),
        1 => 1..=1_000_000_u64,
        4 => 1_800_000_000_000_000..=1_900_000_000_000_000_u64,
    ]
}

fn pause() -> impl Strategy<Value = Pause> {
    prop_oneof![
        40 => Just(Pause::Micros(0)),
        20 => (1..=3_u64).prop_map(Pause::Micros),
        10 => (1..=100_000_u64).prop_map(Pause::Micros),
        30 => (-1..=1_i64).prop_map(Pause::Wait),
        10 => (-1..=1_i64).prop_map(Pause::Reset),
        30 => (0..=80_u64).prop_map(Pause::Share),
        30 => (0..=8_u64).prop_map(Pause::Units),
        1 => (0..=LAST_MOMENT / 8).prop_map(Pause::Micros),
        1 => Just(Pause::ToTheEnd),
    ]
}

fn load() -> impl Strategy<Value = Load> {
    prop_oneof![
        20 => Just(Load::Units(1)),
        10 => (1..=5_u64).prop_map(Load::Units),
        20 => (1..=64_u64).prop_map(Load::Share),
        2 => Just(Load::Share(64)),
        2 => (1..=2_u64).prop_map(Load::TooMuch),
        2 => (1..=MAX_UNITS).prop_map(Load::Units),
    ]
}

pub(crate) fn calls(most: usize) -> impl Strategy<Value = Vec<Call>> {
    calls_of(Just(Kind::Limited), most)
}

pub(crate) fn calls_of(kinds: impl Strategy<Value = Kind>, most: usize) -> impl Strategy<Value = Vec<Call>> {
    let call = (pause(), kinds, load()).prop_map(|(pause, kind, cost)| Call { pause, kind, cost });
    collection::vec(call, 1..=most)
}

/// Limited and forced calls.
pub(crate) fn calls_with_forced(most: usize) -> impl Strategy<Value = Vec<Call>> {
    calls_of(prop_oneof![2 => Just(Kind::Limited), 1 => Just(Kind::Forced)], most)
}

/// Limited calls, forced calls and refunds.
pub(crate) fn calls_with_refunds(most: usize) -> impl Strategy<Value = Vec<Call>> {
    calls_of(prop_oneof![3 => Just(Kind::Limited), 1 => Just(Kind::Forced), 3 => Just(Kind::Refund)], most)
}
