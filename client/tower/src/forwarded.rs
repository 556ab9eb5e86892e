//! The headers by which proxies name whom a request came from.
//!
//! They are read from the right, where the nearest proxies have written, and only as far as those
//! are trusted. What is left of that may be anything: ten thousand names, or a quote that is never
//! closed and would hide what proxies have appended.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use http::HeaderMap;
use http::header::{FORWARDED, HeaderName};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Reads `X-Forwarded-For`, the last name first; a name that is not an address, like `unknown`, is
/// `None`. A list that is spread over several headers is one list.
pub(crate) fn x_forwarded_for(headers: &HeaderMap) -> impl Iterator<Item = Option<IpAddr>> {
    let values = headers.get_all(X_FORWARDED_FOR).into_iter().rev();
    values.flat_map(|value| value.as_bytes().rsplit(|byte| *byte == b',')).map(address)
}

/// Reads `Forwarded`, RFC 7239, the last name first. An element without `for` is somebody without a
/// name.
pub(crate) fn forwarded(headers: &HeaderMap) -> impl Iterator<Item = Option<IpAddr>> {
    let values = headers.get_all(FORWARDED).into_iter().rev();
    values.flat_map(|value| rsplit_unquoted(value.as_bytes(), b',')).map(element)
}

fn element(element: &[u8]) -> Option<IpAddr> {
    let mut named = rsplit_unquoted(element, b';').filter_map(|pair| {
        let equals = pair.iter().position(|byte| *byte == b'=')?;
        let (name, value) = (pair[..equals].trim_ascii(), pair[equals + 1..].trim_ascii());
        name.eq_ignore_ascii_case(b"for").then_some(value)
    });
    match (named.next(), named.next()) {
        (Some(value), None) => address(&unquoted(value)),
        // Each parameter may be given only once.
        _ => None,
    }
}

/// Splits a text at each separator that is not within quotes, the last part first.
///
/// Read from the right, a quote ends a quoted string, and the next one begins it unless it is
/// escaped.
fn rsplit_unquoted(text: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let mut is_quoted = false;
        for index in (0..text.len()).rev() {
            match text[index] {
                b'"' if !(is_quoted && is_escaped(&text[..index])) => is_quoted = !is_quoted,
                byte if byte == separator && !is_quoted => {
                    rest = Some(&text[..index]);
                    return Some(&text[index + 1..]);
                }
                _ => {}
            }
        }
        rest = None;
        Some(text)
    })
}

/// Returns whether what follows this text is escaped: by an odd number of backslashes.
fn is_escaped(text: &[u8]) -> bool {
    text.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1
}

/// Returns the content of a quoted string, or a text without quotes as it is.
fn unquoted(text: &[u8]) -> Cow<'_, [u8]> {
    let Some(quoted) = text.strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"\"")) else {
        return text.into();
    };
    let mut is_escaped = false;
    let is_content = |byte: &u8| {
        is_escaped = !is_escaped && *byte == b'\\';
        !is_escaped
    };
    quoted.iter().copied().filter(is_content).collect()
}

/// Reads an address, with or without a port and brackets.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(text.trim_ascii()).ok()?;
    let address = text.parse::<IpAddr>().ok();
    let address = address.or_else(|| text.parse::<SocketAddr>().map(|address| address.ip()).ok());
    let bracketed = |text: &str| text.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok();
    let address = address.or_else(|| bracketed(text).map(IpAddr::V6));
    let address = address.or_else(|| {
        let address = before_obfuscated_port(text)?;
        address.parse().ok().map(IpAddr::V4).or_else(|| bracketed(address).map(IpAddr::V6))
    });
    address.map(|address| address.to_canonical())
}

/// Returns what is before a port like `_p1`, by which RFC 7239 lets a proxy hide the real one.
fn before_obfuscated_port(text: &str) -> Option<&str> {
    let (address, port) = text.split_once(":_")?;
    let is_of_port = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (!port.is_empty() && port.bytes().all(is_of_port)).then_some(address)
}
