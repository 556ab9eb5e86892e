//! Leased units: never too many, and given back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use premier_client::{
    Algorithm, AnyLimit, AsyncBackend, AsyncThrottler, DecidedBy, Decision, ErrorKind, Lease, Limit, MemoryBackend,
    OnError, Throttler, key,
};
use premier_test_server::{Proxy, Server, patience};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::clock::Clock;
use crate::stores::{Setup, Subject, limits};

const HOUR: Duration = Duration::from_secs(60 * 60);

/// A clock that goes on a little at each reading, as time passes between a call and its answer.
#[derive(Clone)]
struct Ticking {
    micros: Arc<AtomicU64>,
    tick: u64,
}

impl Ticking {
    fn new(tick: u64) -> Self {
        Self { micros: Arc::new(AtomicU64::new(1_000_000)), tick }
    }

    fn now(&self) -> u64 {
        self.micros.load(Ordering::SeqCst)
    }

    fn pass(&self, micros: u64) {
        self.micros.fetch_add(micros, Ordering::SeqCst);
    }

    fn memory(&self) -> MemoryBackend {
        let Self { micros, tick } = self.clone();
        MemoryBackend::with_clock(move || Duration::from_micros(micros.fetch_add(tick, Ordering::SeqCst)))
    }
}

/// What a process does.
#[derive(Debug, Clone)]
enum Step {
    /// This many calls of this cost, with a pause after each.
    Calls {
        number: u64,
        cost: u64,
        pause: u64,
    },
    AtMost(u64),
    /// A call that turns out to need nothing.
    CallAndRefund(u64),
    /// The process ends, and another one begins.
    End,
    /// The process is killed, and another one begins.
    Die,
}

/// Units that were admitted between two moments.
#[derive(Debug, Clone, Copy)]
struct Used {
    from: u64,
    to: u64,
    units: u64,
}

/// Runs processes that share a key, and returns what was admitted, and how many calls by leases.
fn run(limit: AnyLimit, lease: Lease, tick: u64, steps: &[(usize, u64, Step)]) -> (Vec<Used>, u64) {
    let clock = Ticking::new(tick);
    let memory = clock.memory();
    let process = || Throttler::builder(memory.clone()).leases(lease).build();
    let mut processes: Vec<_> = (0..4).map(|_| process()).collect();
    let key = key!("shared");
    let (mut log, mut leased) = (Vec::new(), 0);
    let mut note = |from: u64, decision: &Decision, units: u64| {
        leased += u64::from(decision.decided_by() == DecidedBy::Lease);
        if decision.is_admitted() {
            log.push(Used { from, to: clock.now(), units });
        }
    };
    for (number, pause, step) in steps {
        clock.pass(*pause);
        let from = clock.now();
        let process_here = &mut processes[*number];
        match step {
            Step::Calls { number, cost, pause } => {
                for _ in 0..*number {
                    let from = clock.now();
                    note(from, &process_here.check_n(&key, limit, *cost).expect("memory answers"), *cost);
                    clock.pass(*pause);
                }
            }
            Step::AtMost(units) => {
                let receipt = process_here.check_at_most(&key, limit, *units).expect("memory answers");
                note(from, &receipt, receipt.granted().expect("as many as fit"));
            }
            Step::CallAndRefund(cost) => {
                let receipt = process_here.check_n(&key, limit, *cost).expect("memory answers");
                let _ = process_here.refund(receipt).expect("memory answers");
            }
            Step::End => *process_here = process(),
            Step::Die => std::mem::forget(std::mem::replace(process_here, process())),
        }
    }
    (log, leased)
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (1..40_u64, 1..4_u64, 0..3_000_u64).prop_map(|(number, cost, pause)| Step::Calls { number, cost, pause }),
        1 => (1..30_u64).prop_map(Step::AtMost),
        1 => (1..10_u64).prop_map(Step::CallAndRefund),
        2 => Just(Step::End),
        1 => Just(Step::Die),
    ]
}

fn any_steps() -> impl Strategy<Value = Vec<(usize, u64, Step)>> {
    let pause = prop_oneof![4 => 0..2_000_u64, 2 => 0..30_000_u64, 1 => 0..300_000_u64];
    vec((0..4_usize, pause, any_step()), 1..120)
}

fn any_lease() -> impl Strategy<Value = Lease> {
    (1..200_u64, 10..80_u64).prop_map(|(units, millis)| Lease::of(units).held_for(Duration::from_millis(millis)))
}

/// Returns the most units that were surely admitted in a span of this length.
fn most_in_any_span(log: &[Used], length: u64) -> u64 {
    let (mut units, mut most, mut end) = (0, 0, 0);
    for first in log {
        while let Some(used) = log.get(end).filter(|used| used.to < first.from + length) {
            units += used.units;
            end += 1;
        }
        most = most.max(units);
        units = units.saturating_sub(first.units);
    }
    most
}

/// Returns the most units that were surely admitted between two calls beyond what refills between
/// them, in parts of a unit: as many as the duration has microseconds.
fn most_beyond_refill(log: &[Used], quota: u64, micros: u64) -> i128 {
    let (mut units, mut least, mut most) = (0, i128::MAX, 0);
    for used in log {
        let refilled = |at: u64| i128::from(quota) * i128::from(at);
        least = least.min(units - refilled(used.from));
        units += i128::from(used.units) * i128::from(micros);
        most = most.max(units - refilled(used.to) - least);
    }
    most
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// In any span of the duration, whichever processes lease, end or die.
    #[test]
    fn leases_of_a_sliding_window_never_exceed_it(
        quota in 32..300_u64,
        millis in 50..400_u64,
        lease in any_lease(),
        tick in 0..30_u64,
        steps in any_steps(),
    ) {
        let limit = Limit::sliding_window(quota, Duration::from_millis(millis));
        let (log, _) = run(limit.into(), lease, tick, &steps);
        let most = most_in_any_span(&log, millis * 1_000);
        prop_assert!(most <= quota, "{most} of {quota}");
    }

    /// The capacity at once, and what refills, between any two calls.
    #[test]
    fn leases_of_a_token_bucket_never_exceed_it(
        (quota, capacity) in (1..300_u64, 32..300_u64),
        millis in 50..400_u64,
        lease in any_lease(),
        tick in 0..30_u64,
        steps in any_steps(),
    ) {
        let limit = Limit::token_bucket(quota, Duration::from_millis(millis)).capacity(capacity);
        let (log, _) = run(limit.into(), lease, tick, &steps);
        let most = most_beyond_refill(&log, quota, millis * 1_000);
        prop_assert!(most <= i128::from(capacity * millis * 1_000), "{most} of {capacity} times {millis} ms");
    }

    /// In any window of the calendar.
    #[test]
    fn leases_of_a_fixed_window_never_exceed_it(
        quota in 32..300_u64,
        millis in 20..400_u64,
        lease in any_lease(),
        tick in 0..30_u64,
        steps in any_steps(),
    ) {
        let limit = Limit::fixed_window(quota, Duration::from_millis(millis)).aligned();
        let (log, _) = run(limit.into(), lease, tick, &steps);
        let mut windows = BTreeMap::new();
        for Used { from, to, units } in log {
            let window = |at: u64| at / (millis * 1_000);
            if window(from) == window(to) {
                *windows.entry(window(from)).or_insert(0) += units;
            }
        }
        prop_assert!(windows.values().all(|units| *units <= quota), "{windows:?} of {quota}");
    }
}

fn leasing() -> Setup {
    Setup { lease: Some(Lease::of(1_000)), ..Setup::default() }
}

/// Calls until a lease decides, as leases grow with the calls.
fn call_until_leased(subject: &Subject, index: usize, limit: AnyLimit) -> u64 {
    let start = Instant::now();
    for calls in 1.. {
        let decision = subject.check(&key!("leased", index), limit).expect("the store answers");
        assert!(decision.is_admitted(), "{subject}: {decision:?}");
        if decision.decided_by() == DecidedBy::Lease {
            return calls;
        }
        assert!(start.elapsed() < patience(), "{subject} leases nothing");
    }
    unreachable!("it calls until it is leased")
}

/// Returns the units that a key has left, without those that are leased.
fn left(server: &Server, index: usize, quota: u64) -> u64 {
    let name = format!("premier:leased:fixed:{index}");
    let mut look = redis::cmd("PREMIER.PEEK");
    look.arg(name).arg("FIXED").arg(quota).arg("1h").arg("COST").arg(0);
    let [_, _, remaining, _, _]: [u64; 5] = look.query(&mut server.connection()).expect("PREMIER.PEEK");
    remaining
}

#[test]
fn leased_calls_rarely_ask_the_store() {
    const CALLS: u64 = 20_000;
    let server = Server::start();
    for (index, subject) in leasing().on_server(server.port()).iter().enumerate() {
        for limit in limits(10_000_000, HOUR) {
            if limit.algorithm() == Algorithm::LeakyBucket {
                continue;
            }
            let before = server.calls_of("PREMIER.");
            for _ in 0..CALLS {
                let decision = subject.check(&key!("rarely", index), limit).expect("the store answers");
                assert!(decision.is_admitted(), "{subject}: {decision:?}");
            }
            let asked = server.calls_of("PREMIER.") - before;
            assert!((1..CALLS / 10).contains(&asked), "{subject}, {limit:?}: {asked} commands");
        }
    }
}

/// Then the store counts no more units as used than calls have used.
#[test]
fn what_is_left_of_leases_is_given_back() {
    const QUOTA: u64 = 1_000_000;
    let server = Server::start();
    let setup = Setup { lease: Some(Lease::of(1_000).held_for(Duration::from_millis(200))), ..leasing() };
    let expect = |index, used| {
        let start = Instant::now();
        while left(&server, index, QUOTA) != QUOTA - used {
            assert!(start.elapsed() < patience(), "{used} are used, {} are left", left(&server, index, QUOTA));
            thread::sleep(Duration::from_millis(5));
        }
    };
    for (index, subject) in setup.on_server(server.port()).into_iter().enumerate() {
        let limit = Limit::fixed_window(QUOTA, HOUR).into();
        // When calls stop,
        let used = call_until_leased(&subject, index, limit);
        expect(index, used);
        // and when the throttler is dropped.
        let used = used + call_until_leased(&subject, index, limit);
        subject.end();
        expect(index, used);
    }
}

/// That includes the units of a lease that is being asked for.
#[test]
fn leases_can_be_given_back_before_a_process_ends() {
    const QUOTA: u64 = 1_000_000;
    let server = Server::start();
    for (index, subject) in leasing().on_server(server.port()).iter().enumerate() {
        let limit = AnyLimit::from(Limit::fixed_window(QUOTA, HOUR));
        let mut used = 0;
        for _ in 0..20 {
            used += call_until_leased(subject, index, limit);
            for _ in 0..100 {
                let decision = subject.check(&key!("leased", index), limit).expect("the store answers");
                used += u64::from(decision.is_admitted());
            }
            subject.give_back_leases().expect("the store answers");
            assert_eq!(left(&server, index, QUOTA), QUOTA - used, "{subject}");
        }
    }
}

/// As many are charged as are used, although leases end and units are refunded.
#[test]
fn threads_use_each_leased_unit_once() {
    const THREADS: u64 = 8;
    const CALLS: u64 = 5_000;
    // Less than what the calls want.
    const QUOTA: u64 = 50_000;
    const HELD_FOR: Duration = Duration::from_millis(30);
    let server = Server::start();
    let setup = Setup { lease: Some(Lease::of(1_000).held_for(HELD_FOR)), ..leasing() };
    for (index, subject) in setup.on_server(server.port()).iter().enumerate() {
        let (used, leased) = (AtomicU64::new(0), AtomicU64::new(0));
        let call = |call: u64| {
            if call % 1_000 == 999 {
                // A lease may end in between.
                thread::sleep(HELD_FOR);
            }
            let cost = 1 + call % 3;
            let receipt = subject.charge(&key!("leased", index), Limit::fixed_window(QUOTA, HOUR).cost(cost));
            let receipt = receipt.expect("the store answers");
            leased.fetch_add(u64::from(receipt.decided_by() == DecidedBy::Lease), Ordering::Relaxed);
            if receipt.is_admitted() {
                let is_refunded = call.is_multiple_of(8);
                let refunded = if is_refunded { subject.give_back(receipt).expect("the store answers") } else { 0 };
                used.fetch_add(cost - refunded, Ordering::Relaxed);
            }
        };
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| (0..CALLS).for_each(call));
            }
        });
        subject.give_back_leases().expect("the store answers");
        assert_eq!(used.into_inner() + left(&server, index, QUOTA), QUOTA, "{subject}");
        assert!(leased.into_inner() > CALLS, "{subject} leases nothing");
    }
}

/// No lease that was asked for before the reset is used after it.
#[test]
fn a_key_that_was_reset_admits_its_quota_once() {
    const QUOTA: u64 = 1_000;
    let server = Server::start();
    let setup = Setup { lease: Some(Lease::of(1_000).held_for(HOUR)), ..Setup::default() };
    for (index, subject) in setup.on_server(server.port()).iter().enumerate() {
        let limit = AnyLimit::from(Limit::fixed_window(QUOTA, HOUR));
        let key = key!("reset", index);
        let is_admitted = || subject.check(&key, limit).expect("the store answers").is_admitted();
        for _ in 0..40 {
            for _ in 0..300 {
                let _ = is_admitted();
            }
            let _ = subject.reset(&key, limit.algorithm()).expect("the store answers");
            let admitted = (0..QUOTA + 200).filter(|_| is_admitted()).count() as u64;
            assert!(admitted <= QUOTA, "{subject}: {admitted}");
        }
    }
}

#[test]
fn costly_calls_are_leased_as_soon_as_cheap_ones() {
    for subject in leasing().in_memory() {
        for cost in [1, 2, 3, 10, 100, 500] {
            let limit = Limit::sliding_window(10_000_000, HOUR);
            let check = || subject.check_n(&key!("costly", cost), limit, cost).expect("memory answers").decided_by();
            let first_leased = (0..10).position(|_| check() == DecidedBy::Lease);
            assert_eq!(first_leased, Some(2), "{subject}: {cost}");
        }
    }
}

#[test]
fn a_call_that_never_fits_leases_nothing() {
    for subject in leasing().in_memory() {
        let limit = Limit::fixed_window(40, HOUR);
        for _ in 0..3 {
            let limited = subject.check_n(&key!("never"), limit, 41).expect("memory answers");
            assert!(!limited.is_admitted(), "{subject}");
        }
        assert!(subject.check_n(&key!("never"), limit, 40).expect("memory answers").is_admitted(), "{subject}");
    }
}

/// Even if a runtime ends while a lease is being asked for.
#[test]
fn each_runtime_of_many_leases_units() {
    let server = Server::start();
    let backend = AsyncBackend::redis(format!("redis://127.0.0.1:{}/", server.port())).expect("an address");
    let throttler =
        AsyncThrottler::builder(backend).deadline(Duration::from_secs(1)).leases(Lease::of(1_000).held_for(HOUR));
    let throttler = throttler.build();
    let limit = Limit::fixed_window(1_000_000_000, HOUR);
    let (start, mut with_leases) = (Instant::now(), 0);
    while with_leases < 6 {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let mut leased = 0;
        for _ in 0..400 {
            let decision = runtime.block_on(throttler.check(&key!("runtimes"), limit)).expect("the store answers");
            leased += u32::from(decision.decided_by() == DecidedBy::Lease);
        }
        with_leases += u32::from(leased > 0);
        assert!(start.elapsed() < patience(), "{with_leases} runtimes had leases");
    }
}

/// The replicas were asked when the lease was charged, and not for this call.
#[test]
fn no_replica_confirms_a_leased_call() {
    let server = Server::start();
    let setup = Setup { confirmed_by: Some((1, Duration::from_millis(1))), ..leasing() };
    // On a given manager, no replica can be asked.
    for (index, subject) in setup.on_server(server.port())[..2].iter().enumerate() {
        let limit = Limit::fixed_window(1_000_000, HOUR).into();
        let first = subject.check(&key!("leased", index), limit).expect("the store answers");
        assert_eq!(first.confirmed_by(), Some(0), "{subject}");
        call_until_leased(subject, index, limit);
        let leased = subject.check(&key!("leased", index), limit).expect("a lease decides");
        assert_eq!((leased.decided_by(), leased.confirmed_by()), (DecidedBy::Lease, None), "{subject}");
    }
}

#[test]
fn limits_that_cannot_be_leased_are_refused_with_the_reason() {
    let server = Server::start();
    let mut subjects = leasing().on_server(server.port());
    subjects.extend(leasing().in_memory());
    for subject in subjects {
        let leaky = Limit::leaky_bucket(100, HOUR);
        let error = subject.check(&key!("turns"), leaky).expect_err("it gives turns");
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(error.to_string().starts_with("a leaky bucket cannot be leased"), "{subject}: {error}");
        let error = subject.hold(&key!("places"), Limit::concurrency(100, HOUR)).expect_err("it gives places");
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(error.to_string().starts_with("a concurrency limit cannot be leased"), "{subject}: {error}");
    }
}

/// These are limits of less than 32 units, and buckets that refill while units are held.
#[test]
fn small_limits_are_asked_for_each_call() {
    let setup = Setup { lease: Some(Lease::of(1_000).held_for(Duration::from_secs(10))), ..Setup::default() };
    for subject in setup.in_memory() {
        let small: [AnyLimit; 3] = [
            Limit::sliding_window(31, HOUR).into(),
            Limit::fixed_window(31, HOUR).into(),
            Limit::token_bucket(100, Duration::from_secs(1)).into(),
        ];
        for limit in small {
            for used in 1..=31 {
                let decision = subject.check(&key!("small"), limit).expect("memory answers");
                assert_eq!(decision.decided_by(), DecidedBy::Store, "{subject}, {limit:?}");
                assert_eq!(decision.limit(), limit.terms().quota(), "{subject}, {limit:?}");
                assert!(decision.remaining() >= limit.terms().quota() - used, "{subject}, {limit:?}");
            }
        }
    }
}

/// They go back into the lease, and the next call uses them.
#[test]
fn refunded_units_go_back_into_their_lease() {
    for limit in [Limit::sliding_window(1_000, HOUR).into(), AnyLimit::from(Limit::fixed_window(1_000, HOUR))] {
        let clock = Clock::default();
        let throttler = Throttler::builder(clock.memory()).leases(Lease::of(1_000)).build();
        let key = key!("refunded");
        let check = || throttler.check(&key, limit).expect("memory answers");
        while check().decided_by() != DecidedBy::Lease {}
        let used = || throttler.inspect(&key, limit.algorithm()).expect("memory answers").map(|usage| usage.used());
        let (receipt, late) = (check(), check());
        assert_eq!((receipt.decided_by(), late.decided_by()), (DecidedBy::Lease, DecidedBy::Lease));
        let before = used();
        assert_eq!((throttler.refund(receipt).ok(), used()), (Some(1), before), "{limit:?}");
        assert_eq!((check().decided_by(), used()), (DecidedBy::Lease, before), "{limit:?}");
        // After the end of the lease, they go to the store.
        clock.set(HOUR / 2);
        assert_eq!((throttler.refund(late).ok(), used()), (Some(1), before.map(|used| used - 1)), "{limit:?}");
    }
}

#[test]
fn leases_last_while_the_store_is_away() {
    let mut server = Server::start();
    let setup = Setup {
        lease: Some(Lease::of(1_000).held_for(Duration::from_secs(60))),
        deadline: Duration::from_millis(300),
        on_error: OnError::Limit,
        ..Setup::default()
    };
    let subjects = setup.on_server(server.port());
    let limit = Limit::fixed_window(1_000_000, HOUR);
    let check = |subject: &Subject| subject.check(&key!("away"), limit).expect("the policy decides");
    for subject in &subjects {
        let start = Instant::now();
        // Until a lease has a few units.
        while subject.peek(&key!("away"), limit.cost(100)).expect("it is decided").decided_by() != DecidedBy::Lease {
            let _ = check(subject);
            assert!(start.elapsed() < patience(), "{subject} leases nothing");
        }
    }
    server.kill();
    for subject in &subjects {
        for _ in 0..100 {
            assert_eq!(check(subject).decided_by(), DecidedBy::Lease, "{subject}");
        }
        let start = Instant::now();
        while check(subject).is_admitted() {
            assert!(start.elapsed() < patience(), "{subject} leases without a store");
        }
        assert_eq!(check(subject).decided_by(), DecidedBy::OnError, "{subject}");
    }
}

/// Lost are replies to calls, to leases and to refunds.
#[test]
fn lost_replies_never_lead_to_too_much() {
    const QUOTA: u64 = 2_000;
    let server = Server::start();
    let proxy = Proxy::start(server.port());
    let lease = Lease::of(1_000).held_for(Duration::from_millis(100));
    let setup = Setup { lease: Some(lease), ..Setup::default() };
    // A given manager connects anew only now and then.
    for (index, subject) in setup.on_server(proxy.port())[..2].iter().enumerate() {
        let limit = Limit::fixed_window(QUOTA, HOUR);
        let (mut admitted, mut lost, start) = (0, 0, Instant::now());
        for call in 0.. {
            if call % 100 == 50 {
                proxy.lose_next_reply();
            }
            match subject.check(&key!("lossy", index), limit) {
                Ok(decision) if decision.is_admitted() => admitted += 1,
                Ok(_) => break,
                Err(error) => {
                    assert!(
                        matches!(error.kind(), ErrorKind::ReplyLost | ErrorKind::Unavailable),
                        "{subject}: {error}"
                    );
                    lost += 1;
                }
            }
            assert!(start.elapsed() < patience(), "{subject} is never limited");
        }
        assert!(admitted <= QUOTA, "{subject}: {admitted} admitted, {lost} lost");
        assert!(admitted > QUOTA / 4, "{subject}: {admitted} admitted, {lost} lost");
    }
}
