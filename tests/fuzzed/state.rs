//! A state from any source, and calls on it: either the state is refused, or all replies make
//! sense.
//!
//! | bytes | what |
//! | --- | --- |
//! | 1 | which algorithm: `F`, `A` for aligned windows, `S`, `T`, `L` or `H`; `E` for an effect on holders |
//! | 9 × 8 | the numbers of a [`Script`], little-endian |
//! | the rest | the state, as in an RDB file, or the effect |

use std::fmt::Debug;

use premier_algorithms::{
    Algorithm, BucketLimit, BucketState, Capacity, Clock, Cost, Decision, Fixed, FixedLimit, Hold, HoldChange,
    HoldLimit, HolderId, Holds, Leaky, LimitDuration, Log, MaxWait, Now, Outcome, Quota, RateLimit, Refundable, Retry,
    Sliding, SlidingLimit, Span, State, Timestamp, Token, Units, WindowStart,
};

const MAX_UNITS: u64 = 1_000_000_000_000;
const MIN_TIME: u64 = 1_000;
const MAX_TIME: u64 = 3650 * 24 * 60 * 60 * 1_000_000;

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

    fn fixed_window(&self, start: WindowStart) -> FixedLimit {
        FixedLimit { quota: self.quota, duration: self.duration, start }
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
    let (first_call, aligned) =
        (script.fixed_window(WindowStart::FirstCall), script.fixed_window(WindowStart::Aligned));
    match letter {
        b'F' => check_calls::<Fixed>(state, &script, &first_call, Span::ZERO, length),
        b'A' => check_calls::<Fixed>(state, &script, &aligned, Span::ZERO, length),
        b'S' => check_calls::<Sliding>(state, &script, &script.window(), Span::ZERO, length),
        b'T' => {
            check_calls::<Token>(state, &script, &script.bucket(), script.max_wait_or(Span::ZERO), Span::MAX);
            check_key_of_redis_cell(&script);
        }
        b'L' => check_calls::<Leaky>(state, &script, &script.bucket(), script.max_wait_or(Span::MAX), Span::MAX),
        b'H' => {
            if let Some(key) = Holds::decode(state) {
                assert_eq!(encoded(&key), state, "a state is not written as it was read");
                check_holds(key, &script);
            }
        }
        b'E' => {
            if let Some(effect) = Holds::decode_effect(state) {
                let mut key = Holds::default();
                key.apply_effect(effect.clone());
                let once = key.clone();
                key.apply_effect(effect);
                assert_eq!(key, once, "an effect that is applied twice changes something");
                if !key.is_fresh() {
                    check_stored(&key, usize::MAX);
                    check_holds(key, &script);
                }
            }
        }
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
                check_stored(&key, Log::MAX_ENCODED_LEN);
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
            check_stored(&key, Log::MAX_ENCODED_LEN);
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
            check_stored(&key, Log::MAX_ENCODED_LEN);
        }
    }
}

/// Checks holds and releases by three holders.
fn check_holds(mut key: Holds, script: &Script) {
    let mut clock = Clock::new();
    clock.see(key.latest_stamp());
    let later = script.now.plus(script.elapsed);
    for (reading, id) in [(script.now, b"a"), (later, b"b"), (script.now, b"a"), (later, b"c")] {
        let now = clock.read(reading);
        let holder = HolderId::new(id).expect("it is short");
        let limit = HoldLimit { quota: script.quota, lease: script.duration, holder: Some(holder) };
        let decision = Hold::decide(&key, now, &limit, script.cost);
        check_decision(&decision, script.cost, Span::from_micros(MAX_TIME));
        let used = key.used(now, Span::ZERO);
        match decision.outcome {
            Outcome::Admitted { change, .. } => {
                check_change(&mut key, &change);
                let held = Hold::look(&key, now, &limit);
                assert_eq!(held.remaining, decision.remaining + script.cost.get(), "not what it held");
            }
            Outcome::Limited { retry: Retry::After(wait) } => {
                check_wait::<Hold>(&key, clock, reading, wait, &limit, script);
                assert_eq!(decision.remaining, script.quota.get().saturating_sub(used));
            }
            Outcome::Limited { retry: Retry::Never } => {}
        }
        if let Some(release) = Hold::release(&key, now, holder) {
            let used = key.used(now, Span::ZERO);
            check_change(&mut key, &release.change);
            assert_eq!(key.used(now, Span::ZERO), used - release.units);
            assert_eq!(release.reset == Span::ZERO, used == release.units);
            assert!(Hold::release(&key, now, holder).is_none(), "it is released twice");
        }
    }
}

/// Makes a change, and checks that its effect does the same.
fn check_change(key: &mut Holds, change: &HoldChange<'_>) {
    let mut other = key.clone();
    key.apply(change);
    let mut bytes = Vec::new();
    key.encode_effect(change, |part| bytes.extend_from_slice(part));
    for _ in 0..2 {
        other.apply_effect(Holds::decode_effect(&bytes).expect("an effect can be read"));
        assert_eq!(other, *key, "an effect is not its change");
    }
    if !key.is_fresh() {
        check_stored(key, usize::MAX);
    }
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
        check_stored(&state, Log::MAX_ENCODED_LEN);
    }
}

/// Checks that a stored state can be read again.
fn check_stored<S: State + Debug + PartialEq>(state: &S, longest: usize) {
    let bytes = encoded(state);
    assert!(bytes.len() <= longest);
    assert_eq!(S::decode(&bytes).as_ref(), Some(state));
}

fn encoded(state: &impl State) -> Vec<u8> {
    let mut bytes = Vec::new();
    state.encode(|part| bytes.extend_from_slice(part));
    bytes
}
