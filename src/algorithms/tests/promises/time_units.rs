//! Times are whole microseconds. They are rounded up to milliseconds or seconds, and cut to what
//! fits.

use premier_algorithms::{Span, Timestamp};
use proptest::prelude::*;

#[test]
fn later_moments_are_cut_to_the_last_one() {
    assert_eq!(Timestamp::MAX.as_micros(), (1 << 54) - 1);
    assert_eq!(Timestamp::from_micros(1 << 54), Timestamp::MAX);
    assert_eq!(Timestamp::from_micros(u64::MAX), Timestamp::MAX);
    assert_eq!(Timestamp::from_micros((1 << 54) - 2).as_micros(), (1 << 54) - 2);
    assert_eq!(Timestamp::default().as_micros(), 0);
}

#[test]
fn spans_are_cut_to_the_longest() {
    assert_eq!(Span::from_secs(60).as_micros(), 60_000_000);
    assert_eq!(Span::from_secs(u64::MAX), Span::MAX);
    assert_eq!(Span::MAX.as_micros(), u64::MAX);
    assert_eq!(Timestamp::MAX.millis_after(Span::MAX), u64::MAX / 1000);
}

proptest! {
    #[test]
    fn milliseconds_are_rounded_up(micros in prop_oneof![0..=5_000_u64, 0..=u64::MAX - 999]) {
        let millis = u128::from(Span::from_micros(micros).as_millis_ceil());
        prop_assert!(millis * 1000 >= micros.into());
        prop_assert!(millis * 1000 < u128::from(micros) + 1000);
    }

    #[test]
    fn seconds_are_rounded_up(
        micros in prop_oneof![
            0..=5_000_000_u64,
            (0..=5_u64, 0..=2_u64).prop_map(|(seconds, more)| seconds * 1_000_000 + more),
            any::<u64>(),
            Just(u64::MAX),
        ]
    ) {
        let seconds = u128::from(Span::from_micros(micros).as_secs_ceil());
        prop_assert!(seconds * 1_000_000 >= micros.into());
        prop_assert!(seconds * 1_000_000 < u128::from(micros) + 1_000_000);
    }

    #[test]
    fn a_key_expires_at_the_first_whole_millisecond(
        now in 0..1_u64 << 54, span in prop_oneof![0..=5_000_u64, 0..=1_u64 << 54]
    ) {
        let millis = Timestamp::from_micros(now).millis_after(Span::from_micros(span));
        prop_assert!(millis * 1000 >= now + span);
        prop_assert!(millis * 1000 < now + span + 1000);
    }

    #[test]
    fn no_time_has_passed_since_a_later_moment(earlier in 0..1_u64 << 54, later in 0..1_u64 << 54) {
        let since = Timestamp::from_micros(later).since(Timestamp::from_micros(earlier));
        prop_assert_eq!(since.as_micros(), later.saturating_sub(earlier));
        let left = Span::from_micros(later).saturating_sub(Span::from_micros(earlier));
        prop_assert_eq!(left, since);
    }
}
