//! What the benches share: which commands they compare, and on what they measured.

pub mod contenders;
pub mod environment;

/// Writes a number with a comma before each three digits.
#[must_use]
pub fn grouped(number: u64) -> String {
    if number < 1_000 { number.to_string() } else { format!("{},{:03}", grouped(number / 1_000), number % 1_000) }
}
