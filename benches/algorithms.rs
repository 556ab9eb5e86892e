//! Times a decision without a server: each algorithm, admitted and limited.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use premier_algorithms::{
    Algorithm, BucketLimit, Clock, Cost, Fixed, FixedLimit, InvalidArgument, Leaky, LimitDuration, Outcome, Quota,
    Sliding, SlidingLimit, Span, State, Timestamp, Token, Window,
};

const START: u64 = 1_800_000_000_000_000;

/// Times calls. Each comes a little later than the one before, so that units drain and entries
/// expire.
fn bench_calls<A: Algorithm>(c: &mut Criterion, name: &str, limit: &A::Limit<'_>, micros_between_calls: u64) {
    let mut state = A::State::default();
    let mut clock = Clock::new();
    let mut micros = START;
    c.bench_function(name, |bencher| {
        bencher.iter(|| {
            micros += micros_between_calls;
            let now = clock.read(Timestamp::from_micros(micros));
            let decision = A::decide(&state, now, black_box(limit), Cost::ONE);
            let is_admitted = matches!(decision.outcome, Outcome::Admitted { .. });
            if let Outcome::Admitted { change, .. } = decision.outcome {
                state.apply(&change);
            }
            is_admitted
        });
    });
}

fn bench_algorithms(c: &mut Criterion) {
    let window = |quota| -> Result<_, InvalidArgument> {
        Ok(SlidingLimit { quota: Quota::new(quota)?, duration: LimitDuration::new(Span::from_secs(1))? })
    };
    let bucket = |quota| -> Result<_, InvalidArgument> {
        let (quota, duration) = (Quota::new(quota)?, LimitDuration::new(Span::from_secs(1))?);
        Ok(BucketLimit { quota, duration, capacity: None, max_wait: None })
    };
    let window = |quota| window(quota).expect("these quotas are in bounds");
    let bucket = |quota| bucket(quota).expect("these quotas are in bounds");
    let fixed_window = |quota| {
        let SlidingLimit { quota, duration } = window(quota);
        FixedLimit { quota, window: Window::FromFirstCall(duration) }
    };

    // A call every 20 ms: 50 a second.
    let pause = 20_000;
    for (name, quota) in [("admitted", 60), ("half limited", 25)] {
        bench_calls::<Fixed>(c, &format!("fixed/{name}"), &fixed_window(quota), pause);
        bench_calls::<Sliding>(c, &format!("sliding/{name}"), &window(quota), pause);
        bench_calls::<Token>(c, &format!("token/{name}"), &bucket(quota), pause);
        bench_calls::<Leaky>(c, &format!("leaky/{name}"), &bucket(quota), pause);
    }
    // A call every microsecond.
    bench_calls::<Sliding>(c, "sliding/a million a second", &window(1_000_000), 1);
}

criterion_group!(benches, bench_algorithms);
criterion_main!(benches);
