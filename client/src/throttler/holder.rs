//! The names of holders.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use premier_algorithms::HolderId;

use crate::InvalidArgument;

/// The id of a holder.
#[derive(Debug, Clone)]
pub(super) struct Holder {
    id: Arc<[u8]>,
    /// Whether nobody else knows the id, so that nobody else can hold units by it.
    pub(super) is_own: bool,
}

impl Holder {
    /// Makes a random id.
    pub(super) fn new() -> Self {
        const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let bytes = [random(), random()].into_iter().flat_map(u64::to_le_bytes);
        Self { id: bytes.map(|byte| LETTERS[usize::from(byte % 64)]).collect(), is_own: true }
    }

    /// Takes the id that a user has chosen.
    pub(super) fn named(id: &[u8]) -> Result<Self, InvalidArgument> {
        HolderId::new(id).map_err(|_| InvalidArgument::id(id.len() as u64))?;
        Ok(Self { id: id.into(), is_own: false })
    }

    pub(super) fn id(&self) -> &[u8] {
        &self.id
    }
}

/// Returns a number that another process will not draw: the standard library has the system seed
/// its hashers.
pub(super) fn random() -> u64 {
    static SEED: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    static DRAWN: AtomicU64 = AtomicU64::new(0);
    // With the id of the process, as a forked one inherits the seed.
    SEED.hash_one((process::id(), DRAWN.fetch_add(1, Ordering::Relaxed)))
}
