//! The headers by which proxies name whom a request came from.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use http::HeaderMap;
use http::header::{FORWARDED, HeaderName};

/// Somebody whom a proxy has named; `None` if the name is not an address, like `unknown`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hop(Option<IpAddr>);

impl Hop {
    pub(crate) fn address(self) -> Option<IpAddr> {
        self.0
    }
}

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Reads `X-Forwarded-For`. A list that is spread over several headers is one list.
pub(crate) fn x_forwarded_for(headers: &HeaderMap) -> Vec<Hop> {
    let values = headers.get_all(X_FORWARDED_FOR).iter();
    values.flat_map(|value| value.as_bytes().split(|byte| *byte == b',')).map(hop).collect()
}

/// Reads `Forwarded`, RFC 7239. An element without `for` is somebody without a name.
pub(crate) fn forwarded(headers: &HeaderMap) -> Vec<Hop> {
    let values = headers.get_all(FORWARDED).iter();
    values.flat_map(|value| split_unquoted(value.as_bytes(), b',')).map(element).collect()
}

fn element(element: &[u8]) -> Hop {
    let mut named = split_unquoted(element, b';').filter_map(|pair| {
        let equals = pair.iter().position(|byte| *byte == b'=')?;
        let (name, value) = (pair[..equals].trim_ascii(), pair[equals + 1..].trim_ascii());
        name.eq_ignore_ascii_case(b"for").then_some(value)
    });
    match (named.next(), named.next()) {
        (Some(value), None) => hop(&unquoted(value)),
        // Each parameter may be given only once.
        _ => Hop(None),
    }
}

/// Splits a text at each separator that is not within quotes.
fn split_unquoted(text: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    text.split(move |byte| {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_quoted => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            _ => return !is_quoted && *byte == separator,
        }
        false
    })
}

/// Returns the content of a quoted string, or a text without quotes as it is.
fn unquoted(text: &[u8]) -> Vec<u8> {
    let Some(quoted) = text.strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"\"")) else {
        return text.to_vec();
    };
    let mut is_escaped = false;
    let is_content = |byte: &u8| {
        is_escaped = !is_escaped && *byte == b'\\';
        !is_escaped
    };
    quoted.iter().copied().filter(is_content).collect()
}

/// Reads an address, with or without a port and brackets.
fn hop(text: &[u8]) -> Hop {
    let Ok(text) = str::from_utf8(text.trim_ascii()) else { return Hop(None) };
    let address = text.parse::<IpAddr>().ok();
    let address = address.or_else(|| text.parse::<SocketAddr>().map(|address| address.ip()).ok());
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok();
    Hop(address.or_else(|| bracketed().map(IpAddr::V6)).map(|address| address.to_canonical()))
}
