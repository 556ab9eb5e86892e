//! What the attributes promise: in memory and on a server, for sync and async functions.

mod forms;
mod refused;
mod stories;
