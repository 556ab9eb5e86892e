//! The layers around a function, in the order of its attributes.
//!
//! Rust expands the top attribute first, so if each put its code around the body, the bottom one would become the outermost.
//! Therefore each attribute first becomes a `layer` after all other attributes. When the first layer is expanded, nothing but
//! layers remains, and it puts them all around the body.

use proc_macro2::TokenStream;
use quote::{ToTokens, format_ident, quote};
use syn::parse::{Parse, ParseStream};
use syn::{Attribute, Error, Ident, ItemFn, Result, parse_quote, parse2};

use crate::cache::Cache;
use crate::function::Function;
use crate::retry::Retry;
use crate::throttle::{Algorithm, Throttle};
use crate::timeout::Timeout;

enum Layer {
    Throttle(Box<Throttle>),
    Retry(Retry),
    Timeout(Timeout),
    Cache(Cache),
}

/// The function with the attribute as a layer after all others, or as it was beside the error.
pub(crate) fn put_last(name: &str, arguments: &TokenStream, function: TokenStream) -> TokenStream {
    let as_it_was = function.clone();
    try_put_last(name, arguments, function).unwrap_or_else(|error| {
        let error = error.into_compile_error();
        quote!(#error #as_it_was)
    })
}

pub(crate) fn try_put_last(name: &str, arguments: &TokenStream, function: TokenStream) -> Result<TokenStream> {
    let name = format_ident!("{name}");
    parse2::<Layer>(quote!(#name(#arguments)))?;
    let mut function: ItemFn = parse2(function)
        .map_err(|error| Error::new(error.span(), "only a function that has a body can be decorated"))?;
    function.attrs.push(parse_quote!(#[::premier_client::layer(#name(#arguments))]));
    Ok(function.into_token_stream())
}

/// The function with all its layers, or without any beside the error.
pub(crate) fn expand(outermost: TokenStream, function: TokenStream) -> TokenStream {
    let as_it_was = function.clone();
    try_expand(outermost, function).unwrap_or_else(|error| {
        let error = error.into_compile_error();
        let function = without_layers(as_it_was);
        quote!(#error #function)
    })
}

fn without_layers(function: TokenStream) -> Option<ItemFn> {
    let mut function: ItemFn = parse2(function).ok()?;
    function.attrs.retain(|attribute| !is_layer(attribute));
    Some(function)
}

pub(crate) fn try_expand(outermost: TokenStream, function: TokenStream) -> Result<TokenStream> {
    let mut function: ItemFn = parse2(function)?;
    let (others, attributes) = function.attrs.into_iter().partition(is_layer);
    function.attrs = attributes;
    build(outermost, others, function)
}

fn is_layer(attribute: &Attribute) -> bool {
    let path = &attribute.path().segments;
    path.len() == 2 && path[0].ident == "premier_client" && path[1].ident == "layer"
}

/// From the inside out.
fn build(outermost: TokenStream, others: Vec<Attribute>, function: ItemFn) -> Result<TokenStream> {
    let mut layers = vec![parse2(outermost)?];
    for layer in others {
        layers.push(layer.parse_args()?);
    }
    refuse_twins(&layers)?;
    let mut function = Function::new(function);
    let retries = layers.iter().position(|layer| matches!(layer, Layer::Retry(_)));
    for (depth, layer) in layers.iter().enumerate().rev() {
        function.is_retried = retries.is_some_and(|outermost| outermost < depth);
        let body = match layer {
            Layer::Throttle(throttle) => throttle.around(&function),
            Layer::Retry(retry) => retry.around(&function),
            Layer::Timeout(timeout) => timeout.around(&function),
            Layer::Cache(cache) => cache.around(&function),
        }?;
        function.body = parse_quote!({ #body });
    }
    if retries.is_some() {
        let raised = Function::raised();
        function.body.stmts.insert(0, parse_quote!(let mut #raised = None;));
    }
    Ok(function.into_item().into_token_stream())
}

/// Two limits under one key would count each other's calls.
fn refuse_twins(layers: &[Layer]) -> Result<()> {
    let throttles: Vec<_> = layers
        .iter()
        .filter_map(|layer| match layer {
            Layer::Throttle(throttle) => Some(throttle),
            _ => None,
        })
        .collect();
    for (index, throttle) in throttles.iter().enumerate() {
        if throttles[..index].iter().any(|other| other.has_the_key_of(throttle)) {
            return Err(Error::new(
                throttle.name.span(),
                "this limit has the same key as the one above, so that each would count the calls of the other: give it a \
                 `keyspace` of its own",
            ));
        }
    }
    Ok(())
}

impl Parse for Layer {
    fn parse(input: ParseStream) -> Result<Self> {
        let name: Ident = input.parse()?;
        let arguments;
        syn::parenthesized!(arguments in input);
        Ok(match name.to_string().as_str() {
            "retry" => Self::Retry(arguments.parse()?),
            "timeout" => Self::Timeout(arguments.parse()?),
            "cache" => Self::Cache(arguments.parse()?),
            algorithm => {
                Self::Throttle(Box::new(Throttle::parse(Algorithm::named(algorithm), name.clone(), &arguments)?))
            }
        })
    }
}
