//! Requests to a server, and their replies.

#[cfg(feature = "tokio")]
use redis::RedisResult;
#[cfg(feature = "tokio")]
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{Cmd, FromRedisValue, Pipeline, Value};

use crate::Error;

/// What is sent to a server at once: a command, or several that it executes one after the other.
#[derive(Clone, Copy)]
pub(super) enum Request<'a> {
    /// This costs less than a pipeline of one.
    One(&'a Cmd),
    Several(&'a Pipeline),
}

/// The replies to a request. A single one needs no list, which would be allocated.
pub(super) enum Replies {
    One(Value),
    Several(Vec<Value>),
}

impl Request<'_> {
    pub(super) fn len(self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::Several(commands) => commands.len(),
        }
    }

    /// Returns the bytes to send.
    pub(super) fn packed(self) -> Vec<u8> {
        match self {
            Self::One(command) => command.get_packed_command(),
            Self::Several(commands) => commands.get_packed_pipeline(),
        }
    }

    /// Sends the request on a connection that calls share, and waits for the replies.
    #[cfg(feature = "tokio")]
    pub(super) async fn send_shared(self, connection: &mut MultiplexedConnection) -> RedisResult<Replies> {
        match self {
            // `req_packed_command` would allocate the future.
            Self::One(command) => connection.send_packed_command(command).await.map(Replies::One),
            Self::Several(_) => self.send(connection).await,
        }
    }

    /// Sends the request, and waits for the replies.
    #[cfg(feature = "tokio")]
    pub(super) async fn send(self, connection: &mut (impl ConnectionLike + ?Sized)) -> RedisResult<Replies> {
        match self {
            Self::One(command) => connection.req_packed_command(command).await.map(Replies::One),
            Self::Several(commands) => {
                connection.req_packed_commands(commands, 0, commands.len()).await.map(Replies::Several)
            }
        }
    }
}

impl Replies {
    /// Returns the last reply.
    pub(super) fn last(&self) -> Option<&Value> {
        self.as_slice().last()
    }

    /// Reads the last reply.
    pub(super) fn read_last<T: FromRedisValue>(self) -> Result<T, Error> {
        read(match self {
            Self::One(reply) => reply,
            Self::Several(mut replies) => replies.pop().unwrap_or(Value::Nil),
        })
    }

    /// Returns whether a primary has become a replica. It has refused the call, so nothing was
    /// charged.
    #[inline]
    pub(super) fn are_read_only(&self) -> bool {
        let read_only = Some(redis::ServerErrorKind::ReadOnly);
        self.as_slice().iter().any(|reply| matches!(reply, Value::ServerError(error) if error.kind() == read_only))
    }

    fn as_slice(&self) -> &[Value] {
        match self {
            Self::One(reply) => std::slice::from_ref(reply),
            Self::Several(replies) => replies,
        }
    }
}

impl From<Replies> for Vec<Value> {
    fn from(replies: Replies) -> Self {
        match replies {
            Replies::One(reply) => vec![reply],
            Replies::Several(replies) => replies,
        }
    }
}

/// Reads a reply. Replies to these requests contain no errors: only a whole reply may be one.
pub(super) fn read<T: FromRedisValue>(reply: Value) -> Result<T, Error> {
    let read = match reply {
        Value::ServerError(error) => Err(error.into()),
        reply => T::from_redis_value(reply).map_err(Into::into),
    };
    read.map_err(Error::answered)
}
