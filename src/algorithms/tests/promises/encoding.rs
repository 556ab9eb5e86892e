//! An encoded state reads as the same state, and any other bytes are refused or harmless.

use premier_algorithms::{
    Algorithm, BucketState, Fixed, FixedState, Leaky, Log, MAX_USED, Sliding, State, Timestamp, Token,
};
use proptest::collection;
use proptest::prelude::*;

use crate::model::Limits;
use crate::scenario::{Call, Key, Subject, any_limits, calls, encoded, start};

const LAST_MOMENT: u64 = (1 << 54) - 1;
const NOW: u64 = 1_800_000_000_000_000;

type StateOf<A> = <A as Algorithm>::State;

fn pair(first: u64, second: u64) -> Vec<u8> {
    [first.to_le_bytes(), second.to_le_bytes()].concat()
}

/// Encodes a bucket with fewer than 2²⁴ units: the moment in 54 bits, a 0, the units in 24, the
/// fraction of the first in 49.
fn bucket(at: u64, used: u64, fraction: u64) -> Vec<u8> {
    (u128::from(at) << 74 | u128::from(used) << 49 | u128::from(fraction)).to_le_bytes().to_vec()
}

/// Encodes a bucket with more units: the moment in 54 bits, a 1, the units in 41, the fraction of
/// the first in 32.
fn bucket_of_many(at: u64, used: u64, fraction: u64) -> Vec<u8> {
    (u128::from(at) << 74 | 1 << 73 | u128::from(used) << 32 | u128::from(fraction)).to_le_bytes().to_vec()
}

/// Encodes an entry of a log: its latest moment in 54 bits, its width in 33, its units in 41.
fn entry(latest: u64, width: u64, units: u64) -> Vec<u8> {
    (u128::from(latest) << 74 | u128::from(width) << 41 | u128::from(units)).to_le_bytes().to_vec()
}

/// Checks that every state reads as it was written, and that truncated and extended encodings are
/// refused.
fn reads_as_written<A: Subject>(start: u64, calls: &[Call], limits: &[Limits]) -> Result<(), TestCaseError> {
    let mut key = Key::<A>::fresh();
    let (mut now, mut last) = (start, None);
    for (call, limits) in calls.iter().zip(limits.iter().cycle()) {
        now = call.moment(now, last.as_ref(), limits);
        let reply = key.call(now, limits, call.cost(A::full(limits)));
        last = Some(reply);
        if reply.is_admitted() {
            let bytes = encoded(&key.state);
            prop_assert_eq!(StateOf::<A>::decode(&bytes), Some(key.state.clone()));
            prop_assert!(key.state.latest_stamp() <= Timestamp::from_micros(now));
        }
    }
    let bytes = encoded(&key.state);
    if StateOf::<A>::decode(&bytes).is_none() {
        prop_assert_eq!(key.state, StateOf::<A>::default());
        return Ok(());
    }
    for len in (0..bytes.len()).filter(|len| len % 16 != 0 || *len == 0) {
        prop_assert_eq!(StateOf::<A>::decode(&bytes[..len]), None);
    }
    for more in 1..16 {
        prop_assert_eq!(StateOf::<A>::decode(&[bytes.as_slice(), &bytes[..more]].concat()), None);
    }
    Ok(())
}

/// Checks that any state that can be read can be decided on, changed and written again.
fn is_refused_or_harmless<A: Subject>(bytes: &[u8], calls: &[(u64, Limits, u64)]) -> Result<(), TestCaseError> {
    let mut key = Key::<A>::fresh();
    let Some(state) = StateOf::<A>::decode(bytes) else {
        return Ok(());
    };
    prop_assert_eq!(encoded(&state), bytes);
    key.clock.see(state.latest_stamp());
    key.state = state;
    for (reading, limits, cost) in calls {
        let reply = key.call(*reading, limits, *cost);
        prop_assert!(reply.remaining <= reply.limit);
        let bytes = encoded(&key.state);
        prop_assert_eq!(StateOf::<A>::decode(&bytes), Some(key.state.clone()));
    }
    Ok(())
}

pub(crate) fn any_stamp() -> impl Strategy<Value = u64> {
    prop_oneof![4 => 0..=LAST_MOMENT, 1 => Just(LAST_MOMENT), 1 => NOW..=NOW + 10_000]
}

fn any_units() -> impl Strategy<Value = u64> {
    prop_oneof![3 => 1..=100_u64, 1 => 1..=MAX_USED, 1 => Just(MAX_USED)]
}

/// Bytes that might be found in place of a log.
fn log_payload() -> impl Strategy<Value = Vec<u8>> {
    let stamps = collection::vec(any_stamp(), 1..=67);
    (stamps, collection::vec(any_units(), 67)).prop_map(|(mut stamps, units)| {
        stamps.sort_unstable();
        stamps.iter().zip(units).flat_map(|(at, units)| entry(*at, *at & ((1 << 33) - 1), units)).collect()
    })
}

pub(crate) fn payload() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        2 => (any_stamp(), any_units()).prop_map(|(at, units)| pair(at, units)),
        2 => (any_stamp(), 1..1_u64 << 24, 0..1_u64 << 49).prop_map(|(at, units, fraction)| bucket(at, units, fraction)),
        2 => (any_stamp(), any_units(), 0..1_u64 << 32)
            .prop_map(|(at, units, fraction)| bucket_of_many(at, units, fraction)),
        2 => log_payload(),
        1 => collection::vec(any::<u8>(), 0..=48),
        1 => collection::vec(any::<u8>(), 16),
    ]
}

fn any_calls() -> impl Strategy<Value = Vec<(u64, Limits, u64)>> {
    let reading = prop_oneof![2 => any_stamp(), 1 => Just(0)];
    let cost = prop_oneof![1..=10_u64, 1..=1_000_000_000_000_u64];
    collection::vec((reading, any_limits(), cost), 1..8)
}

proptest! {
    #[test]
    fn every_state_reads_as_it_was_written(
        start in start(), calls in calls(30), limits in collection::vec(any_limits(), 1..4)
    ) {
        reads_as_written::<Fixed>(start, &calls, &limits)?;
        reads_as_written::<Sliding>(start, &calls, &limits)?;
        reads_as_written::<Token>(start, &calls, &limits)?;
        reads_as_written::<Leaky>(start, &calls, &limits)?;
    }

    #[test]
    fn any_payload_is_refused_or_harmless(bytes in payload(), calls in any_calls()) {
        is_refused_or_harmless::<Fixed>(&bytes, &calls)?;
        is_refused_or_harmless::<Sliding>(&bytes, &calls)?;
        is_refused_or_harmless::<Token>(&bytes, &calls)?;
        is_refused_or_harmless::<Leaky>(&bytes, &calls)?;
    }
}

/// Fills a log, and makes two calls of 2²³ units this far apart, at both ends of a 64th of the
/// duration. Returns how they are stored, and the moment of the latter.
fn newest_of_a_full_log(width: u64) -> (Vec<u8>, u64) {
    let limits = Limits::new(1 << 25, 64 * width);
    let first = NOW.next_multiple_of(width + 1);
    let mut key = Key::<Sliding>::fresh();
    for before in (1..=65).rev() {
        assert!(key.call(first - before, &limits, 1).is_admitted());
    }
    for at in [first, first + width] {
        assert!(key.call(at, &limits, 1 << 23).is_admitted());
    }
    let log = encoded(&key.state);
    (log[log.len() - 16..].to_vec(), first + width)
}

#[test]
fn the_encoding_matches_what_servers_have_stored() {
    let limits = Limits::new(3, 1_000_000);
    let mut fixed = Key::<Fixed>::fresh();
    let mut sliding = Key::<Sliding>::fresh();
    let mut token = Key::<Token>::fresh();
    let mut leaky = Key::<Leaky>::fresh();
    for (at, units) in [(NOW, 2), (NOW + 500_000, 1)] {
        assert!(fixed.call(at, &limits, units).is_admitted());
        assert!(sliding.call(at, &limits, units).is_admitted());
        assert!(token.call(at, &limits, units).is_admitted());
        assert!(leaky.call(at, &limits, units).is_admitted());
    }
    assert_eq!(encoded(&fixed.state), pair(NOW, 3));
    assert_eq!(encoded(&sliding.state), [entry(NOW, 0, 2), entry(NOW + 500_000, 0, 1)].concat());
    // The first unit had drained after a third of a second, half of the second one after half a
    // second.
    assert_eq!(encoded(&token.state), bucket(NOW + 500_000, 2, 1 << 48));
    assert_eq!(encoded(&leaky.state), bucket(NOW + 500_000, 2, 1 << 48));

    let limits = Limits::new(1 << 24, 64_000_000);
    let mut token = Key::<Token>::fresh();
    for at in [NOW, NOW + 1_000_000] {
        assert!(token.call(at, &limits, 1 << 23).is_admitted());
    }
    // A 64th of the quota has drained in between, which leaves fewer than 2²⁴ units. One more call
    // makes them many.
    assert_eq!(encoded(&token.state), bucket(NOW + 1_000_000, (1 << 24) - (1 << 18), 0));
    let limits = Limits { capacity: Some(1 << 25), ..limits };
    assert!(token.call(NOW + 1_000_000, &limits, 1 << 24).is_admitted());
    assert_eq!(encoded(&token.state), bucket_of_many(NOW + 1_000_000, (1 << 25) - (1 << 18), 0));

    // A width of more than 2³² µs is stored in steps of 2¹² µs, marked by its highest bit.
    for width in [1_000_000, 1 << 33] {
        let (stored, latest) = newest_of_a_full_log(width);
        let (steps, units) = ((latest >> 12) - ((latest - width) >> 12), 1 << 24);
        assert_eq!(stored, entry(latest, if width < 1 << 32 { width } else { 1 << 32 | steps }, units));
    }
    assert_eq!(Log::MAX_ENCODED_LEN, 66 * 16);
}

#[test]
fn the_state_of_a_fresh_key_is_refused() {
    for bytes in [encoded(&FixedState::default()), encoded(&Log::default()), encoded(&BucketState::default())] {
        assert_eq!(FixedState::decode(&bytes), None);
        assert_eq!(Log::decode(&bytes), None);
        assert_eq!(BucketState::decode(&bytes), None);
    }
}

#[test]
fn a_fixed_window_out_of_range_is_refused() {
    for (opened, used, readable) in [
        (0, 1, true),
        (LAST_MOMENT, MAX_USED, true),
        (LAST_MOMENT + 1, 1, false),
        (u64::MAX, 1, false),
        (NOW, 0, false),
        (NOW, MAX_USED + 1, false),
        (NOW, u64::MAX, false),
    ] {
        assert_eq!(FixedState::decode(&pair(opened, used)).is_some(), readable, "{opened} {used}");
    }
}

#[test]
fn a_bucket_out_of_range_is_refused() {
    for (bytes, readable) in [
        (bucket(0, 1, 0), true),
        (bucket(LAST_MOMENT, (1 << 24) - 1, (1 << 49) - 1), true),
        (bucket_of_many(LAST_MOMENT, MAX_USED, (1 << 32) - 1), true),
        (bucket(NOW, 0, 1), false),
        (bucket_of_many(NOW, 0, 1), false),
        (bucket_of_many(NOW, MAX_USED + 1, 0), false),
        (bucket_of_many(NOW, (1 << 41) - 1, 0), false),
    ] {
        assert_eq!(BucketState::decode(&bytes).is_some(), readable, "{bytes:?}");
    }
}

#[test]
fn a_log_out_of_range_is_refused() {
    let log = |entries: &[(u64, u64)]| entries.iter().flat_map(|(at, units)| entry(*at, 0, *units)).collect::<Vec<_>>();
    for (entries, readable) in [
        (vec![(0, 1)], true),
        (vec![(NOW, 1), (NOW, 2), (LAST_MOMENT, 3)], true),
        (vec![(NOW, MAX_USED)], true),
        (vec![(NOW, MAX_USED - 1), (NOW, 1)], true),
        (vec![(NOW, 1); 66], true),
        (vec![(NOW, 1); 67], false),
        (vec![(NOW + 1, 1), (NOW, 1)], false),
        (vec![(NOW, 0)], false),
        (vec![(NOW, 1), (NOW, 0)], false),
        (vec![(NOW, MAX_USED + 1)], false),
        (vec![(NOW, MAX_USED), (NOW, 1)], false),
        (vec![(NOW, MAX_USED), (NOW, MAX_USED)], false),
    ] {
        assert_eq!(Log::decode(&log(&entries)).is_some(), readable, "{entries:?}");
    }
}
