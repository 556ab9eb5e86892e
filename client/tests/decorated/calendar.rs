//! Windows of functions that follow the calendar.

use std::time::Duration;

use premier_client::{Admission, Error, Fixed, Limit, MemoryBackend, Zone, fixed_window};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[fixed_window(quota = 2, duration = "1mo", aligned, zone = "+02:00", decision = decision)]
fn per_month() -> Result<Admission, Error> {
    Ok(decision)
}

#[fixed_window(quota = 2, duration = "2w", aligned, decision = decision)]
async fn per_two_weeks() -> Result<Admission, Error> {
    Ok(decision)
}

#[fixed_window(aligned, duration = "7d", quota = 2, decision = decision)]
fn per_seven_days() -> Result<Admission, Error> {
    Ok(decision)
}

#[fixed_window(quota = quota, duration = "3mo", aligned, zone = zone, cost = 2, decision = decision)]
fn per_quarter(quota: u64, zone: Zone) -> Result<Admission, Error> {
    Ok(decision)
}

#[fixed_window(quota = 2, duration = DAY, zone = Zone::offset(hours * 60), aligned, decision = decision)]
async fn per_day(hours: i16) -> Result<Admission, Error> {
    Ok(decision)
}

/// Checks that the first call of a function was decided as that of a limit.
fn is_decided_as(decision: Result<Admission, Error>, limit: Limit<Fixed>) {
    let decision = decision.expect("the first call is admitted");
    let expected = MemoryBackend::new().decide("key", limit).expect("memory answers");
    assert_eq!(decision.remaining(), expected.remaining(), "{limit}");
    let (reset, expected) = (decision.reset_after(), expected.reset_after());
    // A window may have ended between the two.
    let has_ended = expected > reset && reset < Duration::from_secs(5);
    assert!(reset.abs_diff(expected) < Duration::from_secs(5) || has_ended, "{limit}: {reset:?}, not {expected:?}");
}

#[tokio::test]
async fn aligned_functions_follow_the_calendar_of_their_zone() {
    is_decided_as(per_month(), Limit::per_month(2).in_zone(Zone::offset(120)));
    is_decided_as(per_two_weeks().await, Limit::per_weeks(2, 2));
    is_decided_as(per_seven_days(), Limit::fixed_window(2, 7 * DAY).aligned());
    let west = Zone::offset(-570);
    is_decided_as(per_quarter(3, west), Limit::per_months(3, 3).in_zone(west).cost(2));
    is_decided_as(per_day(-11).await, Limit::per_day(2).in_zone(Zone::offset(-11 * 60)));
    assert!(per_month().is_ok() && per_month().is_err());
}
