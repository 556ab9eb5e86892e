//! Limits as text, and what errors say.

use std::error::Error as _;
use std::time::Duration;

use premier_client::{
    Algorithm, AnyLimit, Backend, Error, ErrorKind, Fixed, InvalidLimit, Limit, MemoryCache, OnError, RedisCache,
    RetryAfter, Sliding, Throttler, Token, Zone, fixed_window, key,
};
use proptest::prelude::*;

use crate::stores::{Setup, limits};

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn a_limit_can_be_read_from_text() {
    let token = Limit::token_bucket(100, MINUTE);
    let texts: [(&str, AnyLimit); 13] = [
        ("fixed 5/1d aligned", Limit::per_day(5).into()),
        ("fixed 5/1w aligned", Limit::per_week(5).into()),
        ("fixed 5/1mo ALIGNED zone z", Limit::per_month(5).into()),
        ("fixed 5/1mo zone -03:30 aligned", Limit::per_month(5).in_zone(Zone::offset(-210)).into()),
        ("fixed 5/2w", Limit::fixed_window(5, MINUTE * 60 * 24 * 14).into()),
        ("100/1m", token.into()),
        ("  100/60  ", token.into()),
        ("token 100/1m capacity 20", token.capacity(20).into()),
        ("TOKEN 100/60s MaxWait 500ms COST 2 Capacity 20", token.capacity(20).cost(2).max_wait(MINUTE / 120).into()),
        ("Fixed 5/1d aligned force", Limit::fixed_window(5, MINUTE * 60 * 24).aligned().forced().into()),
        ("sliding 0/1ms", Limit::sliding_window(0, Duration::from_millis(1)).into()),
        ("leaky 3/1500us", Limit::leaky_bucket(3, Duration::from_micros(1_500)).into()),
        ("leaky 3/1s maxwait 0", Limit::leaky_bucket(3, MINUTE / 60).max_wait(Duration::ZERO).into()),
    ];
    for (text, limit) in texts {
        assert_eq!(text.parse(), Ok(limit), "{text}");
    }
    assert_eq!("5/1m".parse(), Ok(Limit::fixed_window(5, MINUTE)));
    assert_eq!("fixed 5/1m".parse(), Ok(Limit::fixed_window(5, MINUTE)));
}

#[test]
fn a_text_that_is_no_limit_says_what_is_allowed() {
    let texts = [
        ("", "expected quota/duration, as in 100/1m or token 100/1m capacity 20"),
        ("token", "expected quota/duration, as in 100/1m or token 100/1m capacity 20"),
        ("100", "expected quota/duration, as in 100/1m or token 100/1m capacity 20"),
        ("bucket 100/1m", "expected quota/duration, as in 100/1m or token 100/1m capacity 20"),
        ("-1/1m", "quota must be an integer from 0 to 1000000000000"),
        (
            "1/m",
            "duration must be a time from 1ms to 3650d: integers with units, longest first (w, d, h, m, s, ms, us; 1m30s), or whole seconds up to 31622400; FIXED with ALIGNED also takes calendar months, from 1mo to 120mo",
        ),
        (
            "1/",
            "duration must be a time from 1ms to 3650d: integers with units, longest first (w, d, h, m, s, ms, us; 1m30s), or whole seconds up to 31622400; FIXED with ALIGNED also takes calendar months, from 1mo to 120mo",
        ),
        ("1/1m burst 5", "unknown option 'burst': expected CAPACITY, COST, KEEP, MAXWAIT or FORCE"),
        ("fixed 1/1m capacity 5", "unknown option 'capacity': expected ALIGNED, ZONE, COST, KEEP or FORCE"),
        ("1/1mo", "duration may be in calendar months only for FIXED with ALIGNED"),
        ("fixed 1/1mo", "duration may be in calendar months only for FIXED with ALIGNED"),
        ("fixed 1/1d zone +02:00", "ZONE may be given only with ALIGNED"),
        ("1/1m zone Europe/Berlin", "unknown option 'zone': expected CAPACITY, COST, KEEP, MAXWAIT or FORCE"),
        ("fixed 1/1d aligned zone", "ZONE must be an offset from -18:00 to +18:00, like +02:00, or Z"),
        ("1/1m cost", "COST must be an integer from 1 to 1000000000000"),
        ("1/1m cost 1 cost 2", "COST may be given only once"),
    ];
    for (text, reason) in texts {
        let error = text.parse::<AnyLimit>().expect_err(text);
        assert_eq!(error.to_string(), format!("invalid limit {text:?}: {reason}"));
        assert_eq!(Error::from(error).kind(), ErrorKind::Configuration);
    }
    let error: InvalidLimit = "token 1/1m".parse::<Limit<Fixed>>().expect_err("another algorithm");
    assert_eq!(error.to_string(), "invalid limit \"token 1/1m\": the algorithm must be fixed, not token");
}

fn any_limit() -> impl Strategy<Value = AnyLimit> {
    let units = || 1..=1_000_000_000_000_u64;
    let micros = 1_000..=3650 * 24 * 60 * 60 * 1_000_000_u64;
    (0..4_usize, 0..=1_000_000_000_000_u64, micros, units(), proptest::option::of(units()), any::<bool>()).prop_map(
        |(algorithm, quota, micros, cost, capacity, flag)| {
            let duration = Duration::from_micros(micros);
            let limit: AnyLimit = match (algorithm, capacity) {
                (0, _) if flag => {
                    let limit = match micros % 4 {
                        0 => Limit::per_weeks(quota, 1 + micros % 521),
                        1 => Limit::per_months(quota, 1 + micros % 120),
                        _ => Limit::fixed_window(quota, duration).aligned(),
                    };
                    let minutes = i16::try_from(micros % 2_161).expect("it is small") - 1_080;
                    limit.in_zone(Zone::offset(minutes)).into()
                }
                (2, Some(capacity)) => Limit::token_bucket(quota, duration).capacity(capacity).into(),
                (3, _) if flag => Limit::leaky_bucket(quota, duration).max_wait(duration).into(),
                _ => limits(quota, duration)[algorithm],
            };
            let limit = limit.try_cost(cost).expect("a valid cost");
            let limit = limit.try_keep(quota).expect("a valid reserve");
            if flag { limit.forced() } else { limit }
        },
    )
}

proptest! {
    #[test]
    fn a_limit_is_read_as_it_was_printed(limit in any_limit()) {
        prop_assert_eq!(limit.to_string().parse(), Ok(limit));
        #[cfg(feature = "serde")]
        {
            let json = serde_json::to_string(&limit).expect("it can be serialized");
            prop_assert_eq!(&json, &format!("\"{limit}\""));
            prop_assert_eq!(serde_json::from_str::<AnyLimit>(&json).expect("it can be deserialized"), limit);
        }
    }
}

#[cfg(feature = "serde")]
#[test]
fn a_configuration_file_may_have_limits() {
    #[derive(serde::Deserialize)]
    struct Settings {
        api: AnyLimit,
        login: Limit<Sliding>,
    }
    let settings: Settings =
        serde_json::from_str(r#"{"api": "token 100/1m capacity 20", "login": "5/1m"}"#).expect("both are limits");
    assert_eq!(settings.api, Limit::token_bucket(100, MINUTE).capacity(20).into());
    assert_eq!(settings.login, Limit::sliding_window(5, MINUTE));
    let error = serde_json::from_str::<Limit<Token>>(r#""fixed 5/1m""#).expect_err("another algorithm");
    assert!(error.to_string().contains("the algorithm must be token, not fixed"), "{error}");
}

#[test]
fn a_limit_says_what_it_is() {
    let limit = Limit::token_bucket(100, MINUTE).capacity(20).cost(2).max_wait(MINUTE / 2);
    let terms = limit.terms();
    assert_eq!((terms.quota(), terms.duration(), terms.cost()), (100, MINUTE, 2));
    assert_eq!((terms.capacity(), terms.max_wait()), (Some(20), Some(MINUTE / 2)));
    assert!(!terms.is_forced() && limit.forced().terms().is_forced());
    let plain = Limit::fixed_window(1, MINUTE);
    assert!(plain.aligned().terms().is_aligned() && !plain.terms().is_aligned());
    assert_eq!((plain.terms().zone(), plain.aligned().terms().zone()), (None, Some(Zone::UTC)));
    assert_eq!(plain.in_zone(Zone::offset(90)).terms().zone(), Some(Zone::offset(90)));
    assert_eq!(Limit::per_months(1, 3).terms().duration(), MINUTE * 60 * 24 * 93);
    let any = AnyLimit::from(limit);
    assert_eq!((any.algorithm(), any.terms()), (Algorithm::TokenBucket, terms));
    assert_ne!(any, limit.cost(3).into());
    assert_ne!(AnyLimit::from(Limit::fixed_window(1, MINUTE)), Limit::sliding_window(1, MINUTE).into());
    assert_eq!(limit.to_string(), "token 100/1m capacity 20 cost 2 maxwait 30s");
}

/// A chain of errors, as anyhow prints it, names each reason only once.
#[test]
fn an_error_does_not_repeat_its_reason() {
    let errors = [
        Throttler::builder(Backend::redis("redis://127.0.0.1:1").expect("a valid address"))
            .deadline(Duration::from_millis(300))
            .build()
            .check(&key!("down"), Limit::fixed_window(1, MINUTE))
            .map(|_| ())
            .expect_err("nothing listens there"),
        Backend::redis("http://127.0.0.1").map(|_| ()).expect_err("http is not supported"),
    ];
    for error in errors {
        let reason = error.source().expect("there is a reason").to_string();
        assert!(!error.to_string().contains(&reason), "{error}");
        let chain = anyhow::Error::from(error.clone());
        assert_eq!(format!("{chain:#}").matches(&reason).count(), 1, "{chain:#}");
        assert_eq!(format!("{error:#}"), format!("{chain:#}"));
        assert_eq!(format!("{error:?}"), format!("{error:#}"), "what a `main` prints");
    }
}

#[test]
fn an_invalid_argument_says_what_was_given() {
    let throttler = Throttler::builder(Backend::memory()).build();
    let limit = Limit::fixed_window(1, MINUTE);
    let errors = [
        (throttler.check_n(&key!("f"), limit, 0).map(|_| ()), "a cost must be 1 to 1000000000000 units, not 0"),
        (throttler.refund_key(&key!("f"), limit, 0).map(|_| ()), "a refund must be 1 to 1000000000000 units, not 0"),
        (
            Limit::try_per_month(1_000_000_000_001).map(|_| ()).map_err(Error::from),
            "a quota must be 0 to 1000000000000 units, not 1000000000001",
        ),
        (Limit::try_per_weeks(1, 522).map(|_| ()).map_err(Error::from), "a duration must be 1 to 521 weeks, not 522"),
        (Limit::try_per_months(1, 0).map(|_| ()).map_err(Error::from), "a duration must be 1 to 120 months, not 0"),
        (
            Zone::try_offset(-1_081).map(|_| ()).map_err(Error::from),
            "a zone must be at most 18 hours from UTC, not -1081 minutes",
        ),
        (throttler.limit(1, Duration::ZERO).map(|_| ()), "a duration must be 1 ms to 3650 days, not 0ns"),
        (throttler.limit(1, Duration::from_micros(5)).map(|_| ()), "a duration must be 1 ms to 3650 days, not 5µs"),
    ];
    for (result, text) in errors {
        let error = result.expect_err(text);
        assert_eq!((error.to_string().as_str(), error.kind()), (text, ErrorKind::Configuration));
    }
}

/// A value that needs itself.
trait Itself {
    fn itself(&self) -> u8;
}

impl Itself for MemoryCache {
    fn itself(&self) -> u8 {
        self.get_or_compute(&key!("itself"), MINUTE, || Ok::<_, ()>(self.itself())).expect("no error")
    }
}
const MEMORY_CACHE: u32 = line!() - 3;

impl Itself for RedisCache {
    fn itself(&self) -> u8 {
        self.get_or_compute(&key!("itself"), MINUTE, || Ok::<_, ()>(self.itself())).expect("no error")
    }
}
const REDIS_CACHE: u32 = line!() - 3;

#[fixed_window(quota = 1, duration = "1h", on_limit = wait("1ms"))]
fn waits_too_long() -> u8 {
    1
}
const WAITS: u32 = line!() - 3;

#[test]
fn a_panic_names_the_place_of_the_call() {
    let places: [(fn(), u32); 6] = [
        (|| _ = Limit::fixed_window(1, Duration::ZERO), line!()),
        (|| _ = Limit::fixed_window(1, MINUTE).cost(0), line!()),
        (|| _ = Limit::token_bucket(1, MINUTE).capacity(0).max_wait(MINUTE), line!()),
        (|| _ = MemoryCache::new(1).itself(), MEMORY_CACHE),
        (|| _ = RedisCache::redis("redis://127.0.0.1:1/").expect("a valid address").itself(), REDIS_CACHE),
        (|| _ = [(); 2].map(|()| waits_too_long()), WAITS),
    ];
    let panicked = std::sync::Arc::new(std::sync::Mutex::new(None));
    let place = std::sync::Arc::clone(&panicked);
    let before = std::panic::take_hook();
    let this = std::thread::current().id();
    std::panic::set_hook(Box::new(move |panic| {
        if std::thread::current().id() == this {
            *place.lock().expect("no panic") = panic.location().map(|place| (place.file().to_owned(), place.line()));
        } else {
            before(panic);
        }
    }));
    let seen = places.map(|(make, line)| {
        let _ = std::panic::catch_unwind(make);
        (panicked.lock().expect("no panic").take(), line)
    });
    let _ = std::panic::take_hook();
    for (place, line) in seen {
        assert_eq!(place, Some((file!().to_owned(), line)));
    }
}

/// The header has whole seconds, and a client that comes back too early is limited again.
#[test]
fn a_retry_after_in_whole_seconds_is_rounded_up() {
    let after = |millis| RetryAfter::After(Duration::from_millis(millis)).as_secs();
    assert_eq!([0, 1, 1_000, 1_001].map(after), [Some(0), Some(1), Some(1), Some(2)]);
    assert_eq!(RetryAfter::After(Duration::MAX).as_secs(), Some(u64::MAX));
    assert_eq!(RetryAfter::Never.as_secs(), None);
}

/// An admission is always admitted, so nobody has to look at it.
#[test]
#[deny(unused_must_use)]
fn an_admission_may_be_ignored() {
    let throttler = Throttler::builder(Backend::memory()).build();
    let limit = Limit::fixed_window(2, MINUTE);
    throttler.acquire(&key!("ignored"), limit, MINUTE).expect("the key is fresh");
    throttler.admit(&key!("ignored"), limit).expect("there is another unit");
}

#[test]
fn a_joint_decision_says_whether_it_is_admitted() {
    for subject in (Setup { on_error: OnError::Fail, ..Setup::default() }).in_memory() {
        let together = [(key!("joint"), Limit::fixed_window(1, MINUTE).into())];
        let admitted = [(); 2].map(|()| subject.check_all(&together).expect("memory answers").is_admitted());
        assert_eq!(admitted, [true, false], "{subject}");
    }
}
