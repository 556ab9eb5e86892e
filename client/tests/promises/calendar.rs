//! Limits per calendar day, week and month, in a zone.

use std::time::Duration;

use jiff::civil::{Date, Weekday};
use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp, ToSpan};
use premier_client::{AnyLimit, ErrorKind, Fixed, Limit, Zone, key};
use premier_test_server::Server;

use crate::stores::Setup;

/// By how much the clocks of a process and of a server may differ here.
const TOLERANCE: Duration = Duration::from_secs(5);

/// The zone of a limit, and the time zone in which its windows end: by its offset of the day.
fn zones() -> Vec<(Option<Zone>, TimeZone)> {
    let offset = |minutes: i16| {
        let seconds = i32::from(minutes) * 60;
        (Some(Zone::offset(minutes)), Offset::from_seconds(seconds).expect("a valid offset").to_time_zone())
    };
    let named =
        |name| (Some(Zone::named(name).expect("a known time zone")), TimeZone::get(name).expect("a known time zone"));
    vec![
        (None, TimeZone::UTC),
        offset(120),
        offset(-570),
        named("Europe/Berlin"),
        named("America/New_York"),
        named("Asia/Kathmandu"),
    ]
}

fn monday_after(day: Date) -> Date {
    day.nth_weekday(1, Weekday::Monday).expect("a date of our time")
}

/// The limits, and the day on which the window of a day ends.
type Ends = fn(Date) -> Date;
const LIMITS: [(Limit<Fixed>, Ends); 4] = [
    (Limit::per_day(2), |day| day + 1.day()),
    (Limit::per_week(2), monday_after),
    (Limit::per_month(2), |day| day.first_of_month() + 1.month()),
    (Limit::per_months(2, 12), |day| day.first_of_year() + 1.year()),
];

#[test]
fn a_window_ends_with_the_day_the_week_or_the_month_of_its_zone() {
    let server = Server::start();
    for (index, subject) in Setup::default().everywhere(&server).iter().enumerate() {
        for (zone, time_zone) in zones() {
            for (limit, end) in LIMITS {
                let limit = zone.map_or(limit, |zone| limit.in_zone(zone));
                let to_the_end = || {
                    let now = Timestamp::now();
                    let offset = time_zone.to_offset(now);
                    let end = end(offset.to_datetime(now).date()).at(0, 0, 0, 0);
                    let end = offset.to_timestamp(end).expect("a time of our time");
                    end.duration_since(now).unsigned_abs()
                };
                let (before, decision) = loop {
                    let before = to_the_end();
                    let decision = subject.check(&key!("end", index, limit), limit).expect("the store answers");
                    // Repeated if a window ended during the call.
                    if to_the_end() <= before {
                        break (before, decision);
                    }
                };
                let reset = decision.reset_after();
                assert!(reset.abs_diff(before) < TOLERANCE, "{subject}, {limit}: {reset:?}, not {before:?}");
                assert_eq!((decision.limit(), decision.is_admitted()), (2, true), "{subject}, {limit}");
            }
        }
    }
}

#[test]
fn a_calendar_window_admits_its_quota_once() {
    let server = Server::start();
    for (index, subject) in Setup::default().everywhere(&server).iter().enumerate() {
        let key = key!("once", index);
        let limit = Limit::per_months(3, 120).in_zone(Zone::offset(330));
        let check = |limit| subject.check(&key, limit).expect("the store answers");
        assert_eq!([check(limit), check(limit)].map(|decision| decision.remaining()), [2, 1], "{subject}");
        // By another offset, as after a change of summer time, it is still the same window.
        let later = limit.in_zone(Zone::offset(390));
        let decision = check(later);
        assert!(decision.is_admitted() && decision.remaining() == 0, "{subject}");
        assert!(!check(limit).is_admitted() && !check(later).is_admitted(), "{subject}");
    }
}

#[test]
fn a_time_zone_is_found_by_its_name() {
    let berlin = Zone::named("Europe/Berlin").expect("a known time zone");
    assert_eq!(Zone::named("europe/berlin"), Ok(berlin));
    assert_eq!("Europe/Berlin".parse(), Ok(berlin));
    assert_eq!(berlin.to_string(), "Europe/Berlin");
    assert_ne!(berlin, Zone::named("Europe/Paris").expect("a known time zone"));
    let error = Zone::named("Europe/Berlni").expect_err("no such time zone");
    let text = "invalid zone \"Europe/Berlni\": expected an offset from -18:00 to +18:00, like +02:00, or Z, or the name \
                of a time zone that this system knows, like Europe/Berlin";
    assert_eq!(error.to_string(), text);
    assert_eq!(premier_client::Error::from(error).kind(), ErrorKind::Configuration);

    let limit = Limit::per_month(5).in_zone(berlin).cost(2);
    assert_eq!(limit.to_string(), "fixed 5/1mo aligned zone Europe/Berlin cost 2");
    assert_eq!(limit.to_string().parse(), Ok(limit));
    assert_eq!("5/1mo zone EUROPE/BERLIN cost 2 aligned".parse(), Ok(limit));
    for (text, reason) in [
        ("fixed 5/1d aligned zone Europe/Berlni", text),
        ("fixed 5/1d zone Europe/Berlin", "ZONE may be given only with ALIGNED"),
        ("fixed 5/1d aligned zone Z zone Europe/Berlin", "ZONE must be an offset"),
    ] {
        let error = text.parse::<AnyLimit>().expect_err(text).to_string();
        assert!(error.contains(reason), "{error}");
    }
}
