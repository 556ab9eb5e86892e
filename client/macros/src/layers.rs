//! The layers around a function's body, one for each attribute, in the order of the attributes.
//!
//! Rust expands the top attribute first. If each attribute wrapped the body at once, the bottom one
//! would become the outermost layer. Therefore each first turns into a `layer` below all other
//! attributes. When the first layer is expanded, only layers are left, and it wraps the body in all
//! of them.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote};
use syn::parse::{Parse, ParseStream};
use syn::{Attribute, Error, FnArg, Ident, ItemFn, Path, Result, Token, parse_quote, parse2};

use crate::cache::Cache;
use crate::function::{Function, check_arguments, check_by_compiler, count_bodies};
use crate::key::count_repetition;
use crate::names;
use crate::retry::Retry;
use crate::throttle::Throttle;
use crate::timeout::Timeout;

/// A layer, with the path of the client that it calls.
struct Layer {
    kind: Kind,
    client: Path,
}

enum Kind {
    Throttle(Box<Throttle>),
    Retry(Retry),
    Timeout(Timeout),
    Cache(Cache),
}

impl Parse for Kind {
    fn parse(input: ParseStream) -> Result<Self> {
        let name: Ident = input.parse()?;
        let arguments;
        syn::parenthesized!(arguments in input);
        Ok(match name.to_string().as_str() {
            "retry" => Self::Retry(arguments.parse()?),
            "timeout" => Self::Timeout(arguments.parse()?),
            "cache" => Self::Cache(Cache::parse(name, &arguments)?),
            _ => Self::Throttle(Box::new(Throttle::parse(name, &arguments)?)),
        })
    }
}

impl Parse for Layer {
    fn parse(input: ParseStream) -> Result<Self> {
        let kind = input.parse()?;
        input.parse::<Token![,]>()?;
        Ok(Self { kind, client: Path::parse_mod_style(input)? })
    }
}

/// Moves the attribute below all others, as a layer. An error leaves the function as it is, without
/// the attribute.
pub(crate) fn defer(name: &str, arguments: &TokenStream, function: &TokenStream) -> TokenStream {
    try_defer(name, arguments.clone(), function.clone(), names::find_client).unwrap_or_else(|error| {
        let error = error.into_compile_error();
        quote!(#error #function)
    })
}

pub(crate) fn try_defer(
    name: &str,
    arguments: TokenStream,
    function: TokenStream,
    find_client: impl FnOnce() -> Result<Path>,
) -> Result<TokenStream> {
    let name = Ident::new(name, Span::call_site());
    let (arguments, client) = names::take_client(arguments)?;
    let client = client.map_or_else(find_client, Ok)?;
    parse2::<Kind>(quote!(#name(#arguments)))?;
    let mut function: ItemFn = parse2(function)
        .map_err(|error| Error::new(error.span(), "only a function that has a body can have this attribute"))?;
    if let Some(constness) = function.sig.constness {
        return Err(Error::new_spanned(constness, "a `const fn` cannot have this attribute: remove `const`"));
    }
    let layer = names::layer(&client);
    function.attrs.push(parse_quote!(#[#layer(#name(#arguments), #client)]));
    if function.sig.asyncness.is_some() {
        // As they make the function sync, they are to find the layers in its body.
        let (runners, others) = function.attrs.into_iter().partition::<Vec<_>, _>(is_runner);
        function.attrs = others.into_iter().chain(runners).collect();
    }
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

/// Whether the attribute runs an async function, as `#[tokio::main]` and `#[tokio::test]` do.
fn is_runner(attribute: &Attribute) -> bool {
    attribute.path().segments.last().is_some_and(|last| last.ident == "main" || last.ident == "test")
}

fn is_layer(attribute: &Attribute) -> bool {
    names::is_layer(attribute.path())
}

pub(crate) fn try_expand(outermost: TokenStream, function: TokenStream) -> Result<TokenStream> {
    let mut function: ItemFn = parse2(function)?;
    if let Some((condition, with, without)) = split_by_condition(&function) {
        let layer = names::layer(&parse2::<Layer>(outermost.clone())?.client);
        return Ok(quote! {
            #[cfg(#condition)]
            #[#layer(#outermost)]
            #with
            #[cfg(not(#condition))]
            #[#layer(#outermost)]
            #without
        });
    }
    let (inner, others) = function.attrs.into_iter().partition::<Vec<_>, _>(is_layer);
    function.attrs = others;
    let mut layers = vec![parse2(outermost)?];
    for layer in inner {
        layers.push(layer.parse_args()?);
    }
    wrap_bodies(&layers, function)
}

/// Splits a function whose first conditional argument has `#[cfg(condition)]` into one that has the
/// argument, and one that has not: only the compiler knows which of them there is.
fn split_by_condition(function: &ItemFn) -> Option<(TokenStream, ItemFn, ItemFn)> {
    let (mut with, mut without) = (function.clone(), function.clone());
    for (index, argument) in with.sig.inputs.iter_mut().enumerate() {
        let FnArg::Typed(argument) = argument else { continue };
        let Some(condition) = argument.attrs.iter().position(|attribute| attribute.path().is_ident("cfg")) else {
            continue;
        };
        let condition = argument.attrs.remove(condition).meta.require_list().ok()?.tokens.clone();
        let others = without.sig.inputs.into_iter().enumerate().filter(|(other, _)| *other != index);
        without.sig.inputs = others.map(|(_, other)| other).collect();
        return Some((condition, with, without));
    }
    None
}

fn wrap_bodies(layers: &[Layer], mut function: ItemFn) -> Result<TokenStream> {
    Throttle::check_keys_differ(layers.iter().filter_map(|layer| match layer {
        Layer { kind: Kind::Throttle(throttle), .. } => Some(&**throttle),
        _ => None,
    }))?;
    Cache::check_keys_differ(layers.iter().filter_map(|layer| match layer {
        Layer { kind: Kind::Cache(cache), .. } => Some(cache),
        _ => None,
    }))?;
    check_arguments(&function)?;
    let is_held =
        layers.iter().any(|layer| matches!(&layer.kind, Kind::Throttle(throttle) if throttle.is_concurrency()));
    let repetition = count_repetition(function.sig.ident.span());
    for number in 0..count_bodies(&mut function)? {
        function = wrap_body(layers, Function::new(function, number, repetition))?;
    }
    if let Some(check) = check_by_compiler(&function, is_held) {
        let check = names::in_client(&layers[0].client, check.into_token_stream());
        function.block.stmts.insert(0, parse_quote!(#check));
    }
    Ok(function.into_token_stream())
}

/// Puts the layers around a body, from the inside out.
fn wrap_body(layers: &[Layer], mut function: Function) -> Result<ItemFn> {
    let outermost_retry = layers.iter().position(|layer| matches!(layer.kind, Kind::Retry(_)));
    let outermost_cache = layers.iter().position(|layer| matches!(layer.kind, Kind::Cache(_)));
    for (depth, layer) in layers.iter().enumerate().rev() {
        function.is_cached = outermost_cache.is_some_and(|outermost| outermost < depth);
        function.is_retried = outermost_retry.is_some_and(|outermost| outermost < depth);
        function.keeps_arguments = layers[..depth].iter().any(|outer| match &outer.kind {
            Kind::Retry(_) => true,
            Kind::Cache(cache) => cache.borrows_from(&function),
            Kind::Throttle(_) | Kind::Timeout(_) => false,
        });
        let body = match &layer.kind {
            Kind::Throttle(throttle) => throttle.wrap_body(&function),
            Kind::Retry(retry) => retry.wrap_body(&function),
            Kind::Timeout(timeout) => timeout.wrap_body(&function),
            Kind::Cache(cache) => cache.wrap_body(&function),
        }?;
        let body = names::in_client(&layer.client, body);
        function.body = parse_quote!({ #body });
    }
    if outermost_cache.is_some() {
        let is_fallback = Function::is_fallback();
        function.body.stmts.insert(0, parse_quote!(let #is_fallback = &::core::sync::atomic::AtomicBool::new(false);));
    }
    if outermost_retry.is_some() {
        let raised = Function::raised();
        function.body.stmts.insert(0, parse_quote!(let mut #raised = ::core::option::Option::None;));
    }
    Ok(function.into_item())
}
