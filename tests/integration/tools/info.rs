//! What INFO says.

use redis::Connection;

use super::call::run;

/// A field of INFO; `None` when this server has no such field.
pub(crate) fn info(connection: &mut Connection, section: &str, field: &str) -> Option<String> {
    let info: String = run(connection, &format!("INFO {section}"));
    info.lines().find_map(|line| Some(line.strip_prefix(field)?.strip_prefix(':')?.trim().to_owned()))
}

/// A number in INFO that every server has.
#[track_caller]
pub(crate) fn info_number(connection: &mut Connection, section: &str, field: &str) -> i64 {
    let value = info(connection, section, field).unwrap_or_else(|| panic!("INFO {section} lacks {field}"));
    value.parse().unwrap_or_else(|_| panic!("{field} is no number: {value}"))
}

/// Whether the server is this version of Redis or a newer one. Valkey says of itself that it is as Redis 7.2.4.
pub(crate) fn is_at_least(connection: &mut Connection, version: (u32, u32)) -> bool {
    let text = info(connection, "server", "redis_version").expect("a server tells its version");
    let mut parts = text.split('.').map(|part| part.parse().expect("a version is numbers"));
    let (Some(major), Some(minor)) = (parts.next(), parts.next()) else { panic!("a version has parts: {text}") };
    (major, minor) >= version
}
