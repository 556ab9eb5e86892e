//! Names in the code that the attributes write.

use proc_macro_crate::FoundCrate;
use proc_macro2::{Group, Spacing, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote_spanned};
use syn::parse::Parser;
use syn::{Error, Ident, Path, Result, parse_quote, parse2};

/// A local variable that the user's code cannot see, so that the user may have one of the same
/// name. The prefix is for constants and statics, whose names patterns would mean.
pub(crate) fn hygienic(name: &str) -> Ident {
    hygienic_at(name, Span::mixed_site())
}

/// [`hygienic`], with errors of the compiler reported at the span.
pub(crate) fn hygienic_at(name: &str, span: Span) -> Ident {
    Ident::new(&format!("__premier_{name}"), Span::mixed_site().located_at(span))
}

/// The path of what only the written code calls.
pub(crate) fn runtime() -> TokenStream {
    runtime_at(Span::call_site())
}

/// [`runtime`], with errors of the compiler reported at the span.
pub(crate) fn runtime_at(span: Span) -> TokenStream {
    quote_spanned!(span=> ::premier_client::decorate::__private)
}

/// The path of the attribute that stands for another one until all are known.
pub(crate) fn layer(client: &Path) -> Path {
    parse_quote!(#client::decorate::__private::layer)
}

/// Whether the path is that of [`layer`], in whatever crate.
pub(crate) fn is_layer(path: &Path) -> bool {
    let names = path.segments.iter().rev().map(|segment| segment.ident.to_string());
    names.take(3).eq(["layer", "__private", "decorate"])
}

/// Finds the path of the client by the dependencies of the package that is compiled.
///
/// # Errors
/// If the package does not depend on the client, and the argument `crate` must say where it is.
pub(crate) fn find_client() -> Result<Path> {
    match proc_macro_crate::crate_name("premier-client") {
        Ok(FoundCrate::Name(name)) => {
            let name = Ident::new(&name, Span::call_site());
            Ok(parse_quote!(::#name))
        }
        Err(proc_macro_crate::Error::CrateNotFound { .. }) => Err(Error::new(
            Span::call_site(),
            "premier-client is not a dependency of this package: add it, or say which crate exports it, like crate = \
             other::premier_client",
        )),
        // The client itself, and builds without cargo.
        Ok(FoundCrate::Itself) | Err(_) => Ok(parse_quote!(::premier_client)),
    }
}

/// Takes `crate = path` out of an attribute's arguments.
pub(crate) fn take_client(arguments: TokenStream) -> Result<(TokenStream, Option<Path>)> {
    let mut others: Vec<TokenTree> = Vec::new();
    let mut client = None;
    let mut tokens = arguments.into_iter().peekable();
    while let Some(token) = tokens.next() {
        let begins_argument = others.last().is_none_or(is_comma);
        let is_crate = matches!(&token, TokenTree::Ident(name) if name == "crate");
        if !(begins_argument && is_crate && tokens.next_if(is_equals).is_some()) {
            others.push(token);
            continue;
        }
        let mut path = TokenStream::new();
        while let Some(part) = tokens.next_if(|part| !is_comma(part)) {
            path.extend([part]);
        }
        // Either the comma before the argument goes with it, or the one behind it.
        if tokens.next().is_none() {
            others.pop();
        }
        let path = Path::parse_mod_style.parse2(path).map_err(|_| {
            Error::new(token.span(), "`crate` must be the path of premier-client, like crate = other::premier_client")
        })?;
        if client.replace(path).is_some() {
            return Err(Error::new(token.span(), "`crate` may be given only once"));
        }
    }
    Ok((others.into_iter().collect(), client))
}

fn is_comma(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Punct(comma) if comma.as_char() == ',')
}

fn is_equals(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Punct(equals) if equals.as_char() == '=' && equals.spacing() == Spacing::Alone)
}

/// Replaces `::premier_client`, which layers write, by the path of the client.
pub(crate) fn in_client(client: &Path, tokens: TokenStream) -> TokenStream {
    if *client == parse_quote!(::premier_client) {
        return tokens;
    }
    let mut replaced: Vec<TokenTree> = Vec::new();
    for token in tokens {
        match token {
            TokenTree::Ident(name) if name == "premier_client" && ends_with_colons(&replaced) => {
                replaced.truncate(replaced.len() - 2);
                let span = name.span();
                replaced.extend(client.to_token_stream().into_iter().map(|mut token| {
                    token.set_span(span.resolved_at(token.span()));
                    token
                }));
            }
            TokenTree::Group(group) => {
                let mut inner = Group::new(group.delimiter(), in_client(client, group.stream()));
                inner.set_span(group.span());
                replaced.push(inner.into());
            }
            token => replaced.push(token),
        }
    }
    replaced.into_iter().collect()
}

/// Whether a path begins here: with a `::` that no part of a path precedes.
fn ends_with_colons(tokens: &[TokenTree]) -> bool {
    let is_colon = |token: &TokenTree| matches!(token, TokenTree::Punct(colon) if colon.as_char() == ':');
    let is_part = |token: &TokenTree| match token {
        // Other keywords, like `use` and `match`, may precede a path.
        TokenTree::Ident(name) => {
            ["crate", "self", "super", "Self"].iter().any(|part| name == part)
                || parse2::<Ident>(name.into_token_stream()).is_ok()
        }
        _ => false,
    };
    match tokens {
        [before @ .., one, other] => is_colon(one) && is_colon(other) && !before.last().is_some_and(is_part),
        _ => false,
    }
}
