//! Limits are always in bounds, which are those of the server.

use std::time::Duration;

use premier_client::{
    Algorithm, AnyLimit, AsyncBackend, AsyncThrottler, Backend, InvalidArgument, Limit, PremierCommands, Throttler,
};
use premier_test_server::Server;

const SECOND: Duration = Duration::from_secs(1);
const TEN_YEARS: Duration = Duration::from_secs(3650 * 24 * 60 * 60);
const MAX: u64 = 1_000_000_000_000;

/// Returns whether the server refuses these arguments.
fn server_refuses(server: &Server, arguments: &str) -> bool {
    let mut command = redis::cmd("PREMIER.LEAKY");
    command.arg("key").arg(arguments.split(' ').collect::<Vec<_>>());
    command.exec(&mut server.connection()).is_err()
}

#[test]
fn what_the_server_refuses_is_refused_here_too() {
    let server = Server::start();
    let bucket = Limit::leaky_bucket(1, SECOND);
    let wrong: [(Option<InvalidArgument>, &str); 7] = [
        (Limit::try_leaky_bucket(MAX + 1, SECOND).err(), "1000000000001 1s"),
        (Limit::try_leaky_bucket(1, Duration::from_micros(999)).err(), "1 999us"),
        (Limit::try_leaky_bucket(1, TEN_YEARS + Duration::from_micros(1)).err(), "1 315360000000001us"),
        (bucket.try_capacity(0).err(), "1 1s CAPACITY 0"),
        (bucket.try_cost(0).err(), "1 1s COST 0"),
        (bucket.try_cost(MAX + 1).err(), "1 1s COST 1000000000001"),
        (bucket.try_max_wait(Duration::MAX).err(), "1 1s MAXWAIT 3651d"),
    ];
    for (invalid, arguments) in wrong {
        assert!(invalid.is_some(), "the client accepts {arguments}");
        assert!(server_refuses(&server, arguments), "the server accepts {arguments}");
    }
}

#[test]
fn the_server_accepts_all_limits_in_bounds() {
    let server = Server::start();
    let connection = &mut server.connection();
    for quota in [0, 1, MAX] {
        for duration in [Duration::from_millis(1), Duration::from_micros(1_001), SECOND, TEN_YEARS] {
            let limits = [Limit::token_bucket(quota, duration), Limit::token_bucket(quota, duration).capacity(1)];
            for limit in limits.into_iter().flat_map(|limit| [limit, limit.capacity(MAX).cost(MAX).max_wait(TEN_YEARS)])
            {
                let decision = connection.premier_token("key", limit);
                assert!(decision.is_ok(), "{limit:?}: {decision:?}");
            }
        }
    }
}

#[test]
fn every_constructor_checks_the_bounds() {
    for algorithm in [Algorithm::FixedWindow, Algorithm::SlidingWindow, Algorithm::TokenBucket, Algorithm::LeakyBucket]
    {
        assert_eq!(algorithm.limit(1, SECOND).map(|limit| limit.algorithm()), Ok(algorithm));
        assert!(algorithm.limit(MAX + 1, SECOND).is_err());
        assert!(algorithm.limit(1, Duration::ZERO).is_err());
    }
    assert!(Limit::try_fixed_window(MAX + 1, SECOND).is_err());
    assert!(Limit::try_sliding_window(1, Duration::ZERO).is_err());
    assert!(Limit::try_token_bucket(1, Duration::ZERO).is_err());
    assert!(AnyLimit::from(Limit::fixed_window(1, SECOND)).try_cost(0).is_err());
}

#[test]
#[should_panic(expected = "a cost must be 1 to 1000000000000 units")]
fn an_invalid_constant_says_what_is_allowed() {
    let _ = Limit::fixed_window(1, SECOND).cost(0);
}

/// A window must not become shorter by being cut to whole microseconds.
#[test]
fn fractions_of_a_microsecond_are_rounded_up() {
    assert!(Limit::try_fixed_window(1, Duration::from_nanos(999_001)).is_ok(), "it is rounded up to a millisecond");
    assert!(Limit::try_fixed_window(1, TEN_YEARS + Duration::from_nanos(1)).is_err(), "it is rounded up");
    assert!(Limit::leaky_bucket(1, SECOND).try_max_wait(TEN_YEARS + Duration::from_nanos(1)).is_ok(), "rounded down");
}

#[test]
fn a_throttler_makes_limits_by_its_algorithm() {
    let limit = |throttler: &Throttler| throttler.limit(3, SECOND).expect("it is in bounds");
    assert_eq!(limit(&Throttler::builder(Backend::memory()).build()).algorithm(), Algorithm::TokenBucket);
    let throttler = Throttler::builder(Backend::memory()).algorithm(Algorithm::LeakyBucket).build();
    assert_eq!(limit(&throttler).algorithm(), Algorithm::LeakyBucket);
    let throttler = AsyncThrottler::builder(AsyncBackend::memory()).algorithm(Algorithm::SlidingWindow).build();
    assert_eq!(throttler.limit(3, SECOND).map(|limit| limit.algorithm()).ok(), Some(Algorithm::SlidingWindow));
}
