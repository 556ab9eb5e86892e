//! Durations as attributes take them: a string with a unit, or any expression of type `Duration`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Error, Expr, ExprLit, Lit, LitStr, Result};

/// Units, with their lengths in microseconds: those of the commands.
const UNITS: [(&str, u64); 6] =
    [("us", 1), ("ms", 1_000), ("s", 1_000_000), ("m", 60_000_000), ("h", 3_600_000_000), ("d", 86_400_000_000)];

pub(crate) fn parse(expression: &Expr) -> Result<TokenStream> {
    let Expr::Lit(ExprLit { lit, .. }) = expression else {
        return Ok(quote!(#expression));
    };
    match lit {
        Lit::Str(text) => literal(text),
        lit => Err(Error::new_spanned(lit, "a duration is a string with a unit, like \"5s\", or a `Duration`")),
    }
}

fn literal(text: &LitStr) -> Result<TokenStream> {
    let value = text.value();
    let unit_at = value.find(|character: char| !character.is_ascii_digit()).unwrap_or(value.len());
    let (number, unit) = value.split_at(unit_at);
    let per_unit = UNITS.iter().find_map(|(name, micros)| (*name == unit).then_some(*micros));
    let micros = number.parse::<u64>().ok().zip(per_unit).and_then(|(number, micros)| number.checked_mul(micros));
    match micros {
        Some(micros) => Ok(quote!(::core::time::Duration::from_micros(#micros))),
        None => Err(Error::new_spanned(
            text,
            "a duration is an integer with a unit (us, ms, s, m, h, d), like \"5s\" or \"500ms\"",
        )),
    }
}
