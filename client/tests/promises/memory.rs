//! The memory backend is exact under threads, and forgets keys.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use premier_client::{Backend, Limit, MemoryBackend, RetryAfter, Throttler, key};

use crate::clock::Clock;
use crate::stores::limits;

const HOUR: Duration = Duration::from_secs(60 * 60);

#[test]
fn memory_is_exact_under_threads() {
    const QUOTA: u64 = 1_000;
    for limit in limits(QUOTA, HOUR) {
        let throttler = Throttler::builder(Backend::memory()).build();
        let admitted = AtomicU64::new(0);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..QUOTA / 4 {
                        let decision = throttler.check(&key!("shared"), limit).expect("memory answers");
                        admitted.fetch_add(decision.is_admitted().into(), Ordering::Relaxed);
                    }
                });
            }
        });
        assert_eq!(admitted.into_inner(), QUOTA, "{limit:?}");
    }
}

#[test]
fn callers_are_admitted_at_their_retry_after_not_before() {
    for limit in limits(3, Duration::from_millis(100)) {
        let clock = Clock::default();
        let memory = clock.memory();
        while memory.decide("key", limit).is_admitted() {}
        let Some(RetryAfter::After(after)) = memory.decide("key", limit).retry_after() else {
            panic!("{limit:?} never admits again")
        };
        clock.set(after.saturating_sub(Duration::from_millis(1)));
        assert!(!memory.decide("key", limit).is_admitted(), "{limit:?} admits too early");
        clock.set(after);
        assert!(memory.decide("key", limit).is_admitted(), "{limit:?}: the retry-after was too short");
    }
}

#[test]
fn a_clock_that_steps_back_mints_nothing() {
    for limit in limits(2, HOUR) {
        let clock = Clock::default();
        let memory = clock.memory();
        clock.set(10 * HOUR);
        while memory.decide("key", limit).is_admitted() {}
        clock.set(5 * HOUR);
        assert!(!memory.decide("key", limit).is_admitted(), "{limit:?}");
        clock.set(6 * HOUR + HOUR);
        assert!(memory.decide("key", limit).is_admitted(), "{limit:?} waits longer than a full key would");
    }
}

#[test]
fn a_million_one_time_keys_are_forgotten() {
    const KEYS: usize = 1_000_000;
    let clock = Clock::default();
    let memory = clock.memory();
    let limit = Limit::token_bucket(10, Duration::from_secs(1));
    for user in 0..KEYS {
        let _ = memory.decide(&format!("user:{user}"), limit);
    }
    assert_eq!(memory.len(), KEYS, "used keys were forgotten");
    clock.set(HOUR);
    // Few other keys: every call forgets keys, not only calls with new keys.
    for call in 0..2 * KEYS {
        let _ = memory.decide(&format!("other:{}", call % 1_000), limit);
    }
    assert!(memory.len() <= 1_000, "{} keys stay", memory.len());
}

#[test]
fn a_stream_of_one_time_keys_stays_bounded() {
    let clock = Clock::default();
    let memory = clock.memory();
    let limit = Limit::fixed_window(1, Duration::from_millis(10));
    // A new key every microsecond, each in use for 10 ms.
    for call in 0..500_000 {
        clock.set(Duration::from_micros(call));
        let _ = memory.decide(&format!("user:{call}"), limit);
        assert!(memory_is_bounded(&memory, call), "{} keys after {call} calls", memory.len());
    }
}

/// Checks now and then only, as counting locks all shards.
fn memory_is_bounded(memory: &MemoryBackend, call: u64) -> bool {
    !call.is_multiple_of(10_000) || memory.len() <= 30_000
}

#[test]
fn a_limited_call_leaves_no_key() {
    let memory = MemoryBackend::new();
    assert!(!memory.decide("key", Limit::fixed_window(0, HOUR)).is_admitted());
    assert!(memory.is_empty());
}

#[test]
fn algorithms_do_not_share_keys() {
    let memory = MemoryBackend::new();
    for limit in limits(1, HOUR) {
        assert!(memory.decide("key", limit).is_admitted(), "{limit:?}");
        assert!(!memory.decide("key", limit).is_admitted(), "{limit:?}");
    }
    assert_eq!(memory.len(), 4);
}

/// In the server a fully reset key expires, too, whatever the limit of the next call.
#[test]
fn usage_is_forgotten_when_the_key_is_reset() {
    let clock = Clock::default();
    let memory = clock.memory();
    for (short, long) in limits(1, Duration::from_millis(10)).into_iter().zip(limits(1, HOUR)) {
        clock.set(Duration::ZERO);
        let memory = if memory.is_empty() { memory.clone() } else { clock.memory() };
        assert!(memory.decide("key", short).is_admitted());
        clock.set(Duration::from_millis(10));
        assert!(memory.decide("key", long).is_admitted(), "{long:?}");
    }
}
