//! Reading INFO.

use redis::Connection;

use super::call::run;

/// Returns a field of INFO, or `None` if this server has no such field.
pub(crate) fn info(connection: &mut Connection, section: &str, field: &str) -> Option<String> {
    let info: String = run(connection, &format!("INFO {section}"));
    info.lines().find_map(|line| Some(line.strip_prefix(field)?.strip_prefix(':')?.trim().to_owned()))
}

/// Returns a number that INFO has on every server.
#[track_caller]
pub(crate) fn info_number(connection: &mut Connection, section: &str, field: &str) -> i64 {
    let value = info(connection, section, field).unwrap_or_else(|| panic!("INFO {section} lacks {field}"));
    value.parse().unwrap_or_else(|_| panic!("{field} is not a number: {value}"))
}

/// Returns whether the server is this version of Redis or a newer one. Valkey reports itself as
/// Redis 7.2.4.
pub(crate) fn is_at_least(connection: &mut Connection, version: (u32, u32)) -> bool {
    let text = info(connection, "server", "redis_version").expect("INFO has the version of the server");
    let mut parts = text.split('.').map(|part| part.parse().expect("a version consists of numbers"));
    let (Some(major), Some(minor)) = (parts.next(), parts.next()) else {
        panic!("the version has fewer than two parts: {text}")
    };
    (major, minor) >= version
}
