//! A clock that a test sets.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use premier_client::MemoryBackend;

/// A clock that stops until it is set.
#[derive(Clone, Default)]
pub(crate) struct Clock(Arc<AtomicU64>);

impl Clock {
    pub(crate) fn set(&self, to: Duration) {
        self.0.store(u64::try_from(to.as_micros()).expect("a short time"), Ordering::SeqCst);
    }

    pub(crate) fn memory(&self) -> MemoryBackend {
        let Self(micros) = self.clone();
        MemoryBackend::with_clock(move || Duration::from_micros(micros.load(Ordering::SeqCst)))
    }
}
