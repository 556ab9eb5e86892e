//! Quota, duration and the rest of what calls are limited to.

use premier_algorithms::{Capacity, Cost, InvalidArgument, LimitDuration, Quota};
use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{Error, Expr, ExprLit, Ident, Lit, Result};

use crate::arguments::Arguments;
use crate::duration::Duration;
use crate::function::unseen;
use crate::throttle::Algorithm;

pub(crate) struct Limit {
    quota: Expr,
    duration: Duration,
    capacity: Option<Expr>,
    cost: Option<Expr>,
    max_wait: Option<Duration>,
}

impl Limit {
    pub(crate) fn new(arguments: &mut Arguments) -> Result<Self> {
        const EXAMPLE: &str = "(quota = 3, duration = \"5s\")";
        let limit = Self {
            quota: arguments.require("quota", EXAMPLE)?,
            duration: Duration::new(arguments.require("duration", EXAMPLE)?)?,
            capacity: arguments.take("capacity"),
            cost: arguments.take("cost"),
            max_wait: arguments.take("max_wait").map(Duration::new).transpose()?,
        };
        check(Some(&limit.quota), Quota::new)?;
        check(limit.capacity.as_ref(), Capacity::new)?;
        check(limit.cost.as_ref(), Cost::new)?;
        if let Duration::Known { span, literal } = &limit.duration {
            LimitDuration::new(*span).map_err(|invalid| Error::new_spanned(literal, invalid.rule()))?;
        }
        Ok(limit)
    }

    /// An expression of type `Limit`, if it is known to be in bounds.
    pub(crate) fn constant(&self, algorithm: &Algorithm) -> Option<TokenStream> {
        let Algorithm::Known(constructor) = algorithm else { return None };
        let constructor = format_ident!("{constructor}");
        let Self { quota, duration, capacity, cost, max_wait } = self;
        let numbers = [Some(quota), capacity.as_ref(), cost.as_ref()];
        let durations = [Some(duration), max_wait.as_ref()];
        let is_known = numbers.iter().flatten().all(|number| matches!(number, Expr::Lit(_)))
            && durations.iter().flatten().all(|duration| matches!(duration, Duration::Known { .. }));
        let capacity = capacity.as_ref().map(|capacity| quote!(.capacity(#capacity)));
        let cost = cost.as_ref().map(|cost| quote!(.cost(#cost)));
        let max_wait = max_wait.as_ref().map(|max_wait| quote!(.max_wait(#max_wait)));
        is_known.then(
            || quote!(const { ::premier_client::Limit::#constructor(#quota, #duration) #capacity #cost #max_wait }),
        )
    }

    /// An expression of type `Result<Limit, _>` or `Result<AnyLimit, _>`.
    pub(crate) fn computed(&self, algorithm: &Algorithm, throttler: &Ident) -> TokenStream {
        let Self { quota, duration, capacity, cost, max_wait } = self;
        let limit_ = unseen("limit");
        let into = matches!(algorithm, Algorithm::Configured).then(|| quote!(.map_err(::core::convert::Into::into)));
        let limit = match algorithm {
            Algorithm::Known(constructor) => {
                let constructor = format_ident!("try_{constructor}");
                quote!(::premier_client::Limit::#constructor(#quota, #duration))
            }
            Algorithm::Given(algorithm) => quote!((#algorithm).limit(#quota, #duration)),
            Algorithm::Configured => quote!(#throttler.limit(#quota, #duration)),
        };
        let capacity = capacity.as_ref().map(|capacity| quote!(.and_then(|#limit_| #limit_.try_capacity(#capacity))));
        let cost = cost.as_ref().map(|cost| quote!(.and_then(|#limit_| #limit_.try_cost(#cost)#into)));
        let max_wait = max_wait.as_ref().map(|max_wait| quote!(.and_then(|#limit_| #limit_.try_max_wait(#max_wait))));
        quote!(#limit #capacity #cost #max_wait)
    }
}

/// What is written as a number is checked here and now.
fn check<T>(number: Option<&Expr>, new: impl FnOnce(u64) -> std::result::Result<T, InvalidArgument>) -> Result<()> {
    if let Some(Expr::Lit(ExprLit { lit: Lit::Int(number), .. })) = number {
        new(number.base10_parse()?).map_err(|invalid| Error::new_spanned(number, invalid.rule()))?;
    }
    Ok(())
}
