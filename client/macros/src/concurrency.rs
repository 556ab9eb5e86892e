//! The concurrency limit that an attribute describes: its quota, lease and options.

use premier_algorithms::{Cost, InvalidArgument, Keep, LimitDuration, Quota};
use proc_macro2::{Ident, TokenStream};
use quote::quote;
use syn::{Error, Expr, Result};

use crate::algorithm::{self, Algorithm};
use crate::arguments::Arguments;
use crate::duration::Duration;
use crate::limit::{Limit, Policy, check_literal};
use crate::names::hygienic;
use crate::throttle::Selection;

pub(crate) struct Concurrency {
    quota: Expr,
    lease: Duration,
    cost: Option<Expr>,
    keep: Option<Expr>,
}

/// What a throttler is asked before the body.
pub(crate) enum Asked {
    Rate(Box<Limit>),
    Policy(Box<Policy>),
    Concurrency(Box<Concurrency>),
}

impl Asked {
    pub(crate) fn new(algorithm: Option<&Algorithm>, arguments: &mut Arguments) -> Result<Self> {
        if algorithm == Some(&algorithm::CONCURRENCY) {
            Concurrency::new(arguments).map(Box::new).map(Self::Concurrency)
        } else {
            Limit::new(arguments).map(Box::new).map(Self::Rate)
        }
    }

    /// Returns the method of a throttler that asks at once, and the one that waits.
    pub(crate) fn methods(&self) -> [TokenStream; 2] {
        match self {
            Self::Rate(_) | Self::Policy(_) => [quote!(admit), quote!(acquire)],
            Self::Concurrency(_) => [quote!(hold), quote!(hold_within)],
        }
    }

    /// Returns the pattern that binds the answer to an admitted call which the body does not name.
    /// A permit lives as long as the body runs.
    pub(crate) fn unnamed(&self) -> TokenStream {
        match self {
            Self::Rate(_) | Self::Policy(_) => quote!(_),
            Self::Concurrency(_) => {
                let permit = hygienic("permit");
                quote!(#permit)
            }
        }
    }

    /// Returns a constant, if the algorithm and all arguments are known now.
    pub(crate) fn constant(&self, selection: &Selection) -> Option<TokenStream> {
        match self {
            Self::Rate(limit) => limit.constant(selection),
            Self::Policy(_) => None,
            Self::Concurrency(concurrency) => concurrency.constant(),
        }
    }

    /// Returns an expression of type `Result<Limit, _>`, which is evaluated at each call.
    pub(crate) fn computed(&self, selection: &Selection, throttler: &Ident, key: &Ident) -> TokenStream {
        match self {
            Self::Rate(limit) => limit.computed(selection, throttler),
            Self::Policy(policy) => policy.limit(throttler, key),
            Self::Concurrency(concurrency) => concurrency.computed(),
        }
    }
}

impl Concurrency {
    fn new(arguments: &mut Arguments) -> Result<Self> {
        const EXAMPLE: &str = "quota and lease, like (quota = 10, lease = \"30s\")";
        let concurrency = Self {
            quota: arguments.require("quota", EXAMPLE)?,
            lease: Duration::new(arguments.require("lease", EXAMPLE)?)?,
            cost: arguments.take("cost"),
            keep: arguments.take("keep"),
        };
        check_literal(Some(&concurrency.quota), Quota::new)?;
        check_literal(concurrency.cost.as_ref(), Cost::new)?;
        check_literal(concurrency.keep.as_ref(), Keep::new)?;
        if let Duration::Known { span, literal } = &concurrency.lease {
            LimitDuration::new(*span).map_err(|invalid| Error::new_spanned(literal, rule_of_lease(invalid)))?;
        }
        Ok(concurrency)
    }

    fn constant(&self) -> Option<TokenStream> {
        let Self { quota, lease, cost, keep } = self;
        let numbers = [Some(quota), cost.as_ref(), keep.as_ref()];
        let is_known = numbers.iter().flatten().all(|number| matches!(number, Expr::Lit(_)))
            && matches!(lease, Duration::Known { .. });
        let cost = cost.as_ref().map(|cost| quote!(.cost(#cost)));
        let keep = keep.as_ref().map(|keep| quote!(.keep(#keep)));
        is_known.then(|| quote!(const { ::premier_client::Limit::concurrency(#quota, #lease) #cost #keep }))
    }

    fn computed(&self) -> TokenStream {
        let Self { quota, lease, cost, keep } = self;
        let limit_ = hygienic("limit");
        let cost = cost.as_ref().map(|cost| quote!(.and_then(|#limit_| #limit_.try_cost(#cost))));
        let keep = keep.as_ref().map(|keep| quote!(.and_then(|#limit_| #limit_.try_keep(#keep))));
        quote!(::premier_client::Limit::try_concurrency(#quota, #lease) #cost #keep)
    }
}

/// Returns the rule of durations as that of a lease, which is never in calendar months.
fn rule_of_lease(invalid: InvalidArgument) -> String {
    let (time, _months) = invalid.rule().split_once("; FIXED").unwrap_or((invalid.rule(), ""));
    time.replace("duration", "lease")
}
