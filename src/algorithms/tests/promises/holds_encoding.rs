//! The states and effects of `Hold`: replicas end in the same state to the bit, equal contents are
//! equal bytes, and any other bytes are refused or harmless.

use premier_algorithms::{HoldChange, Holds, State, Timestamp};
use proptest::collection;
use proptest::prelude::*;

use crate::scenario::hold::{Action, HoldKey, Places, Step, bytes_of, ids, places, steps};
use crate::scenario::{encoded, start};

const LAST_MOMENT: u64 = (1 << 54) - 1;
const NOW: u64 = 1_800_000_000_000_000;
const SECOND: u64 = 1_000_000;
const MAX_TIME: u64 = 3650 * 86_400 * SECOND;
const MAX_UNITS: u64 = 1_000_000_000_000;

fn effect(state: &Holds, change: &HoldChange<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    state.encode_effect(change, |piece| bytes.extend_from_slice(piece));
    bytes
}

/// What happens between two steps, besides time.
#[derive(Debug, Clone, Copy)]
enum Event {
    Nothing,
    /// The primary restarts, and its clock has stepped back by this many 64ths of a lease.
    Restart(u64),
    /// The primary, or the replica, is saved and loaded.
    Reload {
        primary: bool,
    },
    /// The clock steps back by this many 64ths of a lease.
    StepBack(u64),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        10 => Just(Event::Nothing),
        1 => (0..=100_u64).prop_map(Event::Restart),
        1 => any::<bool>().prop_map(|primary| Event::Reload { primary }),
        1 => (1..=100_u64).prop_map(Event::StepBack),
    ];
    collection::vec(event, 60)
}

fn reloaded(state: &Holds) -> Holds {
    if state.is_empty() { Holds::default() } else { Holds::decode(&encoded(state)).unwrap() }
}

/// Takes a step, and returns the effect if there is one.
fn taken(
    key: &mut HoldKey,
    reading: &mut u64,
    last: &mut Option<crate::model::Reply>,
    step: &Step,
    places: &Places,
    ids: &[Vec<u8>],
) -> Option<Vec<u8>> {
    let then = reading.saturating_add(step.pause.after(last.as_ref(), places.lease));
    if then <= LAST_MOMENT {
        *reading = then;
    }
    let change = match step.action {
        Action::Call { holder, cost } => {
            let (reply, change) = key.call_with_change(*reading, places, &ids[holder], cost.of(places.quota));
            *last = Some(reply);
            change
        }
        Action::Release { holder } => key.release(*reading, &ids[holder]).map(|(_, _, change)| change),
    };
    change.map(|change| effect(&key.state, &change))
}

/// A state from anywhere, and a change that was made to another.
fn any_state() -> impl Strategy<Value = Vec<u8>> {
    let holder = (0..=NOW + SECOND, 1_000..=2 * SECOND, 1..=MAX_UNITS, collection::vec(0..3_u8, 1..=3));
    collection::vec(holder, 1..12).prop_map(|mut holders| {
        holders.sort_by(|one, other| (one.0 + one.1, &one.3).cmp(&(other.0 + other.1, &other.3)));
        bytes_of(holders)
    })
}

fn any_effect() -> impl Strategy<Value = Vec<u8>> {
    let numbers = collection::vec(prop_oneof![any::<u64>(), 0..=NOW, 1_000..=SECOND], 0..=5);
    (0..=5_u8, numbers, collection::vec(0..3_u8, 0..=130)).prop_map(|(kind, numbers, id)| {
        let numbers = numbers.into_iter().flat_map(u64::to_le_bytes);
        [kind].into_iter().chain(numbers).chain(id).collect()
    })
}

proptest! {
    #[test]
    fn a_replica_of_holds_equals_its_primary_to_the_bit(
        start in start(), ids in ids(), steps in steps(60), events in events(),
        places in collection::vec(places(), 1..4)
    ) {
        let (mut primary, mut replica) = (HoldKey::fresh(), Holds::default());
        let (mut reading, mut last) = (start, None);
        for ((step, event), places) in steps.iter().zip(&events).zip(places.iter().cycle()) {
            let back = |share: u64| (places.lease / 64 * share).min(reading);
            match *event {
                Event::Nothing => {}
                Event::Restart(share) => {
                    reading -= back(share);
                    primary.restart(reading);
                }
                Event::Reload { primary: true } => primary.state = reloaded(&primary.state),
                Event::Reload { primary: false } => replica = reloaded(&replica),
                Event::StepBack(share) => reading -= back(share),
            }
            let before = encoded(&primary.state);
            if let Some(effect) = taken(&mut primary, &mut reading, &mut last, step, places, &ids) {
                prop_assert!(effect.len() <= 41 + 128);
                for _ in 0..2 {
                    replica.apply_effect(Holds::decode_effect(&effect).unwrap());
                    prop_assert_eq!(encoded(&replica), encoded(&primary.state), "{:?}", effect);
                }
            } else {
                prop_assert_eq!(before, encoded(&primary.state));
            }
            prop_assert_eq!(&replica, &primary.state);
            // What a rewrite or a full synchronization would send.
            if !primary.state.is_empty() {
                let mut rewritten = Holds::default();
                rewritten.apply_effect(Holds::decode_effect(&encoded(&primary.state)).unwrap());
                prop_assert_eq!(&rewritten, &primary.state);
            }
        }
    }

    /// A state decides as one with the same contents and another history.
    #[test]
    fn holds_decide_by_their_contents_alone(
        start in start(), ids in ids(), steps in steps(40), places in places(), cost in 1..=3_u64
    ) {
        let (mut key, mut reading, mut last) = (HoldKey::fresh(), start, None);
        for step in &steps {
            taken(&mut key, &mut reading, &mut last, step, &places, &ids);
            let other = HoldKey { state: reloaded(&key.state), clock: key.clock };
            for id in &ids {
                prop_assert_eq!(other.ask(reading, &places, Some(id), cost), key.ask(reading, &places, Some(id), cost));
            }
        }
    }

    #[test]
    fn any_payload_of_holds_is_refused_or_harmless(
        bytes in prop_oneof![any_state(), collection::vec(any::<u8>(), 0..=200)],
        effects in collection::vec(any_effect(), 0..8), ids in ids(), steps in steps(8), places in places()
    ) {
        let mut key = HoldKey::fresh();
        if let Some(state) = Holds::decode(&bytes) {
            prop_assert_eq!(encoded(&state), bytes);
            key.state = state;
            key.restart(NOW);
        }
        for effect in &effects {
            if let Some(effect) = Holds::decode_effect(effect) {
                let mut twice = key.state.clone();
                key.state.apply_effect(effect.clone());
                twice.apply_effect(effect.clone());
                twice.apply_effect(effect);
                prop_assert_eq!(&twice, &key.state);
                prop_assert_eq!(&reloaded(&key.state), &key.state);
            }
        }
        let (mut reading, mut last) = (NOW, None);
        for step in &steps {
            taken(&mut key, &mut reading, &mut last, step, &places, &ids);
            prop_assert_eq!(&reloaded(&key.state), &key.state);
        }
    }

    #[test]
    fn truncated_states_of_holds_are_refused_or_shorter(
        start in start(), ids in ids(), steps in steps(20), places in places()
    ) {
        let (mut key, mut reading, mut last) = (HoldKey::fresh(), start, None);
        for step in &steps {
            taken(&mut key, &mut reading, &mut last, step, &places, &ids);
        }
        let bytes = encoded(&key.state);
        for len in 0..bytes.len() {
            if let Some(state) = Holds::decode(&bytes[..len]) {
                prop_assert_eq!(encoded(&state), &bytes[..len]);
            }
            Holds::decode_effect(&bytes[..len]);
        }
    }
}

#[test]
fn holds_are_stored_as_documented() {
    let places = Places { quota: 10, lease: SECOND };
    let mut key = HoldKey::fresh();
    for (at, id, units) in [(NOW, "late", 1), (NOW + 1, "b", 2), (NOW + 1, "a", 3), (NOW + 2, "late", 4)] {
        let (_, change) = key.call_with_change(at, &places, id.as_bytes(), units);
        let numbers = [at, SECOND, units].map(u64::to_le_bytes).concat();
        assert_eq!(effect(&key.state, &change.unwrap()), [&[1], &*numbers, id.as_bytes()].concat());
    }
    let expected = bytes_of([(NOW + 1, SECOND, 3, "a"), (NOW + 1, SECOND, 2, "b"), (NOW + 2, SECOND, 4, "late")]);
    assert_eq!(encoded(&key.state), expected);

    // The clock has stepped back by a second, and the latest lease began in the future.
    key.restart(NOW + 2 - SECOND);
    let (_, _, change) = key.release(NOW + 10 - SECOND, b"a").unwrap();
    let numbers = [NOW + 10 - SECOND, NOW + 2 - SECOND, SECOND].map(u64::to_le_bytes).concat();
    assert_eq!(effect(&key.state, &change), [&[4], &*numbers, b"a"].concat());
    let expected = bytes_of([(NOW + 1 - SECOND, SECOND, 2, "b"), (NOW + 2 - SECOND, SECOND, 4, "late")]);
    assert_eq!(encoded(&key.state), expected);
}

#[test]
fn an_effect_of_a_hold_is_at_most_60_bytes_with_an_id_of_16() {
    let places = Places { quota: MAX_UNITS, lease: MAX_TIME };
    let mut key = HoldKey::fresh();
    for id in (0..1_000_u128).map(u128::to_le_bytes) {
        let (_, change) = key.call_with_change(NOW, &places, &id, 1_000_000);
        assert_eq!(effect(&key.state, &change.unwrap()).len(), 41);
    }
    key.restart(NOW - SECOND);
    let id = [7; 16];
    let (_, change) = key.call_with_change(NOW - SECOND, &places, &id, 1_000_000);
    assert_eq!(effect(&key.state, &change.unwrap()).len(), 57);
    assert_eq!(key.state.latest_stamp(), Timestamp::from_micros(NOW - SECOND));
}

#[test]
fn states_of_holds_out_of_range_are_refused() {
    let long = [7; 129];
    let many = |len: u64| bytes_of((0..len).map(|holder| (NOW, SECOND, 1, holder.to_be_bytes())));
    for (bytes, readable) in [
        (bytes_of([(0, 1_000, 1, "a")]), true),
        (bytes_of([(LAST_MOMENT, MAX_TIME, MAX_UNITS, "a")]), true),
        (bytes_of([(LAST_MOMENT + 1, SECOND, 1, "a")]), false),
        (bytes_of([(NOW, 999, 1, "a")]), false),
        (bytes_of([(NOW, MAX_TIME + 1, 1, "a")]), false),
        (bytes_of([(NOW, SECOND, 0, "a")]), false),
        (bytes_of([(NOW, SECOND, MAX_UNITS + 1, "a")]), false),
        (bytes_of([(NOW, SECOND, 1, "")]), false),
        (bytes_of([(NOW, SECOND, 1, &long[..128])]), true),
        (bytes_of([(NOW, SECOND, 1, &long)]), false),
        (bytes_of([(NOW, SECOND, 1, "a"), (NOW, SECOND, 1, "b")]), true),
        (bytes_of([(NOW, SECOND, 1, "b"), (NOW, SECOND, 1, "a")]), false),
        (bytes_of([(NOW + 1, SECOND, 1, "a"), (NOW, SECOND + 1, 1, "b")]), true),
        (bytes_of([(NOW + 1, SECOND, 1, "a"), (NOW, SECOND, 1, "b")]), false),
        (bytes_of([(NOW, SECOND, 1, "a"), (NOW, SECOND, 1, "a")]), false),
        (bytes_of([(NOW, SECOND, 1, "a"), (NOW, SECOND + 1, 1, "a")]), false),
        (many(0), false),
        (many(65_536), true),
        (many(65_537), false),
        (vec![], false),
        ([many(1), vec![0]].concat(), false),
        ([vec![1], many(1)[1..].to_vec()].concat(), false),
    ] {
        assert_eq!(Holds::decode(&bytes).is_some(), readable, "{:?}", &bytes[..bytes.len().min(80)]);
    }
}

#[test]
fn effects_of_holds_out_of_range_are_refused() {
    let effect = |kind: u8, numbers: &[u64], id: &[u8]| {
        let numbers: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        [&[kind], &*numbers, id].concat()
    };
    let long = [7; 129];
    for (bytes, readable) in [
        (effect(1, &[NOW, SECOND, 1], b"a"), true),
        (effect(1, &[LAST_MOMENT, MAX_TIME, MAX_UNITS], &long[..128]), true),
        (effect(1, &[NOW, SECOND, 1], b""), false),
        (effect(1, &[NOW, SECOND, 1], &long), false),
        (effect(1, &[LAST_MOMENT + 1, SECOND, 1], b"a"), false),
        (effect(1, &[NOW, 999, 1], b"a"), false),
        (effect(1, &[NOW, MAX_TIME + 1, 1], b"a"), false),
        (effect(1, &[NOW, SECOND, 0], b"a"), false),
        (effect(1, &[NOW, SECOND, MAX_UNITS + 1], b"a"), false),
        (effect(2, &[NOW], b"a"), true),
        (effect(2, &[NOW], b""), false),
        (effect(3, &[NOW, NOW, SECOND, SECOND, 1], b"a"), true),
        (effect(3, &[NOW, NOW + 1, SECOND, SECOND, 1], b"a"), false),
        (effect(4, &[NOW, 0, u64::MAX], b"a"), true),
        (effect(5, &[NOW], b"a"), false),
        (vec![], false),
    ] {
        assert_eq!(Holds::decode_effect(&bytes).is_some(), readable, "{bytes:?}");
    }
}

/// A replica applies what it receives, even if it holds what its primary does not.
#[test]
fn an_effect_on_a_full_replica_makes_room() {
    let mut replica =
        Holds::decode(&bytes_of((0..65_536_u64).map(|holder| (NOW, SECOND, 1, holder.to_be_bytes())))).unwrap();
    let mut primary = HoldKey::fresh();
    let places = Places { quota: 1, lease: SECOND };
    let (_, change) = primary.call_with_change(NOW, &places, b"new", 1);
    replica.apply_effect(Holds::decode_effect(&effect(&primary.state, &change.unwrap())).unwrap());
    assert_eq!(reloaded(&replica), replica);
    assert_eq!(encoded(&replica).len(), 1 + 65_535 * 33 + 28);
}
