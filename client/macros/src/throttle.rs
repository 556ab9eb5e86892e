//! The attributes that limit how often a function is called.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::parse::ParseStream;
use syn::spanned::Spanned;
use syn::{Error, Expr, ExprCall, Ident, Result, Type};

use crate::arguments::Arguments;
use crate::duration::Duration;
use crate::function::{Function, unseen};
use crate::key::Key;
use crate::limit::Limit;

pub(crate) struct Throttle {
    /// Of the attribute.
    pub(crate) name: Ident,
    algorithm: Algorithm,
    limit: Limit,
    key: Key,
    throttler: Option<Expr>,
    on_limit: OnLimit,
}

/// By which algorithm calls are limited.
#[derive(PartialEq)]
pub(crate) enum Algorithm {
    /// The one whose limits this makes.
    Known(String),
    Given(Expr),
    Configured,
}

impl Algorithm {
    /// That of the attribute of this name.
    pub(crate) fn named(attribute: &str) -> Self {
        if attribute == "throttle" { Self::Configured } else { Self::Known(attribute.to_owned()) }
    }
}

/// What happens to a call that is not admitted.
enum OnLimit {
    Error,
    Wait(Duration),
    Value(Expr),
}

const ARGUMENTS: &[&str] =
    &["quota", "duration", "capacity", "cost", "max_wait", "key", "keyspace", "throttler", "on_limit"];
const ARGUMENTS_OF_ANY: &[&str] =
    &["algorithm", "quota", "duration", "cost", "key", "keyspace", "throttler", "on_limit"];

impl Throttle {
    pub(crate) fn parse(algorithm: Algorithm, name: Ident, input: ParseStream) -> Result<Self> {
        let mut arguments = match &algorithm {
            Algorithm::Known(_) => Arguments::parse(input, ARGUMENTS)?,
            Algorithm::Given(_) | Algorithm::Configured => Arguments::parse(input, ARGUMENTS_OF_ANY)?,
        };
        let is_window = matches!(&algorithm, Algorithm::Known(name) if name.ends_with("window"));
        if let (true, Some(name)) = (is_window, arguments.name_of(&["capacity", "max_wait"])) {
            return Err(Error::new(name.span(), format!("a window has no {name}, only a token or leaky bucket has")));
        }
        Ok(Self {
            name,
            algorithm: arguments.take("algorithm").map_or(algorithm, Algorithm::Given),
            limit: Limit::new(&mut arguments)?,
            key: Key::new(arguments.take("key"), arguments.take("keyspace"))?,
            throttler: arguments.take("throttler"),
            on_limit: arguments.take("on_limit").map_or(Ok(OnLimit::Error), OnLimit::new)?,
        })
    }

    pub(crate) fn has_the_key_of(&self, other: &Self) -> bool {
        self.algorithm == other.algorithm && self.key == other.key
    }

    /// Asks before the body.
    pub(crate) fn around(&self, function: &Function) -> Result<TokenStream> {
        let given = self.throttler.as_ref().map(|throttler| quote!(&#throttler));
        let throttler = given.unwrap_or_else(|| function.global("throttler"));
        let key = self.key.of(function)?;
        let [throttler_, key_, limit_] = ["throttler", "key", "limit"].map(unseen);
        let ask = |limit: TokenStream| {
            let awaits = function.awaits();
            match &self.on_limit {
                OnLimit::Wait(at_most) => quote!(#throttler_.acquire(&#key_, #limit, #at_most)#awaits),
                OnLimit::Error | OnLimit::Value(_) => quote!(#throttler_.admit(&#key_, #limit)#awaits),
            }
        };
        let answer = if let Some(limit) = self.limit.constant(&self.algorithm) {
            ask(limit)
        } else {
            let limit = self.limit.computed(&self.algorithm, &throttler_);
            let ask = ask(quote!(#limit_));
            quote! {
                match #limit {
                    Ok(#limit_) => #ask,
                    Err(invalid) => Err(::premier_client::Error::from(invalid)),
                }
            }
        };
        let error = format_ident!("error");
        let note = function.note(&error);
        let not_admitted = self.not_admitted(function)?;
        let body = &function.body.stmts;
        Ok(quote! {
            {
                let #throttler_ = #throttler;
                let #key_ = #key;
                if let Err(#error) = #answer {
                    #note
                    #not_admitted
                }
            }
            #(#body)*
        })
    }

    /// What a call that is not admitted returns. The error is called `error`.
    fn not_admitted(&self, function: &Function) -> Result<TokenStream> {
        let returned = function.returned();
        let has_no_error = returned.is_none_or(|returned| matches!(returned, Type::ImplTrait(_)));
        let span = returned.map_or_else(|| function.name().span(), Spanned::span);
        match &self.on_limit {
            OnLimit::Value(value) => Ok(quote!(let _ = error; return #value;)),
            OnLimit::Wait(_) if has_no_error => Ok(quote!(panic!("{error}"))),
            OnLimit::Error if has_no_error => Err(function.wrong_return_type(
                "a function that returns no Result has no error to return: add `on_limit = wait(\"10s\")`, which panics \
                 when that is not long enough, or `on_limit = …` with what it shall return",
            )),
            OnLimit::Wait(_) => {
                let phantom = function.phantom();
                let give_up = quote_spanned!(span=> return (&#phantom).give_up(error););
                Ok(quote! {
                    use ::premier_client::decorate::{OrError as _, OrPanic as _};
                    #give_up
                })
            }
            OnLimit::Error => {
                Ok(quote_spanned!(span=> return ::premier_client::decorate::NotAdmitted::not_admitted(error);))
            }
        }
    }
}

impl OnLimit {
    fn new(value: Expr) -> Result<Self> {
        match &value {
            Expr::Path(path) if path.path.is_ident("error") => Ok(Self::Error),
            Expr::Call(ExprCall { func, args, .. }) if matches!(&**func, Expr::Path(path) if path.path.is_ident("wait")) => {
                match args.iter().collect::<Vec<_>>()[..] {
                    [at_most] => Ok(Self::Wait(Duration::new(at_most.clone())?)),
                    _ => Err(Error::new_spanned(&value, "how long to wait at most: wait(\"10s\")")),
                }
            }
            _ => Ok(Self::Value(value)),
        }
    }
}
