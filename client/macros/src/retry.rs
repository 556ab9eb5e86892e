//! `#[retry(max = 3)]`: calls that fail are made again.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::parse::{Parse, ParseStream};
use syn::spanned::Spanned;
use syn::{Error, Expr, ExprLit, Ident, Lit, LitBool, Pat, Result, Type};

use crate::arguments::Arguments;
use crate::duration::Duration;
use crate::function::{Function, unseen};

pub(crate) struct Retry {
    strategy: Strategy,
    max: Option<Expr>,
    jitter: bool,
    on: Vec<Cause>,
}

/// How the pauses grow.
enum Strategy {
    Named { name: Ident, delay: Option<Duration> },
    Computed(Expr),
}

/// A reason to try again.
enum Cause {
    Kind(Ident),
    Predicate(Expr),
}

impl Parse for Retry {
    fn parse(input: ParseStream) -> Result<Self> {
        let mut arguments = Arguments::parse(input, &["strategy", "delay", "jitter", "max", "on"])?;
        let strategy = arguments.take("strategy");
        Ok(Self {
            strategy: Strategy::new(strategy, arguments.take("delay"))?,
            max: arguments.take("max").map(at_least_one).transpose()?,
            jitter: arguments.take("jitter").map_or(Ok(true), |jitter| match jitter {
                Expr::Lit(ExprLit { lit: Lit::Bool(LitBool { value, .. }), .. }) => Ok(value),
                other => Err(Error::new_spanned(other, "jitter is true or false")),
            })?,
            on: arguments.take("on").map_or(Ok(Vec::new()), causes)?,
        })
    }
}

impl Strategy {
    fn new(strategy: Option<Expr>, delay: Option<Expr>) -> Result<Self> {
        let name = match strategy {
            None => Ident::new("expo", Span::call_site()),
            Some(Expr::Lit(ExprLit { lit: Lit::Str(name), .. })) => match name.value().as_str() {
                "expo" | "fixed" | "linear" => Ident::new(&name.value(), name.span()),
                _ => {
                    return Err(Error::new_spanned(
                        name,
                        "a strategy is \"expo\", \"fixed\", \"linear\", or a function from the number of failed attempts \
                         to a `Duration`",
                    ));
                }
            },
            Some(computed) => {
                return match delay {
                    None => Ok(Self::Computed(computed)),
                    Some(delay) => Err(Error::new_spanned(delay, "the function that is the strategy gives the delay")),
                };
            }
        };
        Ok(Self::Named { name, delay: delay.map(Duration::new).transpose()? })
    }
}

fn at_least_one(max: Expr) -> Result<Expr> {
    match &max {
        Expr::Lit(ExprLit { lit: Lit::Int(number), .. }) if number.base10_parse::<u32>()? == 0 => {
            Err(Error::new_spanned(max, "max counts all attempts, the first one too: at least 1"))
        }
        _ => Ok(max),
    }
}

fn causes(on: Expr) -> Result<Vec<Cause>> {
    let Expr::Array(causes) = on else {
        return Err(Error::new_spanned(
            on,
            "a list of error kinds and predicates, like [QuotaExceeded, |error| error.is_transient()]",
        ));
    };
    let causes = causes.elems.into_iter().map(|cause| match &cause {
        Expr::Path(path) if path.path.get_ident().is_some_and(is_type_name) => {
            Cause::Kind(path.path.segments[0].ident.clone())
        }
        _ => Cause::Predicate(cause),
    });
    Ok(causes.collect())
}

/// `QuotaExceeded` is a kind, `is_transient` a function.
fn is_type_name(ident: &Ident) -> bool {
    ident.to_string().starts_with(char::is_uppercase)
}

impl Retry {
    pub(crate) fn around(&self, function: &Function) -> Result<TokenStream> {
        if let Some(argument) = function.arguments().find(|argument| is_mutable(argument)) {
            return Err(Error::new_spanned(
                argument,
                "an attempt would find this as the one before has left it: take it without `mut`, and clone it in the body",
            ));
        }
        let returned = match function.returned() {
            Some(returned) if !matches!(returned, Type::ImplTrait(_)) => returned,
            _ => {
                return Err(
                    function.wrong_return_type("only a function that returns a Result can fail, and be tried again")
                );
            }
        };
        let delays = self.delays();
        let max = self.max.as_ref().map_or_else(|| quote!(3), |max| quote!(#max));
        let raised = Function::raised();
        let [retries, error, pause] = ["retries", "error", "pause"].map(unseen);
        // What is underlined if it is no `Result`.
        let type_returned = Span::mixed_site().located_at(returned.span());
        let result = Ident::new("result", type_returned);
        let run = function.run();
        let awaits = function.awaits();
        let error_of = quote_spanned!(type_returned=> ::premier_client::decorate::Fallible::error(&#result));
        let is_cause = self.is_cause(&raised, &error);
        let sleep = if function.is_async() {
            quote!(::premier_client::decorate::sleep(#pause).await)
        } else {
            quote!(::std::thread::sleep(#pause))
        };
        Ok(quote! {
            let mut #retries = ::premier_client::decorate::Retries::new(#delays, #max);
            loop {
                #raised = None;
                let #result = #run #awaits;
                let #pause = #error_of.and_then(|#error| {
                    use ::premier_client::decorate::{InAsRef as _, InChain as _, InSyncAsRef as _, Nowhere as _};
                    let #raised = #raised.or_else(|| (&&&&::premier_client::decorate::Within(#error)).raised());
                    if #is_cause { #retries.pause(#raised) } else { None }
                });
                match #pause {
                    Some(#pause) => #sleep,
                    None => break #result,
                }
            }
        })
    }

    /// An iterator of pauses.
    fn delays(&self) -> TokenStream {
        let delays = match &self.strategy {
            Strategy::Named { name, delay: Some(delay) } => quote!(::premier_client::decorate::delays::#name(#delay)),
            Strategy::Named { name, delay: None } => {
                let default = quote!(::premier_client::decorate::delays::DEFAULT);
                quote!(::premier_client::decorate::delays::#name(#default))
            }
            Strategy::Computed(strategy) => quote!(::premier_client::decorate::delays::computed(#strategy)),
        };
        if self.jitter { quote!(#delays.map(::premier_client::decorate::delays::jitter)) } else { delays }
    }

    fn is_cause(&self, raised: &Ident, error: &Ident) -> TokenStream {
        if self.on.is_empty() {
            return quote!(true);
        }
        let causes = self.on.iter().map(|cause| match cause {
            Cause::Kind(kind) => {
                quote!(#raised.is_some_and(|raised| raised.is(::premier_client::ErrorKind::#kind)))
            }
            Cause::Predicate(predicate) => quote!(::premier_client::decorate::holds(#predicate, #error)),
        });
        quote!(#(#causes)||*)
    }
}

fn is_mutable(argument: &Pat) -> bool {
    matches!(argument, Pat::Ident(argument) if argument.mutability.is_some())
}
