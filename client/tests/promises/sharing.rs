//! In an outage, each process decides by its share of the limits.

use std::sync::LazyLock;
use std::time::Duration;

use premier_client::{AnyLimit, AsyncBackend, AsyncThrottler, DecidedBy, Decision, Limit, OnError, Share, key};
use premier_test_server::Server;
use proptest::prelude::*;
use tokio::runtime::Runtime;

use crate::stores::{Setup, limits};

const HOUR: Duration = Duration::from_secs(60 * 60);

/// Asks a new process, whose store is down.
fn peek(share: Share, limit: impl Into<AnyLimit>) -> Decision {
    static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("a runtime can be made"));
    // Nothing listens there.
    let backend = AsyncBackend::redis("redis://127.0.0.1:1").expect("a valid address");
    let throttler = AsyncThrottler::builder(backend).on_error(OnError::Local { share }).build();
    RUNTIME.block_on(throttler.peek(&key!("share"), limit)).expect("it is decided locally")
}

#[test]
fn processes_together_admit_what_the_limit_says() {
    let server = Server::start();
    let port = server.port();
    drop(server);
    let share = Share::one_in(3);
    let on_error = OnError::Local { share };
    for limit in limits(10, HOUR) {
        let setup = Setup { deadline: Duration::from_millis(300), on_error, ..Setup::default() };
        for (index, subject) in setup.on_server(port).into_iter().enumerate() {
            let check = || subject.check(&key!("together", index), limit).expect("it is decided locally");
            for left in (0..3).rev() {
                let decision = check();
                assert_eq!((decision.is_admitted(), decision.remaining()), (true, left), "{subject}, {limit:?}");
                assert_eq!((decision.limit(), decision.decided_by()), (3, DecidedBy::Local { share }), "{subject}");
            }
            assert!(!check().is_admitted(), "{subject}, {limit:?}");
            let together =
                [(key!("joint", index), limit), (key!("other", index), Limit::fixed_window(20, HOUR).into())];
            let joint = subject.check_all(&together).expect("it is decided locally");
            assert_eq!(joint.each().iter().map(Decision::limit).collect::<Vec<_>>(), [3, 6], "{subject}, {limit:?}");
            assert!(joint.each().iter().all(|alone| alone.decided_by() == DecidedBy::Local { share }), "{subject}");
        }
    }
}

/// A tenth of 3 an hour is 1 in 200 minutes.
#[test]
fn a_share_has_room_for_each_call_at_its_part_of_the_rate() {
    let tenth = Share::one_in(10);
    for limit in limits(3, HOUR) {
        let one = peek(tenth, limit);
        assert_eq!((one.limit(), one.remaining()), (1, 0), "{limit:?}");
        assert_eq!(one.reset_after(), HOUR * 10 / 3, "{limit:?}");
        let two = peek(tenth, limit.try_cost(2).expect("a valid cost"));
        assert!(two.is_admitted() && two.reset_after() == HOUR * 20 / 3, "{limit:?}: {two:?}");
        let never = limit.try_cost(4).expect("a valid cost");
        assert!(!peek(tenth, never).is_admitted() && !peek(Share::WHOLE, never).is_admitted(), "{limit:?}");
    }
    // The tenth of 3 a month is 1 in four months.
    let limit = Limit::per_months(3, 1);
    for (limit, longer) in [(limit, Limit::per_months(1, 4)), (Limit::per_weeks(3, 2), Limit::per_weeks(1, 7))] {
        let (one, longer) = (peek(tenth, limit), peek(Share::WHOLE, longer));
        assert_eq!((one.limit(), one.remaining()), (1, 0), "{limit:?}");
        assert!(one.reset_after().abs_diff(longer.reset_after()) < HOUR, "{limit:?}: {one:?}, not {longer:?}");
    }
    let blocked = Limit::token_bucket(0, HOUR).capacity(5);
    assert!(!peek(tenth, blocked).is_admitted());
}

#[test]
#[should_panic(expected = "share")]
fn a_share_of_no_processes_is_refused() {
    let _ = Share::one_in(0);
}

proptest! {
    #[test]
    fn no_share_is_out_of_bounds(
        quota in 0..=1_000_000_000_000_u64,
        capacity in 1..=1_000_000_000_000_u64,
        cost in 1..=1_000_000_000_000_u64,
        millis in 1..=3650 * 24 * 60 * 60 * 1_000_u64,
        processes in 1..=u32::MAX,
    ) {
        let duration = Duration::from_millis(millis);
        for limit in limits(quota, duration).into_iter().chain([Limit::token_bucket(quota, duration).capacity(capacity).into()]) {
            let limit = limit.try_cost(cost).expect("a valid cost");
            let (whole, share) = (peek(Share::WHOLE, limit), peek(Share::one_in(processes), limit));
            prop_assert!(share.limit() <= whole.limit());
            prop_assert_eq!(share.is_admitted(), whole.is_admitted());
        }
    }
}
