//! What redis-cell recorded as used is taken over: from the time when its bucket will be empty, and
//! from nothing else.

use premier_algorithms::{BucketState, State, Token};
use proptest::prelude::*;

use crate::model::{Exact, Level, Limits, MAX_USED, Outcome, Reply, TokenBucket, exact, rounded_down, rounded_up};
use crate::scenario::{
    Key, MANY_UNITS, MAX_EXACT_DURATION, MAX_UNITS, any_limits, calls, calls_with_forced, encoded, exact_bucket,
    huge_bucket, start,
};
use crate::strictness::{Kept, changing_limits, fineness, keeps_rounding_no_more_than_it_must, rounding};

const MAX_TIME: u64 = 3650 * 24 * 60 * 60 * 1_000_000;

/// The time until a bucket is empty.
#[derive(Debug, Clone, Copy)]
enum Rest {
    Micros(u64),
    /// This many 64ths of a duration.
    Share(u64),
    /// The time that this many units take, rounded down, plus this many microseconds.
    Units(u64, i64),
}

impl Rest {
    fn micros(self, limits: &Limits) -> u64 {
        let part_of_duration = |times: u64, parts: u64| {
            u64::try_from(u128::from(limits.duration) * u128::from(times) / u128::from(parts)).unwrap_or(u64::MAX)
        };
        match self {
            Self::Micros(micros) => micros,
            Self::Share(share) => part_of_duration(share, 64),
            Self::Units(units, more) => part_of_duration(units, limits.quota.max(1)).saturating_add_signed(more),
        }
    }
}

/// Times up to beyond all that a state can record.
fn any_rest() -> impl Strategy<Value = Rest> {
    let units = prop_oneof![
        4 => 1..=10_u64,
        4 => MANY_UNITS - 2..=MANY_UNITS + 2,
        2 => MAX_USED - 2..=MAX_USED + 2,
        1 => 1..=2 * MAX_USED,
    ];
    prop_oneof![
        1 => Just(Rest::Micros(0)),
        3 => (1..=3_u64).prop_map(Rest::Micros),
        3 => (1..=10_000_000_u64).prop_map(Rest::Micros),
        3 => (0..=MAX_TIME).prop_map(Rest::Micros),
        3 => any::<u64>().prop_map(Rest::Micros),
        1 => Just(Rest::Micros(u64::MAX)),
        6 => (0..=130_u64).prop_map(Rest::Share),
        8 => (units, -1..=1_i64).prop_map(|(units, more)| Rest::Units(units, more)),
    ]
}

/// Buckets in which 2⁻³² of a unit takes more than a microsecond, and which may hold many units all
/// the same.
fn slow_bucket() -> impl Strategy<Value = Limits> {
    (500..=30_000_u64, MAX_TIME / 2..=MAX_TIME).prop_map(|(quota, duration)| Limits::new(quota, duration))
}

fn any_bucket() -> impl Strategy<Value = Limits> {
    prop_oneof![2 => any_limits(), 1 => huge_bucket(), 1 => slow_bucket()]
}

/// The generic cell rate algorithm, as ITU-T I.371 defines it and redis-cell uses it: it stores
/// when a key will be fully reset, here in µs as a rational number.
struct Cell {
    arrival: Exact,
}

impl Cell {
    fn call(&mut self, now: u64, limits: &Limits, cost: u64) -> Reply {
        let (now, interval) = (exact(now), exact(1) / limits.rate());
        let tolerance = exact(limits.bucket()) * &interval;
        let arrival = self.arrival.clone().max(now.clone());
        let after = &arrival + exact(cost) * &interval;
        let too_early = &after - &tolerance - &now;
        let is_admitted = too_early <= exact(0);
        let outcome = if is_admitted {
            Outcome::Admitted { wait: 0 }
        } else {
            Outcome::Limited { retry: (cost <= limits.bucket()).then(|| rounded_up(&too_early)) }
        };
        self.arrival = if is_admitted { after } else { arrival };
        let reset = &self.arrival - now;
        Reply {
            outcome,
            limit: limits.bucket(),
            remaining: rounded_down(&((tolerance - &reset) / interval)),
            reset: rounded_up(&reset),
        }
    }
}

proptest! {
    /// Where nothing is rounded: many units with a long duration are, and levels beyond the most
    /// that is ever used are cut.
    #[test]
    fn a_key_of_redis_cell_continues_as_it_would_there(
        start in start(), calls in calls(20), limits in exact_bucket(), rest in any_rest()
    ) {
        let limits = Limits { max_wait: None, quota: limits.quota.max(1), ..limits };
        let most = if limits.duration <= MAX_EXACT_DURATION { MAX_USED } else { MANY_UNITS - 1 };
        let rest = rest.micros(&limits).min(rounded_down(&(exact(most) / limits.rate())));
        let mut key = Key::empty_after(rest, start, &limits);
        let mut cell = Cell { arrival: exact(start) + exact(rest) };
        let (mut now, mut last) = (start, None);
        for call in calls {
            now = call.moment(now, last.as_ref(), &limits);
            let cost = call.cost(limits.bucket());
            let reply = key.call(now, &limits, cost);
            prop_assert_eq!(reply, cell.call(now, &limits, cost), "at {} for {}", now, cost);
            last = Some(reply);
        }
    }

    /// What is taken over is at least what was used, and more only by what is rounded, whatever
    /// limits come with later calls. The first call has the limit of the takeover.
    #[test]
    fn a_taken_over_key_counts_all_that_was_used(
        start in start(),
        calls in calls_with_forced(12),
        first in any_bucket(),
        others in changing_limits(),
        rest in any_rest(),
        all_alike in any::<bool>(),
    ) {
        let rest = rest.micros(&first);
        let missing = Level::empty_after(rest, start, &first);
        let units = rounded_up(&missing.units(start, &first));
        let taken_over = Kept::<Token> {
            key: Key::empty_after(rest, start, &first),
            model: TokenBucket { missing },
            high: rounding(units, &first),
            as_of: Some((first.duration, fineness(units))),
        };
        let limits = if all_alike { vec![first] } else { [vec![first], others].concat() };
        keeps_rounding_no_more_than_it_must(taken_over, start, &calls, &limits)?;
    }

    #[test]
    fn a_taken_over_key_resets_when_redis_cell_said(now in start(), limits in any_bucket(), rest in any_rest()) {
        let limits = Limits { quota: limits.quota.max(1), ..limits };
        let rest = rest.micros(&limits);
        let reset = Key::empty_after(rest, now, &limits).look(now, &limits).reset;
        let used = exact(rest) * limits.rate();
        if used > exact(MAX_USED) {
            prop_assert_eq!(reset, rounded_up(&(exact(MAX_USED) / limits.rate())), "cut to the most that a state can record");
        } else {
            let rounded = rounding(rounded_up(&used), &limits) / limits.rate();
            prop_assert!(reset >= rounded_up(&exact(rest)));
            prop_assert!(reset <= rounded_up(&(exact(rest) + rounded)));
        }
    }

    #[test]
    fn a_taken_over_key_can_be_stored(now in start(), limits in any_bucket(), rest in any_rest()) {
        let rest = rest.micros(&limits);
        let key = Key::empty_after(rest, now, &limits);
        let read = BucketState::decode(&encoded(&key.state));
        if rest == 0 || limits.quota == 0 {
            prop_assert_eq!(read, None, "nothing is used");
        } else {
            prop_assert_eq!(read, Some(key.state));
            prop_assert_eq!(key.state.latest_stamp().as_micros(), now);
        }
    }

    #[test]
    fn an_empty_bucket_is_taken_over_as_a_fresh_key(
        now in start(), calls in calls(5), limits in any_bucket()
    ) {
        let (mut key, mut fresh) = (Key::empty_after(0, now, &limits), Key::<Token>::fresh());
        prop_assert_eq!(key.look(now, &limits), fresh.look(now, &limits));
        let (mut now, mut last) = (now, None);
        for call in calls {
            now = call.moment(now, last.as_ref(), &limits);
            let cost = call.cost(limits.bucket());
            let reply = key.call(now, &limits, cost);
            prop_assert_eq!(reply, fresh.call(now, &limits, cost));
            if reply.is_admitted() {
                prop_assert_eq!(encoded(&key.state), encoded(&fresh.state));
            }
            last = Some(reply);
        }
    }
}

#[test]
fn no_rest_is_too_long_for_any_limit() {
    for quota in [1, 2, 3, MAX_UNITS - 1, MAX_UNITS] {
        for duration in [1_000, 1_001, MAX_EXACT_DURATION, MAX_EXACT_DURATION + 1, MAX_TIME - 1, MAX_TIME] {
            let limits = Limits::new(quota, duration);
            let full = rounded_up(&(exact(MAX_USED) / limits.rate()));
            for rest in [1, 2, duration - 1, duration, duration + 1, full - 1, full, full + 1, u64::MAX - 1, u64::MAX] {
                let key = Key::empty_after(rest, 0, &limits);
                assert_eq!(BucketState::decode(&encoded(&key.state)), Some(key.state), "{rest} {limits:?}");
                let reset = key.look(0, &limits).reset;
                assert!(reset >= rest.min(full).min(1 << 63), "{reset} {rest} {limits:?}");
            }
        }
    }
}
