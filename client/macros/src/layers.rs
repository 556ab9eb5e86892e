//! The layers around a function's body, one for each attribute, in the order of the attributes.
//!
//! Rust expands the top attribute first. If each attribute wrapped the body at once, the bottom one
//! would become the outermost layer. Therefore each first turns into a `layer` below all other
//! attributes. When the first layer is expanded, only layers are left, and it wraps the body in all
//! of them.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote};
use syn::parse::{Parse, ParseStream};
use syn::{Attribute, Error, Ident, ItemFn, Result, parse_quote, parse2};

use crate::cache::Cache;
use crate::function::Function;
use crate::names;
use crate::retry::Retry;
use crate::throttle::Throttle;
use crate::timeout::Timeout;

enum Layer {
    Throttle(Box<Throttle>),
    Retry(Retry),
    Timeout(Timeout),
    Cache(Cache),
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
            _ => Self::Throttle(Box::new(Throttle::parse(name, &arguments)?)),
        })
    }
}

/// Moves the attribute below all others, as a layer. An error leaves the function as it is, without
/// the attribute.
pub(crate) fn defer(name: &str, arguments: &TokenStream, function: &TokenStream) -> TokenStream {
    try_defer(name, arguments, function.clone()).unwrap_or_else(|error| {
        let error = error.into_compile_error();
        quote!(#error #function)
    })
}

pub(crate) fn try_defer(name: &str, arguments: &TokenStream, function: TokenStream) -> Result<TokenStream> {
    let name = Ident::new(name, Span::call_site());
    parse2::<Layer>(quote!(#name(#arguments)))?;
    let mut function: ItemFn = parse2(function)
        .map_err(|error| Error::new(error.span(), "only a function that has a body can have this attribute"))?;
    let layer = names::layer();
    function.attrs.push(parse_quote!(#[#layer(#name(#arguments))]));
    Ok(function.into_token_stream())
}

/// Wraps the function's body in all its layers. An error leaves the function as it is, without its
/// layers.
pub(crate) fn expand(outermost: TokenStream, function: &TokenStream) -> TokenStream {
    try_expand(outermost, function.clone()).unwrap_or_else(|error| {
        let error = error.into_compile_error();
        let function = without_layers(function.clone());
        quote!(#error #function)
    })
}

fn without_layers(function: TokenStream) -> Option<ItemFn> {
    let mut function: ItemFn = parse2(function).ok()?;
    function.attrs.retain(|attribute| !is_layer(attribute));
    Some(function)
}

fn is_layer(attribute: &Attribute) -> bool {
    *attribute.path() == names::layer()
}

pub(crate) fn try_expand(outermost: TokenStream, function: TokenStream) -> Result<TokenStream> {
    let mut function: ItemFn = parse2(function)?;
    let (inner, others) = function.attrs.into_iter().partition::<Vec<_>, _>(is_layer);
    function.attrs = others;
    let mut layers = vec![parse2(outermost)?];
    for layer in inner {
        layers.push(layer.parse_args()?);
    }
    wrap_body(&layers, function)
}

/// Puts the layers around the body, from the inside out.
fn wrap_body(layers: &[Layer], function: ItemFn) -> Result<TokenStream> {
    Throttle::check_keys_differ(layers.iter().filter_map(|layer| match layer {
        Layer::Throttle(throttle) => Some(&**throttle),
        _ => None,
    }))?;
    let mut function = Function::new(function);
    let outermost_retry = layers.iter().position(|layer| matches!(layer, Layer::Retry(_)));
    for (depth, layer) in layers.iter().enumerate().rev() {
        function.is_retried = outermost_retry.is_some_and(|outermost| outermost < depth);
        let body = match layer {
            Layer::Throttle(throttle) => throttle.wrap_body(&function),
            Layer::Retry(retry) => retry.wrap_body(&function),
            Layer::Timeout(timeout) => timeout.wrap_body(&function),
            Layer::Cache(cache) => cache.wrap_body(&function),
        }?;
        function.body = parse_quote!({ #body });
    }
    if outermost_retry.is_some() {
        let raised = Function::raised();
        function.body.stmts.insert(0, parse_quote!(let mut #raised = None;));
    }
    Ok(function.into_item().into_token_stream())
}
