//! What a Redis command is: arguments → key → algorithm → reply → replication. Nothing is decided here.

mod apply;
mod arguments;
mod limiters;
mod throttle;

pub(crate) use apply::Apply;
pub(crate) use throttle::Throttle;
