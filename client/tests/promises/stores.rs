//! Every backend, sync and async, behind the same methods.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use premier_client::{
    AnyAlgorithm, AnyLimit, AsyncBackend, AsyncPermit, AsyncThrottler, Backend, Builder, Charge, Concurrency,
    DecidedBy, Decision, Error, JointDecision, Key, Keyspace, Lease, Limit, OnError, Permit, Receipt, ScriptClock,
    Share, Throttler, Usage,
};
use premier_test_server::{Cluster, Server};
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::cluster::ClusterClientBuilder;
use redis::{AsyncConnectionConfig, Client};
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
    pub(crate) confirmed_by: Option<(u32, Duration)>,
    pub(crate) is_shadow: bool,
    pub(crate) lease: Option<Lease>,
    pub(crate) remembered_for: Option<Duration>,
}

impl Default for Setup {
    /// Has a deadline that a loaded machine meets.
    fn default() -> Self {
        Self {
            keyspace: "premier",
            deadline: Duration::from_secs(10),
            on_error: OnError::Fail,
            confirmed_by: None,
            is_shadow: false,
            lease: None,
            remembered_for: None,
        }
    }
}

impl Setup {
    fn of<B>(self, builder: Builder<B>) -> Builder<B> {
        let keyspace = Keyspace::new(self.keyspace).expect("a valid keyspace");
        let builder = builder.keyspace(keyspace).deadline(self.deadline).on_error(self.on_error);
        let builder = match self.confirmed_by {
            Some((replicas, timeout)) => builder.confirmed_by(replicas, timeout),
            None => builder,
        };
        let builder = match self.lease {
            Some(lease) => builder.leases(lease),
            None => builder,
        };
        let builder = match self.remembered_for {
            Some(at_most) => builder.remember_denials(at_most),
            None => builder,
        };
        if self.is_shadow { builder.shadow() } else { builder }
    }

    /// Makes a throttler of each kind on a server, by commands and by scripts, and in memory.
    pub(crate) fn everywhere(self, server: &Server) -> Vec<Subject> {
        let mut subjects = self.on_server(server.port());
        subjects.extend(self.scripted(server.port()));
        subjects.extend(self.in_memory());
        subjects
    }

    /// Makes those of [`everywhere`](Self::everywhere), and of each kind on a cluster.
    pub(crate) fn everywhere_and_on(self, server: &Server, cluster: &Cluster) -> Vec<Subject> {
        let mut subjects = self.everywhere(server);
        subjects.extend(self.on_cluster(&cluster.urls()));
        subjects.extend(self.scripted_on_cluster(&cluster.urls()));
        subjects
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

    /// Makes a throttler of each kind by scripts on a server.
    pub(crate) fn scripted_at(self, url: &str) -> Vec<Subject> {
        let by_caller = AsyncBackend::redis(url).expect("a valid address").by_script(ScriptClock::Caller);
        vec![
            self.sync("a script, sync", Backend::scripted(url).expect("a valid address")),
            self.asynchronous("a script, async", AsyncBackend::scripted(url).expect("a valid address")),
            self.asynchronous("a script, async, by the caller's clock", by_caller),
        ]
    }

    /// Makes a throttler of each kind by scripts on a server.
    pub(crate) fn scripted(self, port: u16) -> Vec<Subject> {
        self.scripted_at(&format!("redis://127.0.0.1:{port}"))
    }

    /// Makes a throttler of each kind by scripts on a cluster.
    pub(crate) fn scripted_on_cluster(self, urls: &[String]) -> Vec<Subject> {
        let addresses = || urls.iter().map(String::as_str);
        let clock = ScriptClock::Server;
        let sync = Backend::cluster(addresses()).expect("valid addresses").by_script(clock);
        let asynchronous = AsyncBackend::cluster(addresses()).expect("valid addresses").by_script(clock);
        vec![
            self.sync("a script on a cluster, sync", sync),
            self.asynchronous("a script on a cluster, async", asynchronous),
        ]
    }

    /// Makes a throttler of each kind by scripts on the master that sentinels know by this name.
    pub(crate) fn scripted_on_master(self, sentinels: &[String], master: &str) -> Vec<Subject> {
        let addresses = || sentinels.iter().map(String::as_str);
        let clock = ScriptClock::Server;
        let sync = Backend::sentinel(addresses(), master).expect("valid addresses").by_script(clock);
        let asynchronous = AsyncBackend::sentinel(addresses(), master).expect("valid addresses").by_script(clock);
        vec![
            self.sync("a script on a master, sync", sync),
            self.asynchronous("a script on a master, async", asynchronous),
        ]
    }

    /// Makes a throttler on each kind of connection that somebody else has made to a server.
    pub(crate) fn on_given(self, port: u16) -> Vec<Subject> {
        let url = format!("redis://127.0.0.1:{port}");
        let client = Client::open(&*url).expect("a valid address");
        let pool = deadpool_redis::Config::from_url(url).create_pool(Some(deadpool_redis::Runtime::Tokio1));
        let pool = pool.expect("a valid configuration");
        let runtime = runtime();
        let config = AsyncConnectionConfig::new().set_response_timeout(None);
        let connection = runtime.block_on(client.get_multiplexed_async_connection_with_config(&config));
        let pooled = AsyncBackend::pooled(move || {
            let pool = pool.clone();
            async move { pool.get().await }
        });
        vec![
            Subject {
                name: "a server, async, by a given connection",
                throttler: Either::Async(
                    self.of(AsyncThrottler::builder(connection.expect("the server answers"))).build(),
                    runtime,
                ),
            },
            self.asynchronous("a server, async, by a given pool", pooled),
        ]
    }

    /// Makes a throttler on a connection that somebody else has made to a cluster, without retries.
    pub(crate) fn on_given_cluster(self, urls: &[String]) -> Subject {
        let client = ClusterClientBuilder::new(urls.iter().map(String::as_str)).retries(0).build();
        let runtime = runtime();
        let connection = runtime.block_on(client.expect("valid addresses").get_async_connection());
        Subject {
            name: "a cluster, async, by a given connection",
            throttler: Either::Async(
                self.of(AsyncThrottler::builder(connection.expect("the cluster answers"))).build(),
                runtime,
            ),
        }
    }

    /// Makes a throttler of each kind on a cluster.
    pub(crate) fn on_cluster(self, urls: &[String]) -> Vec<Subject> {
        let addresses = || urls.iter().map(String::as_str);
        vec![
            self.sync("a cluster, sync", Backend::cluster(addresses()).expect("valid addresses")),
            self.asynchronous("a cluster, async", AsyncBackend::cluster(addresses()).expect("valid addresses")),
        ]
    }

    /// Makes a throttler of each kind on the master that sentinels know by this name or address.
    pub(crate) fn on_master(self, sentinels: &[String], master: &str) -> Vec<Subject> {
        let addresses = || sentinels.iter().map(String::as_str);
        vec![
            self.sync("a master, sync", Backend::sentinel(addresses(), master).expect("valid addresses")),
            self.asynchronous("a master, async", AsyncBackend::sentinel(addresses(), master).expect("valid addresses")),
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

    pub(crate) fn inspect(&self, key: &Key<'_>, algorithm: impl Into<AnyAlgorithm>) -> Result<Option<Usage>, Error> {
        match &self.throttler {
            Either::Sync(throttler) => throttler.inspect(key, algorithm),
            Either::Async(throttler, runtime) => runtime.block_on(throttler.inspect(key, algorithm)),
        }
    }

    pub(crate) fn reset(&self, key: &Key<'_>, algorithm: impl Into<AnyAlgorithm>) -> Result<bool, Error> {
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

    pub(crate) fn check_all_across(&self, limits: &[(Key<'_>, AnyLimit)]) -> Result<JointDecision, Error> {
        match &self.throttler {
            Either::Sync(throttler) => throttler.check_all_across(limits),
            Either::Async(throttler, runtime) => runtime.block_on(throttler.check_all_across(limits)),
        }
        .map(|receipt| JointDecision::clone(&receipt))
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

    /// Drops the throttler on its runtime, which then does in the background what is left to do.
    pub(crate) fn end(self) {
        if let Either::Async(throttler, runtime) = self.throttler {
            runtime.block_on(async { drop(throttler) });
            // The runtime must still exist when the task runs.
            std::mem::forget(runtime);
        }
    }

    pub(crate) fn hold(&self, key: &Key<'_>, concurrency: Concurrency) -> Result<Held, Error> {
        match &self.throttler {
            Either::Sync(throttler) => throttler.hold(key, concurrency).map(Held::Sync),
            Either::Async(throttler, runtime) => self.held(runtime.block_on(throttler.hold(key, concurrency))),
        }
    }

    pub(crate) fn hold_as(&self, key: &Key<'_>, concurrency: Concurrency, id: &str) -> Result<Held, Error> {
        match &self.throttler {
            Either::Sync(throttler) => throttler.hold_as(key, concurrency, id).map(Held::Sync),
            Either::Async(throttler, runtime) => self.held(runtime.block_on(throttler.hold_as(key, concurrency, id))),
        }
    }

    pub(crate) fn hold_within(
        &self,
        key: &Key<'_>,
        concurrency: Concurrency,
        at_most: Duration,
    ) -> Result<Held, Error> {
        match &self.throttler {
            Either::Sync(throttler) => throttler.hold_within(key, concurrency, at_most).map(Held::Sync),
            Either::Async(throttler, runtime) => {
                self.held(runtime.block_on(throttler.hold_within(key, concurrency, at_most)))
            }
        }
    }

    pub(crate) fn hold_all(
        &self,
        key: &Key<'_>,
        concurrency: Concurrency,
        limits: &[(Key<'_>, AnyLimit)],
    ) -> Result<(Held, Receipt<JointDecision>), Error> {
        match &self.throttler {
            Either::Sync(throttler) => {
                let (permit, receipt) = throttler.hold_all(key, concurrency, limits)?;
                Ok((Held::Sync(permit), receipt))
            }
            Either::Async(throttler, runtime) => {
                let (permit, receipt) = runtime.block_on(throttler.hold_all(key, concurrency, limits))?;
                Ok((self.held(Ok(permit))?, receipt))
            }
        }
    }

    pub(crate) fn check_and_hold(
        &self,
        concurrency: &[(Key<'_>, Concurrency)],
        limits: &[(Key<'_>, AnyLimit)],
    ) -> Result<(Vec<Held>, Receipt<JointDecision>), Error> {
        match &self.throttler {
            Either::Sync(throttler) => {
                let (permits, receipt) = throttler.check_and_hold(concurrency, limits)?;
                Ok((permits.into_iter().map(Held::Sync).collect(), receipt))
            }
            Either::Async(throttler, runtime) => {
                let (permits, receipt) = runtime.block_on(throttler.check_and_hold(concurrency, limits))?;
                let permits = permits.into_iter().map(|permit| Held::Async(permit, Arc::clone(runtime)));
                Ok((permits.collect(), receipt))
            }
        }
    }

    fn held(&self, permit: Result<AsyncPermit, Error>) -> Result<Held, Error> {
        let Either::Async(_, runtime) = &self.throttler else { unreachable!("the permit is async") };
        permit.map(|permit| Held::Async(permit, Arc::clone(runtime)))
    }

    pub(crate) fn peek_hold(&self, key: &Key<'_>, concurrency: Concurrency) -> Result<Decision, Error> {
        match &self.throttler {
            Either::Sync(throttler) => throttler.peek_hold(key, concurrency),
            Either::Async(throttler, runtime) => runtime.block_on(throttler.peek_hold(key, concurrency)),
        }
    }

    pub(crate) fn give_back_leases(&self) -> Result<(), Error> {
        match &self.throttler {
            Either::Sync(throttler) => throttler.give_back_leases(),
            Either::Async(throttler, runtime) => runtime.block_on(throttler.give_back_leases()),
        }
    }

    pub(crate) fn clear(&self, keyspace: &Keyspace) -> Result<u64, Error> {
        match &self.throttler {
            Either::Sync(throttler) => throttler.clear(keyspace),
            Either::Async(throttler, runtime) => runtime.block_on(throttler.clear(keyspace)),
        }
    }
}

/// A permit, sync or async.
#[derive(Debug)]
pub(crate) enum Held {
    Sync(Permit),
    Async(AsyncPermit, Arc<Runtime>),
}

impl Held {
    pub(crate) fn decision(&self) -> Decision {
        match self {
            Self::Sync(permit) => permit.decision(),
            Self::Async(permit, _) => permit.decision(),
        }
    }

    pub(crate) fn is_lost(&self) -> bool {
        match self {
            Self::Sync(permit) => permit.is_lost(),
            Self::Async(permit, _) => permit.is_lost(),
        }
    }

    pub(crate) fn renew(&self) -> Result<(), Error> {
        match self {
            Self::Sync(permit) => permit.renew(),
            Self::Async(permit, runtime) => runtime.block_on(permit.renew()),
        }
    }

    pub(crate) fn release(self) -> Result<u64, Error> {
        match self {
            Self::Sync(permit) => permit.release(),
            Self::Async(permit, runtime) => runtime.block_on(permit.release()),
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
