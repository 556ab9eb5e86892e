//! Windows that begin at the full hour.

use std::time::{Duration, SystemTime};

use premier_client::{Fixed, Limit, key};
use premier_test_server::Server;

use crate::clock::Clock;
use crate::stores::Setup;

const HOUR: Duration = Duration::from_secs(60 * 60);
const MINUTE: Duration = Duration::from_secs(60);
const LIMIT: Limit<Fixed> = Limit::fixed_window(2, HOUR).aligned();

#[test]
fn aligned_windows_end_at_multiples_of_their_duration() {
    let server = Server::start();
    for (index, subject) in Setup::default().everywhere(&server).iter().enumerate() {
        // Repeated until the hour does not end during the call.
        let (earliest, reset, latest) = loop {
            let before = rest_of_the_hour();
            let decision = subject.check(&key!("hour", index), LIMIT).expect("the store answers");
            let after = rest_of_the_hour();
            if after <= before {
                break (after, decision.reset_after(), before);
            }
        };
        // The monotonic clock may be a little faster or slower than the wall clock.
        let second = Duration::from_secs(1);
        assert!(reset + second >= earliest && reset <= latest + second, "{subject}: {reset:?}, not {latest:?}");
    }
}

fn rest_of_the_hour() -> Duration {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("it is after the epoch");
    let begun = Duration::from_secs(since_epoch.as_secs() / HOUR.as_secs() * HOUR.as_secs());
    (begun + HOUR).saturating_sub(since_epoch)
}

#[test]
fn aligned_windows_end_to_the_millisecond() {
    let clock = Clock::default();
    let memory = clock.memory();
    let check = || memory.decide("key", LIMIT).expect("one algorithm");
    clock.set(10 * HOUR + 20 * MINUTE);
    assert_eq!(check().reset_after(), 40 * MINUTE);
    clock.set((11 * HOUR).saturating_sub(Duration::from_millis(1)));
    assert!(check().is_admitted() && !check().is_admitted());
    clock.set(11 * HOUR);
    let fresh = check();
    assert_eq!((fresh.remaining(), fresh.reset_after()), (1, HOUR));
}

/// An aligned call opens the first window, a plain call the second.
#[test]
fn an_open_window_stays_open() {
    let clock = Clock::default();
    let memory = clock.memory();
    let plain = Limit::fixed_window(2, HOUR);
    for (at, opens, stays, rest) in [(1, LIMIT, plain, 40 * MINUTE), (5, plain, LIMIT, HOUR)] {
        clock.set(at * HOUR + 20 * MINUTE);
        let [first, second] =
            [opens, stays].map(|limit| memory.decide("key", limit).expect("one algorithm").reset_after());
        assert_eq!((first, second), (rest, rest), "{opens:?}");
    }
}
