//! The limit that an attribute describes: its quota, duration and options.

use premier_algorithms::{Capacity, Cost, InvalidArgument, Keep, LimitDuration, Quota};
use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote};
use syn::spanned::Spanned;
use syn::{Error, Expr, ExprLit, Ident, Lit, Result};

use crate::arguments::Arguments;
use crate::duration::Duration;
use crate::names::hygienic;
use crate::throttle::Selection;
use crate::window::{Window, Zone};

pub(crate) struct Limit {
    quota: Expr,
    window: Window,
    zone: Option<Zone>,
    capacity: Option<Expr>,
    cost: Option<Expr>,
    keep: Option<Expr>,
    max_wait: Option<Duration>,
}

impl Limit {
    pub(crate) fn new(arguments: &mut Arguments) -> Result<Self> {
        const EXAMPLE: &str = "quota and duration, like (quota = 3, duration = \"5s\")";
        let (quota, window) = (arguments.require("quota", EXAMPLE)?, Window::new(arguments, EXAMPLE)?);
        let zone = arguments.take("zone");
        if let Some(zone) = zone.as_ref().filter(|_| !window.is_aligned()) {
            return Err(Error::new_spanned(zone, "`zone` may be given only with `aligned`"));
        }
        let limit = Self {
            quota,
            window,
            zone: zone.map(Zone::new).transpose()?,
            capacity: arguments.take("capacity"),
            cost: arguments.take("cost"),
            keep: arguments.take("keep"),
            max_wait: arguments.take("max_wait").map(Duration::new).transpose()?,
        };
        check_literal(Some(&limit.quota), Quota::new)?;
        check_literal(limit.capacity.as_ref(), Capacity::new)?;
        check_literal(limit.cost.as_ref(), Cost::new)?;
        check_literal(limit.keep.as_ref(), Keep::new)?;
        if let Some(Duration::Known { span, literal }) = limit.window.duration() {
            LimitDuration::new(*span).map_err(|invalid| Error::new_spanned(literal, invalid.rule()))?;
        }
        Ok(limit)
    }

    /// Returns a constant of type `Limit`, if the algorithm and all arguments are known now.
    pub(crate) fn constant(&self, selection: &Selection) -> Option<TokenStream> {
        let Selection::Attribute(algorithm) = selection else { return None };
        let Self { quota, window, zone, capacity, cost, keep, max_wait } = self;
        let numbers = [Some(quota), capacity.as_ref(), cost.as_ref(), keep.as_ref()];
        let durations = [window.duration(), max_wait.as_ref()];
        let is_known = numbers.iter().flatten().all(|number| matches!(number, Expr::Lit(_)))
            && durations.iter().flatten().all(|duration| matches!(duration, Duration::Known { .. }))
            && zone.iter().all(Zone::is_known);
        let (constructor, argument) = window.constructor(algorithm.name);
        let constructor = format_ident!("{constructor}");
        let aligned = window.is_aligned().then(|| quote!(.aligned()));
        let zone = zone.as_ref().map(|zone| quote!(.in_zone(#zone)));
        let capacity = capacity.as_ref().map(|capacity| quote!(.capacity(#capacity)));
        let cost = cost.as_ref().map(|cost| quote!(.cost(#cost)));
        let keep = keep.as_ref().map(|keep| quote!(.keep(#keep)));
        let max_wait = max_wait.as_ref().map(|max_wait| quote!(.max_wait(#max_wait)));
        is_known.then(
            || quote!(const { ::premier_client::Limit::#constructor(#quota, #argument) #aligned #zone #capacity #cost #keep #max_wait }),
        )
    }

    /// Returns an expression of type `Result<Limit, _>` or `Result<AnyLimit, _>`, which is
    /// evaluated at each call.
    pub(crate) fn computed(&self, selection: &Selection, throttler: &Ident) -> TokenStream {
        let Self { quota, window, zone, capacity, cost, keep, max_wait } = self;
        let limit_ = hygienic("limit");
        let into = matches!(selection, Selection::Configured).then(|| quote!(.map_err(::core::convert::Into::into)));
        let limit = match selection {
            Selection::Attribute(algorithm) => {
                let (constructor, argument) = window.constructor(algorithm.name);
                let constructor = format_ident!("try_{constructor}");
                quote!(::premier_client::Limit::#constructor(#quota, #argument))
            }
            Selection::Expression(algorithm) => {
                let method = Ident::new("limit", Span::mixed_site().located_at(algorithm.span()));
                let duration = window.duration();
                quote!((#algorithm).#method(#quota, #duration))
            }
            Selection::Configured => {
                let duration = window.duration();
                quote!(#throttler.limit(#quota, #duration))
            }
        };
        let capacity = capacity.as_ref().map(|capacity| quote!(.and_then(|#limit_| #limit_.try_capacity(#capacity))));
        let cost = cost.as_ref().map(|cost| quote!(.and_then(|#limit_| #limit_.try_cost(#cost)#into)));
        let keep = keep.as_ref().map(|keep| quote!(.and_then(|#limit_| #limit_.try_keep(#keep)#into)));
        let max_wait = max_wait.as_ref().map(|max_wait| quote!(.and_then(|#limit_| #limit_.try_max_wait(#max_wait))));
        let aligned = window.is_aligned().then(|| quote!(.map(|#limit_| #limit_.aligned())));
        let zone = zone.as_ref().map(|zone| quote!(.map(|#limit_| #limit_.in_zone(#zone))));
        quote!(#limit #aligned #zone #capacity #cost #keep #max_wait)
    }
}

/// A limit that is written in the policies of the throttler.
pub(crate) struct Policy {
    name: Expr,
    cost: Option<Expr>,
}

impl Policy {
    pub(crate) fn new(arguments: &mut Arguments) -> Result<Option<Self>> {
        let Some(name) = arguments.take("policy") else { return Ok(None) };
        for other in ["algorithm", "quota", "duration"] {
            if let Some(value) = arguments.take(other) {
                return Err(Error::new_spanned(
                    value,
                    format!("a policy has its own limit: remove `{other}` or `policy`"),
                ));
            }
        }
        let cost = arguments.take("cost");
        check_literal(cost.as_ref(), Cost::new)?;
        Ok(Some(Self { name, cost }))
    }

    /// Returns an expression of type `Result<AnyLimit, Error>`, which is evaluated at each call.
    pub(crate) fn limit(&self, throttler: &Ident, key: &Ident) -> TokenStream {
        let Self { name, cost } = self;
        let limit_ = hygienic("limit");
        let into = quote!(.map_err(::core::convert::Into::into));
        let cost = cost.as_ref().map(|cost| quote!(.and_then(|#limit_| #limit_.try_cost(#cost)#into)));
        quote!(#throttler.policy(#name, &#key) #cost)
    }
}

/// Checks a number that is written as a literal. The bounds of other expressions are checked at
/// each call.
pub(crate) fn check_literal<T>(
    number: Option<&Expr>,
    new: impl FnOnce(u64) -> std::result::Result<T, InvalidArgument>,
) -> Result<()> {
    if let Some(Expr::Lit(ExprLit { lit: Lit::Int(number), .. })) = number {
        new(number.base10_parse()?).map_err(|invalid| Error::new_spanned(number, invalid.rule()))?;
    }
    Ok(())
}
