//! Clearing a keyspace: step by step, so that no step keeps a server busy for long.

use redis::{Cmd, FromRedisValue, Pipeline, RedisResult, Value};

use crate::Keyspace;

/// About how many keys a step looks at.
const KEYS_PER_STEP: usize = 1_000;

/// A walk over the keys of one server.
pub(super) struct Walk {
    glob: String,
    cursor: u64,
}

impl Walk {
    pub(super) fn over(keyspace: &Keyspace) -> Self {
        Self { glob: keyspace.glob(), cursor: 0 }
    }

    /// The command of the next step.
    pub(super) fn step(&self) -> Cmd {
        let mut scan = redis::cmd("SCAN");
        scan.arg(self.cursor).arg("MATCH").arg(&self.glob).arg("COUNT").arg(KEYS_PER_STEP);
        scan
    }

    /// Takes the reply of a step: the keys that it found.
    pub(super) fn take(&mut self, reply: Value) -> RedisResult<Vec<Vec<u8>>> {
        let (cursor, keys): (u64, _) = FromRedisValue::from_redis_value(reply)?;
        self.cursor = cursor;
        Ok(keys)
    }

    pub(super) fn is_over(&self) -> bool {
        self.cursor == 0
    }
}

/// Unlinks keys one by one, as those of a cluster's node may be of different slots. Each replies 1 if there was such a key.
pub(super) fn unlink(keys: &[Vec<u8>]) -> Pipeline {
    let mut pipeline = Pipeline::with_capacity(keys.len());
    for key in keys {
        pipeline.cmd("UNLINK").arg(key);
    }
    pipeline
}
