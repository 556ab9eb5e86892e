//! What must hold for any bytes that premier reads, whoever wrote them.
//!
//! `make fuzz` searches for bytes that break it. The test `seeds` tries the inputs from which that
//! search starts.

mod arguments;
mod forwarded;
mod received;
mod state;

pub use arguments::check as check_arguments;
pub use forwarded::check as check_forwarded;
pub use received::check as check_received;
pub use state::check as check_state;
