//! Keyspace notifications.

use redis::PubSub;

/// The key whose notification ends the list: tests publish it themselves.
const END: &str = "end";

/// Returns the keys of the notifications that come, up to that of the key `end`.
pub(crate) fn keys_up_to_end(listener: &mut PubSub) -> Vec<String> {
    let mut keys: Vec<String> = Vec::new();
    while keys.last().is_none_or(|key| key != END) {
        keys.push(listener.get_message().and_then(|message| message.get_payload()).expect("a notification"));
    }
    keys
}
