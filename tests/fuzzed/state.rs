//! A state from any source, and calls on it: either the state is refused, or all replies make
//! sense.
//!
//! | bytes | what |
//! | --- | --- |
//! | 1 | which algorithm: `F`, `A` for aligned windows, `W` for weeks, `M` for months, `S`, `T`, `L` or `H` |
//! | 9 × 8 | the numbers of a [`Script`], little-endian |
//! | the rest | the state, as in an RDB file; for `H` also an effect on a fresh key |

use std::fmt::Debug;

use premier_algorithms::{
    Algorithm, BucketLimit, BucketState, Calendar, Capacity, Clock, Cost, Decision, Fixed, FixedLimit, Hold,
    HoldChange, HoldEffect, HoldLimit, HolderId, Holds, Leaky, LimitDuration, Log, MaxWait, Months, Now, Outcome,
    Period, Quota, RateLimit, Refundable, Retry, Sliding, SlidingLimit, Span, State, Timestamp, Token, Units, Weeks,
    Window, Zone,
};

const MAX_UNITS: u64 = 1_000_000_000_000;
const MIN_TIME: u64 = 1_000;
const MAX_TIME: u64 = 3650 * 24 * 60 * 60 * 1_000_000;
/// By how much an aligned window may be longer where an offset changes.
const TOLERANCE: u64 = 3 * 60 * 60 * 1_000_000;

/// What is done with the state. Any number maps to a valid value.
struct Script {
    now: Timestamp,
    elapsed: Span,
    quota: Quota,
    duration: LimitDuration,
    capacity: Option<Capacity>,
    cost: Cost,
    max_wait: Option<MaxWait>,
    /// How long the key may live after a refund.
    expiry: Span,
    units: Units,
}

impl Script {
    fn new(numbers: [u64; 9]) -> Self {
        let [now, elapsed, quota, duration, capacity, cost, max_wait, expiry, units] = numbers;
        let from_one = |number: u64| 1 + number.saturating_sub(1) % MAX_UNITS;
        let time = Span::from_micros(MIN_TIME + duration.saturating_sub(MIN_TIME) % (MAX_TIME - MIN_TIME + 1));
        Self {
            now: Timestamp::from_micros(now % (1 << 54)),
            elapsed: Span::from_micros(elapsed),
            quota: Quota::new(quota % (MAX_UNITS + 1)).expect("in bounds"),
            duration: LimitDuration::new(time).expect("in bounds"),
            capacity: (capacity > 0).then(|| Capacity::new(from_one(capacity)).expect("in bounds")),
            cost: Cost::new(from_one(cost)).expect("in bounds"),
            max_wait: (max_wait > 0)
                .then(|| MaxWait::new(Span::from_micros((max_wait - 1) % (MAX_TIME + 1))).expect("in bounds")),
            expiry: Span::from_micros(expiry),
            units: Units::new(from_one(units)).expect("in bounds"),
        }
    }

    fn window(&self) -> SlidingLimit {
        SlidingLimit { quota: self.quota, duration: self.duration }
    }

    fn fixed_window(&self) -> FixedLimit {
        FixedLimit { quota: self.quota, window: Window::FromFirstCall(self.duration) }
    }

    fn aligned_window(&self, period: Period, zone: Zone) -> FixedLimit {
        FixedLimit { quota: self.quota, window: Window::Aligned(Calendar { period, zone }) }
    }

    /// Returns a number of weeks, a number of months, and a zone.
    fn calendar(&self) -> (Period, Period, Zone) {
        let number = self.units.get();
        let minutes = i16::try_from(self.expiry.as_micros() % 2_161).expect("it is small") - 1_080;
        (
            Period::Weeks(Weeks::new(1 + number % 521).expect("in bounds")),
            Period::Months(Months::new(1 + number % 120).expect("in bounds")),
            Zone::new(minutes).expect("in bounds"),
        )
    }

    fn bucket(&self) -> BucketLimit {
        BucketLimit { quota: self.quota, duration: self.duration, capacity: self.capacity, max_wait: self.max_wait }
    }

    /// Returns the longest wait that a bucket may give to an admitted call.
    fn max_wait_or(&self, default: Span) -> Span {
        self.max_wait.map_or(default, MaxWait::get)
    }
}

/// Checks calls on a state.
///
/// # Panics
///
/// If a reply makes no sense.
pub fn check(input: &[u8]) {
    let Some(([letter, numbers @ ..], state)) = input.split_first_chunk::<73>() else { return };
    let (numbers, _) = numbers.as_chunks::<8>();
    let numbers: Vec<u64> = numbers.iter().map(|number| u64::from_le_bytes(*number)).collect();
    let script = Script::new(numbers.try_into().expect("nine of eight bytes"));
    let length = script.duration.get();
    let aligned = |period: Period, zone| {
        let longest = Span::from_micros(period.longest().get().as_micros() + TOLERANCE);
        check_calls::<Fixed>(state, &script, &script.aligned_window(period, zone), Span::ZERO, longest);
    };
    let (weeks, months, zone) = script.calendar();
    match letter {
        b'F' => check_calls::<Fixed>(state, &script, &script.fixed_window(), Span::ZERO, length),
        b'A' => aligned(Period::Time(script.duration), Zone::UTC),
        // No state has a window that began before 1970.
        b'W' if script.now.as_micros() > 2 * MAX_TIME => aligned(weeks, zone),
        b'M' if script.now.as_micros() > 2 * MAX_TIME => aligned(months, zone),
        b'S' => check_calls::<Sliding>(state, &script, &script.window(), Span::ZERO, length),
        b'T' => {
            check_calls::<Token>(state, &script, &script.bucket(), script.max_wait_or(Span::ZERO), Span::MAX);
            check_key_of_redis_cell(&script);
        }
        b'L' => check_calls::<Leaky>(state, &script, &script.bucket(), script.max_wait_or(Span::MAX), Span::MAX),
        b'H' => check_holds(state, &script),
        _ => {}
    }
}

fn check_calls<A: RateLimit>(
    state: &[u8],
    script: &Script,
    limit: &A::Limit<'_>,
    longest_wait: Span,
    longest_reset: Span,
) where
    A::State: Refundable + Debug + PartialEq,
{
    let Some(mut key) = A::State::decode(state) else { return };
    assert_eq!(encoded(&key), state, "a state is not written as it was read");

    let mut clock = Clock::new();
    clock.see(key.latest_stamp());
    let later = script.now.plus(script.elapsed);
    // The clock moves on, steps back, and moves on again.
    for reading in [script.now, later, script.now, later] {
        let now = clock.read(reading);
        let decision = A::decide(&key, now, limit, script.cost);
        check_decision(&decision, script.cost, longest_reset);
        match decision.outcome {
            Outcome::Admitted { wait, change } => {
                assert!(wait <= longest_wait, "{wait:?}");
                let before = decision.remaining;
                key.apply(&change);
                check_stored(&key);
                let after = A::decide(&key, now, limit, Cost::ONE).remaining;
                assert!(after <= before, "a call increased what remains");
            }
            Outcome::Limited { retry: Retry::After(wait) } => {
                check_wait::<A>(&key, clock, reading, wait, limit, script);
            }
            Outcome::Limited { retry: Retry::Never } => {}
        }

        let decision = A::force(&key, now, limit, script.cost);
        check_decision(&decision, script.cost, longest_reset);
        if let Outcome::Admitted { change, .. } = decision.outcome {
            key.apply(&change);
            check_stored(&key);
        }

        let most = A::room(&key, now, limit);
        for (cost, is_admitted) in [(most, true), (most + 1, false)] {
            if let Ok(cost) = Cost::new(cost) {
                let decision = A::decide(&key, now, limit, cost);
                assert_eq!(
                    matches!(decision.outcome, Outcome::Admitted { .. }),
                    is_admitted,
                    "{most} fit, not {cost:?}"
                );
            }
        }

        let used = key.used(now, script.expiry);
        let refund = key.refund(now, script.expiry, script.units);
        assert_eq!(refund.units, script.units.get().min(used));
        if refund.reset == Span::ZERO {
            // The key is deleted.
            key = A::State::default();
        } else {
            assert!(refund.reset <= script.expiry, "a refund makes the key live longer: {refund:?}");
            check_stored(&key);
        }
    }
}

/// Checks calls and releases of a holder of units.
fn check_holds(effect: &[u8], script: &Script) {
    let Some(decoded) = Holds::decode_effect(effect) else { return };
    let mut key = Holds::default();
    key.apply_effect(decoded.clone());
    check_stored_holds(&key);
    if let HoldEffect::All(_) = decoded {
        assert_eq!(encoded(&key), effect, "a state is not written as it was read");
    }

    let mut clock = Clock::new();
    clock.see(key.latest_stamp());
    let later = script.now.plus(script.elapsed);
    let id = [script.units.get().to_le_bytes()[0]];
    let holder = HolderId::new(&id).expect("a byte is enough");
    let limit = HoldLimit { quota: script.quota, lease: script.duration, holder: Some(holder) };
    // The clock moves on, steps back, and moves on again.
    for reading in [script.now, later, script.now, later] {
        let now = clock.read(reading);
        let decision = Hold::decide(&key, now, &limit, script.cost);
        check_decision(&decision, script.cost, Span::from_micros(MAX_TIME));
        match decision.outcome {
            Outcome::Admitted { wait, change } => {
                assert_eq!(wait, Span::ZERO);
                check_effect(&mut key, &change);
                let again = Hold::decide(&key, now, &limit, script.cost);
                assert_eq!(
                    (again.remaining, again.reset),
                    (decision.remaining, decision.reset),
                    "it was counted twice"
                );
            }
            Outcome::Limited { retry: Retry::After(wait) } => {
                check_wait::<Hold>(&key, clock, reading, wait, &limit, script);
            }
            Outcome::Limited { retry: Retry::Never } => {}
        }
        let used = key.used(now, Span::ZERO);
        if let Some(release) = Hold::release(&key, now, holder) {
            check_effect(&mut key, &release.change);
            assert_eq!(key.used(now, Span::ZERO), used - release.units);
            assert_eq!(key.is_empty(), release.reset == Span::ZERO);
            assert_eq!(Hold::release(&key, now, holder), None, "it was released twice");
        }
    }
}

/// Applies a change, and checks that its effect leads to the same state, however often it is
/// applied.
fn check_effect(key: &mut Holds, change: &HoldChange<'_>) {
    let mut replica = key.clone();
    key.apply(change);
    let mut effect = Vec::new();
    key.encode_effect(change, |part| effect.extend_from_slice(part));
    for _ in 0..2 {
        replica.apply_effect(Holds::decode_effect(&effect).expect("an effect can be read"));
        assert_eq!(replica, *key);
    }
    check_stored_holds(key);
}

fn check_stored_holds(key: &Holds) {
    assert_eq!(Holds::decode(&encoded(key)).as_ref(), (!key.is_empty()).then_some(key));
}

/// Checks what holds for every decision.
fn check_decision<Change>(decision: &Decision<Change>, cost: Cost, longest_reset: Span) {
    let Decision { ref outcome, limit, remaining, reset } = *decision;
    assert!(remaining <= limit && limit <= MAX_UNITS, "{remaining} of {limit} remain");
    assert!(reset <= longest_reset, "{reset:?}");
    match outcome {
        Outcome::Admitted { .. } => {}
        Outcome::Limited { retry: Retry::After(wait) } => {
            assert!(*wait > Span::ZERO && cost.get() <= limit);
            assert!(*wait <= reset, "a fully reset key does not admit the call");
        }
        Outcome::Limited { retry: Retry::Never } => assert!(cost.get() > limit),
    }
}

/// Checks that a retry after the wait is admitted.
fn check_wait<A: Algorithm>(
    key: &A::State,
    mut clock: Clock,
    reading: Timestamp,
    wait: Span,
    limit: &A::Limit<'_>,
    script: &Script,
) {
    let asked: Now = clock.read(reading);
    let then = asked.at().plus(wait);
    // A stamp from the future counts in full once the clock reaches it, and time ends in 2540.
    if key.latest_stamp() > asked.at() || then == Timestamp::MAX {
        return;
    }
    let now = clock.read(reading.plus(wait));
    let decision = A::decide(key, now, limit, script.cost);
    assert!(matches!(decision.outcome, Outcome::Admitted { .. }), "not admitted after {wait:?}");
}

/// Checks a key of redis-cell, which stores when the bucket will be empty.
fn check_key_of_redis_cell(script: &Script) {
    let (now, limit) = (Clock::new().read(script.now), script.bucket());
    let mut state = BucketState::empty_after(script.elapsed, now, &limit);
    let peeked = Token::look_as_cell(&state, now, &limit);
    assert!(peeked.remaining <= peeked.limit);
    let decision = Token::decide(&state, now, &limit, script.cost);
    check_decision(&decision, script.cost, Span::MAX);
    if let Outcome::Admitted { change, .. } = decision.outcome {
        state.apply(&change);
        check_stored(&state);
    }
}

/// Checks that a stored state can be read again.
fn check_stored<S: State + Debug + PartialEq>(state: &S) {
    let bytes = encoded(state);
    assert!(bytes.len() <= Log::MAX_ENCODED_LEN);
    assert_eq!(S::decode(&bytes).as_ref(), Some(state));
}

fn encoded(state: &impl State) -> Vec<u8> {
    let mut bytes = Vec::new();
    state.encode(|part| bytes.extend_from_slice(part));
    bytes
}
