use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use crate::Error;

/// A change of whether the store answers: see [`Builder::on_store_change`].
///
/// [`Builder::on_store_change`]: crate::Builder::on_store_change
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum StoreChange {
    /// The store, or a node of a cluster, did not answer a call, for this reason.
    Down(Error),
    /// The store answers again, including all nodes that did not.
    Up,
}

/// The listener for changes, if there is one.
#[derive(Clone, Default)]
pub(super) struct Listener(Option<Arc<dyn Fn(StoreChange) + Send + Sync>>);

/// Keeps the last error, and passes changes on.
#[derive(Debug)]
pub(super) struct Watch {
    listener: Listener,
    last_error: Mutex<Option<Error>>,
}

impl Listener {
    pub(super) fn new(listener: impl Fn(StoreChange) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(listener)))
    }

    fn call(&self, change: StoreChange) {
        if let Some(listener) = &self.0 {
            listener(change);
        }
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Listener" } else { "no listener" })
    }
}

impl Watch {
    pub(super) fn new(listener: Listener) -> Self {
        Self { listener, last_error: Mutex::default() }
    }

    /// Keeps the error of a call that the store did not answer.
    pub(super) fn failed(&self, error: &Error, was_up: bool) {
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.clone());
        if was_up {
            #[cfg(feature = "tracing")]
            super::observe::events::outage_began(error);
            self.listener.call(StoreChange::Down(error.clone()));
        }
    }

    pub(super) fn is_back(&self) {
        #[cfg(feature = "tracing")]
        super::observe::events::outage_ended();
        self.listener.call(StoreChange::Up);
    }

    pub(super) fn last_error(&self) -> Option<Error> {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
