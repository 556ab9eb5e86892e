//! The attributes of `premier-client`. Documented there.

mod arguments;
mod duration;
mod throttle;

use proc_macro::TokenStream;

use throttle::Algorithm;

/// `#[fixed_window(quota = 3, duration = "5s")]`: see `premier_client::decorate`.
#[proc_macro_attribute]
pub fn fixed_window(arguments: TokenStream, function: TokenStream) -> TokenStream {
    throttle::expand(Algorithm::FixedWindow, arguments.into(), &function.into()).into()
}

/// `#[sliding_window(quota = 3, duration = "5s")]`: see `premier_client::decorate`.
#[proc_macro_attribute]
pub fn sliding_window(arguments: TokenStream, function: TokenStream) -> TokenStream {
    throttle::expand(Algorithm::SlidingWindow, arguments.into(), &function.into()).into()
}

/// `#[token_bucket(quota = 3, duration = "5s")]`: see `premier_client::decorate`.
#[proc_macro_attribute]
pub fn token_bucket(arguments: TokenStream, function: TokenStream) -> TokenStream {
    throttle::expand(Algorithm::TokenBucket, arguments.into(), &function.into()).into()
}

/// `#[leaky_bucket(quota = 3, duration = "5s")]`: see `premier_client::decorate`.
#[proc_macro_attribute]
pub fn leaky_bucket(arguments: TokenStream, function: TokenStream) -> TokenStream {
    throttle::expand(Algorithm::LeakyBucket, arguments.into(), &function.into()).into()
}
