//! Durations as attributes take them: a string with a unit, or any expression of type `Duration`.

use premier_algorithms::MaxWait;
use proc_macro2::TokenStream;
use quote::quote;
use syn::{Error, Expr, ExprLit, Lit, LitStr, Result};

pub(crate) fn parse(expression: &Expr) -> Result<TokenStream> {
    let Expr::Lit(ExprLit { lit, .. }) = expression else {
        return Ok(quote!(#expression));
    };
    match lit {
        Lit::Str(text) => literal(text),
        lit => Err(Error::new_spanned(lit, "a duration is a string with a unit, like \"5s\", or a `Duration`")),
    }
}

/// As the commands read it, but for seconds without a unit, which a reader of the code might take for anything.
fn literal(text: &LitStr) -> Result<TokenStream> {
    let value = text.value();
    let has_unit = value.ends_with(|last: char| last.is_ascii_alphabetic());
    match MaxWait::parse(value.as_bytes()) {
        Ok(duration) if has_unit => {
            let micros = duration.get().as_micros();
            Ok(quote!(::core::time::Duration::from_micros(#micros)))
        }
        _ => Err(Error::new_spanned(
            text,
            "a duration is an integer with a unit (us, ms, s, m, h, d), like \"5s\" or \"500ms\"",
        )),
    }
}
