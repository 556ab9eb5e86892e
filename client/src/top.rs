//! The keys that are limited most.

/// A key that was limited recently, and how often: an entry of `PREMIER.TOP`.
///
/// ```no_run
/// use premier_client::PremierCommands;
///
/// let mut connection = redis::Client::open("redis://127.0.0.1/")?.get_connection()?;
/// for limited in connection.premier_top(Some(10))? {
///     println!("{} times {}", limited.count(), String::from_utf8_lossy(limited.key()));
/// }
/// # Ok::<(), redis::RedisError>(())
/// ```
///
/// # In a cluster
///
/// Each node counts its own calls. The command has no key, but redis-rs takes its argument for one:
/// a cluster connection sends a count, or `RESET`, to the node that has the slot of that word, and
/// refuses an async pipeline with keys in other slots. Without a count it asks a random node. A
/// route asks all nodes:
///
/// ```no_run
/// # #[cfg(feature = "cluster")]
/// # fn main() -> redis::RedisResult<()> {
/// use std::collections::HashMap;
///
/// use premier_client::LimitedKey;
/// use redis::cluster::ClusterClient;
/// use redis::cluster_routing::{MultipleNodeRoutingInfo, RoutingInfo};
///
/// let mut connection = ClusterClient::new(["redis://127.0.0.1/"])?.get_connection()?;
/// let primaries = RoutingInfo::MultiNode((MultipleNodeRoutingInfo::AllMasters, None));
/// let reply = connection.route_command(redis::cmd("PREMIER.TOP").arg(10), primaries)?;
/// let by_address: HashMap<String, Vec<LimitedKey>> = redis::from_redis_value(reply)?;
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "cluster"))]
/// # fn main() {}
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitedKey {
    pub(crate) key: Vec<u8>,
    pub(crate) count: u64,
}

impl LimitedKey {
    /// Returns the key as it is in the store: any bytes.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// Returns how many calls the key has limited. Counts halve every five minutes, and are
    /// estimates when many keys limit calls.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }
}
