//! Keyspace notifications.

use std::iter;

use premier_test_server::Server;
use redis::Connection;

use super::call::run;

/// Makes calls, and returns the keys for which the server publishes an event meanwhile, with
/// `classes` as the value of `notify-keyspace-events`.
pub(crate) fn published(
    server: &Server,
    event: &str,
    classes: &str,
    calls: impl FnOnce(&mut Connection),
) -> Vec<String> {
    const END: &str = "end";
    let channel = format!("__keyevent@0__:{event}");
    let mut listener = server.connection();
    let mut listener = listener.as_pubsub();
    listener.subscribe(&channel).expect("SUBSCRIBE");
    let mut connection = server.connection();
    let () = run(&mut connection, &format!("CONFIG SET notify-keyspace-events {classes}"));
    calls(&mut connection);
    let () = run(&mut connection, &format!("PUBLISH {channel} {END}"));
    let keys = iter::repeat_with(|| -> String {
        listener.get_message().and_then(|message| message.get_payload()).expect("a notification")
    });
    keys.take_while(|key| key != END).collect()
}
