//! `#[retry(max = 3)]`: repeats calls that fail.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::parse::{Parse, ParseStream};
use syn::spanned::Spanned;
use syn::{Error, Expr, ExprLit, Ident, Lit, LitBool, Pat, Result};

use crate::arguments::Arguments;
use crate::duration::Duration;
use crate::function::Function;
use crate::names::{hygienic, runtime, runtime_at};

pub(crate) struct Retry {
    strategy: Strategy,
    max: Option<Expr>,
    jitter: bool,
    on: Vec<Condition>,
}

/// How the backoff grows.
enum Strategy {
    Named { name: Ident, delay: Option<Duration> },
    Computed(Expr),
}

/// The strategies that have a name, which is also that of the function that makes their delays. The
/// first is the default.
const STRATEGIES: [&str; 3] = ["expo", "fixed", "linear"];

/// Which errors are retried.
enum Condition {
    Kind(Ident),
    Predicate(Expr),
}

impl Parse for Retry {
    fn parse(input: ParseStream) -> Result<Self> {
        let mut arguments = Arguments::parse(input, &["max", "strategy", "delay", "jitter", "on"])?;
        let strategy = arguments.take("strategy");
        Ok(Self {
            strategy: Strategy::new(strategy, arguments.take("delay"))?,
            max: arguments.take("max").map(at_least_one).transpose()?,
            jitter: arguments.take("jitter").map_or(Ok(true), |jitter| match jitter {
                Expr::Lit(ExprLit { lit: Lit::Bool(LitBool { value, .. }), .. }) => Ok(value),
                other => Err(Error::new_spanned(other, "`jitter` must be true or false")),
            })?,
            on: arguments.take("on").map_or(Ok(Vec::new()), conditions)?,
        })
    }
}

impl Strategy {
    fn new(strategy: Option<Expr>, delay: Option<Expr>) -> Result<Self> {
        let name = match strategy {
            None => Ident::new(STRATEGIES[0], Span::call_site()),
            Some(Expr::Lit(ExprLit { lit: Lit::Str(literal), .. })) => {
                let name = literal.value();
                if !STRATEGIES.contains(&name.as_str()) {
                    let text = format!(
                        "unknown strategy {name:?}: expected \"{}\" or a function from the number of failed attempts to a \
                         `Duration`",
                        STRATEGIES.join("\", \"")
                    );
                    return Err(Error::new_spanned(literal, text));
                }
                Ident::new(&name, literal.span())
            }
            Some(computed) => {
                return match delay {
                    None => Ok(Self::Computed(computed)),
                    Some(delay) => Err(Error::new_spanned(
                        delay,
                        "`delay` has no effect, because the strategy is a function, which returns each delay: remove it",
                    )),
                };
            }
        };
        Ok(Self::Named { name, delay: delay.map(Duration::new).transpose()? })
    }

    /// Returns an iterator of delays.
    fn delays(&self) -> TokenStream {
        let runtime = runtime();
        match self {
            Self::Named { name, delay } => {
                let default = || quote!(#runtime::delays::DEFAULT);
                let delay = delay.as_ref().map_or_else(default, |delay| quote!(#delay));
                quote!(#runtime::delays::#name(#delay))
            }
            Self::Computed(strategy) => quote!(#runtime::delays::computed(#strategy)),
        }
    }
}

fn at_least_one(max: Expr) -> Result<Expr> {
    match &max {
        Expr::Lit(ExprLit { lit: Lit::Int(number), .. }) if number.base10_parse::<u32>()? == 0 => {
            Err(Error::new_spanned(max, "`max` must be at least 1: it counts all attempts, the first included"))
        }
        _ => Ok(max),
    }
}

fn conditions(on: Expr) -> Result<Vec<Condition>> {
    let Expr::Array(on) = on else {
        return Err(Error::new_spanned(
            on,
            "`on` must be a list of error kinds and predicates, like [QuotaExceeded, |error| error.is_transient()]",
        ));
    };
    let conditions = on.elems.into_iter().map(|condition| match &condition {
        Expr::Path(path) if path.path.get_ident().is_some_and(is_type_name) => {
            Condition::Kind(path.path.segments[0].ident.clone())
        }
        _ => Condition::Predicate(condition),
    });
    Ok(conditions.collect())
}

/// `QuotaExceeded` is an error kind, `is_transient` a function.
fn is_type_name(ident: &Ident) -> bool {
    ident.to_string().starts_with(char::is_uppercase)
}

impl Condition {
    /// Returns an expression of type `bool` on the function's error, and on the error of this
    /// crate's in it.
    fn holds(&self, raised: &Ident, error: &Ident) -> TokenStream {
        let runtime = runtime();
        match self {
            Self::Kind(kind) => quote!(#raised.is_some_and(|raised| raised.is(::premier_client::ErrorKind::#kind))),
            Self::Predicate(predicate) => quote!(#runtime::holds(#predicate, #error)),
        }
    }
}

impl Retry {
    pub(crate) fn wrap_body(&self, function: &Function) -> Result<TokenStream> {
        if let Some(argument) = function.arguments().find(|argument| is_mutable(argument)) {
            return Err(Error::new_spanned(
                argument,
                "a retry would see this argument as the previous attempt left it: drop `mut` and clone it in the body",
            ));
        }
        let Some(returned) = function.named_return_type() else {
            return Err(function.wrong_return_type("only a function that returns a `Result` can be retried"));
        };
        let delays = self.strategy.delays();
        let runtime = runtime();
        let jitter = self.jitter.then(|| quote!(.map(#runtime::delays::jitter)));
        let max = self.max.as_ref().map_or_else(|| quote!(3), |max| quote!(#max));
        let raised = Function::raised();
        let [retries, error, pause] = ["retries", "error", "pause"].map(hygienic);
        // The compiler reports at the type if it is no `Result`. All of the expression has one
        // span, as the compiler would report at the whole attribute otherwise.
        let at_return_type = Span::mixed_site().located_at(returned.span());
        let result = Ident::new("result", at_return_type);
        let trait_ = runtime_at(at_return_type);
        let error_of_result = quote_spanned!(at_return_type=> #trait_::Fallible::error(&#result));
        let call_body = function.call_body();
        let awaits = function.awaits();
        let is_retried = if self.on.is_empty() {
            quote!(true)
        } else {
            let conditions = self.on.iter().map(|condition| condition.holds(&raised, &error));
            quote!(#(#conditions)||*)
        };
        let sleep = if function.is_async() {
            quote!(#runtime::sleep(#pause).await)
        } else {
            quote!(::std::thread::sleep(#pause))
        };
        Ok(quote! {
            let mut #retries = #runtime::Retries::new(#delays #jitter, #max);
            loop {
                #raised = None;
                let #result = #call_body #awaits;
                let #pause = #error_of_result.and_then(|#error| {
                    use #runtime::{InAsRef as _, InChain as _, InSyncAsRef as _, Nowhere as _};
                    let #raised = #raised.or_else(|| (&&&&#runtime::Within(#error)).raised());
                    if #is_retried { #retries.pause(#raised) } else { None }
                });
                match #pause {
                    Some(#pause) => #sleep,
                    None => break #result,
                }
            }
        })
    }
}

fn is_mutable(argument: &Pat) -> bool {
    matches!(argument, Pat::Ident(argument) if argument.mutability.is_some())
}
