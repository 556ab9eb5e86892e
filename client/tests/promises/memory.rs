//! The memory backend is exact under threads, and forgets keys.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use premier_client::{Backend, ErrorKind, Key, Limit, MemoryBackend, RetryAfter, Throttler, key};
use premier_test_server::Server;

use crate::clock::Clock;
use crate::stores::{LOCAL, Setup, limits};

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
        while memory.decide("key", limit).expect("one algorithm").is_admitted() {}
        let Some(RetryAfter::After(after)) = memory.decide("key", limit).expect("one algorithm").retry_after() else {
            panic!("{limit:?} never admits again")
        };
        clock.set(after.saturating_sub(Duration::from_millis(1)));
        assert!(!memory.decide("key", limit).expect("one algorithm").is_admitted(), "{limit:?} admits too early");
        clock.set(after);
        assert!(
            memory.decide("key", limit).expect("one algorithm").is_admitted(),
            "{limit:?}: the retry-after was too short"
        );
    }
}

#[test]
fn a_clock_that_steps_back_mints_nothing() {
    for limit in limits(2, HOUR) {
        let clock = Clock::default();
        let memory = clock.memory();
        clock.set(10 * HOUR);
        while memory.decide("key", limit).expect("one algorithm").is_admitted() {}
        clock.set(5 * HOUR);
        assert!(!memory.decide("key", limit).expect("one algorithm").is_admitted(), "{limit:?}");
        clock.set(6 * HOUR + HOUR);
        assert!(
            memory.decide("key", limit).expect("one algorithm").is_admitted(),
            "{limit:?} waits longer than a full key would"
        );
    }
}

#[test]
fn a_million_one_time_keys_are_forgotten() {
    const KEYS: usize = 1_000_000;
    let clock = Clock::default();
    let memory = clock.memory();
    let limit = Limit::token_bucket(10, Duration::from_secs(1));
    for user in 0..KEYS {
        let _ = memory.decide(&format!("user:{user}"), limit).expect("one algorithm");
    }
    assert_eq!(memory.len(), KEYS, "used keys were forgotten");
    clock.set(HOUR);
    // Few other keys: every call forgets keys, not only calls with new keys.
    for call in 0..2 * KEYS {
        let _ = memory.decide(&format!("other:{}", call % 1_000), limit).expect("one algorithm");
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
        let _ = memory.decide(&format!("user:{call}"), limit).expect("one algorithm");
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
    assert!(!memory.decide("key", Limit::fixed_window(0, HOUR)).expect("one algorithm").is_admitted());
    assert!(memory.is_empty());
}

#[test]
fn algorithms_do_not_share_keys() {
    let memory = MemoryBackend::new();
    let throttler = Throttler::builder(memory.clone()).build();
    for limit in limits(1, HOUR) {
        assert!(throttler.check(&key!("key"), limit).expect("memory answers").is_admitted(), "{limit:?}");
        assert!(!throttler.check(&key!("key"), limit).expect("memory answers").is_admitted(), "{limit:?}");
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
        assert!(memory.decide("key", short).expect("one algorithm").is_admitted());
        clock.set(Duration::from_millis(10));
        assert!(memory.decide("key", long).expect("one algorithm").is_admitted(), "{long:?}");
    }
}

/// An exact key has no algorithm in its name.
#[test]
fn a_key_of_another_algorithm_is_refused_as_on_a_server() {
    let server = Server::start();
    let mut subjects = Setup::default().on_server(server.port());
    subjects.extend(Setup::default().in_memory());
    // Decides locally, as there is no server.
    let local = Setup { on_error: LOCAL, ..Setup::default() };
    subjects.extend(local.on_server(1));
    for (number, subject) in subjects.iter().enumerate() {
        for own in limits(5, HOUR) {
            let key = Key::exact(format!("{number}:{:?}", own.algorithm()));
            assert!(subject.check_n(&key, own, 2).expect("the key is fresh").is_admitted());
            for other in limits(5, HOUR).into_iter().filter(|other| other.algorithm() != own.algorithm()) {
                let fresh = (Key::exact(format!("{number}:fresh")), other);
                for refused in [
                    subject.check(&key, other).map(drop),
                    subject.check(&key, other.forced()).map(drop),
                    subject.peek(&key, other).map(drop),
                    subject.check_all(&[(key.clone(), other)]).map(drop),
                    subject.check_all(&[fresh, (key.clone(), other)]).map(drop),
                ] {
                    let error = refused.expect_err("another algorithm uses the key");
                    assert_eq!(error.kind(), ErrorKind::Refused, "{subject}, {own}, {other}: {error}");
                }
            }
            assert_eq!(subject.peek(&key, own).expect("its own").remaining(), 2, "{subject}, {own}: it was charged");
        }
        let fresh = subject.check(&Key::exact(format!("{number}:fresh")), limits(5, HOUR)[0]).expect("it is fresh");
        assert_eq!(fresh.remaining(), 4, "{subject}: a refused call was charged");
    }
}

#[test]
fn a_key_that_is_fully_reset_is_free_for_any_algorithm() {
    let clock = Clock::default();
    let memory = clock.memory();
    for (limit, hours) in limits(5, HOUR).into_iter().zip(1..) {
        assert!(memory.decide("key", limit).expect("the key is free").is_admitted());
        clock.set(HOUR * hours);
    }
    for limit in limits(5, HOUR) {
        assert!(memory.decide("key", limit).expect("the key is free").is_admitted());
        assert_eq!(memory.refund("key", 1), Ok(1), "{limit}");
    }
}
