//! `#[cache(ttl = "30s")]`: what calls come to is remembered.

use proc_macro2::TokenStream;
use quote::quote;
use syn::parse::{Parse, ParseStream};
use syn::{Error, Expr, Result, Type};

use crate::arguments::Arguments;
use crate::duration::Duration;
use crate::function::{Function, unseen};
use crate::key::Key;

pub(crate) struct Cache {
    ttl: Duration,
    key: Key,
    store: Option<Expr>,
}

impl Parse for Cache {
    fn parse(input: ParseStream) -> Result<Self> {
        let mut arguments = Arguments::parse(input, &["ttl", "key", "keyspace", "cache"])?;
        Ok(Self {
            ttl: Duration::new(arguments.require("ttl", "(ttl = \"30s\")")?)?,
            key: Key::new(arguments.take("key"), arguments.take("keyspace"))?,
            store: arguments.take("cache"),
        })
    }
}

impl Cache {
    pub(crate) fn around(&self, function: &Function) -> Result<TokenStream> {
        let returned = function.returned();
        if returned.is_none_or(|returned| matches!(returned, Type::ImplTrait(_))) {
            return Err(function.wrong_return_type(
                "what this function returns cannot be remembered: it has to be of a type that has a name",
            ));
        }
        let key = if self.key.is_custom() { self.key.of(function)? } else { self.key_of_arguments(function)? };
        let store = self.store.as_ref().map_or_else(|| function.global("cache"), |store| quote!((#store)));
        let ttl = &self.ttl;
        let [name, outcome] = ["key", "outcome"].map(unseen);
        let phantom = function.phantom();
        let run = function.run();
        let awaits = function.awaits();
        let asyncness = function.is_async().then(|| quote!(async));
        Ok(quote! {
            use ::premier_client::decorate::{OfResult as _, OfValue as _};
            let #outcome = &&#phantom;
            let #name = #key;
            #outcome.join(#store.get_or_compute(&#name, #ttl, #asyncness || #outcome.split(#run #awaits))#awaits)
        })
    }

    fn key_of_arguments(&self, function: &Function) -> Result<TokenStream> {
        let reason = if function.has_receiver() {
            "which calls are the same depends on more than the arguments, on `self`"
        } else if function.has_type_parameters() {
            "which calls are the same depends on more than the arguments, on the types"
        } else {
            return Ok(self.key.of_arguments(function));
        };
        Err(Error::new(
            function.name().span(),
            format!("{reason}: say it by a `key`, like key = |id| format!(\"{{}}/{{id}}\", self.name)"),
        ))
    }
}
