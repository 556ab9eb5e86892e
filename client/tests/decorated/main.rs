//! What the attributes promise: in memory and on a server, for sync and async functions.

mod accepted;
mod caching;
mod calendar;
mod compiler;
mod forms;
mod futures;
mod handed_on;
mod holding;
mod keys;
mod order;
mod refused;
mod renamed;
mod retrying;
mod runtimes;
mod server;
mod timeouts;
mod use_cases;
