//! What stands in the brackets of an attribute.

use proc_macro2::{Span, TokenStream};
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Error, Expr, ExprCall, Ident, LitStr, Result, Token};

use crate::duration;

/// The arguments of a throttling attribute, as they were written.
pub(crate) struct Arguments {
    pub(crate) quota: Expr,
    pub(crate) duration: TokenStream,
    pub(crate) capacity: Option<(Ident, Expr)>,
    pub(crate) cost: Option<Expr>,
    pub(crate) max_wait: Option<(Ident, TokenStream)>,
    pub(crate) key: Option<Expr>,
    pub(crate) keyspace: Option<LitStr>,
    pub(crate) throttler: Option<Expr>,
    pub(crate) on_limit: OnLimit,
}

/// What happens to a call that is not admitted.
pub(crate) enum OnLimit {
    Error,
    Wait(TokenStream),
    Value(Expr),
}

struct Argument {
    name: Ident,
    value: Expr,
}

impl Parse for Argument {
    fn parse(input: ParseStream) -> Result<Self> {
        let name = input.parse()?;
        input.parse::<Token![=]>()?;
        Ok(Self { name, value: input.parse()? })
    }
}

impl Parse for Arguments {
    fn parse(input: ParseStream) -> Result<Self> {
        let (mut quota, mut duration, mut capacity, mut cost, mut max_wait) = (None, None, None, None, None);
        let (mut key, mut keyspace, mut throttler, mut on_limit) = (None, None, None, None);
        for Argument { name, value } in Punctuated::<Argument, Token![,]>::parse_terminated(input)? {
            let is_first = match name.to_string().as_str() {
                "quota" => quota.replace(value).is_none(),
                "duration" => duration.replace(duration::parse(&value)?).is_none(),
                "capacity" => capacity.replace((name.clone(), value)).is_none(),
                "cost" => cost.replace(value).is_none(),
                "max_wait" => max_wait.replace((name.clone(), duration::parse(&value)?)).is_none(),
                "key" => key.replace(value).is_none(),
                "keyspace" => keyspace.replace(keyspace_name(&value)?).is_none(),
                "throttler" => throttler.replace(value).is_none(),
                "on_limit" => on_limit.replace(on_limit_of(value)?).is_none(),
                _ => {
                    return Err(Error::new(
                        name.span(),
                        "no argument of this attribute, which takes quota, duration, capacity, cost, max_wait, key, \
                         keyspace, throttler and on_limit",
                    ));
                }
            };
            if !is_first {
                return Err(Error::new(name.span(), format!("{name} may be given once only")));
            }
        }
        let missing =
            |name| Error::new(Span::call_site(), format!("{name} is missing: (quota = 3, duration = \"5s\")"));
        Ok(Self {
            quota: quota.ok_or_else(|| missing("quota"))?,
            duration: duration.ok_or_else(|| missing("duration"))?,
            capacity,
            cost,
            max_wait,
            key,
            keyspace,
            throttler,
            on_limit: on_limit.unwrap_or(OnLimit::Error),
        })
    }
}

fn keyspace_name(value: &Expr) -> Result<LitStr> {
    match value {
        Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(name), .. }) => Ok(name.clone()),
        value => Err(Error::new_spanned(value, "a keyspace is a string, like \"premier\"")),
    }
}

fn on_limit_of(value: Expr) -> Result<OnLimit> {
    match &value {
        Expr::Path(path) if path.path.is_ident("error") => Ok(OnLimit::Error),
        Expr::Call(ExprCall { func, args, .. }) if matches!(&**func, Expr::Path(path) if path.path.is_ident("wait")) => {
            match args.iter().collect::<Vec<_>>()[..] {
                [at_most] => Ok(OnLimit::Wait(duration::parse(at_most)?)),
                _ => Err(Error::new_spanned(&value, "how long to wait at most: wait(\"10s\")")),
            }
        }
        _ => Ok(OnLimit::Value(value)),
    }
}
