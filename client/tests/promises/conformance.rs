//! All backends give the same answers.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use premier_client::{
    Algorithm, AnyLimit, DecidedBy, Decision, ErrorKind, JointDecision, Key, Lease, Limit, RetryAfter, Usage, Zone, key,
};
use premier_test_server::{Cluster, Server};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::stores::{Setup, Subject};

const HOUR: Duration = Duration::from_secs(60 * 60);

/// How much times may differ between stores, as the test asks one after another.
const TOLERANCE: Duration = Duration::from_secs(20);

fn with_all(try_them: impl FnOnce(&[Subject])) {
    let (server, cluster) = (Server::start(), Cluster::start(3));
    try_them(&Setup::default().everywhere_and_on(&server, &cluster));
}

#[test]
fn a_fresh_key_admits_its_limit_and_then_limits() {
    let limits: [AnyLimit; 4] = [
        Limit::fixed_window(3, HOUR).into(),
        Limit::sliding_window(3, HOUR).into(),
        Limit::token_bucket(3, HOUR).into(),
        Limit::leaky_bucket(3, HOUR).into(),
    ];
    with_all(|subjects| {
        for (index, subject) in subjects.iter().enumerate() {
            for limit in limits {
                // Subjects on the same server must not share keys.
                let key = key!("fresh", index);
                let third = HOUR / 3;
                let (first_unit, every_unit) = match limit.algorithm() {
                    Algorithm::FixedWindow | Algorithm::SlidingWindow => (HOUR, HOUR),
                    _ => (third, 3 * third),
                };
                for used in 1..=3 {
                    let decision = subject.check(&key, limit).expect("the store answers");
                    let context = format!("{subject}, {limit:?}: {decision:?}");
                    assert!(decision.is_admitted(), "{context}");
                    assert_eq!((decision.limit(), decision.remaining()), (3, 3 - u64::from(used)), "{context}");
                    let turn =
                        if limit.algorithm() == Algorithm::LeakyBucket { third * (used - 1) } else { Duration::ZERO };
                    assert!(is_about(decision.wait(), Some(turn)), "{context}");
                    assert_eq!(decision.retry_after(), None, "{context}");
                    assert_eq!(decision.decided_by(), DecidedBy::Store, "{context}");
                }
                let decision = subject.check(&key, limit).expect("the store answers");
                let context = format!("{subject}, {limit:?}: {decision:?}");
                assert!(!decision.is_admitted(), "{context}");
                assert_eq!((decision.limit(), decision.remaining()), (3, 0), "{context}");
                assert_eq!(decision.wait(), None, "{context}");
                assert!(is_about(retry_after(&decision), Some(first_unit)), "{context}");
                assert!(is_about(Some(decision.reset_after()), Some(every_unit)), "{context}");
            }
        }
    });
}

#[test]
fn concurrent_calls_get_no_more_than_the_limit() {
    const QUOTA: usize = 100;
    let limits: [AnyLimit; 2] =
        [Limit::sliding_window(QUOTA as u64, HOUR).into(), Limit::token_bucket(QUOTA as u64, HOUR * 24 * 30).into()];
    with_all(|subjects| {
        for (index, subject) in subjects.iter().enumerate() {
            for limit in limits {
                let key = key!("many", index);
                let admitted = AtomicUsize::new(0);
                thread::scope(|scope| {
                    // More threads than a pool has connections.
                    for _ in 0..16 {
                        scope.spawn(|| {
                            for _ in 0..QUOTA / 8 {
                                let decision = subject.check(&key, limit).expect("the store answers");
                                admitted.fetch_add(decision.is_admitted().into(), Ordering::Relaxed);
                            }
                        });
                    }
                });
                assert_eq!(admitted.into_inner(), QUOTA, "{subject}, {limit:?}");
            }
        }
    });
}

#[test]
fn a_cost_above_the_limit_is_never_admitted() {
    with_all(|subjects| {
        for (index, subject) in subjects.iter().enumerate() {
            for limit in [Limit::token_bucket(3, HOUR), Limit::token_bucket(0, HOUR).capacity(5)] {
                let decision = subject.check_n(&key!("never", index), limit, 4).expect("the store answers");
                assert_eq!(decision.retry_after(), Some(RetryAfter::Never), "{subject}");
                assert_eq!(decision.wait(), None, "{subject}");
            }
        }
    });
}

/// A question to a store.
#[derive(Debug, Clone)]
enum Call {
    Check(AnyLimit, u8),
    Peek(AnyLimit, u8),
    CheckAtMost(AnyLimit, u8, u64),
    Inspect(AnyLimit, u8),
    Reset(AnyLimit, u8),
    Refund(AnyLimit, u8, u64),
    CheckAll(Vec<(AnyLimit, u8)>),
}

/// The answer of a store.
#[derive(Debug)]
enum Answer {
    Decision(Decision),
    Usage(Option<Usage>),
    WasReset(bool),
    Refunded(u64),
    Joint(JointDecision),
    Error(ErrorKind),
}

impl Call {
    fn ask(&self, subject: &Subject, key: impl Fn(u8) -> Key<'static>) -> Answer {
        let answer = match self {
            Self::Check(limit, of) => subject.check(&key(*of), *limit).map(Answer::Decision),
            Self::Peek(limit, of) => subject.peek(&key(*of), *limit).map(Answer::Decision),
            Self::CheckAtMost(limit, of, at_most) => {
                subject.check_at_most(&key(*of), *limit, *at_most).map(|receipt| Answer::Decision(*receipt))
            }
            Self::Inspect(limit, of) => subject.inspect(&key(*of), limit.algorithm()).map(Answer::Usage),
            Self::Reset(limit, of) => subject.reset(&key(*of), limit.algorithm()).map(Answer::WasReset),
            Self::Refund(limit, of, units) => subject.refund(&key(*of), *limit, *units).map(Answer::Refunded),
            Self::CheckAll(limits) => {
                let limits: Vec<_> = limits.iter().map(|(limit, of)| (key(*of), *limit)).collect();
                subject.check_all(&limits).map(Answer::Joint)
            }
        };
        answer.unwrap_or_else(|error| Answer::Error(error.kind()))
    }
}

impl Answer {
    fn is_alike(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Decision(one), Self::Decision(other)) => is_alike(one, other),
            (Self::Refunded(one), Self::Refunded(other)) => one == other,
            (Self::WasReset(one), Self::WasReset(other)) => one == other,
            (Self::Usage(one), Self::Usage(other)) => {
                one.map(|usage| usage.used()) == other.map(|usage| usage.used())
                    && is_about(one.map(|usage| usage.reset_after()), other.map(|usage| usage.reset_after()))
            }
            (Self::Joint(one), Self::Joint(other)) => {
                is_alike(&one.decision(), &other.decision())
                    && one.binding() == other.binding()
                    && one.each().len() == other.each().len()
                    && one.each().iter().zip(other.each()).all(|(one, other)| is_alike(one, other))
            }
            (Self::Error(one), Self::Error(other)) => one == other,
            _ => false,
        }
    }
}

#[test]
fn all_backends_answer_alike() {
    let server = Server::start();
    let cluster = Cluster::start(3);
    // So that a call with several keys is possible in the cluster too.
    let setup = Setup { keyspace: "{alike}", ..Setup::default() };
    answer_alike(&setup.everywhere_and_on(&server, &cluster), any_call(any_limit));
}

/// These limits are too small for a lease. Leaky buckets are never leased.
#[test]
fn leasing_and_remembering_throttlers_answer_alike() {
    let server = Server::start();
    let setup = Setup { keyspace: "{alike}", ..Setup::default() };
    let leasing = Setup { lease: Some(Lease::of(1_000)), ..setup };
    let remembering = Setup { remembered_for: Some(HOUR), ..leasing };
    let mut stores = leasing.on_server(server.port());
    stores.truncate(2);
    stores.extend(leasing.in_memory());
    stores.extend(Setup { keyspace: "{remembering}", ..remembering }.on_server(server.port()));
    stores.extend(remembering.in_memory());
    let is_leased = |limit: &AnyLimit| limit.algorithm() != Algorithm::LeakyBucket;
    answer_alike(&stores, any_call(move || any_limit().prop_filter("it is never leased", is_leased)));
}

/// Makes calls on two keys, by limits that change from call to call.
fn answer_alike(stores: &[Subject], calls: impl Strategy<Value = Call>) {
    let memory = Setup { keyspace: "{alike}", ..Setup::default() }.in_memory();
    let mut runner =
        TestRunner::new(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() });
    let case = std::cell::Cell::new(0);
    let result = runner.run(&vec(calls, 1..16), |calls| {
        case.set(case.get() + 1);
        let start = Instant::now();
        for (index, call) in calls.into_iter().enumerate() {
            let key = |subject: usize, of: u8| key!("alike", case.get(), subject, of);
            let expected = call.ask(&memory[0], |of| key(usize::MAX, of));
            let is_wrong = matches!(expected, Answer::Error(kind) if kind != ErrorKind::Configuration);
            prop_assert!(!is_wrong, "call {index}, {call:?}: {expected:?}");
            for (number, subject) in stores.iter().enumerate() {
                let answer = call.ask(subject, |of| key(number, of));
                prop_assert!(answer.is_alike(&expected), "{subject}, call {index}: {answer:?}, not {expected:?}");
            }
        }
        prop_assert!(start.elapsed() < TOLERANCE, "the machine is too slow to compare times");
        Ok(())
    });
    result.unwrap_or_else(|failure| panic!("{failure}"));
}

fn any_call<L: Strategy<Value = AnyLimit>>(any_limit: impl Fn() -> L) -> impl Strategy<Value = Call> {
    let key = || 0..2_u8;
    prop_oneof![
        4 => (any_limit(), key()).prop_map(|(limit, of)| Call::Check(limit, of)),
        1 => (any_limit(), key()).prop_map(|(limit, of)| Call::Peek(limit, of)),
        2 => (any_limit(), key(), 1..=6_u64).prop_map(|(limit, of, units)| Call::Refund(limit, of, units)),
        2 => (any_limit(), key(), 1..=6_u64).prop_map(|(limit, of, at_most)| Call::CheckAtMost(limit, of, at_most)),
        1 => (any_limit(), key()).prop_map(|(limit, of)| Call::Inspect(limit, of)),
        1 => (any_limit(), key()).prop_map(|(limit, of)| Call::Reset(limit, of)),
        2 => vec((any_limit(), key()), 1..=4).prop_map(Call::CheckAll),
    ]
}

/// Makes limits whose answers do not change while the test asks all stores.
fn any_limit() -> impl Strategy<Value = AnyLimit> {
    let options = (prop::option::of(1..=6_u64), prop::option::of(prop::sample::select(vec![0, 25, 200])), 1..=4_u64);
    let flags = (any::<bool>(), prop::bool::weighted(0.2), prop_oneof![2 => Just(0), 1 => 1..=3_u64]);
    (0..4_u8, 0..=6_u64, prop::sample::select(vec![1_u32, 2, 3]), options, flags).prop_map(
        |(algorithm, quota, hours, (capacity, max_wait, cost), (is_aligned, is_forced, reserve))| {
            let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
            let limit: AnyLimit = match algorithm {
                // Windows that end years apart, so hardly during the test.
                0 if is_aligned => {
                    let limit = match hours {
                        1 => Limit::fixed_window(quota, HOUR * 24_000).aligned(),
                        2 => Limit::per_weeks(quota, 500),
                        _ => Limit::per_months(quota, 120),
                    };
                    let zone = Zone::offset(i16::try_from(cost).expect("a small cost") * 345 - 900);
                    limit.in_zone(zone).cost(cost).into()
                }
                0 => Limit::fixed_window(quota, HOUR * hours).cost(cost).into(),
                1 => Limit::sliding_window(quota, HOUR * hours).cost(cost).into(),
                2 => {
                    let limit = Limit::token_bucket(quota, HOUR * hours).cost(cost);
                    let limit = capacity.map_or(limit, |capacity| limit.capacity(capacity));
                    max_wait.map_or(limit, |max_wait| limit.max_wait(minutes(max_wait))).into()
                }
                _ => {
                    let limit = Limit::leaky_bucket(quota, HOUR * hours).cost(cost);
                    let limit = capacity.map_or(limit, |capacity| limit.capacity(capacity));
                    max_wait.map_or(limit, |max_wait| limit.max_wait(minutes(max_wait))).into()
                }
            };
            let limit = limit.try_keep(reserve).expect("a valid reserve");
            if is_forced { limit.forced() } else { limit }
        },
    )
}

fn is_alike(one: &Decision, other: &Decision) -> bool {
    one.is_admitted() == other.is_admitted()
        && one.limit() == other.limit()
        && one.remaining() == other.remaining()
        && one.granted() == other.granted()
        && is_about(one.wait(), other.wait())
        && is_about(retry_after(one), retry_after(other))
        && is_about(Some(one.reset_after()), Some(other.reset_after()))
}

/// Returns the retry-after; never is longer than any duration.
fn retry_after(decision: &Decision) -> Option<Duration> {
    decision.retry_after().map(|retry| match retry {
        RetryAfter::After(after) => after,
        RetryAfter::Never => Duration::MAX,
    })
}

fn is_about(one: Option<Duration>, other: Option<Duration>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one.abs_diff(other) < TOLERANCE,
        (one, other) => one == other,
    }
}
