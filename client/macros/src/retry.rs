//! `#[retry(max = 3)]`: repeats calls that fail.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::parse::{Parse, ParseStream};
use syn::spanned::Spanned;
use syn::{Error, Expr, ExprLit, Ident, Lit, LitBool, Path, Result};

use crate::arguments::{Arguments, ungrouped};
use crate::duration::Duration;
use crate::function::Function;
use crate::names::{hygienic, hygienic_at, runtime, runtime_at};

pub(crate) struct Retry {
    strategy: Strategy,
    max: Option<Expr>,
    max_delay: Option<Duration>,
    jitter: bool,
    /// `None` stands for every error.
    on: Option<Vec<Condition>>,
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
    Kind(Path),
    Predicate(Expr),
}

impl Parse for Retry {
    fn parse(input: ParseStream) -> Result<Self> {
        let mut arguments = Arguments::parse(input, &["max", "strategy", "delay", "max_delay", "jitter", "on"])?;
        let strategy = Strategy::new(arguments.take("strategy"), arguments.take("delay"))?;
        let max_delay = arguments.take("max_delay").map(Duration::new).transpose()?;
        strategy.check_delay_is_at_most(max_delay.as_ref())?;
        Ok(Self {
            strategy,
            max: arguments.take("max").map(at_least_one).transpose()?,
            max_delay,
            jitter: arguments.take("jitter").map_or(Ok(true), |jitter| match jitter {
                Expr::Lit(ExprLit { lit: Lit::Bool(LitBool { value, .. }), .. }) => Ok(value),
                other => Err(Error::new_spanned(other, "`jitter` must be true or false")),
            })?,
            on: arguments.take("on").map(conditions).transpose()?,
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

    fn check_delay_is_at_most(&self, max_delay: Option<&Duration>) -> Result<()> {
        match (self, max_delay) {
            (
                Self::Named { delay: Some(Duration::Known { span: delay, literal }), .. },
                Some(Duration::Known { span: max_delay, .. }),
            ) if delay > max_delay => Err(Error::new_spanned(literal, "`delay` must be at most `max_delay`")),
            _ => Ok(()),
        }
    }

    /// Returns an expression of the first delay. A strategy that is a function has none.
    fn first_delay(&self) -> TokenStream {
        let runtime = runtime();
        match self {
            Self::Named { delay: Some(delay), .. } => quote!(#delay),
            Self::Named { delay: None, .. } => quote!(#runtime::delays::DEFAULT),
            Self::Computed(_) => quote!(::core::time::Duration::ZERO),
        }
    }

    /// Returns an iterator of delays.
    fn delays(&self, delay: &Ident, max_delay: &Ident, has_max: bool) -> TokenStream {
        let runtime = runtime();
        match self {
            Self::Named { name, .. } => quote!(#runtime::delays::#name(#delay, #max_delay)),
            Self::Computed(strategy) if has_max => quote!(#runtime::delays::computed(#strategy, #max_delay)),
            Self::Computed(strategy) => quote!(#runtime::delays::computed(#strategy, ::core::time::Duration::MAX)),
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
    if on.elems.is_empty() {
        return Err(Error::new_spanned(
            on,
            "`on` must name at least one error: to retry on all errors, leave `on` out",
        ));
    }
    let conditions = on.elems.into_iter().map(|condition| match ungrouped(condition) {
        Expr::Path(path) if is_kind(&path.path) => Condition::Kind(path.path),
        predicate => Condition::Predicate(predicate),
    });
    Ok(conditions.collect())
}

/// `QuotaExceeded` and `ErrorKind::QuotaExceeded` are error kinds, `is_transient` is a function.
fn is_kind(path: &Path) -> bool {
    let mut names = path.segments.iter().rev().map(|segment| segment.ident.to_string());
    let is_type_name = names.next().is_some_and(|name| name.starts_with(char::is_uppercase));
    is_type_name && names.next().is_none_or(|of| of == "ErrorKind")
}

impl Condition {
    /// Returns an expression of type `bool` on the function's error, and on the error of this
    /// crate's in it.
    fn holds(&self, raised: &Ident, error: &Ident) -> TokenStream {
        let runtime = runtime();
        match self {
            Self::Kind(path) => {
                // A name alone is one of ours. Others may have an `ErrorKind`, too, so a path is
                // taken as it is.
                let kind = if let Some(name) = path.get_ident() {
                    quote!(::premier_client::ErrorKind::#name)
                } else {
                    quote!(#path)
                };
                quote!(#raised.is_some_and(|#raised| #raised.is(#kind)))
            }
            Self::Predicate(predicate) => quote!(#runtime::holds(#predicate, #error)),
        }
    }
}

impl Retry {
    pub(crate) fn wrap_body(&self, function: &Function) -> Result<TokenStream> {
        function.check_can_run_again()?;
        let Some(returned) = function.named_return_type() else {
            return Err(function.wrong_return_type("only a function that returns a `Result` can be retried"));
        };
        let runtime = runtime();
        let raised = Function::raised();
        let [retries, error, pause, delay, max_delay_] =
            ["retries", "error", "pause", "delay", "max_delay"].map(hygienic);
        let first_delay = self.strategy.first_delay();
        let delays = self.strategy.delays(&delay, &max_delay_, self.max_delay.is_some());
        let default = || quote!(#runtime::delays::DEFAULT_MAX.max(#delay));
        let max_delay = self.max_delay.as_ref().map_or_else(default, |max_delay| quote!(#max_delay));
        let jitter = self.jitter;
        let max = self.max.as_ref().map_or_else(|| quote!(3), |max| quote!(#max));
        // The compiler reports at the type if it is no `Result`. All of the expression has one
        // span, as the compiler would report at the whole attribute otherwise.
        let at_return_type = Span::mixed_site().located_at(returned.span());
        let result = hygienic_at("result", at_return_type);
        let trait_ = runtime_at(at_return_type);
        let error_of_result = quote_spanned!(at_return_type=> #trait_::Fallible::error(&#result));
        let call_body = function.call_body(false);
        // The compiler reports at the argument if an attempt has moved it.
        let borrowed = function.movable().into_iter().map(|name| quote_spanned!(name.span()=> let _ = &#name;));
        let awaits = function.awaits();
        let is_retried = match &self.on {
            None => quote!(true),
            Some(conditions) => {
                let conditions = conditions.iter().map(|condition| condition.holds(&raised, &error));
                quote!(#(#conditions)||*)
            }
        };
        let sleep = if function.is_async() {
            quote!(#runtime::async_sleep(#pause).await)
        } else {
            quote!(::std::thread::sleep(#pause))
        };
        Ok(quote! {
            let #delay = #first_delay;
            let #max_delay_ = #max_delay;
            let mut #retries = #runtime::Retries::new(#delays, #max_delay_, #jitter, #max);
            loop {
                #raised = ::core::option::Option::None;
                #(#borrowed)*
                let #result = #call_body #awaits;
                let #pause = #error_of_result.map(|#error| {
                    use #runtime::{InAsRef as _, InChain as _, InSyncAsRef as _, Nowhere as _};
                    let #raised = #raised.or_else(|| (&&&&#runtime::Within(#error)).raised());
                    if #is_retried { #retries.pause(#raised) } else { ::core::option::Option::None }
                });
                match #pause {
                    ::core::option::Option::Some(::core::option::Option::Some(#pause)) => {
                        #retries.keep(#result, #raised);
                        #sleep
                    }
                    ::core::option::Option::Some(::core::option::Option::None) => break #retries.give_up(#result, &mut #raised),
                    ::core::option::Option::None => break #result,
                }
            }
        })
    }
}
