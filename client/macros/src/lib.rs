//! The attributes of `premier-client`. Documented there, in `premier_client::decorate`.

mod algorithm;
mod arguments;
mod cache;
mod duration;
mod function;
mod key;
mod layers;
mod limit;
mod names;
#[cfg(test)]
mod refusals;
mod retry;
mod throttle;
mod timeout;

use proc_macro::TokenStream;

macro_rules! attributes {
    ($($(#[$doc:meta])* $name:ident)+) => {
        $(
            $(#[$doc])*
            #[proc_macro_attribute]
            pub fn $name(arguments: TokenStream, function: TokenStream) -> TokenStream {
                layers::defer(stringify!($name), &arguments.into(), &function.into()).into()
            }
        )+
    };
}

attributes! {
    /// `#[fixed_window(quota = 3, duration = "5s")]`: at most `quota` units in a window, which the first call opens.
    fixed_window
    /// `#[sliding_window(quota = 3, duration = "5s")]`: at most `quota` units in any span of the duration.
    sliding_window
    /// `#[token_bucket(quota = 3, duration = "5s")]`: a bucket of tokens, refilled continuously.
    token_bucket
    /// `#[leaky_bucket(quota = 3, duration = "5s")]`: one after the other at an even pace.
    leaky_bucket
    /// `#[throttle(quota = 3, duration = "5s")]`: by the algorithm that is configured, or the one that is given.
    throttle
    /// `#[retry(max = 3)]`: calls that fail are made again, after a pause.
    retry
    /// `#[timeout("60s")]`: an async call that takes longer is dropped, and fails.
    timeout
    /// `#[cache(ttl = "30s")]`: calls that succeed are remembered for so long.
    cache
}

/// What an attribute becomes until all of a function's are known.
#[doc(hidden)]
#[proc_macro_attribute]
pub fn layer(layer: TokenStream, function: TokenStream) -> TokenStream {
    layers::expand(layer.into(), &function.into()).into()
}
