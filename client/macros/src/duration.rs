//! Durations: a string with a unit, or any expression of type `Duration`.

use premier_algorithms::{MaxWait, Span};
use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{Error, Expr, ExprLit, Lit, LitStr, Result};

pub(crate) enum Duration {
    Known { span: Span, literal: LitStr },
    Computed(Expr),
}

impl Duration {
    pub(crate) fn new(expression: Expr) -> Result<Self> {
        match expression {
            Expr::Lit(ExprLit { lit: Lit::Str(literal), .. }) => Self::parse(literal),
            Expr::Lit(ExprLit { lit, .. }) => Err(Error::new_spanned(
                lit,
                "a duration must be a string with a unit, like \"5s\", or an expression of type `Duration`",
            )),
            computed => Ok(Self::Computed(computed)),
        }
    }

    /// Checks that the duration is not zero, as far as it is known.
    pub(crate) fn check_is_some(&self, text: &str) -> Result<()> {
        match self {
            Self::Known { span: Span::ZERO, literal } => Err(Error::new_spanned(literal, text)),
            _ => Ok(()),
        }
    }

    /// Reads a duration as the commands do, except that a unit is required: in code `"5"` could
    /// mean anything.
    fn parse(literal: LitStr) -> Result<Self> {
        let text = literal.value();
        let has_unit = text.ends_with(|last: char| last.is_ascii_alphabetic());
        match MaxWait::parse(text.as_bytes()) {
            Ok(duration) if has_unit => Ok(Self::Known { span: duration.get(), literal }),
            _ => Err(Error::new_spanned(
                literal,
                format!(
                    "invalid duration {text:?}: expected numbers with units (w, d, h, m, s, ms, us), like \"5s\" or \
                     \"1m30s\", and at most \"3650d\""
                ),
            )),
        }
    }
}

impl ToTokens for Duration {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        let micros = match self {
            Self::Computed(expression) => return expression.to_tokens(tokens),
            Self::Known { span, .. } => span.as_micros(),
        };
        let (constructor, units) = match micros {
            whole if whole % 1_000_000 == 0 => (quote!(from_secs), whole / 1_000_000),
            whole if whole % 1_000 == 0 => (quote!(from_millis), whole / 1_000),
            micros => (quote!(from_micros), micros),
        };
        let units = proc_macro2::Literal::u64_unsuffixed(units);
        tokens.extend(quote!(::core::time::Duration::#constructor(#units)));
    }
}
