//! A clock that steps back mints nothing, and nobody waits longer than a full key would make them wait.

use premier_algorithms::{Clock, Fixed, Leaky, Now, Sliding, Span, State, Timestamp, Token};
use proptest::collection;
use proptest::prelude::*;

use crate::model::Limits;
use crate::never_too_much::{
    Admitted, leaky_never_admits_too_much, sliding_never_admits_too_much, token_never_lets_too_much_go_ahead,
};
use crate::scenario::{Key, Subject, encoded, small_limits};

const NOW: u64 = 1_800_000_000_000_000;
const SECOND: u64 = 1_000_000;
const HOUR: u64 = 3_600 * SECOND;

/// What happens to the clock between two calls, in 64ths of a duration.
#[derive(Debug, Clone, Copy)]
enum Step {
    Forward(u64),
    Back(u64),
}

fn steps() -> impl Strategy<Value = Vec<(Step, u64)>> {
    let step = prop_oneof![
        6 => (0..=32_u64).prop_map(Step::Forward),
        1 => (1..=200_u64).prop_map(Step::Back),
    ];
    collection::vec((step, 1..=3_u64), 1..60)
}

/// How long a window of a key counts is seen from its replies: one that leaves the rest of a quota opened a window. None opens
/// before the last is over, and no more than a quota is admitted in it.
fn no_window_ends_early(calls: &[Admitted], openings: &[bool], limits: &Limits) -> Result<(), TestCaseError> {
    let (mut opened, mut used) = (None, 0);
    for (call, opens) in calls.iter().zip(openings) {
        if *opens {
            prop_assert!(
                opened.is_none_or(|opened| call.at - opened >= limits.duration),
                "opened at {opened:?}, {call:?}"
            );
            (opened, used) = (Some(call.at), 0);
        }
        used += call.units;
        prop_assert!(used <= limits.quota, "{used} since {opened:?}, {call:?}");
    }
    Ok(())
}

/// Calls at these steps, each with whether it found the key as good as new. `at` is what went by in truth: a step back takes
/// none of it away.
fn admitted<A: Subject>(steps: &[(Step, u64)], limits: &Limits) -> Result<Vec<(Admitted, bool)>, TestCaseError> {
    let mut key = Key::<A>::fresh();
    let (mut reading, mut elapsed) = (NOW, 0);
    let mut admitted = Vec::new();
    for (step, units) in steps {
        match step {
            Step::Forward(share) => {
                let micros = (limits.duration * share).div_ceil(64);
                reading += micros;
                elapsed += micros;
            }
            Step::Back(share) => reading = reading.saturating_sub(limits.duration * share / 64),
        }
        let units = (*units).min(A::full(limits));
        let reply = key.call(reading, limits, units);
        if let Some(wait) = reply.wait() {
            let fresh = reply.remaining == reply.limit - units;
            admitted.push((Admitted { at: elapsed, wait, units }, fresh));
        } else {
            let full = wait_of_a_full_key::<A>(reading, limits, units);
            prop_assert!(reply.retry() <= Some(full), "waits {:?}, a full key {}", reply.retry(), full);
        }
    }
    Ok(admitted)
}

fn calls_of<A: Subject>(steps: &[(Step, u64)], limits: &Limits) -> Result<Vec<Admitted>, TestCaseError> {
    Ok(admitted::<A>(steps, limits)?.into_iter().map(|(call, _)| call).collect())
}

fn wait_of_a_full_key<A: Subject>(reading: u64, limits: &Limits, units: u64) -> u64 {
    let mut full = Key::<A>::fresh();
    assert!(full.call(reading, limits, A::full(limits)).is_admitted());
    full.call(reading, limits, units).retry().unwrap()
}

proptest! {
    #[test]
    fn a_clock_that_steps_back_mints_nothing_in_a_fixed_window(steps in steps(), limits in small_limits()) {
        let (calls, openings): (Vec<_>, Vec<_>) = admitted::<Fixed>(&steps, &limits)?.into_iter().unzip();
        no_window_ends_early(&calls, &openings, &limits)?;
    }

    #[test]
    fn a_clock_that_steps_back_mints_nothing_in_a_sliding_window(steps in steps(), limits in small_limits()) {
        sliding_never_admits_too_much(&calls_of::<Sliding>(&steps, &limits)?, &limits)?;
    }

    #[test]
    fn a_clock_that_steps_back_mints_no_tokens(steps in steps(), limits in small_limits()) {
        token_never_lets_too_much_go_ahead(&calls_of::<Token>(&steps, &limits)?, &limits)?;
    }

    #[test]
    fn a_clock_that_steps_back_mints_no_place_in_a_leaky_bucket(steps in steps(), limits in small_limits()) {
        leaky_never_admits_too_much(&calls_of::<Leaky>(&steps, &limits)?, &limits)?;
    }

    #[test]
    fn the_wait_is_true_after_a_clock_stepped_back(
        forward in 0..=64_u64, back in 1..=300_u64, on in 0..=64_u64, limits in small_limits()
    ) {
        the_wait_is_true_after_a_step_back::<Fixed>([forward, back, on], &limits)?;
        the_wait_is_true_after_a_step_back::<Sliding>([forward, back, on], &limits)?;
        the_wait_is_true_after_a_step_back::<Token>([forward, back, on], &limits)?;
        the_wait_is_true_after_a_step_back::<Leaky>([forward, back, on], &limits)?;
    }

    #[test]
    fn the_wait_told_before_a_clock_stepped_back_is_true(
        on in 0..=64_u64, back in 1..=300_u64, limits in small_limits()
    ) {
        the_wait_told_before_a_step_back_is_true::<Fixed>(on, back, &limits)?;
        the_wait_told_before_a_step_back_is_true::<Sliding>(on, back, &limits)?;
        the_wait_told_before_a_step_back_is_true::<Token>(on, back, &limits)?;
        the_wait_told_before_a_step_back_is_true::<Leaky>(on, back, &limits)?;
    }

    #[test]
    fn a_key_expires_on_the_clock_that_was_read_however_often_it_steps(
        readings in collection::vec(NOW - HOUR..=NOW + HOUR, 1..20), span in 0..=HOUR
    ) {
        let mut clock = Clock::new();
        for reading in readings {
            let now = clock.read(Timestamp::from_micros(reading));
            prop_assert_eq!(now.millis_after(Span::from_micros(span)), (reading + span).div_ceil(1_000));
        }
    }

    #[test]
    fn a_key_from_a_server_whose_clock_is_ahead_makes_wait_that_much_longer_at_most(
        ahead in 0..=300_u64, on in 0..=64_u64, limits in small_limits()
    ) {
        a_key_from_ahead_makes_wait_little_longer::<Fixed>(ahead, on, &limits)?;
        a_key_from_ahead_makes_wait_little_longer::<Sliding>(ahead, on, &limits)?;
        a_key_from_ahead_makes_wait_little_longer::<Token>(ahead, on, &limits)?;
        a_key_from_ahead_makes_wait_little_longer::<Leaky>(ahead, on, &limits)?;
    }

    #[test]
    fn a_key_from_a_server_whose_clock_is_ahead_mints_nothing(
        ahead in 0..=64_u64, pauses in collection::vec(0..=64_u64, 1..4), limits in small_limits()
    ) {
        a_key_from_ahead_mints_nothing::<Token>(ahead, &pauses, &limits)?;
        a_key_from_ahead_mints_nothing::<Leaky>(ahead, &pauses, &limits)?;
    }
}

/// Whoever is limited now is admitted after the wait, which is that of a full key at most.
fn is_admitted_after_the_wait<A: Subject>(
    key: &mut Key<A>,
    reading: u64,
    limits: &Limits,
    units: u64,
) -> Result<(), TestCaseError> {
    let reply = key.call(reading, limits, units);
    if let Some(wait) = reply.retry() {
        prop_assert!(wait <= wait_of_a_full_key::<A>(reading, limits, units));
        // A server's clock is read all the time, not only when the wait is over.
        key.clock.read(Timestamp::from_micros(reading + wait / 2));
        let reply = key.call(reading + wait, limits, units);
        prop_assert!(reply.is_admitted(), "waited for {wait} µs from {reading} on and is told {reply:?}");
    }
    Ok(())
}

/// Whoever is limited now and waits as told, and once more if told so, waits no longer than a full key would make them, and
/// as long as the other server's clock was ahead. Once this clock has come to that moment, nothing tells the two apart.
fn waits_as_long_as_the_clock_was_ahead_at_most<A: Subject>(
    key: &mut Key<A>,
    reading: u64,
    limits: &Limits,
    ahead: u64,
) -> Result<(), TestCaseError> {
    let full = wait_of_a_full_key::<A>(reading, limits, 1);
    // It may have been filled just now in truth: no earlier is anything left of it.
    let Some(first) = key.call(reading, limits, 1).retry() else {
        prop_assert!(reading >= NOW + full, "is admitted {} µs early", NOW + full - reading);
        return Ok(());
    };
    prop_assert!(first <= full);
    let Some(second) = key.call(reading + first, limits, 1).retry() else {
        prop_assert!(reading + first >= NOW + full, "is admitted {} µs early", NOW + full - reading - first);
        return Ok(());
    };
    prop_assert!(first + second <= full + ahead, "waits {first} µs, then {second} µs more");
    prop_assert!(key.call(reading + first + second, limits, 1).is_admitted());
    Ok(())
}

/// A key is filled in two calls so far apart, the clock steps back and goes on, each by so many 64ths of a duration.
fn the_wait_is_true_after_a_step_back<A: Subject>(
    [forward, back, on]: [u64; 3],
    limits: &Limits,
) -> Result<(), TestCaseError> {
    let share = |share| limits.duration * share / 64;
    let mut key = Key::<A>::fresh();
    let mut reading = NOW;
    let units = A::full(limits);
    let first = units / 2;
    if first > 0 {
        prop_assert!(key.call(reading, limits, first).is_admitted());
    }
    reading += share(forward);
    key.call(reading, limits, units - first);
    reading = reading.saturating_sub(share(back));
    key.clock.read(Timestamp::from_micros(reading));
    reading += share(on);
    is_admitted_after_the_wait(&mut key, reading, limits, 1)
}

/// A full key tells a wait, of which so many 64ths have gone by when the clock steps back so many 64ths of a duration.
fn the_wait_told_before_a_step_back_is_true<A: Subject>(
    on: u64,
    back: u64,
    limits: &Limits,
) -> Result<(), TestCaseError> {
    let mut key = Key::<A>::fresh();
    prop_assert!(key.call(NOW, limits, A::full(limits)).is_admitted());
    let wait = key.call(NOW, limits, 1).retry().unwrap();
    let waited = wait * on / 64;
    let back = (limits.duration * back / 64).min(NOW);
    key.clock.read(Timestamp::from_micros(NOW + waited));
    key.clock.read(Timestamp::from_micros(NOW + waited - back));
    let end = NOW + wait - back;
    if waited < wait {
        prop_assert!(!key.ask(end - 1, limits, 1).is_admitted(), "is admitted before {wait} µs have gone by");
    }
    prop_assert!(key.ask(end, limits, 1).is_admitted(), "is limited when {wait} µs have gone by");
    Ok(())
}

/// Takes a key as it comes from another server, by replication or at a restart.
fn taken_over<A: Subject>(key: &Key<A>, mut clock: Clock) -> Key<A> {
    let state = A::State::decode(&encoded(&key.state)).unwrap();
    clock.see(state.latest_stamp());
    Key { state, clock }
}

fn a_key_from_ahead_makes_wait_little_longer<A: Subject>(
    ahead: u64,
    on: u64,
    limits: &Limits,
) -> Result<(), TestCaseError> {
    let mut there = Key::<A>::fresh();
    prop_assert!(there.call(NOW + limits.duration * ahead / 64, limits, A::full(limits)).is_admitted());
    // One server was just started, the other has been running for an hour.
    let mut running = Clock::new();
    running.read(Timestamp::from_micros(NOW.saturating_sub(HOUR)));
    for clock in [Clock::new(), running] {
        let mut here = taken_over(&there, clock);
        here.clock.read(Timestamp::from_micros(NOW));
        let (reading, ahead) = (NOW + limits.duration * on / 64, limits.duration * ahead / 64);
        waits_as_long_as_the_clock_was_ahead_at_most(&mut here, reading, limits, ahead)?;
    }
    Ok(())
}

/// A bucket is filled by calls so far apart; this server has been running for a hundred periods when it takes it over, while
/// its clock says nearly the moment that is kept.
fn a_key_from_ahead_mints_nothing<A: Subject>(
    ahead: u64,
    pauses: &[u64],
    limits: &Limits,
) -> Result<(), TestCaseError> {
    // A call that is limited in any case tells what there is.
    let too_much = A::full(limits) + 1;
    let mut there = Key::<A>::fresh();
    let mut reading = NOW + ahead;
    for pause in pauses {
        reading += limits.duration * pause / 64;
        let remaining = there.ask(reading, limits, too_much).remaining;
        if remaining > 0 {
            there.call(reading, limits, remaining);
        }
    }
    let stamp = there.state.latest_stamp().as_micros();
    for now in stamp.saturating_sub(2)..=(stamp + 2).min(reading) {
        let mut running = Clock::new();
        running.read(Timestamp::from_micros(now.saturating_sub(100 * limits.duration)));
        let here = taken_over(&there, running);
        let [here, there] = [here.ask(now, limits, too_much), there.ask(reading, limits, too_much)];
        prop_assert!(here.remaining <= there.remaining, "{here:?} at {now}, {there:?} at {reading}");
    }
    Ok(())
}

fn a_full_key_is_limited_until_the_wait_is_over<A: Subject>(back: u64) {
    let limits = Limits::new(5, 60 * SECOND);
    let mut key = Key::<A>::fresh();
    assert!(key.call(NOW, &limits, 5).is_admitted());
    let mut reading = NOW - back;
    let wait = key.call(reading, &limits, 5).retry().unwrap();
    assert!(wait <= 60 * SECOND, "a full key makes nobody wait longer");
    let end = reading + wait;
    while reading + SECOND < end {
        reading += SECOND;
        // A second reading of the same moment is no step back.
        for _ in 0..2 {
            assert_eq!(key.call(reading, &limits, 5).retry(), Some(end - reading));
        }
    }
    assert!(key.call(end, &limits, 5).is_admitted());
}

fn a_full_key_is_limited_until_the_wait_is_over_in_all(back: u64) {
    a_full_key_is_limited_until_the_wait_is_over::<Fixed>(back);
    a_full_key_is_limited_until_the_wait_is_over::<Sliding>(back);
    a_full_key_is_limited_until_the_wait_is_over::<Token>(back);
    a_full_key_is_limited_until_the_wait_is_over::<Leaky>(back);
}

#[test]
fn after_a_step_back_of_an_hour_a_full_key_is_limited_until_the_wait_is_over() {
    a_full_key_is_limited_until_the_wait_is_over_in_all(HOUR);
}

#[test]
fn after_a_step_back_of_a_second_a_full_key_is_limited_until_the_wait_is_over() {
    a_full_key_is_limited_until_the_wait_is_over_in_all(SECOND);
}

fn a_key_from_an_hour_ahead_is_limited_until_the_wait_is_over<A: Subject>() {
    let limits = Limits::new(5, 60 * SECOND);
    let mut there = Key::<A>::fresh();
    assert!(there.call(NOW + HOUR, &limits, 5).is_admitted());
    let mut running = Clock::new();
    running.read(Timestamp::from_micros(NOW - HOUR));
    let mut ahead = running;
    ahead.read(Timestamp::from_micros(NOW - SECOND));
    // What was seen before does not undo what is seen after, nor the other way round.
    ahead.see(Timestamp::from_micros(NOW + 2 * HOUR));
    for clock in [Clock::new(), running, ahead] {
        let mut here = taken_over(&there, clock);
        here.clock.see(Timestamp::from_micros(NOW - HOUR));
        assert_eq!(here.call(NOW, &limits, 5).retry(), Some(60 * SECOND));
        assert_eq!(here.call(NOW + SECOND, &limits, 5).retry(), Some(59 * SECOND));
        assert!(here.call(NOW + 60 * SECOND, &limits, 5).is_admitted());
    }
    // Nothing is known of the time before a clock is first read, not even that it was behind.
    let mut here = Key::<A> { state: there.state, clock: Clock::new() };
    assert_eq!(here.call(NOW, &limits, 5).retry(), Some(60 * SECOND));
    assert!(here.call(NOW + 60 * SECOND, &limits, 5).is_admitted());
}

#[test]
fn a_key_from_a_server_an_hour_ahead_is_limited_until_the_wait_is_over() {
    a_key_from_an_hour_ahead_is_limited_until_the_wait_is_over::<Fixed>();
    a_key_from_an_hour_ahead_is_limited_until_the_wait_is_over::<Sliding>();
    a_key_from_an_hour_ahead_is_limited_until_the_wait_is_over::<Token>();
    a_key_from_an_hour_ahead_is_limited_until_the_wait_is_over::<Leaky>();
}

/// Between two of the stamps in a log, the later one stands for the moment of the step, which is before the earlier one.
#[test]
fn a_log_read_between_its_stamps_after_a_step_back_can_be_stored() {
    let limits = Limits::new(5, 60 * SECOND);
    let mut key = Key::<Sliding>::fresh();
    for at in [0, 10, 20] {
        assert!(key.call(NOW + at * SECOND, &limits, 1).is_admitted());
    }
    key.clock.read(Timestamp::from_micros(NOW - SECOND));
    assert!(key.call(NOW + 15 * SECOND, &limits, 1).is_admitted());
    let mut stored = taken_over(&key, key.clock);
    assert_eq!(stored.call(NOW + 15 * SECOND, &limits, 2).remaining, 1);
    assert_eq!(stored.state, key.state);
}

/// A step back moves the time that goes by, and not the expiry, which the server compares with what its clock says.
#[test]
fn a_key_expires_on_the_clock_that_was_read() {
    let mut clock = Clock::new();
    clock.read(Timestamp::from_micros(NOW + HOUR));
    let now = clock.read(Timestamp::from_micros(NOW));
    assert_eq!(now.at(), Timestamp::from_micros(NOW + HOUR));
    assert_eq!(now.millis_after(Span::from_secs(1)), NOW / 1_000 + 1_000);
}

/// As is what another program wrote of a moment to come, on the same clock.
#[test]
fn a_moment_that_was_written_down_is_as_far_away_as_the_clock_that_was_read_says() {
    let mut clock = Clock::new();
    let until = |now: Now, micros| now.until(Span::from_micros(micros)).as_micros();
    let now = clock.read(Timestamp::from_micros(NOW + HOUR));
    assert_eq!(until(now, NOW + HOUR + 1), 1);
    assert_eq!(until(now, NOW + HOUR), 0);
    assert_eq!(until(now, NOW), 0, "it is over");
    for reading in [NOW, NOW + SECOND] {
        let now = clock.read(Timestamp::from_micros(reading));
        assert!(now.at() >= Timestamp::from_micros(NOW + HOUR));
        assert_eq!(until(now, NOW + HOUR), NOW + HOUR - reading);
        assert_eq!(until(now, reading), 0);
        assert_eq!(until(now, reading + 1), 1);
        assert_eq!(until(now, 0), 0);
        assert_eq!(until(now, u64::MAX), u64::MAX - reading);
    }
}
