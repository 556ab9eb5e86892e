//! What recorders of `metrics` see, by that of Prometheus.

use std::time::Duration;

use metrics::with_local_recorder;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use premier_client::{Backend, ErrorKind, Fixed, Key, Limit, OnError, Throttler, fixed_window, key};
use premier_test_server::Server;

use crate::stores::{LOCAL, Setup, Subject};

const HOUR: Duration = Duration::from_secs(60 * 60);
const TEN: Limit<Fixed> = Limit::fixed_window(10, HOUR);

/// Returns the lines that Prometheus reads after these calls, without comments.
fn seen(calls: impl FnOnce()) -> Vec<String> {
    let text = render(calls);
    text.lines().filter(|line| line.starts_with("premier_")).map(str::to_owned).collect()
}

fn render(calls: impl FnOnce()) -> String {
    let recorder: PrometheusRecorder = PrometheusBuilder::new().build_recorder();
    let handle: PrometheusHandle = recorder.handle();
    with_local_recorder(&recorder, calls);
    handle.render()
}

/// Returns the lines of decisions, sorted.
fn decisions(calls: impl FnOnce()) -> Vec<String> {
    let mut lines = seen(calls);
    lines.retain(|line| line.starts_with("premier_decisions_total"));
    lines.sort();
    lines
}

fn line(limit: &str, answer: &str, decided_by: &str, count: u64) -> String {
    format!(r#"premier_decisions_total{{limit="{limit}",answer="{answer}",decided_by="{decided_by}"}} {count}"#)
}

fn subjects(server: &Server) -> Vec<Subject> {
    let setup = Setup::default();
    setup.in_memory().into_iter().chain(setup.on_server(server.port())).collect()
}

#[test]
fn decisions_are_counted_by_limit_and_answer() {
    let server = Server::start();
    for (index, subject) in subjects(&server).iter().enumerate() {
        let counted = decisions(|| {
            for call in 0..12 {
                let decision = subject.check(&key!("api", format_args!("ada {index}")), TEN).expect("it is decided");
                assert_eq!(decision.is_admitted(), call < 10);
            }
            let _ = subject.acquire(&key!("api", format_args!("bob {index}")), TEN, Duration::ZERO);
            let _ = subject.peek(&key!("api", "bob"), TEN);
        });
        assert_eq!(counted, [line("api", "admitted", "store", 11), line("api", "limited", "store", 2)], "{subject}");
    }
}

/// A key would be a time series for each user.
#[test]
fn no_key_is_in_a_label() {
    let throttler = Throttler::builder(Backend::memory()).build();
    let text = render(|| {
        for key in [Key::exact("secret:ada"), Key::new("shop::cart", "pay").custom("secret"), key!("mail", "secret")] {
            for _ in 0..2 {
                let _ = throttler.check(&key, Limit::fixed_window(1, HOUR)).expect("it is decided");
            }
        }
    });
    assert!(!text.contains("secret"), "{text}");
    for name in ["exact", "shop::cart::pay", "mail"] {
        assert!(text.contains(&line(name, "limited", "store", 1)), "{name}: {text}");
    }
}

#[fixed_window(quota = 1, duration = "1h", key = |user| user)]
fn greet(user: &str) -> Result<usize, premier_client::Error> {
    Ok(user.len())
}

#[test]
fn decorated_functions_are_counted_by_module_and_name() {
    let counted = decisions(|| {
        greet("ada").expect("it is admitted");
        greet("ada").expect_err("it is limited");
        greet("bob").expect("it is admitted");
    });
    let name = "promises::metering::greet";
    assert_eq!(counted, [line(name, "admitted", "store", 2), line(name, "limited", "store", 1)]);
}

/// Less than 20% of the limit is left: 1 or 0 of 10.
#[test]
fn admitted_calls_near_the_limit_are_counted() {
    let throttler = Throttler::builder(Backend::memory()).build();
    for (calls, near) in [(8, None), (9, Some(1)), (12, Some(2))] {
        let lines = seen(|| {
            for _ in 0..calls {
                let _ = throttler.check(&key!("near", calls), TEN).expect("it is decided");
            }
        });
        let found = lines.iter().find_map(|line| line.strip_prefix(r#"premier_near_limit_total{limit="near"} "#));
        assert_eq!(found.map(|count| count.parse().expect("a number")), near, "{calls} calls: {lines:?}");
    }
}

/// A limit that admits what another one limits counts nothing.
#[test]
fn each_limit_of_a_joint_call_is_counted() {
    let server = Server::start();
    for (index, subject) in subjects(&server).iter().enumerate() {
        let keyed = |name| Key::named(name).custom(index);
        let limits = [(keyed("wide"), TEN.into()), (keyed("narrow"), Limit::fixed_window(1, HOUR).into())];
        let counted = decisions(|| {
            for _ in 0..3 {
                let _ = subject.check_all(&limits).expect("it is decided");
            }
        });
        let expected = [
            line("narrow", "admitted", "store", 1),
            line("narrow", "limited", "store", 2),
            line("wide", "admitted", "store", 1),
        ];
        assert_eq!(counted, expected, "{subject}");
    }
}

/// A renewal is no call.
#[test]
fn calls_for_places_are_counted_as_any() {
    let server = Server::start();
    for (index, subject) in subjects(&server).iter().enumerate() {
        let (key, jobs) = (key!("jobs", index), Limit::concurrency(2, HOUR));
        let rate = [(key!("rate", index), TEN.into())];
        let counted = decisions(|| {
            let first = subject.hold(&key, jobs).expect("there is a place");
            first.renew().expect("it is not lost");
            let second = subject.hold_all(&key, jobs, &rate).expect("there is a place");
            subject.hold(&key, jobs).expect_err("there is none");
            subject.hold_within(&key, jobs, Duration::from_millis(60)).expect_err("there is none");
            subject.hold_all(&key, jobs, &rate).expect_err("there is none");
            drop((first, second));
        });
        let expected = [
            line("jobs", "admitted", "store", 2),
            line("jobs", "limited", "store", 3),
            line("rate", "admitted", "store", 1),
        ];
        assert_eq!(counted, expected, "{subject}");
    }
}

/// However often it asks again.
#[test]
fn a_call_that_waits_is_counted_only_once() {
    for subject in Setup::default().in_memory() {
        let limit = Limit::fixed_window(1, Duration::from_millis(200));
        let counted = decisions(|| {
            for _ in 0..3 {
                let _ = subject.acquire(&key!("queue"), limit, HOUR).expect("it is admitted");
            }
        });
        assert_eq!(counted, [line("queue", "admitted", "store", 3)], "{subject}");
    }
}

#[test]
fn metrics_show_who_decided() {
    for (on_error, expected) in [
        (OnError::Fail, line("api", "error", "nobody", 1)),
        (OnError::Admit, line("api", "admitted", "on_error", 1)),
        (OnError::Limit, line("api", "limited", "on_error", 1)),
        (LOCAL, line("api", "admitted", "local", 1)),
    ] {
        // Nothing listens there.
        for subject in (Setup { on_error, ..Setup::default() }).on_server(1) {
            let check = || match subject.check(&key!("api"), TEN) {
                Ok(_) => assert_ne!(on_error, OnError::Fail),
                Err(error) => assert_eq!((error.kind(), on_error), (ErrorKind::Unavailable, OnError::Fail)),
            };
            assert_eq!(decisions(check), [expected.as_str()], "{subject}");
        }
    }
}

/// Also of calls that are no decisions. Memory answers at once.
#[test]
fn the_latency_of_the_store_is_a_histogram() {
    const COUNT: &str = "premier_store_duration_seconds_count 3";
    let server = Server::start();
    let call = |subject: &Subject| {
        seen(|| {
            for _ in 0..2 {
                let _ = subject.check(&key!("timed"), TEN).expect("it is decided");
            }
            let _ = subject.peek(&key!("timed"), TEN).expect("it is decided");
        })
    };
    for subject in Setup::default().on_server(server.port()) {
        assert!(call(&subject).iter().any(|line| line == COUNT), "{subject}");
    }
    for subject in Setup::default().in_memory() {
        assert!(!call(&subject).iter().any(|line| line.starts_with("premier_store_")), "{subject}");
    }
}

#[test]
fn each_metric_has_a_description() {
    let server = Server::start();
    for subject in Setup::default().on_server(server.port()) {
        let text = render(|| {
            for _ in 0..10 {
                let _ = subject.check(&key!("described"), TEN).expect("it is decided");
            }
        });
        for name in ["premier_decisions_total", "premier_near_limit_total", "premier_store_duration_seconds"] {
            assert!(text.contains(&format!("# HELP {name} ")), "{subject}, {name}: {text}");
        }
        redis::cmd("FLUSHALL").exec(&mut server.connection()).expect("it answers");
    }
}
