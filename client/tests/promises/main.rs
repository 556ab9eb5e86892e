//! What the client promises, tested on real servers, a real cluster, and in memory.

mod acquiring;
mod aligning;
mod calendar;
mod clearing;
mod clock;
mod cluster;
mod commands;
mod conformance;
mod connections;
mod demands;
mod errors;
mod forcing;
mod limits;
mod lost_replies;
mod memory;
mod outages;
mod peeking;
mod queueing;
mod refunding;
mod sentinels;
mod several_limits;
mod sharing;
mod stores;
mod texts;
mod tls;
mod watching;
