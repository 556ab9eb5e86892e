//! No policy hides that the store is down, nor why.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use premier_client::{
    AsyncBackend, AsyncThrottler, Backend, DecidedBy, Error, ErrorKind, Fixed, Limit, OnError, StoreChange, Throttler,
    key,
};
use premier_test_server::{Server, patience};

use crate::stores::LOCAL;

const LIMIT: Limit<Fixed> = Limit::fixed_window(1_000, Duration::from_secs(60 * 60));
const DEADLINE: Duration = Duration::from_millis(300);

#[derive(Clone, Default)]
struct Changes(Arc<Mutex<Vec<StoreChange>>>);

impl Changes {
    fn listener(&self) -> impl Fn(StoreChange) + Send + Sync + 'static {
        let changes = self.clone();
        move |change| changes.0.lock().expect("no panic").push(change)
    }

    fn names(&self) -> Vec<&'static str> {
        let name = |change: &StoreChange| match change {
            StoreChange::Down(error) => {
                assert!(matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::ReplyLost), "{error:?}");
                "down"
            }
            StoreChange::Up => "up",
            other => panic!("{other:?}"),
        };
        self.0.lock().expect("no panic").iter().map(name).collect()
    }
}

/// Goes through two outages.
fn watch(
    server: &mut Server,
    changes: &Changes,
    check: impl Fn() -> Result<DecidedBy, Error>,
    last_error: impl Fn() -> Option<Error>,
) {
    let until_decided = || {
        let start = Instant::now();
        while !matches!(check(), Ok(DecidedBy::Store)) {
            assert!(start.elapsed() < patience(), "it does not recover");
            thread::sleep(Duration::from_millis(20));
        }
    };
    until_decided();
    assert!(changes.names().is_empty() && last_error().is_none());
    for outage in [&["down"][..], &["down", "up", "down"]] {
        server.kill();
        for _ in 0..5 {
            let _ = check();
        }
        assert_eq!(changes.names(), outage, "once, whatever the number of calls");
        let error = last_error().expect("there is a reason");
        assert!(matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::ReplyLost), "{error:?}");
        server.start_again();
        until_decided();
        assert_eq!(changes.names(), [outage, &["up"]].concat());
        assert!(last_error().is_some(), "it is kept");
    }
}

#[test]
fn each_change_of_the_store_is_reported_once() {
    let mut server = Server::start();
    let address = ("127.0.0.1", server.port());
    for on_error in [OnError::Fail, OnError::Admit, OnError::Limit, LOCAL] {
        let changes = Changes::default();
        let throttler = Throttler::builder(Backend::redis(address).expect("a valid address"))
            .deadline(DEADLINE)
            .on_error(on_error)
            .on_store_change(changes.listener())
            .build();
        let check = || throttler.check(&key!("watched"), LIMIT).map(|decision| decision.decided_by());
        watch(&mut server, &changes, check, || throttler.last_error());

        let changes = Changes::default();
        let throttler = AsyncThrottler::builder(AsyncBackend::redis(address).expect("a valid address"))
            .deadline(DEADLINE)
            .on_error(on_error)
            .on_store_change(changes.listener())
            .build();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime can be made");
        let check = || runtime.block_on(throttler.check(&key!("watched"), LIMIT)).map(|decision| decision.decided_by());
        watch(&mut server, &changes, check, || throttler.last_error());
    }
}

/// A call that the store refuses is no outage.
#[test]
fn an_answer_of_the_store_is_no_outage() {
    let server = Server::builder().without_module().start();
    let changes = Changes::default();
    let backend = Backend::redis(("127.0.0.1", server.port())).expect("a valid address");
    let throttler = Throttler::builder(backend).on_store_change(changes.listener()).build();
    assert_eq!(throttler.check(&key!("refused"), LIMIT).expect_err("no module").kind(), ErrorKind::ModuleNotLoaded);
    assert!(changes.names().is_empty() && throttler.last_error().is_none());
}
