//! Which keys were limited most of late.

use redis::{FromRedisValue, ParsingError, Value};

/// A key that was limited of late, and how often: `PREMIER.TOP` answers these, the highest count first.
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
/// Each node counts its own calls. The command has no key, but redis-rs takes what stands behind it for one: a cluster connection
/// sends a count, and `RESET`, to the nodes that have the slots of these words, always the same node for a word but another for
/// another, and refuses an async pipeline that has keys of other slots beside. Without a count it asks a node at random. All are
/// asked by a route:
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
    key: Vec<u8>,
    count: u64,
}

impl LimitedKey {
    /// The key as it is in the store: any bytes.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// How many calls it limited of late: counts halve every five minutes, and are estimates when many keys limit.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }
}

/// Reads a pair of the reply of `PREMIER.TOP`.
impl FromRedisValue for LimitedKey {
    fn from_redis_value(value: Value) -> Result<Self, ParsingError> {
        let (key, count): (_, i64) = FromRedisValue::from_redis_value(value)?;
        match u64::try_from(count) {
            Ok(count) => Ok(Self { key, count }),
            Err(_) => Err(format!("no reply of PREMIER.TOP: a count of {count}").into()),
        }
    }
}
