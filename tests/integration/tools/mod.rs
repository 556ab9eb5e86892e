//! What the tests share: calling limiters, inspecting what a server holds, and waiting for it.

pub(crate) mod call;
pub(crate) mod effect;
pub(crate) mod hold;
pub(crate) mod info;
pub(crate) mod load;
pub(crate) mod notification;
pub(crate) mod payload;
pub(crate) mod random;
pub(crate) mod replica;
pub(crate) mod skipped;
pub(crate) mod snapshot;
pub(crate) mod states;
pub(crate) mod strength;
pub(crate) mod waiting;
