//! Tests that a real server with the module loaded keeps the promises of the wire contract.
//! `cargo test --test integration` runs them.
//!
//! The suite passes on Redis 7.0 and newer and on Valkey. A test that needs an interface which the
//! server lacks detects that and reports itself as skipped (`skipped`).

mod tools;

mod changing_limits;
mod cl_throttle;
mod cluster;
mod concurrency;
mod configuration;
mod crash;
mod databases;
mod demands;
mod documentation;
mod eviction;
mod fixtures;
mod forced_calls;
mod grammar;
mod holds;
mod holds_crash;
mod holds_release;
mod holds_state;
mod holds_with_others;
mod hostile_bytes;
mod info_section;
mod inspect;
mod internal_command;
mod introspection;
mod keys;
mod limited_calls;
mod migration;
mod module_commands;
mod out_of_memory;
mod panics;
mod pauses;
mod peek;
mod persistence;
mod propagation;
mod real_time;
mod refunds;
mod replication;
mod replies;
mod sentinels;
mod server_commands;
mod several_limits;
mod top;
mod transactions;
