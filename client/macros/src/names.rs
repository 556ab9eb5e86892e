//! Names in the code that the attributes write.

use proc_macro2::{Span, TokenStream};
use quote::quote_spanned;
use syn::{Ident, Path, parse_quote};

/// A local variable that the user's code cannot see, so that the user may have one of the same
/// name.
pub(crate) fn hygienic(name: &str) -> Ident {
    Ident::new(name, Span::mixed_site())
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
pub(crate) fn layer() -> Path {
    parse_quote!(::premier_client::decorate::__private::layer)
}
