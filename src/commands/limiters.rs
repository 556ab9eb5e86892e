//! The four algorithms as commands: what each is called, and what its arguments mean to it.

use std::ffi::CStr;

use premier_algorithms::{Arguments, BucketLimit, CallOption, Fixed, FixedLimit, Leaky, Sliding, SlidingLimit, Token};

use super::throttle::Limiter;
use crate::counters::Counters;

impl Limiter for Fixed {
    const COMMAND: &'static CStr = c"PREMIER.FIXED";
    const SUMMARY: &'static str = "Limits calls by a fixed window, which the first admitted call opens";
    const COMPLEXITY: &'static str = "O(1)";
    const OPTIONS: &'static [CallOption] = &[CallOption::Aligned, CallOption::Cost, CallOption::Force];

    fn counters() -> &'static Counters {
        static COUNTERS: Counters = Counters::new();
        &COUNTERS
    }

    fn limit(arguments: &Arguments) -> FixedLimit {
        FixedLimit { quota: arguments.quota, duration: arguments.duration, start: arguments.start }
    }
}

impl Limiter for Sliding {
    const COMMAND: &'static CStr = c"PREMIER.SLIDING";
    const SUMMARY: &'static str = "Limits calls in any span of the duration";
    const COMPLEXITY: &'static str = "O(N) where N is the number of entries in the log of the key, 66 at most";
    const OPTIONS: &'static [CallOption] = &[CallOption::Cost, CallOption::Force];

    fn counters() -> &'static Counters {
        static COUNTERS: Counters = Counters::new();
        &COUNTERS
    }

    fn limit(arguments: &Arguments) -> SlidingLimit {
        SlidingLimit { quota: arguments.quota, duration: arguments.duration }
    }
}

impl Limiter for Token {
    const COMMAND: &'static CStr = c"PREMIER.TOKEN";
    const SUMMARY: &'static str = "Limits calls by a bucket of tokens, which is refilled continuously";
    const COMPLEXITY: &'static str = "O(1)";
    const OPTIONS: &'static [CallOption] = BUCKET_OPTIONS;

    fn counters() -> &'static Counters {
        static COUNTERS: Counters = Counters::new();
        &COUNTERS
    }

    fn limit(arguments: &Arguments) -> BucketLimit {
        bucket(arguments)
    }
}

impl Limiter for Leaky {
    const COMMAND: &'static CStr = c"PREMIER.LEAKY";
    const SUMMARY: &'static str = "Spaces calls evenly by a queue that drains continuously";
    const COMPLEXITY: &'static str = "O(1)";
    const OPTIONS: &'static [CallOption] = BUCKET_OPTIONS;

    fn counters() -> &'static Counters {
        static COUNTERS: Counters = Counters::new();
        &COUNTERS
    }

    fn limit(arguments: &Arguments) -> BucketLimit {
        bucket(arguments)
    }
}

const BUCKET_OPTIONS: &[CallOption] = &[CallOption::Capacity, CallOption::Cost, CallOption::MaxWait, CallOption::Force];

fn bucket(arguments: &Arguments) -> BucketLimit {
    BucketLimit {
        quota: arguments.quota,
        duration: arguments.duration,
        capacity: arguments.capacity,
        max_wait: arguments.max_wait,
    }
}
