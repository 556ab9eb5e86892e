//! A clock that steps back admits nothing extra, and nobody waits longer than for a full key.

use premier_algorithms::{
    Clock, Fixed, Leaky, Now, Refundable, Sliding, Span, State, SteadyClock, Timestamp, Token, Units,
};
use proptest::collection;
use proptest::prelude::*;

use crate::model::{FixedWindow, LeakyQueue, Limits, Model, SlidingLog, TokenBucket, rounded_up};
use crate::never_too_much::{
    Admitted, leaky_never_admits_too_much, sliding_never_admits_too_much, token_never_lets_too_much_go_ahead,
};
use crate::refunds::{Expiry, OF_A_BUCKET, OF_A_WINDOW, rounding};
use crate::scenario::{Key, Subject, encoded, small_limits};

const NOW: u64 = 1_800_000_000_000_000;
const SECOND: u64 = 1_000_000;
const HOUR: u64 = 3_600 * SECOND;

/// How the clock moves between two calls, in 64ths of a duration.
#[derive(Debug, Clone, Copy)]
enum Step {
    Forward(u64),
    Back(u64),
}

impl Step {
    /// Moves a reading of the clock, and with a step forward the time that has really passed.
    fn move_clock(self, limits: &Limits, reading: &mut u64, elapsed: &mut u64) {
        match self {
            Self::Forward(share) => {
                let micros = (limits.duration * share).div_ceil(64);
                *reading += micros;
                *elapsed += micros;
            }
            Self::Back(share) => *reading = reading.saturating_sub(limits.duration * share / 64),
        }
    }
}

fn steps() -> impl Strategy<Value = Vec<(Step, u64)>> {
    let step = prop_oneof![
        6 => (0..=32_u64).prop_map(Step::Forward),
        1 => (1..=200_u64).prop_map(Step::Back),
    ];
    collection::vec((step, 1..=3_u64), 1..60)
}

/// Checks that no window opens before the previous one is over, and that at most a quota is
/// admitted in each. A call that finds the key fully reset has opened a window.
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

/// Makes a call after each step, and returns each admitted one and whether it found the key fully
/// reset. `at` is the time that has really passed, which a step back does not reduce.
fn admitted<A: Subject>(steps: &[(Step, u64)], limits: &Limits) -> Result<Vec<(Admitted, bool)>, TestCaseError> {
    let mut key = Key::<A>::fresh();
    let (mut reading, mut elapsed) = (NOW, 0);
    let mut admitted = Vec::new();
    for (step, units) in steps {
        step.move_clock(limits, &mut reading, &mut elapsed);
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
    fn a_step_back_admits_nothing_extra_in_a_fixed_window(steps in steps(), limits in small_limits()) {
        let (calls, openings): (Vec<_>, Vec<_>) = admitted::<Fixed>(&steps, &limits)?.into_iter().unzip();
        no_window_ends_early(&calls, &openings, &limits)?;
    }

    #[test]
    fn a_step_back_admits_nothing_extra_in_a_sliding_window(steps in steps(), limits in small_limits()) {
        sliding_never_admits_too_much(&calls_of::<Sliding>(&steps, &limits)?, &limits)?;
    }

    #[test]
    fn a_step_back_adds_no_tokens(steps in steps(), limits in small_limits()) {
        token_never_lets_too_much_go_ahead(&calls_of::<Token>(&steps, &limits)?, &limits)?;
    }

    #[test]
    fn a_step_back_adds_no_place_in_a_leaky_bucket(steps in steps(), limits in small_limits()) {
        leaky_never_admits_too_much(&calls_of::<Leaky>(&steps, &limits)?, &limits)?;
    }

    #[test]
    fn aligned_windows_end_by_the_clock_that_was_read(steps in steps(), limits in small_limits()) {
        every_aligned_window_ends_by_the_clock_that_was_read(&steps, &limits.aligned())?;
    }

    #[test]
    fn a_refund_after_steps_gives_no_more_than_is_used(
        steps in steps(), on in 0..=64_u64, units in 1..=20_u64, limits in small_limits()
    ) {
        gives_no_more_than_is_used::<FixedWindow, Fixed>(&steps, [on, units], &limits, OF_A_WINDOW)?;
        gives_no_more_than_is_used::<SlidingLog, Sliding>(&steps, [on, units], &limits, OF_A_WINDOW)?;
        gives_no_more_than_is_used::<TokenBucket, Token>(&steps, [on, units], &limits, OF_A_BUCKET)?;
        gives_no_more_than_is_used::<LeakyQueue, Leaky>(&steps, [on, units], &limits, OF_A_BUCKET)?;
    }

    #[test]
    fn the_retry_after_is_accurate_after_a_step_back(
        forward in 0..=64_u64, back in 1..=300_u64, on in 0..=64_u64, limits in small_limits()
    ) {
        is_accurate_after_a_step_back::<Fixed>([forward, back, on], &limits)?;
        is_accurate_after_a_step_back::<Sliding>([forward, back, on], &limits)?;
        is_accurate_after_a_step_back::<Token>([forward, back, on], &limits)?;
        is_accurate_after_a_step_back::<Leaky>([forward, back, on], &limits)?;
    }

    #[test]
    fn a_step_back_keeps_an_earlier_retry_after_accurate(
        on in 0..=64_u64, back in 1..=300_u64, limits in small_limits()
    ) {
        an_earlier_retry_after_stays_accurate::<Fixed>(on, back, &limits)?;
        an_earlier_retry_after_stays_accurate::<Sliding>(on, back, &limits)?;
        an_earlier_retry_after_stays_accurate::<Token>(on, back, &limits)?;
        an_earlier_retry_after_stays_accurate::<Leaky>(on, back, &limits)?;
    }

    #[test]
    fn expiry_follows_the_readings_through_any_steps(
        readings in collection::vec(NOW - HOUR..=NOW + HOUR, 1..20), span in 0..=HOUR
    ) {
        let mut clock = Clock::new();
        for reading in readings {
            let now = clock.read(Timestamp::from_micros(reading));
            prop_assert_eq!(now.millis_after(Span::from_micros(span)), (reading + span).div_ceil(1_000));
        }
    }

    #[test]
    fn a_clock_ahead_extends_waits_by_its_lead_at_most(
        ahead in 0..=300_u64, on in 0..=64_u64, limits in small_limits()
    ) {
        a_key_from_ahead_extends_waits_by_the_lead_at_most::<Fixed>(ahead, on, &limits)?;
        a_key_from_ahead_extends_waits_by_the_lead_at_most::<Sliding>(ahead, on, &limits)?;
        a_key_from_ahead_extends_waits_by_the_lead_at_most::<Token>(ahead, on, &limits)?;
        a_key_from_ahead_extends_waits_by_the_lead_at_most::<Leaky>(ahead, on, &limits)?;
    }

    #[test]
    fn later_arrivals_from_ahead_extend_no_earlier_wait(
        lead in 1..=300_u64, pauses in collection::vec(1..=16_u64, 1..30), limits in small_limits()
    ) {
        is_not_extended_by_later_arrivals::<Fixed>(lead, &pauses, &limits)?;
        is_not_extended_by_later_arrivals::<Sliding>(lead, &pauses, &limits)?;
        is_not_extended_by_later_arrivals::<Token>(lead, &pauses, &limits)?;
        is_not_extended_by_later_arrivals::<Leaky>(lead, &pauses, &limits)?;
    }

    #[test]
    fn keys_of_several_clocks_wait_longer_by_their_lead_at_most(
        arrivals in collection::vec((0..=16_u64, 0..=100_u64, 0..=100_u64), 1..20), limits in small_limits()
    ) {
        each_waits_longer_by_its_lead_at_most::<Fixed>(&arrivals, &limits)?;
        each_waits_longer_by_its_lead_at_most::<Sliding>(&arrivals, &limits)?;
        each_waits_longer_by_its_lead_at_most::<Token>(&arrivals, &limits)?;
        each_waits_longer_by_its_lead_at_most::<Leaky>(&arrivals, &limits)?;
    }

    #[test]
    fn a_clock_ahead_admits_nothing_extra(
        ahead in 0..=64_u64, pauses in collection::vec(0..=64_u64, 1..4), limits in small_limits()
    ) {
        a_key_from_ahead_admits_nothing_extra::<Token>(ahead, &pauses, &limits)?;
        a_key_from_ahead_admits_nothing_extra::<Leaky>(ahead, &pauses, &limits)?;
    }
}

/// Two threads, for example, that read the clock one after the other and decide the other way
/// round.
#[test]
fn readings_out_of_order_do_not_move_a_steady_clock() {
    let at = |micros| Timestamp::from_micros(NOW + micros);
    let mut clock = SteadyClock::new();
    let times = [5, 3, 4, 9, 1, 10].map(|micros| clock.read(at(micros)).at());
    assert_eq!(times, [5, 5, 5, 9, 9, 10].map(at));
}

/// Makes a call after each step. A window stays open until the reported end, however the clock
/// steps, and the next one ends at a multiple of the duration on the clock that was read.
fn every_aligned_window_ends_by_the_clock_that_was_read(
    steps: &[(Step, u64)],
    limits: &Limits,
) -> Result<(), TestCaseError> {
    let mut key = Key::<Fixed>::fresh();
    let (mut reading, mut elapsed, mut end, mut used) = (NOW, 0, 0, 0);
    for (step, units) in steps {
        step.move_clock(limits, &mut reading, &mut elapsed);
        let units = (*units).min(limits.quota);
        let reply = key.call(reading, limits, units);
        if elapsed >= end {
            prop_assert!(reply.is_admitted(), "the window is over: {reply:?}");
            prop_assert_eq!((reading + reply.reset) % limits.duration, 0);
            prop_assert!((1..=limits.duration).contains(&reply.reset));
            (end, used) = (elapsed + reply.reset, 0);
        }
        prop_assert_eq!(elapsed + reply.reset, end);
        prop_assert_eq!(reply.is_admitted(), used + units <= limits.quota);
        used += if reply.is_admitted() { units } else { 0 };
    }
    Ok(())
}

/// Makes a call after each step, then refunds units, `on` 64ths of a duration later. The key
/// expires at a fixed reading. The refund is as exact as that expiry.
fn gives_no_more_than_is_used<M: Model, A: Subject>(
    steps: &[(Step, u64)],
    [on, units]: [u64; 2],
    limits: &Limits,
    stored: Expiry,
) -> Result<(), TestCaseError> {
    let (mut key, mut model) = (Key::<A>::fresh(), M::default());
    let (mut reading, mut time, mut expiry) = (NOW, NOW, 0);
    for (step, units) in steps.iter().chain([&(Step::Forward(on), 0)]) {
        step.move_clock(limits, &mut reading, &mut time);
        if reading >= expiry {
            (key, model) = (Key { clock: key.clock, ..Key::fresh() }, M::default());
        }
        if *units > 0 {
            let reply = key.call(reading, limits, (*units).min(A::full(limits)));
            if reply.is_admitted() {
                model.admit(time, limits, (*units).min(A::full(limits)));
                expiry = reading + reply.reset;
            }
        }
    }
    let now = key.clock.read(Timestamp::from_micros(reading));
    if reading >= expiry {
        return Ok(());
    }
    let longer = key.clock.set_back_since(key.state.latest_stamp());
    let rest = Span::from_micros(expiry - reading);
    let refund = key.state.refund_if_longer(now, rest, longer, Units::new(units).unwrap());
    let used = rounded_up(&(model.used(time - stored.late, limits) + rounding(stored)));
    prop_assert!(refund.units <= used, "{refund:?} of {units}, {used} are used");
    // What was not given back still counts.
    model.refund(time, limits, refund.units);
    let state = if refund.reset == Span::ZERO { A::State::default() } else { key.state.clone() };
    let reply = Key::<A> { state, clock: key.clock }.ask(reading, limits, A::full(limits) + 1);
    let expected = model.reply(time, limits, A::full(limits) + 1);
    prop_assert!(reply.remaining <= expected.remaining, "{reply:?}, not {expected:?}");
    prop_assert!(refund.reset.as_micros() >= expected.reset, "{refund:?}, not {expected:?}");
    Ok(())
}

/// The bucket has drained by half when the clock steps back by as much as has passed.
#[test]
fn a_refund_after_a_step_back_knows_what_has_drained() {
    let limits = Limits::new(10, 100 * SECOND);
    let mut key = Key::<Token>::fresh();
    assert!(key.call(NOW, &limits, 10).is_admitted());
    key.clock.read(Timestamp::from_micros(NOW + 50 * SECOND));
    let now = key.clock.read(Timestamp::from_micros(NOW));
    let longer = key.clock.set_back_since(key.state.latest_stamp());
    let units = Units::new(10).unwrap();
    assert_eq!(key.clone().state.refund(now, Span::from_secs(100), units).units, 7, "the bucket seems fuller");
    assert_eq!(key.state.refund_if_longer(now, Span::from_secs(100), longer, units).units, 5);
    // Where nothing was charged before the step, nothing is uncertain.
    assert!(key.call(NOW, &limits, 1).is_admitted());
    assert_eq!(key.clock.set_back_since(key.state.latest_stamp()), Span::from_secs(50), "it may be from just before");
    assert!(key.call(NOW + 1, &limits, 1).is_admitted());
    assert_eq!(key.clock.set_back_since(key.state.latest_stamp()), Span::ZERO);
}

/// Checks that a caller that is limited now is admitted after the retry-after, which is at most
/// that of a full key.
fn is_admitted_after_the_wait<A: Subject>(
    key: &mut Key<A>,
    reading: u64,
    limits: &Limits,
    units: u64,
) -> Result<(), TestCaseError> {
    let reply = key.call(reading, limits, units);
    if let Some(wait) = reply.retry() {
        prop_assert!(wait <= wait_of_a_full_key::<A>(reading, limits, units));
        // A server reads its clock all the time, not only when the wait is over.
        key.clock.read(Timestamp::from_micros(reading + wait / 2));
        let reply = key.call(reading + wait, limits, units);
        prop_assert!(reply.is_admitted(), "waited for {wait} µs from {reading} on, but got {reply:?}");
    }
    Ok(())
}

/// Checks that a limited caller, which waits and perhaps has to wait once again, waits at most as
/// long as for a full key, plus the lead of the other server's clock. When this clock has reached
/// the timestamp, nothing distinguishes the two clocks.
fn waits_longer_by_the_lead_at_most<A: Subject>(
    key: &mut Key<A>,
    reading: u64,
    limits: &Limits,
    ahead: u64,
) -> Result<(), TestCaseError> {
    let full = wait_of_a_full_key::<A>(reading, limits, 1);
    // The key may really have been filled only now, so nothing may be admitted before `NOW + full`.
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

/// Fills a key in two calls that are `forward` apart; then the clock steps back and moves on. All
/// three are in 64ths of a duration.
fn is_accurate_after_a_step_back<A: Subject>(
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

/// Asks a full key for its retry-after, of which `on` 64ths have passed when the clock steps back
/// by `back` 64ths of a duration.
fn an_earlier_retry_after_stays_accurate<A: Subject>(on: u64, back: u64, limits: &Limits) -> Result<(), TestCaseError> {
    let mut key = Key::<A>::fresh();
    prop_assert!(key.call(NOW, limits, A::full(limits)).is_admitted());
    let wait = key.call(NOW, limits, 1).retry().unwrap();
    let waited = wait * on / 64;
    let back = (limits.duration * back / 64).min(NOW);
    key.clock.read(Timestamp::from_micros(NOW + waited));
    key.clock.read(Timestamp::from_micros(NOW + waited - back));
    let end = NOW + wait - back;
    if waited < wait {
        prop_assert!(!key.ask(end - 1, limits, 1).is_admitted(), "is admitted before {wait} µs have passed");
    }
    prop_assert!(key.ask(end, limits, 1).is_admitted(), "is limited when {wait} µs have passed");
    Ok(())
}

/// Takes over a key from another server, as by replication or at a restart.
fn taken_over<A: Subject>(key: &Key<A>, mut clock: Clock) -> Key<A> {
    let state = A::State::decode(&encoded(&key.state)).unwrap();
    clock.see(state.latest_stamp());
    Key { state, clock }
}

fn a_key_from_ahead_extends_waits_by_the_lead_at_most<A: Subject>(
    ahead: u64,
    on: u64,
    limits: &Limits,
) -> Result<(), TestCaseError> {
    let mut there = Key::<A>::fresh();
    prop_assert!(there.call(NOW + limits.duration * ahead / 64, limits, A::full(limits)).is_admitted());
    // One server has just started, the other has been running for an hour.
    let mut running = Clock::new();
    running.read(Timestamp::from_micros(NOW.saturating_sub(HOUR)));
    for clock in [Clock::new(), running] {
        let mut here = taken_over(&there, clock);
        here.clock.read(Timestamp::from_micros(NOW));
        let (reading, ahead) = (NOW + limits.duration * on / 64, limits.duration * ahead / 64);
        waits_longer_by_the_lead_at_most(&mut here, reading, limits, ahead)?;
    }
    Ok(())
}

/// Returns a key that another server has used up just before this reading of its clock.
fn used_up<A: Subject>(reading: u64, limits: &Limits) -> Key<A> {
    let mut key = Key::<A>::fresh();
    assert!(key.call(reading, limits, A::full(limits)).is_admitted());
    key
}

/// Takes over a used-up key from a server whose clock is ahead, and further ones after each pause.
/// Times are in 64ths of a duration.
fn is_not_extended_by_later_arrivals<A: Subject>(
    lead: u64,
    pauses: &[u64],
    limits: &Limits,
) -> Result<(), TestCaseError> {
    let lead = limits.duration * lead / 64;
    let end = NOW + wait_of_a_full_key::<A>(NOW, limits, 1);
    let mut running = Clock::new();
    running.read(Timestamp::from_micros(NOW - 1));
    let mut key = taken_over(&used_up::<A>(NOW + lead, limits), running);
    key.clock.read(Timestamp::from_micros(NOW));
    let mut reading = NOW;
    for pause in pauses {
        reading += limits.duration * pause / 64;
        key.clock = taken_over(&used_up::<A>(reading + lead, limits), key.clock).clock;
        key.clock.read(Timestamp::from_micros(reading));
        let reply = key.ask(reading, limits, 1);
        // When this clock has reached the timestamp, nothing distinguishes the two clocks.
        if reading < NOW + lead {
            prop_assert_eq!(reply.retry().unwrap_or(0), end.saturating_sub(reading), "{} µs on", reading - NOW);
        }
    }
    Ok(())
}

/// Takes over used-up keys: each has a pause before it, the lead of the clock that stamped it, and
/// the time since it was used up, all in 64ths of a duration.
fn each_waits_longer_by_its_lead_at_most<A: Subject>(
    arrivals: &[(u64, u64, u64)],
    limits: &Limits,
) -> Result<(), TestCaseError> {
    let share = |share| limits.duration * share / 64;
    let full = wait_of_a_full_key::<A>(NOW, limits, 1);
    let (mut clock, mut reading, mut keys) = (Clock::new(), NOW, Vec::new());
    clock.read(Timestamp::from_micros(NOW - 1));
    for (pause, lead, age) in arrivals {
        reading += share(*pause);
        let (made, lead) = (reading - share(*age), share(*lead));
        let key = taken_over(&used_up::<A>(made + lead, limits), clock);
        clock = key.clock;
        clock.read(Timestamp::from_micros(reading));
        keys.push((key.state, made, lead));
        for (state, made, lead) in &keys {
            let is_admitted = Key::<A> { state: state.clone(), clock }.call(reading, limits, 1).is_admitted();
            prop_assert!(!is_admitted || reading >= made + full, "is admitted {} µs early", made + full - reading);
            prop_assert!(is_admitted || reading < made + full + lead, "{} µs late", reading - made - full - lead);
        }
    }
    Ok(())
}

/// Fills a bucket with calls that are `pauses` apart. This server takes it over when it has been
/// running for a hundred durations, and when its clock is close to the stored moment.
fn a_key_from_ahead_admits_nothing_extra<A: Subject>(
    ahead: u64,
    pauses: &[u64],
    limits: &Limits,
) -> Result<(), TestCaseError> {
    // A call that is limited in any case reports what remains.
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
    assert!(wait <= 60 * SECOND, "nobody waits longer than for a full key");
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

fn every_full_key_is_limited_until_the_wait_is_over(back: u64) {
    a_full_key_is_limited_until_the_wait_is_over::<Fixed>(back);
    a_full_key_is_limited_until_the_wait_is_over::<Sliding>(back);
    a_full_key_is_limited_until_the_wait_is_over::<Token>(back);
    a_full_key_is_limited_until_the_wait_is_over::<Leaky>(back);
}

/// Until the retry-after is over.
#[test]
fn a_full_key_stays_limited_after_an_hour_back() {
    every_full_key_is_limited_until_the_wait_is_over(HOUR);
}

/// Until the retry-after is over.
#[test]
fn a_full_key_stays_limited_after_a_second_back() {
    every_full_key_is_limited_until_the_wait_is_over(SECOND);
}

fn a_key_from_an_hour_ahead_is_limited_until_the_wait_is_over<A: Subject>() {
    let limits = Limits::new(5, 60 * SECOND);
    let mut there = Key::<A>::fresh();
    assert!(there.call(NOW + HOUR, &limits, 5).is_admitted());
    let mut running = Clock::new();
    running.read(Timestamp::from_micros(NOW - HOUR));
    let mut ahead = running;
    ahead.read(Timestamp::from_micros(NOW - SECOND));
    // What the clock saw before does not undo what it sees afterwards, nor the other way round.
    ahead.see(Timestamp::from_micros(NOW + 2 * HOUR));
    for clock in [Clock::new(), running, ahead] {
        let mut here = taken_over(&there, clock);
        here.clock.see(Timestamp::from_micros(NOW - HOUR));
        assert_eq!(here.call(NOW, &limits, 5).retry(), Some(60 * SECOND));
        assert_eq!(here.call(NOW + SECOND, &limits, 5).retry(), Some(59 * SECOND));
        assert!(here.call(NOW + 60 * SECOND, &limits, 5).is_admitted());
    }
    // Nothing is known of the time before the first reading of a clock, not even that it was
    // behind.
    let mut here = Key::<A> { state: there.state, clock: Clock::new() };
    assert_eq!(here.call(NOW, &limits, 5).retry(), Some(60 * SECOND));
    assert!(here.call(NOW + 60 * SECOND, &limits, 5).is_admitted());
}

/// Until the retry-after is over.
#[test]
fn a_full_key_from_an_hour_ahead_stays_limited() {
    a_key_from_an_hour_ahead_is_limited_until_the_wait_is_over::<Fixed>();
    a_key_from_an_hour_ahead_is_limited_until_the_wait_is_over::<Sliding>();
    a_key_from_an_hour_ahead_is_limited_until_the_wait_is_over::<Token>();
    a_key_from_an_hour_ahead_is_limited_until_the_wait_is_over::<Leaky>();
}

/// The log is read between two of its timestamps. The later one is dated to the moment of the step,
/// which is before the earlier one.
#[test]
fn a_step_back_between_stamps_leaves_a_storable_log() {
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

/// The clock was ahead by 40 minutes for one call.
#[test]
fn an_hour_stays_the_hour_after_a_step_back() {
    const MINUTE: u64 = 60 * SECOND;
    let limits = Limits::new(5, HOUR).aligned();
    let mut key = Key::<Fixed>::fresh();
    key.clock.read(Timestamp::from_micros(NOW + 40 * MINUTE));
    key.clock.read(Timestamp::from_micros(NOW));
    assert_eq!(key.call(NOW + 30 * MINUTE, &limits, 5).reset, 30 * MINUTE);
    assert_eq!(key.call(NOW + 59 * MINUTE, &limits, 1).retry(), Some(MINUTE));
    assert_eq!(key.call(NOW + HOUR, &limits, 1).reset, HOUR);
}

/// Time continues after a step back. The expiry does not move with it: the server compares the
/// expiry with its own clock.
#[test]
fn expiry_follows_the_readings_after_a_step_back() {
    let mut clock = Clock::new();
    clock.read(Timestamp::from_micros(NOW + HOUR));
    let now = clock.read(Timestamp::from_micros(NOW));
    assert_eq!(now.at(), Timestamp::from_micros(NOW + HOUR));
    assert_eq!(now.millis_after(Span::from_secs(1)), NOW / 1_000 + 1_000);
}

/// This is how a moment is read that another program has written down by the same clock.
#[test]
fn the_time_until_a_moment_follows_the_readings() {
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
