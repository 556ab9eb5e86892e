//! The key of a decorated function.

use crate::Key;
use crate::key::Place;

/// Returns the key of the function that has a closure of this type and is at this place.
///
/// The name of a closure's type has the type of a method in it, with its parameters, as
/// `module::Type<u8>::method<u16>::{{closure}}`.
#[must_use]
pub fn key_of(
    closure: &'static str,
    module: &'static str,
    [written, expanded]: [(u32, u32); 2],
    repetition: u32,
) -> Key<'static> {
    let function = function_of(closure, module);
    if is_in_block(function, module) {
        Key::in_block(module, function, Place { written, expanded, repetition })
    } else {
        Key::new(module, function)
    }
}

/// Reduces `module::Type<u8>::method<u16>::{{closure}}` to `Type<u8>::method`. A function has one
/// limit, whatever its own type parameters are.
fn function_of<'a>(closure: &'a str, module: &str) -> &'a str {
    let mut path = closure;
    while let Some(outer) = path.strip_suffix("::{{closure}}") {
        path = outer;
    }
    let path = in_module(path, module).unwrap_or(path);
    let name = segments(path).last().unwrap_or(path);
    let parameters = name.find('<').map_or(0, |start| name.len() - start);
    &path[..path.len() - parameters]
}

fn in_module<'a>(path: &'a str, module: &str) -> Option<&'a str> {
    path.strip_prefix(module)?.strip_prefix("::")
}

/// Returns whether the function, or the type that it is a method of, is in a block. A type in a
/// module within this one is taken for one in a block if the method is a trait's.
fn is_in_block(function: &str, module: &str) -> bool {
    let Some((scope, _)) = function.rsplit_once("::") else { return false };
    segments(scope).any(|segment| match segment.strip_prefix('<') {
        None => is_block(segment),
        // The type is elsewhere, so if this is in a block, the segments before say so.
        Some(of_impl) if of_impl.starts_with("impl ") => false,
        Some(of_impl) => {
            let of_impl = of_impl.trim_start_matches(['&', '*', '(', '[']).split([' ', '>']).next();
            of_impl.and_then(|path| in_module(path, module)).is_some_and(|path| segments(path).any(is_block))
        }
    })
}

/// Returns whether a segment is a function, a closure or `_`, and not a type. A type whose name
/// begins with a lowercase letter is taken for a function too.
fn is_block(segment: &str) -> bool {
    segment.starts_with(|first: char| first.is_lowercase() || matches!(first, '_' | '{'))
}

/// Splits a path at each `::` that is not within brackets.
fn segments(path: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_u32;
    let mut previous = ' ';
    let segments = path.split(move |character| {
        match character {
            '<' | '(' | '[' => depth += 1,
            '>' if previous == '-' => {}
            '>' | ')' | ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        previous = character;
        character == ':' && depth == 0
    });
    segments.filter(|segment| !segment.is_empty())
}
