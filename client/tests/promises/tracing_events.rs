//! What subscribers of `tracing` see.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use metrics::with_local_recorder;
use metrics_exporter_prometheus::PrometheusBuilder;
use premier_client::{
    AnyLimit, AsyncBackend, AsyncThrottler, Backend, Fixed, Hold, Key, Limit, OnError, Throttler, key,
};
use premier_test_server::{Server, patience};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::with_default;
use tracing::{Event, Level, Metadata, Subscriber};

use crate::stores::Setup;

const HOUR: Duration = Duration::from_secs(60 * 60);
const ONE: Limit<Fixed> = Limit::fixed_window(1, HOUR);

/// The fields of an event, and its level.
#[derive(Debug, Clone, Default, PartialEq)]
struct Seen {
    level: String,
    fields: BTreeMap<&'static str, String>,
}

impl Seen {
    fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str)
    }

    fn message(&self) -> &str {
        self.field("message").expect("each event has one")
    }
}

impl Visit for Seen {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.fields.insert(field.name(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.fields.insert(field.name(), format!("{value:?}"));
    }
}

/// Keeps all events of the client.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<Seen>>>);

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "premier_client"
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut seen = Seen { level: event.metadata().level().to_string(), ..Seen::default() };
        event.record(&mut seen);
        self.0.lock().expect("no panic").push(seen);
    }

    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// Returns the events of these calls.
fn seen(calls: impl FnOnce()) -> Vec<Seen> {
    let log = Log::default();
    with_default(log.clone(), calls);
    let events = log.0.lock().expect("no panic");
    events.clone()
}

#[test]
fn a_limited_call_is_one_event() {
    let server = Server::start();
    let setup = Setup::default();
    for (index, subject) in setup.in_memory().iter().chain(&setup.on_server(server.port())).enumerate() {
        let user = format!("ada {index}");
        let events = seen(|| {
            assert!(subject.check(&key!("login", user), ONE).expect("it is decided").is_admitted());
            assert!(!subject.check(&key!("login", user), ONE).expect("it is decided").is_admitted());
        });
        let [event] = &events[..] else { panic!("{subject}: {events:?}") };
        assert_eq!((event.level.as_str(), event.message()), (Level::DEBUG.as_str(), "a call is limited"), "{subject}");
        let stored = format!("premier:login:fixed:{user}");
        for (name, value) in
            [("limit", "login"), ("algorithm", "fixed"), ("decided_by", "store"), ("key", stored.as_str())]
        {
            assert_eq!(event.field(name), Some(value), "{subject}, {name}");
        }
        let retry_after: u64 = event.field("retry_after_ms").expect("it has one").parse().expect("a number");
        assert!((3_500_000..=3_600_000).contains(&retry_after), "{subject}: {retry_after}");
        assert_eq!(event.fields.len(), 6, "{event:?}");
    }
}

#[test]
fn a_backend_that_prefers_the_module_logs_what_it_found() {
    for (server, found) in [
        (Server::start(), "limits are kept by the module"),
        (
            Server::builder().without_module().start(),
            "the server has not loaded the module: limits are kept by scripts",
        ),
    ] {
        let url = format!("redis://127.0.0.1:{}", server.port());
        let events = seen(|| drop(Backend::prefer_module(&*url).expect("the server answers")));
        let [event] = &events[..] else { panic!("{found}: {events:?}") };
        assert_eq!((event.level.as_str(), event.message()), ("INFO", found));
    }
}

/// It costs more than the limit.
#[test]
fn a_call_that_is_never_admitted_has_no_retry_after() {
    for subject in Setup::default().in_memory() {
        let events = seen(|| drop(subject.check(&key!("blocked"), Limit::fixed_window(0, HOUR))));
        assert_eq!(events.len(), 1, "{subject}");
        assert_eq!(events[0].field("retry_after_ms"), None, "{subject}");
    }
}

/// The event has the key of the limit with the longest retry-after.
#[test]
fn a_limited_joint_call_is_one_event() {
    for subject in Setup::default().in_memory() {
        let minute: AnyLimit = Limit::sliding_window(1, Duration::from_secs(60)).into();
        let limits = [(key!("minute"), minute), (key!("hour", "ada"), ONE.into())];
        let events = seen(|| {
            for _ in 0..2 {
                let _ = subject.check_all(&limits).expect("it is decided");
            }
        });
        let [event] = &events[..] else { panic!("{subject}: {events:?}") };
        assert_eq!(event.field("limit"), Some("hour"), "{subject}");
        assert_eq!(event.field("key"), Some("premier:hour:fixed:ada"), "{subject}");
    }
}

/// However often it asks again.
#[test]
fn a_call_without_a_place_is_one_event() {
    for subject in Setup::default().in_memory() {
        let jobs = Limit::concurrency(1, HOUR);
        let events = seen(|| {
            let permit = subject.hold(&key!("jobs", "ada"), jobs).expect("there is a place");
            subject.hold_within(&key!("jobs", "ada"), jobs, Duration::from_millis(60)).expect_err("there is none");
            drop(permit);
        });
        let [event] = &events[..] else { panic!("{subject}: {events:?}") };
        for (name, value) in [("limit", "jobs"), ("algorithm", "hold"), ("key", "premier:jobs:hold:ada")] {
            assert_eq!(event.field(name), Some(value), "{subject}, {name}");
        }
    }
}

/// Somebody has reset the key, so others have its place. The metrics count it, too.
#[test]
fn a_lost_permit_is_an_event() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime can be made");
    let recorder = PrometheusBuilder::new().build_recorder();
    let events = seen(|| {
        with_local_recorder(&recorder, || {
            runtime.block_on(async {
                let throttler = AsyncThrottler::builder(AsyncBackend::memory()).build();
                let (key, jobs) = (key!("jobs", "ada"), Limit::concurrency(1, Duration::from_millis(300)));
                let lost = throttler.hold(&key, jobs).await.expect("there is a place");
                throttler.reset(&key, Hold).await.expect("memory answers");
                let other = throttler.hold(&key, jobs).await.expect("there is a place");
                lost.lost().await;
                tokio::task::yield_now().await;
                drop((lost, other));
            });
        });
    });
    let [event] = &events[..] else { panic!("{events:?}") };
    assert_eq!((event.level.as_str(), event.message()), (Level::WARN.as_str(), "a permit is lost"));
    assert_eq!(event.field("key"), Some("premier:jobs:hold:ada"));
    assert!(recorder.handle().render().contains("premier_permits_lost_total 1"));
}

#[test]
fn keys_are_left_out_on_request() {
    let throttler = Throttler::builder(Backend::memory()).trace_keys(false).build();
    let events = seen(|| {
        for key in [key!("login", "secret"), Key::exact("secret")] {
            for _ in 0..2 {
                let _ = throttler.check(&key, ONE).expect("it is decided");
            }
        }
    });
    let limits: Vec<_> = events.iter().map(|event| event.field("limit")).collect();
    assert_eq!(limits, [Some("login"), Some("exact")]);
    assert!(!format!("{events:?}").contains("secret"), "{events:?}");
}

/// However many calls fail: each asks the store, as none is decided in its place.
#[test]
fn each_outage_is_an_event_when_it_begins_and_ends() {
    let mut server = Server::start();
    let deadline = Duration::from_millis(300);
    for subject in (Setup { on_error: OnError::Fail, deadline, ..Setup::default() }).on_server(server.port()) {
        let check = || drop(subject.check(&key!("outage"), Limit::fixed_window(1_000_000, HOUR)));
        let began = seen(|| {
            check();
            server.kill();
            for _ in 0..5 {
                check();
            }
        });
        let [event] = &began[..] else { panic!("{subject}: {began:?}") };
        let expected = (Level::WARN.as_str(), "the store does not answer");
        assert_eq!((event.level.as_str(), event.message()), expected, "{subject}");
        let error = event.field("error").expect("it has a reason");
        assert!(error.contains("the store is unavailable") || error.contains("the reply was lost"), "{error}");

        server.start_again();
        let start = std::time::Instant::now();
        let ended = seen(|| {
            while start.elapsed() < Duration::from_secs(2).min(patience()) {
                check();
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        let messages: Vec<_> = ended.iter().map(|event| (event.level.as_str(), event.message())).collect();
        assert_eq!(messages, [(Level::INFO.as_str(), "the store answers again")], "{subject}");
    }
}
