//! `#[cache(ttl = "30s")]`: remembers the results of calls.

use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::parse::ParseStream;
use syn::spanned::Spanned;
use syn::{Error, Expr, Ident, Result};

use crate::arguments::Arguments;
use crate::duration::Duration;
use crate::function::Function;
use crate::key::Key;
use crate::names::{hygienic, runtime};

pub(crate) struct Cache {
    name: Ident,
    ttl: Duration,
    key: Key,
    store: Option<Expr>,
}

impl Cache {
    pub(crate) fn parse(name: Ident, input: ParseStream) -> Result<Self> {
        let mut arguments = Arguments::parse(input, &["ttl", "key", "keyspace", "cache"])?;
        Ok(Self {
            name,
            ttl: Duration::new(arguments.require("ttl", "a duration, like (ttl = \"30s\")")?)?,
            key: Key::new(arguments.take("key"), arguments.take("keyspace"))?,
            store: arguments.take("cache"),
        })
    }

    /// Checks that no two caches of a function remember the same, as the inner one would need the
    /// value that the outer one computes.
    pub(crate) fn check_keys_differ<'a>(caches: impl Iterator<Item = &'a Self>) -> Result<()> {
        let mut above: Vec<&Self> = Vec::new();
        for cache in caches {
            if above.iter().any(|other| other.key == cache.key && other.store == cache.store) {
                return Err(Error::new(
                    cache.name.span(),
                    "this cache has the same key as one above, so each call would wait for itself: remove one of them, or give \
                     this one its own `cache` or `keyspace`",
                ));
            }
            above.push(cache);
        }
        Ok(())
    }

    pub(crate) fn wrap_body(&self, function: &Function) -> Result<TokenStream> {
        if function.named_return_type().is_none() {
            return Err(function.wrong_return_type("a cached function must return a value of a type that can be named"));
        }
        let key = if self.key.has_closure() { self.key.of_call(function)? } else { self.key_of_arguments(function)? };
        let store = self.store.as_ref().map_or_else(|| function.default("cache"), |store| given_cache(store, function));
        let import = self.store.as_ref().map(|_| quote!(AnyCache as _,));
        let ttl = &self.ttl;
        let [key_, outcome, returned] = ["key", "outcome", "returned"].map(hygienic);
        let return_type = function.return_type_marker();
        let call_body = function.call_body();
        let awaits = function.awaits();
        let asyncness = function.is_async().then(|| quote!(async));
        let runtime = runtime();
        let is_fallback = Function::is_fallback();
        Ok(quote! {
            use #runtime::{#import OfResult as _, OfValue as _};
            let #outcome = &&#return_type;
            let #key_ = #key;
            #outcome.join(#store.get_or_compute(&#key_, #ttl, #asyncness || {
                let #returned = #call_body #awaits;
                #outcome.split(#returned, #is_fallback)
            })#awaits)
        })
    }

    fn key_of_arguments(&self, function: &Function) -> Result<TokenStream> {
        let (kind, more, example) = if function.has_receiver() {
            ("method", "`self`", r#"|id| format!("{}/{id}", self.name)"#)
        } else if function.has_type_parameters() {
            ("generic function", "its types", r#"|id| format!("{}/{id}", std::any::type_name::<T>())"#)
        } else if function.has_impl_trait_arguments() {
            const EXAMPLE: &str = r#"|value| format!("{}/{value}", std::any::type_name_of_val(value))"#;
            ("function with an `impl Trait` argument", "its type", EXAMPLE)
        } else if function.has_dyn_trait_arguments() {
            (
                "function with a `dyn Trait` argument",
                "the type behind it",
                r#"|shape| format!("{}/{shape}", shape.kind())"#,
            )
        } else {
            return Ok(self.key.of_arguments(function));
        };
        let text = format!(
            "the result of a {kind} depends on {more}, not only on its arguments: add a `key`, like key = {example}"
        );
        Err(Error::new(function.name().span(), text))
    }
}

/// Returns the cache that is given by an expression. The compiler checks, and reports at the
/// expression, that it is one for functions of this kind.
fn given_cache(given: &Expr, function: &Function) -> TokenStream {
    let method = if function.is_async() { "of_async_function" } else { "of_sync_function" };
    let method = Ident::new(method, Span::mixed_site().located_at(given.span()));
    quote!((#given).#method())
}
