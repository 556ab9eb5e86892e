//! Where windows begin and end: `duration`, `aligned` and `zone`.

use premier_algorithms::{Period, Zone as Offset};
use proc_macro2::{Literal, TokenStream};
use quote::{ToTokens, quote};
use syn::{Error, Expr, ExprLit, Lit, LitStr, Result};

use crate::arguments::Arguments;
use crate::duration::Duration;

/// How long a window is, and whether it follows the calendar.
pub(crate) enum Window {
    /// A window that the first call opens, or a bucket.
    FromFirstCall(Duration),
    Aligned(Duration),
    /// Whole weeks, from Monday.
    Weeks(u64),
    /// Calendar months.
    Months(u64),
}

impl Window {
    pub(crate) fn new(arguments: &mut Arguments, example: &str) -> Result<Self> {
        let duration = arguments.require("duration", example)?;
        let literal = match &duration {
            Expr::Lit(ExprLit { lit: Lit::Str(literal), .. }) => Some(literal),
            _ => None,
        };
        let text = literal.map(LitStr::value).unwrap_or_default();
        let period = Period::parse(text.as_bytes()).ok();
        if text.ends_with("mo") && period.is_none() {
            return Err(Error::new_spanned(literal, "a duration in months must be 1mo to 120mo"));
        }
        match (arguments.take("aligned"), period) {
            (Some(_), Some(Period::Weeks(weeks))) => Ok(Self::Weeks(weeks.get())),
            (Some(_), Some(Period::Months(months))) => Ok(Self::Months(months.get())),
            (Some(_), _) => Ok(Self::Aligned(Duration::new(duration)?)),
            (None, Some(Period::Months(_))) => {
                Err(Error::new_spanned(literal, "a duration may be in months only for `fixed_window` with `aligned`"))
            }
            (None, _) => Ok(Self::FromFirstCall(Duration::new(duration)?)),
        }
    }

    /// Returns the duration, if it is a time.
    pub(crate) fn duration(&self) -> Option<&Duration> {
        match self {
            Self::FromFirstCall(duration) | Self::Aligned(duration) => Some(duration),
            Self::Weeks(_) | Self::Months(_) => None,
        }
    }

    pub(crate) fn is_aligned(&self) -> bool {
        !matches!(self, Self::FromFirstCall(_))
    }

    /// Returns the name of the constructor of such a limit, and its argument behind the quota.
    pub(crate) fn constructor(&self, of_times: &'static str) -> (&'static str, TokenStream) {
        let count = |count: u64| Literal::u64_unsuffixed(count).into_token_stream();
        match self {
            Self::FromFirstCall(duration) | Self::Aligned(duration) => (of_times, duration.to_token_stream()),
            Self::Weeks(weeks) => ("per_weeks", count(*weeks)),
            Self::Months(months) => ("per_months", count(*months)),
        }
    }
}

/// A zone: an offset as a string, or any expression of type `Zone`.
pub(crate) enum Zone {
    Known(Offset),
    Computed(Expr),
}

impl Zone {
    pub(crate) fn new(expression: Expr) -> Result<Self> {
        let Expr::Lit(ExprLit { lit, .. }) = &expression else { return Ok(Self::Computed(expression)) };
        let offset = match lit {
            Lit::Str(text) => Offset::parse(text.value().as_bytes()).ok(),
            _ => None,
        };
        offset.map(Self::Known).ok_or_else(|| {
            Error::new_spanned(
                lit,
                "`zone` must be a string with an offset from -18:00 to +18:00, like \"+02:00\", or an expression of type \
                 `Zone`",
            )
        })
    }

    pub(crate) fn is_known(&self) -> bool {
        matches!(self, Self::Known(_))
    }
}

impl ToTokens for Zone {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        match self {
            Self::Known(offset) => {
                let minutes = Literal::i16_unsuffixed(offset.get());
                tokens.extend(quote!(::premier_client::Zone::offset(#minutes)));
            }
            Self::Computed(expression) => expression.to_tokens(tokens),
        }
    }
}
