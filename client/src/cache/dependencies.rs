//! Which computations need which others, so that none waits for itself.
//!
//! A call belongs to the computation that runs on its thread, or that is being polled there.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

/// A computation of a cached value.
pub(super) struct Computation {
    id: Id,
}

type Id = u64;

thread_local! {
    static CURRENT: Cell<Option<Id>> = const { Cell::new(None) };
}

/// What each computation needs now. There is no cycle.
static NEEDS: LazyLock<Mutex<HashMap<Id, Vec<Id>>>> = LazyLock::new(Mutex::default);

impl Default for Computation {
    fn default() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self { id: NEXT.fetch_add(1, Ordering::Relaxed) }
    }
}

/// The need of one computation for another, until it is dropped.
pub(super) struct Dependency {
    needing: Id,
    needed: Id,
}

/// A computation that needs itself.
pub(super) struct Cycle;

/// Makes a computation the current one of the thread, until it is dropped.
pub(super) struct Current {
    outer: Option<Id>,
}

impl Computation {
    /// Notes that the current computation needs this one. Returns `None` if there is no current
    /// one.
    pub(super) fn needed_by_current(&self) -> Result<Option<Dependency>, Cycle> {
        let Some(needing) = CURRENT.get() else { return Ok(None) };
        let needed = self.id;
        let mut needs = needs();
        if reaches(&needs, needed, needing) {
            return Err(Cycle);
        }
        needs.entry(needing).or_default().push(needed);
        Ok(Some(Dependency { needing, needed }))
    }

    pub(super) fn enter(&self) -> Current {
        Current { outer: CURRENT.replace(Some(self.id)) }
    }
}

impl Drop for Dependency {
    fn drop(&mut self) {
        let mut needs = needs();
        let Some(needed) = needs.get_mut(&self.needing) else { return };
        if let Some(index) = needed.iter().position(|needed| *needed == self.needed) {
            needed.swap_remove(index);
        }
        if needed.is_empty() {
            needs.remove(&self.needing);
        }
    }
}

impl Drop for Current {
    fn drop(&mut self) {
        CURRENT.set(self.outer);
    }
}

fn needs() -> MutexGuard<'static, HashMap<Id, Vec<Id>>> {
    NEEDS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn reaches(needs: &HashMap<Id, Vec<Id>>, from: Id, to: Id) -> bool {
    let mut seen = vec![from];
    let mut next = 0;
    while let Some(&id) = seen.get(next) {
        if id == to {
            return true;
        }
        for needed in needs.get(&id).into_iter().flatten() {
            if !seen.contains(needed) {
                seen.push(*needed);
            }
        }
        next += 1;
    }
    false
}
