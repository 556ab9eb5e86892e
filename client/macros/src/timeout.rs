//! `#[timeout("60s")]`: an end to async calls that take too long.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::parse::{Parse, ParseStream};
use syn::spanned::Spanned;
use syn::{Error, Result, Type};

use crate::duration::Duration;
use crate::function::{Function, unseen};

pub(crate) struct Timeout {
    after: Duration,
}

impl Parse for Timeout {
    fn parse(input: ParseStream) -> Result<Self> {
        if input.is_empty() {
            return Err(Error::new(Span::call_site(), "how long may a call take? (\"60s\")"));
        }
        let after = Duration::new(input.parse()?)?;
        if input.is_empty() { Ok(Self { after }) } else { Err(input.error("only how long a call may take: (\"60s\")")) }
    }
}

impl Timeout {
    pub(crate) fn around(&self, function: &Function) -> Result<TokenStream> {
        if !function.is_async() {
            return Err(Error::new(
                function.name().span(),
                "a sync function cannot time out, as nothing can stop a thread from outside without harm to what it holds: \
                 make it async, or give a deadline to what it waits for",
            ));
        }
        let returned = match function.returned() {
            Some(returned) if !matches!(returned, Type::ImplTrait(_)) => returned,
            _ => {
                return Err(function.wrong_return_type(
                    "a function that can time out returns a Result whose error is From<premier_client::Error>",
                ));
            }
        };
        let after = &self.after;
        let run = function.run();
        let [after_, error] = ["after", "error"].map(unseen);
        let note = function.note(&error);
        let timed_out = quote_spanned!(returned.span()=> ::premier_client::decorate::TimedOut::timed_out(#error));
        Ok(quote! {
            let #after_ = #after;
            match ::premier_client::decorate::timeout(#after_, #run).await {
                Ok(result) => result,
                Err(_) => {
                    let #error = ::premier_client::decorate::timed_out(#after_);
                    #note
                    #timed_out
                }
            }
        })
    }
}
