//! Sync and async code from one source: [`macro@also_blocking`].

use proc_macro::{Group, Ident, Literal, TokenStream, TokenTree};

/// Keeps an item of async code, and adds the same item for sync code.
///
/// The sync item loses each `async` and each `.await`, and names lose `Async` or `async_` at their
/// beginning: `AsyncBackend` becomes `Backend`, `AsyncFnOnce` becomes `FnOnce`, `async_sleep`
/// becomes `sleep`. Names that differ in another way need an alias first: `use tokio::time::sleep
/// as async_sleep`.
///
/// The same happens in doc comments, where a line with `#[tokio::main]` goes too, so that the
/// examples of both items compile.
///
/// The async item is compiled with the feature `tokio` only.
///
/// ```
/// # use premier_blocking::also_blocking;
/// # fn load(key: &str) -> usize { key.len() }
/// #[also_blocking]
/// async fn async_load_twice(key: &str) -> usize {
///     async_load(key).await + async_load(key).await
/// }
///
/// assert_eq!(load_twice("ada"), 6);
/// ```
#[proc_macro_attribute]
pub fn also_blocking(_: TokenStream, item: TokenStream) -> TokenStream {
    [with_tokio(), item.clone(), blocking(item)].into_iter().collect()
}

/// Changes nothing. In the sync item of [`macro@also_blocking`] it becomes `track_caller`, which
/// has no effect on async functions.
#[proc_macro_attribute]
pub fn async_track_caller(_: TokenStream, item: TokenStream) -> TokenStream {
    item
}

fn with_tokio() -> TokenStream {
    r#"#[cfg(feature = "tokio")]"#.parse().expect("this is an attribute")
}

fn blocking(tokens: TokenStream) -> TokenStream {
    let mut blocking = TokenStream::new();
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Ident(name) if name.to_string() == "async" => {}
            TokenTree::Ident(name) => {
                let async_name = name.to_string();
                blocking.extend([TokenTree::Ident(Ident::new(blocking_name(&async_name), name.span()))]);
            }
            TokenTree::Punct(dot) if dot.as_char() == '.' && tokens.next_if(is_await).is_some() => {}
            TokenTree::Group(group) if is_doc(&group.stream()) => {
                let doc = group.stream().into_iter().map(|token| match token {
                    TokenTree::Literal(text) => TokenTree::Literal(blocking_doc(&text)),
                    token => token,
                });
                blocking.extend([with_stream(&group, doc.collect())]);
            }
            TokenTree::Group(group) => blocking.extend([with_stream(&group, self::blocking(group.stream()))]),
            token => blocking.extend([token]),
        }
    }
    blocking
}

fn is_await(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Ident(name) if name.to_string() == "await")
}

/// Returns whether an attribute is a doc comment.
fn is_doc(attribute: &TokenStream) -> bool {
    let first = attribute.clone().into_iter().next();
    matches!(first, Some(TokenTree::Ident(name)) if name.to_string() == "doc")
}

fn with_stream(group: &Group, stream: TokenStream) -> TokenTree {
    let mut new = Group::new(group.delimiter(), stream);
    new.set_span(group.span());
    TokenTree::Group(new)
}

fn blocking_name(name: &str) -> &str {
    let of_type = name.strip_prefix("Async").filter(|rest| rest.starts_with(char::is_uppercase));
    of_type.or_else(|| name.strip_prefix("async_")).unwrap_or(name)
}

/// Rewrites a line of a doc comment, given as the literal that it is in an attribute.
fn blocking_doc(line: &Literal) -> Literal {
    let source = line.to_string().replace(".await", "").replace("async fn", "fn");
    let source = if source.contains("#[tokio::main") { "\" #\"".to_owned() } else { source };
    let mut blocking = String::new();
    for word in source.split_inclusive(|character: char| !is_part_of_name(character)) {
        blocking.push_str(blocking_name(word));
    }
    let mut blocking: Literal = blocking.parse().expect("a name has lost its beginning only");
    blocking.set_span(line.span());
    blocking
}

fn is_part_of_name(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}
