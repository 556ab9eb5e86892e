//! What `Hold` promises: every reply is exact, nobody frees or takes the place of another, and the
//! clock and the number of holders have their bounds.

use premier_algorithms::{Full, Hold, Holds, MAX_HOLDERS, State, Timestamp};
use proptest::collection;
use proptest::prelude::*;

use crate::model::{HolderList, Reply};
use crate::scenario::hold::{Action, HoldKey, Pause, Places, Step, bytes_of, ids, places, steps};
use crate::scenario::{duration, encoded, start};

const LAST_MOMENT: u64 = (1 << 54) - 1;
const NOW: u64 = 1_800_000_000_000_000;
const SECOND: u64 = 1_000_000;

/// A scenario that is played on a key and on its model.
struct Play {
    key: HoldKey,
    model: HolderList,
    now: u64,
    last: Option<Reply>,
}

impl Play {
    fn new(start: u64) -> Self {
        Self { key: HoldKey::fresh(), model: HolderList::default(), now: start, last: None }
    }

    fn pause(&mut self, pause: Pause, lease: u64) {
        let then = self.now.saturating_add(pause.after(self.last.as_ref(), lease));
        if then <= LAST_MOMENT {
            self.now = then;
        }
    }

    /// Takes a step, and checks every field of the reply.
    fn take(&mut self, step: &Step, places: &Places, ids: &[Vec<u8>]) -> Result<(), TestCaseError> {
        let Places { quota, lease } = *places;
        self.pause(step.pause, lease);
        let now = self.now;
        match step.action {
            Action::Call { holder, cost } => {
                let (id, cost) = (&ids[holder], cost.of(quota));
                let expected = self.model.reply(now, quota, lease, Some(id), cost);
                let reply = self.key.call(now, places, id, cost);
                prop_assert_eq!(reply, expected, "at {} for {} of {:?}", now, cost, places);
                if reply.is_admitted() {
                    self.model.admit(now, lease, id, cost);
                }
                self.last = Some(reply);
            }
            Action::Release { holder } => {
                let units = self.model.release(now, &ids[holder]);
                let expected = (units > 0).then(|| (units, self.model.reset(now)));
                let released = self.key.release(now, &ids[holder]).map(|(units, reset, _)| (units, reset));
                prop_assert_eq!(released, expected);
            }
        }
        Ok(())
    }
}

/// Checks the wait of a limited call: the caller is admitted after it, and not before.
fn is_accurate(play: &Play, places: &Places, holder: Option<&[u8]>, cost: u64) -> Result<(), TestCaseError> {
    let Some(wait) = play.key.wait(play.now, places, holder, cost) else {
        prop_assert!(cost > places.quota || places.quota == 0);
        return Ok(());
    };
    let then = play.now + wait;
    if wait > 0 && then <= LAST_MOMENT {
        prop_assert!(!play.key.ask(then - 1, places, holder, cost).is_admitted(), "admitted before {then}");
        prop_assert!(play.key.ask(then, places, holder, cost).is_admitted(), "limited at {then}");
    }
    Ok(())
}

/// How the clock moves between two calls, in 64ths of a lease.
#[derive(Debug, Clone, Copy)]
enum Tick {
    Forward(u64),
    Back(u64),
}

fn ticks() -> impl Strategy<Value = Vec<(Tick, usize, u64)>> {
    let tick = prop_oneof![6 => (0..=32_u64).prop_map(Tick::Forward), 1 => (1..=200_u64).prop_map(Tick::Back)];
    collection::vec((tick, 0..8_usize, 1..=3_u64), 1..60)
}

/// Quotas that a test can use up call by call.
fn few_places() -> impl Strategy<Value = Places> {
    (1..=12_u64, duration()).prop_map(|(quota, lease)| Places { quota, lease })
}

proptest! {
    /// Quotas and leases change from call to call.
    #[test]
    fn hold_answers_exactly(
        start in start(), ids in ids(), steps in steps(60), places in collection::vec(places(), 1..4)
    ) {
        let mut play = Play::new(start);
        for (step, places) in steps.iter().zip(places.iter().cycle()) {
            play.take(step, places, &ids)?;
        }
    }

    #[test]
    fn previewed_holds_answer_exactly(
        start in start(), ids in ids(), steps in steps(40), places in collection::vec(places(), 1..4), cost in 0..=5_u64
    ) {
        let mut play = Play::new(start);
        for (step, places) in steps.iter().zip(places.iter().cycle()) {
            play.take(step, places, &ids)?;
            let Places { quota, lease } = *places;
            for id in ids.iter().map(|id| Some(&**id)).chain([None]) {
                let expected = play.model.reply(play.now, quota, lease, id, cost);
                prop_assert_eq!(play.key.ask(play.now, places, id, cost), expected);
            }
            prop_assert_eq!(play.key.count(play.now), play.model.count(play.now));
            prop_assert_eq!(play.key.used(play.now), play.model.held(play.now));
        }
    }

    #[test]
    fn never_more_than_the_quota_is_held(start in start(), ids in ids(), steps in steps(60), places in places()) {
        let mut play = Play::new(start);
        for step in &steps {
            play.take(step, &places, &ids)?;
            prop_assert!(play.model.held(play.now) <= places.quota);
        }
    }

    #[test]
    fn the_wait_for_a_place_is_accurate(
        start in start(), ids in ids(), steps in steps(40), places in collection::vec(places(), 1..4), cost in 1..=5_u64
    ) {
        let mut play = Play::new(start);
        for (step, places) in steps.iter().zip(places.iter().cycle()) {
            play.take(step, places, &ids)?;
            for id in ids.iter().map(|id| Some(&**id)).chain([None]) {
                is_accurate(&play, places, id, cost)?;
            }
        }
    }

    #[test]
    fn a_repeated_call_changes_nothing(start in start(), ids in ids(), steps in steps(40), places in places()) {
        let mut play = Play::new(start);
        for step in &steps {
            play.take(step, &places, &ids)?;
            let state = encoded(&play.key.state);
            if let Action::Call { holder, cost } = step.action && play.last.is_some_and(|last| last.is_admitted()) {
                let repeated = play.key.call(play.now, &places, &ids[holder], cost.of(places.quota));
                prop_assert_eq!(Some(repeated), play.last);
            }
            if let Action::Release { holder } = step.action {
                prop_assert_eq!(play.key.release(play.now, &ids[holder]).map(|(units, _, _)| units), None);
            }
            prop_assert_eq!(encoded(&play.key.state), state);
        }
    }

    /// Within one run of a server. A place is free when its lease has really passed, not earlier
    /// and not later.
    #[test]
    fn a_step_back_frees_no_place_and_holds_none(ticks in ticks(), ids in ids(), places in few_places()) {
        let (mut key, mut model) = (HoldKey::fresh(), HolderList::default());
        let (mut reading, mut elapsed) = (NOW, NOW);
        for (tick, holder, cost) in ticks {
            match tick {
                Tick::Forward(share) => {
                    reading += places.lease * share / 64;
                    elapsed += places.lease * share / 64;
                }
                Tick::Back(share) => reading = reading.saturating_sub(places.lease * share / 64),
            }
            let expected = model.reply(elapsed, places.quota, places.lease, Some(&ids[holder]), cost);
            prop_assert_eq!(key.call(reading, &places, &ids[holder], cost), expected);
            if expected.is_admitted() {
                model.admit(elapsed, places.lease, &ids[holder], cost);
            }
        }
    }

    /// With a restart, after which leases may begin in the future. No place is free earlier than it
    /// should, and no wait is longer than a lease. If the clock reaches the beginning of a lease
    /// before a call is admitted, the place is held for as much longer as the clock stepped back.
    #[test]
    fn a_restart_frees_no_place_and_holds_none_for_long(
        back in 0..=300_u64, before in steps(20), ids in ids(), places in few_places(), fewer in 0..=2_u64
    ) {
        let mut play = Play::new(NOW);
        for step in &before {
            play.take(step, &places, &ids)?;
        }
        let share = |share: u64| places.lease * share / 64;
        let Play { mut key, model, now, .. } = play;
        let back_by = share(back).min(now);
        let restart = now - back_by;
        key.restart(restart);
        let places = Places { quota: places.quota.saturating_sub(fewer).max(1), ..places };
        for elapsed in (0..=64).map(share) {
            let wait = key.ask(restart + elapsed, &places, None, 1).retry().unwrap_or(0);
            let exact = model.reply(now + elapsed, places.quota, places.lease, None, 1).retry().unwrap_or(0);
            prop_assert!(wait >= exact, "freed {} µs early, {elapsed} µs after the restart", exact - wait);
            prop_assert!(wait <= places.lease);
            let latest = places.lease + back_by;
            prop_assert!(wait == 0 || wait + elapsed <= latest, "{wait} µs, {elapsed} µs after the restart");
        }
        // A call that is admitted writes down when the leases began.
        if ids.iter().any(|id| key.call(restart, &places, id, 1).is_admitted()) {
            for elapsed in (0..=64).map(share) {
                let wait = key.ask(restart + elapsed, &places, None, places.quota).retry().unwrap_or(0);
                prop_assert!(wait + elapsed <= places.lease, "{wait} µs, {elapsed} µs after the restart");
            }
        }
    }
}

/// A holder that died frees its place by itself, at the very microsecond.
#[test]
fn a_lease_ends_at_its_last_microsecond() {
    let places = Places { quota: 1, lease: SECOND };
    let mut key = HoldKey::fresh();
    assert!(key.call(NOW, &places, b"a", 1).is_admitted());
    assert_eq!(key.ask(NOW, &places, Some(b"b"), 1).retry(), Some(SECOND));
    assert!(!key.ask(NOW + SECOND - 1, &places, Some(b"b"), 1).is_admitted());
    assert!(key.call(NOW + SECOND, &places, b"b", 1).is_admitted());
    assert!(key.release(NOW + SECOND, b"a").is_none(), "it cannot free the place of another");
    assert_eq!(key.release(NOW + SECOND, b"b").map(|(units, reset, _)| (units, reset)), Some((1, 0)));
    assert!(key.state.is_empty());
}

/// The clock has stepped back by ten leases, and the server restarted. For a running server, see
/// above: there no place is held for longer at all.
#[test]
fn a_step_back_holds_a_place_for_one_lease_from_then() {
    let places = Places { quota: 2, lease: SECOND };
    let mut key = HoldKey::fresh();
    for holder in [b"a", b"b"] {
        assert!(key.call(NOW, &places, holder, 1).is_admitted());
    }
    for restarts in 1..=3 {
        let restart = NOW - 10 * restarts * SECOND;
        key.restart(restart);
        for elapsed in [0, 1, SECOND / 2, SECOND - 1] {
            assert_eq!(key.ask(restart + elapsed, &places, Some(b"c"), 2).retry(), Some(SECOND - elapsed));
        }
        // A release writes down when the other lease began.
        key.release(restart, b"b");
    }
    let restart = NOW - 30 * SECOND;
    assert!(key.call(restart + SECOND, &places, b"c", 2).is_admitted());
    assert_eq!(key.count(restart + SECOND), 1);
}

#[test]
fn the_most_holders_of_the_most_units_overflow_nothing() {
    let most = Places { quota: 1_000_000_000_000, lease: 3650 * 86_400 * SECOND };
    let holders = (0..MAX_HOLDERS as u64).map(|holder| (LAST_MOMENT, most.lease, most.quota, holder.to_be_bytes()));
    let mut key = HoldKey::fresh();
    key.state = Holds::decode(&bytes_of(holders)).unwrap();
    let reply = key.ask(LAST_MOMENT, &most, None, most.quota);
    assert_eq!((reply.remaining, reply.retry(), reply.reset), (0, Some(most.lease), most.lease));
    assert_eq!(key.used(LAST_MOMENT), 65_536 * most.quota);
    let (units, reset, _) = key.release(LAST_MOMENT, &7_u64.to_be_bytes()).unwrap();
    assert_eq!((units, reset), (most.quota, most.lease));
    assert_eq!(key.used(LAST_MOMENT), 65_535 * most.quota);
}

#[test]
fn a_key_has_at_most_65_536_holders() {
    let places = Places { quota: 100_000, lease: SECOND };
    let mut key = HoldKey::fresh();
    let room = |key: &HoldKey, reading: u64, holder: Option<&[u8]>| {
        let now = { key.clock }.read(Timestamp::from_micros(reading));
        Hold::check_room(&key.state, now, &places.limit(holder))
    };
    for holder in 0..65_536_u64 {
        assert_eq!(room(&key, NOW + holder, Some(&holder.to_le_bytes())), Ok(()));
        assert!(key.call(NOW + holder, &places, &holder.to_le_bytes(), 1).is_admitted());
    }
    assert_eq!(key.count(NOW + 65_535), 65_536);
    assert_eq!(room(&key, NOW + SECOND - 1, Some(b"one more")), Err(Full));
    assert_eq!(room(&key, NOW + SECOND - 1, None), Err(Full));
    assert_eq!(room(&key, NOW + SECOND - 1, Some(&7_u64.to_le_bytes())), Ok(()), "it is a holder already");
    assert_eq!(room(&key, NOW + SECOND, Some(b"one more")), Ok(()), "the first lease has ended");
    assert!(key.call(NOW + SECOND, &places, b"one more", 1).is_admitted());
    assert_eq!(key.count(NOW + SECOND), 65_536);
    assert_eq!(room(&key, NOW + SECOND, Some(b"and another")), Err(Full));
}
