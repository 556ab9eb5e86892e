//! `#[cache(ttl = "30s")]`: remembers the results of calls.

use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::parse::ParseStream;
use syn::spanned::Spanned;
use syn::{Error, Expr, Ident, Result};

use crate::arguments::Arguments;
use crate::borrows;
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
        let ttl = Duration::new(arguments.require("ttl", "a duration, like (ttl = \"30s\")")?)?;
        ttl.check_is_some("a `ttl` must be longer than zero: otherwise nothing would be remembered")?;
        Ok(Self {
            name,
            ttl,
            key: Key::new(arguments.take("key"), arguments.take_keyspace()?)?,
            store: arguments
                .take_object("cache", "a `MemoryCache` or a `RedisCache`, or for an async function an async one")?,
        })
    }

    /// Checks that no two caches of a function remember the same, as the inner one would need the
    /// value that the outer one computes.
    pub(crate) fn check_keys_differ<'a>(caches: impl Iterator<Item = &'a Self>) -> Result<()> {
        let mut above: Vec<&Self> = Vec::new();
        for cache in caches {
            // Without a closure the key has the arguments, which a closure may return too.
            if above.iter().any(|other| other.key.has_keyspace_of(&cache.key) && other.store == cache.store) {
                return Err(Error::new(
                    cache.name.span(),
                    "this cache may have the same key as one above, so that a call would wait for itself: remove one of them, or \
                     give this one its own `cache` or `keyspace`",
                ));
            }
            above.push(cache);
        }
        Ok(())
    }

    pub(crate) fn wrap_body(&self, function: &Function) -> Result<TokenStream> {
        let Some(returned) = function.named_return_type() else {
            return Err(function.wrong_return_type("a cached function must return a value of a type that can be named"));
        };
        if borrows::from_anything(returned) {
            return Err(Error::new_spanned(
                returned,
                "a cached function cannot return a borrow, because the result is remembered for longer: return an owned value, \
                 or one that is shared, like `Arc<str>`",
            ));
        }
        let key = if self.key.has_closure() { self.key.of_call(function)? } else { self.key_of_arguments(function)? };
        let store = self.store.as_ref().map_or_else(|| function.default("cache"), |store| given_cache(store, function));
        let import = self.store.as_ref().map(|_| quote!(AnyCache as _,));
        // The compiler reports at the return type if its values cannot be remembered.
        let get_or_compute = Ident::new("get_or_compute", Span::mixed_site().located_at(returned.span()));
        let ttl = &self.ttl;
        let [key_, outcome, value] = ["key", "outcome", "value"].map(hygienic);
        let return_type = function.return_type_marker();
        let may_move = !function.keeps_arguments && !self.borrows_from(function);
        let call_body = function.call_body(may_move);
        let awaits = function.awaits();
        let closure = match (function.is_async(), may_move) {
            (false, _) => quote!(||),
            (true, false) => quote!(async ||),
            (true, true) => quote!(async move ||),
        };
        let runtime = runtime();
        let is_fallback = Function::is_fallback();
        Ok(quote! {
            use #runtime::{#import OfResult as _, OfValue as _};
            let #outcome = &&#return_type;
            let #key_ = #key;
            #outcome.join(#store.#get_or_compute(&#key_, #ttl, #closure {
                let #value = #call_body #awaits;
                #outcome.split(#value, #is_fallback.load(::core::sync::atomic::Ordering::Relaxed))
            })#awaits)
        })
    }

    /// Returns whether the cache may borrow from an argument, while the body runs.
    pub(crate) fn borrows_from(&self, function: &Function) -> bool {
        self.store.as_ref().is_some_and(|store| function.is_used_in(store))
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
    let method = function.check_of_given();
    let method = Ident::new(method, Span::mixed_site().located_at(given.span()));
    quote!((#given).#method())
}
