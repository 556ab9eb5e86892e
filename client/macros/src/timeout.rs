//! `#[timeout("60s")]`: drops async calls that take too long.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::parse::{Parse, ParseStream};
use syn::spanned::Spanned;
use syn::{Error, Result, Token};

use crate::arguments::{is_named, parse_value};
use crate::duration::Duration;
use crate::function::{Function, RaisedBy};
use crate::names::{hygienic, runtime, runtime_at};

pub(crate) struct Timeout {
    after: Duration,
}

impl Parse for Timeout {
    fn parse(input: ParseStream) -> Result<Self> {
        const EXAMPLE: &str = "like #[timeout(\"60s\")]";
        if input.is_empty() {
            return Err(Error::new(Span::call_site(), format!("missing duration: expected one, {EXAMPLE}")));
        }
        let unexpected = || input.error(format!("unexpected argument: expected a duration only, {EXAMPLE}"));
        if is_named(input) {
            return Err(unexpected());
        }
        let after = Duration::new(parse_value(input)?)?;
        after.check_is_some("a timeout must be longer than zero: otherwise each call would time out")?;
        input.parse::<Option<Token![,]>>()?;
        if input.is_empty() { Ok(Self { after }) } else { Err(unexpected()) }
    }
}

impl Timeout {
    pub(crate) fn wrap_body(&self, function: &Function) -> Result<TokenStream> {
        if function.was_async() {
            return Err(Error::new(
                function.name().span(),
                "an attribute above, like `#[tokio::main]`, has made this function sync: move it below this one",
            ));
        }
        if !function.is_async() {
            return Err(Error::new(
                function.name().span(),
                "a sync function cannot time out, because a thread cannot be stopped from outside: make the function async, or \
                 set deadlines in its body",
            ));
        }
        let Some(returned) = function.named_return_type() else {
            return Err(function.wrong_return_type(
                "a function with a timeout must return a `Result` whose error is `From<premier_client::Error>`",
            ));
        };
        let after = &self.after;
        let call_body = function.call_body(!function.keeps_arguments);
        let [result, error] = ["result", "error"].map(hygienic);
        let keep_for_retry = function.keep_for_retry(&error, RaisedBy::Call);
        let runtime = runtime();
        let trait_ = runtime_at(returned.span());
        let timed_out = quote_spanned!(returned.span()=> #trait_::TimedOut::timed_out(#error));
        Ok(quote! {
            match #runtime::timeout(#after, #call_body).await {
                ::core::result::Result::Ok(#result) => #result,
                ::core::result::Result::Err(#error) => {
                    #keep_for_retry
                    #timed_out
                }
            }
        })
    }
}
