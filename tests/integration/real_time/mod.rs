//! Tests that depend on real time: on a busy machine they would fail.
//!
//! `make test` and `scripts/test-matrix` select them by the name of this module and run them alone,
//! after all others.

mod cluster_faults;
mod hold_faults;
mod time;
