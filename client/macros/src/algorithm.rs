//! The algorithms, as the attributes know them.

/// An algorithm that has an attribute.
#[derive(PartialEq, Eq)]
pub(crate) struct Algorithm {
    /// The name of the attribute, and of the constructor of its limits: `Limit::fixed_window`.
    pub(crate) name: &'static str,
    /// The arguments that describe a limit.
    pub(crate) arguments: &'static [&'static str],
}

const FIXED_WINDOW: &[&str] = &["quota", "duration", "aligned", "zone", "cost", "keep"];
const WINDOW: &[&str] = &["quota", "duration", "cost", "keep"];
const BUCKET: &[&str] = &["quota", "duration", "capacity", "cost", "keep", "max_wait"];

pub(crate) const ALGORITHMS: [Algorithm; 4] = [
    Algorithm { name: "fixed_window", arguments: FIXED_WINDOW },
    Algorithm { name: "sliding_window", arguments: WINDOW },
    Algorithm { name: "token_bucket", arguments: BUCKET },
    Algorithm { name: "leaky_bucket", arguments: BUCKET },
];

/// The algorithm of concurrency limits, which limit no rate.
pub(crate) static CONCURRENCY: Algorithm =
    Algorithm { name: "concurrency", arguments: &["quota", "lease", "cost", "keep"] };

/// Returns the names of the algorithms that take this argument.
pub(crate) fn taking(argument: &str) -> Vec<&'static str> {
    let algorithms = ALGORITHMS.iter().filter(|algorithm| algorithm.arguments.contains(&argument));
    algorithms.map(|algorithm| algorithm.name).collect()
}
