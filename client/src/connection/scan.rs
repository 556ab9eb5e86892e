//! Scans over the keys of a keyspace, in steps that do not keep a server busy for long.

use redis::{Cmd, FromRedisValue, Pipeline, RedisResult, Value};

use crate::Keyspace;

/// About how many keys a step looks at.
const KEYS_PER_STEP: usize = 1_000;

/// A scan over the keys of one server.
pub(super) struct Scan {
    glob: String,
    cursor: u64,
}

impl Scan {
    pub(super) fn over(keyspace: &Keyspace) -> Self {
        Self { glob: keyspace.glob(), cursor: 0 }
    }

    /// Returns the command of the next step.
    pub(super) fn step(&self) -> Cmd {
        let mut scan = redis::cmd("SCAN");
        scan.arg(self.cursor).arg("MATCH").arg(&self.glob).arg("COUNT").arg(KEYS_PER_STEP);
        scan
    }

    /// Reads the reply to a step: the keys that it found.
    pub(super) fn read(&mut self, reply: Value) -> RedisResult<Vec<Vec<u8>>> {
        let (cursor, keys): (u64, _) = FromRedisValue::from_redis_value(reply)?;
        self.cursor = cursor;
        Ok(keys)
    }

    pub(super) fn is_done(&self) -> bool {
        self.cursor == 0
    }
}

/// Deletes keys one by one, as the keys of one cluster node may be in different slots. Each replies
/// 1 if the key was there.
pub(super) fn unlink(keys: &[Vec<u8>]) -> Pipeline {
    let mut pipeline = Pipeline::with_capacity(keys.len());
    for key in keys {
        pipeline.add_command(unlink_one(key));
    }
    pipeline
}

pub(super) fn unlink_one(key: &[u8]) -> Cmd {
    let mut unlink = redis::cmd("UNLINK");
    unlink.arg(key);
    unlink
}
