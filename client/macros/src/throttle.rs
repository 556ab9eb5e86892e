//! The attributes that limit how often a function is called.

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::parse::ParseStream;
use syn::spanned::Spanned;
use syn::{Error, Expr, ExprCall, Ident, Result, parse2};

use crate::algorithm::{ALGORITHMS, Algorithm, CONCURRENCY};
use crate::arguments::{Arguments, ungrouped};
use crate::concurrency::Asked;
use crate::duration::Duration;
use crate::function::{Function, RaisedBy};
use crate::key::Key;
use crate::limit::Policy;
use crate::names::{hygienic, runtime, runtime_at};

pub(crate) struct Throttle {
    /// The attribute's name.
    name: Ident,
    selection: Selection,
    limit: Asked,
    key: Key,
    throttler: Option<Expr>,
    on_limit: OnLimit,
    /// The name by which the body knows the decision, or the permit.
    decision: Option<Ident>,
}

/// What selects the algorithm.
#[derive(PartialEq)]
pub(crate) enum Selection {
    Attribute(&'static Algorithm),
    Expression(Expr),
    Configured,
}

impl Selection {
    /// Returns whether both may select the same algorithm. Only an attribute is known when this
    /// runs.
    fn may_be(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Attribute(one), Self::Attribute(other)) => one == other,
            // No expression is a concurrency limit.
            _ => !self.is_concurrency() && !other.is_concurrency(),
        }
    }

    fn is_concurrency(&self) -> bool {
        *self == Self::Attribute(&CONCURRENCY)
    }
}

/// What happens to a call that is not admitted.
enum OnLimit {
    Error,
    Wait(Duration),
    Value(Expr),
}

/// The arguments of `throttle` that describe a limit.
const ANY_LIMIT: &[&str] = &["algorithm", "quota", "duration", "cost", "keep", "policy"];
/// The arguments that are the same for every limit.
const COMMON: &[&str] = &["key", "keyspace", "throttler", "on_limit", "decision"];
/// Those of concurrency limits.
const COMMON_OF_PERMITS: &[&str] = &["key", "keyspace", "throttler", "on_limit", "permit"];

impl Throttle {
    /// Parses the arguments of an algorithm's attribute, or of `throttle`.
    pub(crate) fn parse(name: Ident, input: ParseStream) -> Result<Self> {
        let algorithm = ALGORITHMS.iter().chain([&CONCURRENCY]).find(|algorithm| name == algorithm.name);
        let of_limit = algorithm.map_or(ANY_LIMIT, |algorithm| algorithm.arguments);
        let (common, answer) =
            if algorithm == Some(&CONCURRENCY) { (COMMON_OF_PERMITS, "permit") } else { (COMMON, "decision") };
        let mut arguments = Arguments::parse(input, &[of_limit, common].concat())?;
        let policy = Policy::new(&mut arguments)?;
        let selection =
            match (algorithm, arguments.take_object("algorithm", "an `Algorithm`, like Algorithm::TokenBucket")?) {
                (Some(algorithm), _) => Selection::Attribute(algorithm),
                (None, Some(expression)) => Selection::Expression(expression),
                (None, None) => Selection::Configured,
            };
        let limit = match policy {
            Some(policy) => Asked::Policy(Box::new(policy)),
            None => Asked::new(algorithm, &mut arguments)?,
        };
        Ok(Self {
            name,
            selection,
            limit,
            key: Key::new(arguments.take("key"), arguments.take_keyspace()?)?,
            throttler: arguments
                .take_object("throttler", "a `Throttler`, or for an async function an `AsyncThrottler`")?,
            on_limit: arguments.take("on_limit").map_or(Ok(OnLimit::Error), OnLimit::new)?,
            decision: arguments.take(answer).map(|value| variable(value, answer)).transpose()?,
        })
    }

    pub(crate) fn is_concurrency(&self) -> bool {
        self.selection.is_concurrency()
    }

    /// Checks that no two limits of a function have the same key, as each would count the calls of
    /// the other.
    pub(crate) fn check_keys_differ<'a>(throttles: impl Iterator<Item = &'a Self>) -> Result<()> {
        let mut above: Vec<&Self> = Vec::new();
        for throttle in throttles {
            if above.iter().any(|other| other.key.may_be(&throttle.key) && other.selection.may_be(&throttle.selection))
            {
                return Err(Error::new(
                    throttle.name.span(),
                    "this limit may have the same key as one above, so that each would count the calls of the other: give it \
                     its own `keyspace`",
                ));
            }
            above.push(throttle);
        }
        Ok(())
    }

    /// Asks the throttler before the body.
    pub(crate) fn wrap_body(&self, function: &Function) -> Result<TokenStream> {
        let key = self.key.of_call(function)?;
        let [throttler_, key_, limit_, admitted, error] =
            ["throttler", "key", "limit", "admitted", "error"].map(hygienic);
        let throttler = if let Some(given) = &self.throttler {
            bind_given(given, &throttler_, function)
        } else {
            let default = function.default("throttler");
            quote!(let #throttler_ = #default;)
        };
        let ask = |limit: TokenStream| {
            let awaits = function.awaits();
            let [at_once, waiting] = self.limit.methods();
            match &self.on_limit {
                OnLimit::Wait(at_most) => quote!(#throttler_.#waiting(&#key_, #limit, #at_most)#awaits),
                OnLimit::Error | OnLimit::Value(_) => quote!(#throttler_.#at_once(&#key_, #limit)#awaits),
            }
        };
        let answer = if let Some(limit) = self.limit.constant(&self.selection) {
            ask(limit)
        } else {
            let computed = self.limit.computed(&self.selection, &throttler_, &key_);
            let ask = ask(quote!(#limit_));
            quote! {
                match #computed {
                    ::core::result::Result::Ok(#limit_) => #ask,
                    ::core::result::Result::Err(#error) => ::core::result::Result::Err(<::premier_client::Error as ::core::convert::From<_>>::from(#error)),
                }
            }
        };
        let keep_for_retry = function.keep_for_retry(&error, RaisedBy::Limit);
        let not_admitted = self.not_admitted(function, &error)?;
        let is_fallback = function.is_cached.then(Function::is_fallback);
        let no_fallback = is_fallback.map(|is_fallback| set(&is_fallback, false));
        let body = &function.body.stmts;
        let decision = self.decision.as_ref().map_or_else(|| self.limit.unnamed(), ToTokens::to_token_stream);
        Ok(quote! {
            let #decision = {
                #no_fallback
                #throttler
                let #key_ = #key;
                match #answer {
                    ::core::result::Result::Ok(#admitted) => #admitted,
                    ::core::result::Result::Err(#error) => {
                        #keep_for_retry
                        #not_admitted
                    }
                }
            };
            #(#body)*
        })
    }

    /// Returns the end of a call that is not admitted.
    fn not_admitted(&self, function: &Function, error: &Ident) -> Result<TokenStream> {
        match (&self.on_limit, function.named_return_type()) {
            (OnLimit::Value(value), _) => {
                let is_fallback = function.is_cached.then(Function::is_fallback);
                let is_fallback = is_fallback.map(|is_fallback| set(&is_fallback, true));
                // Its name would clash with that of a static.
                let named = mentions_error(value.to_token_stream()).then(|| {
                    let name = format_ident!("error");
                    quote!(#[allow(unused_variables)] let #name = #error;)
                });
                Ok(quote! {
                    #named
                    #is_fallback
                    // The value may diverge.
                    #[allow(unreachable_code, clippy::diverging_sub_expression)]
                    return #value;
                })
            }
            (OnLimit::Wait(_), None) => Ok(quote!(::core::panic!("{:#}", #error))),
            (OnLimit::Wait(_), Some(returned)) => {
                let runtime = runtime();
                let return_type = function.return_type_marker();
                let give_up = quote_spanned!(returned.span()=> return (&#return_type).give_up(#error););
                Ok(quote! {
                    use #runtime::{OrError as _, OrPanic as _};
                    #give_up
                })
            }
            (OnLimit::Error, None) => Err(function.wrong_return_type(
                "this function cannot return an error: return a `Result`, or add `on_limit = wait(\"10s\")`, which panics if \
                 the wait is longer, or `on_limit = value`, which returns the value instead",
            )),
            (OnLimit::Error, Some(returned)) => {
                let trait_ = runtime_at(returned.span());
                Ok(quote_spanned!(returned.span()=> return #trait_::NotAdmitted::not_admitted(#error);))
            }
        }
    }
}

fn set(flag: &Ident, value: bool) -> TokenStream {
    quote!(#flag.store(#value, ::core::sync::atomic::Ordering::Relaxed);)
}

/// Binds the throttler that is given by an expression. The compiler checks, and reports at the
/// expression, that it is one for functions of this kind.
fn bind_given(given: &Expr, throttler: &Ident, function: &Function) -> TokenStream {
    let method = function.check_of_given();
    let method = Ident::new(method, Span::mixed_site().located_at(given.span()));
    let runtime = runtime();
    quote! {
        let #throttler = &#given;
        let #throttler = {
            use #runtime::AnyThrottler as _;
            #throttler.#method()
        };
    }
}

/// Whether an expression may use `error`, also by the name in a string: `format!("{error}")`.
fn mentions_error(expression: TokenStream) -> bool {
    expression.into_iter().any(|token| match token {
        TokenTree::Ident(name) => name == "error",
        TokenTree::Literal(literal) => literal.to_string().contains("error"),
        TokenTree::Group(group) => mentions_error(group.stream()),
        TokenTree::Punct(_) => false,
    })
}

/// Reads the name of a variable.
fn variable(value: Expr, argument: &str) -> Result<Ident> {
    parse2(value.to_token_stream()).map_err(|_| {
        Error::new_spanned(
            value,
            format!("`{argument}` must be a name for the body to use, like {argument} = {argument}"),
        )
    })
}

impl OnLimit {
    fn new(value: Expr) -> Result<Self> {
        const WAIT: &str = "`wait` takes the longest wait, like wait(\"10s\")";
        match &value {
            Expr::Path(path) if path.path.is_ident("error") => Ok(Self::Error),
            Expr::Path(path) if path.path.is_ident("wait") => Err(Error::new_spanned(&value, WAIT)),
            Expr::Call(ExprCall { func, args, .. }) if matches!(&**func, Expr::Path(path) if path.path.is_ident("wait")) => {
                match args.iter().collect::<Vec<_>>()[..] {
                    [at_most] => Ok(Self::Wait(Duration::new(ungrouped(at_most.clone()))?)),
                    _ => Err(Error::new_spanned(&value, WAIT)),
                }
            }
            _ => Ok(Self::Value(value)),
        }
    }
}
