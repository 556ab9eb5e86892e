//! Every backend, sync and async, behind the same methods.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use premier_client::{
    Algorithm, AnyLimit, AsyncBackend, AsyncThrottler, Backend, Builder, Charge, DecidedBy, Decision, Error,
    JointDecision, Key, Keyspace, Limit, OnError, Receipt, Share, Throttler, Usage,
};
use redis::Client;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use tokio::runtime::{self, Runtime};

/// Decides locally by the whole limits.
pub(crate) const LOCAL: OnError = OnError::Local { share: Share::WHOLE };

/// Who decides then.
pub(crate) const LOCALLY: DecidedBy = DecidedBy::Local { share: Share::WHOLE };

/// The settings of a test's throttlers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setup {
    pub(crate) keyspace: &'static str,
    pub(crate) deadline: Duration,
    pub(crate) on_error: OnError,
    pub(crate) is_shadow: bool,
}

impl Default for Setup {
    /// Has a deadline that a loaded machine meets.
    fn default() -> Self {
        Self { keyspace: "premier", deadline: Duration::from_secs(10), on_error: OnError::Fail, is_shadow: false }
    }
}

impl Setup {
    fn of<B>(self, builder: Builder<B>) -> Builder<B> {
        let keyspace = Keyspace::new(self.keyspace).expect("a valid keyspace");
        let builder = builder.keyspace(keyspace).deadline(self.deadline).on_error(self.on_error);
        if self.is_shadow { builder.shadow() } else { builder }
    }

    /// Makes a throttler of each kind on a server.
    pub(crate) fn on_server(self, port: u16) -> Vec<Subject> {
        self.at(&format!("redis://127.0.0.1:{port}"))
    }

    /// Makes a throttler of each kind on the server of an address.
    pub(crate) fn at(self, url: &str) -> Vec<Subject> {
        let runtime = runtime();
        let manager = runtime.block_on(async {
            let config = ConnectionManagerConfig::new().set_number_of_retries(0).set_response_timeout(None);
            let client = Client::open(url).expect("a valid address");
            ConnectionManager::new_lazy_with_config(client, config).expect("a valid configuration")
        });
        vec![
            self.sync("a server, sync", Backend::redis(url).expect("a valid address")),
            self.asynchronous("a server, async", AsyncBackend::redis(url).expect("a valid address")),
            Subject {
                name: "a server, async, by a given manager",
                throttler: Either::Async(self.of(AsyncThrottler::builder(manager)).build(), runtime),
            },
        ]
    }

    /// Makes a throttler of each kind on a cluster.
    pub(crate) fn on_cluster(self, urls: &[String]) -> Vec<Subject> {
        let addresses = || urls.iter().map(String::as_str);
        vec![
            self.sync("a cluster, sync", Backend::cluster(addresses()).expect("valid addresses")),
            self.asynchronous("a cluster, async", AsyncBackend::cluster(addresses()).expect("valid addresses")),
        ]
    }

    /// Makes a throttler of each kind in memory.
    pub(crate) fn in_memory(self) -> Vec<Subject> {
        vec![self.sync("memory, sync", Backend::memory()), self.asynchronous("memory, async", AsyncBackend::memory())]
    }

    fn sync(self, name: &'static str, backend: Backend) -> Subject {
        Subject { name, throttler: Either::Sync(self.of(Throttler::builder(backend)).build()) }
    }

    fn asynchronous(self, name: &'static str, backend: AsyncBackend) -> Subject {
        Subject { name, throttler: Either::Async(self.of(AsyncThrottler::builder(backend)).build(), runtime()) }
    }
}

/// A throttler, sync or async.
pub(crate) struct Subject {
    name: &'static str,
    throttler: Either,
}

enum Either {
    Sync(Throttler),
    Async(AsyncThrottler, Arc<Runtime>),
}

impl Subject {
    pub(crate) fn check(&self, key: &Key<'_>, limit: impl Into<AnyLimit>) -> Result<Decision, Error> {
        self.charge(key, limit).map(|receipt| *receipt)
    }

    pub(crate) fn charge(&self, key: &Key<'_>, limit: impl Into<AnyLimit>) -> Result<Receipt, Error> {
        match &self.throttler {
            Either::Sync(throttler) => throttler.check(key, limit),
            Either::Async(throttler, runtime) => runtime.block_on(throttler.check(key, limit)),
        }
    }

    pub(crate) fn check_n(&self, key: &Key<'_>, limit: impl Into<AnyLimit>, cost: u64) -> Result<Decision, Error> {
        match &self.throttler {
            Either::Sync(throttler) => throttler.check_n(key, limit, cost).map(|receipt| *receipt),
            Either::Async(throttler, runtime) => {
                runtime.block_on(throttler.check_n(key, limit, cost)).map(|receipt| *receipt)
            }
        }
    }

    pub(crate) fn check_at_most(
        &self,
        key: &Key<'_>,
        limit: impl Into<AnyLimit>,
        at_most: u64,
    ) -> Result<Receipt, Error> {
        match &self.throttler {
            Either::Sync(throttler) => throttler.check_at_most(key, limit, at_most),
            Either::Async(throttler, runtime) => runtime.block_on(throttler.check_at_most(key, limit, at_most)),
        }
    }

    pub(crate) fn inspect(&self, key: &Key<'_>, algorithm: Algorithm) -> Result<Option<Usage>, Error> {
        match &self.throttler {
            Either::Sync(throttler) => throttler.inspect(key, algorithm),
            Either::Async(throttler, runtime) => runtime.block_on(throttler.inspect(key, algorithm)),
        }
    }

    pub(crate) fn reset(&self, key: &Key<'_>, algorithm: Algorithm) -> Result<bool, Error> {
        match &self.throttler {
            Either::Sync(throttler) => throttler.reset(key, algorithm),
            Either::Async(throttler, runtime) => runtime.block_on(throttler.reset(key, algorithm)),
        }
    }

    pub(crate) fn peek(&self, key: &Key<'_>, limit: impl Into<AnyLimit>) -> Result<Decision, Error> {
        match &self.throttler {
            Either::Sync(throttler) => throttler.peek(key, limit),
            Either::Async(throttler, runtime) => runtime.block_on(throttler.peek(key, limit)),
        }
    }

    pub(crate) fn refund(&self, key: &Key<'_>, limit: impl Into<AnyLimit>, units: u64) -> Result<u64, Error> {
        match &self.throttler {
            Either::Sync(throttler) => throttler.refund_key(key, limit, units),
            Either::Async(throttler, runtime) => runtime.block_on(throttler.refund_key(key, limit, units)),
        }
    }

    pub(crate) fn give_back(&self, charge: impl Into<Charge>) -> Result<u64, Error> {
        match &self.throttler {
            Either::Sync(throttler) => throttler.refund(charge),
            Either::Async(throttler, runtime) => runtime.block_on(throttler.refund(charge)),
        }
    }

    pub(crate) fn give_back_n(&self, charge: impl Into<Charge>, units: u64) -> Result<u64, Error> {
        match &self.throttler {
            Either::Sync(throttler) => throttler.refund_n(charge, units),
            Either::Async(throttler, runtime) => runtime.block_on(throttler.refund_n(charge, units)),
        }
    }

    pub(crate) fn check_all(&self, limits: &[(Key<'_>, AnyLimit)]) -> Result<JointDecision, Error> {
        self.charge_all(limits).map(|receipt| JointDecision::clone(&receipt))
    }

    pub(crate) fn charge_all(&self, limits: &[(Key<'_>, AnyLimit)]) -> Result<Receipt<JointDecision>, Error> {
        match &self.throttler {
            Either::Sync(throttler) => throttler.check_all(limits),
            Either::Async(throttler, runtime) => runtime.block_on(throttler.check_all(limits)),
        }
    }

    pub(crate) fn acquire(
        &self,
        key: &Key<'_>,
        limit: impl Into<AnyLimit>,
        at_most: Duration,
    ) -> Result<Decision, Error> {
        match &self.throttler {
            Either::Sync(throttler) => throttler.acquire(key, limit, at_most).map(|admission| *admission),
            Either::Async(throttler, runtime) => {
                runtime.block_on(throttler.acquire(key, limit, at_most)).map(|admission| *admission)
            }
        }
    }

    pub(crate) fn clear(&self, keyspace: &Keyspace) -> Result<u64, Error> {
        match &self.throttler {
            Either::Sync(throttler) => throttler.clear(keyspace),
            Either::Async(throttler, runtime) => runtime.block_on(throttler.clear(keyspace)),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// Makes a runtime with a worker of its own, so that connections stay open between calls.
fn runtime() -> Arc<Runtime> {
    let runtime = runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    Arc::new(runtime.expect("a runtime can be made"))
}

/// Makes a limit by each algorithm.
pub(crate) fn limits(quota: u64, duration: Duration) -> [AnyLimit; 4] {
    [
        Limit::fixed_window(quota, duration).into(),
        Limit::sliding_window(quota, duration).into(),
        Limit::token_bucket(quota, duration).into(),
        Limit::leaky_bucket(quota, duration).into(),
    ]
}
