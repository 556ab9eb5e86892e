//! The key of a decorated function.

use crate::Key;
use crate::key::{Place, without_raw};

/// Returns the key of the function that has a closure of this type and is at this place.
///
/// The name of a closure's type has the type of a method in it, with its parameters, as
/// `module::Type<u8>::method<u16>::{{closure}}`. A function that `is_method` certainly is in an
/// `impl` or a `trait`.
#[must_use]
pub fn key_of(
    closure: &'static str,
    module: &'static str,
    is_method: bool,
    [written, expanded]: [(u32, u32); 2],
    repetition: u32,
) -> Key<'static> {
    let function = function_of(closure, module);
    if may_be_in_block(function, module, is_method) {
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

/// Returns the path from the module on. The names of types have no `r#`.
fn in_module<'a>(path: &'a str, module: &str) -> Option<&'a str> {
    without_raw(module).try_fold(path, |path, part| path.strip_prefix(part))?.strip_prefix("::")
}

/// Returns whether the path may be one of several functions, because the function, or the type that
/// it is a method of, may be in a block.
fn may_be_in_block(function: &str, module: &str, is_method: bool) -> bool {
    let mut segments = segments(function);
    let (Some(scope), Some(_)) = (segments.next(), segments.next()) else { return false };
    let is_deeper = segments.next().is_some();
    is_deeper
        || match scope.strip_prefix('<') {
            Some(of_impl) if of_impl.starts_with("impl ") => false,
            Some(of_impl) => may_be_impl_in_block(of_impl, module),
            // A name without type parameters may be that of a function or a static too.
            None => !is_method && !scope.contains('<'),
        }
}

/// Returns whether `Type as Trait>` may be of a block: if the one that is in the module of the
/// `impl` is not directly there. It may be in a module within this one, too.
fn may_be_impl_in_block(of_impl: &str, module: &str) -> bool {
    let (ty, trait_) = of_impl.split_once(" as ").unwrap_or((of_impl, ""));
    let ty = ty.trim_start_matches(['&', '*', '(', '[']);
    let ty = ["mut ", "const ", "dyn "].iter().fold(ty, |ty, word| ty.trim_start_matches(word));
    let path = in_module(ty, module).or_else(|| in_module(trait_, module));
    path.is_none_or(|path| segments(path).count() != 1)
}

/// Splits a path at each `::` that is not within brackets.
fn segments(path: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_u32;
    let mut previous = ' ';
    let mut rest = path.chars();
    let mut behind_char = None;
    let segments = path.split(move |character| {
        rest.next();
        if behind_char.is_some_and(|behind: usize| rest.as_str().len() >= behind) {
            return false;
        }
        match character {
            '\'' => behind_char = after_char(rest.as_str()).map(str::len),
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

/// Returns what is behind a literal of a `char`, as in `Quoted<'<'>`, whose first quote is before
/// this. Lifetimes, as in `fn(&'_ u8)`, have one quote only.
fn after_char(rest: &str) -> Option<&str> {
    if let Some(escaped) = rest.strip_prefix('\\') {
        // The next one is a part of the literal, also if it is a quote.
        return escaped.get(1..)?.split_once('\'').map(|(_, behind)| behind);
    }
    let mut rest = rest.chars();
    rest.next();
    rest.as_str().strip_prefix('\'')
}
