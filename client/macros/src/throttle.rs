//! The attributes of the four algorithms: a prelude before the body of the function.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{
    Block, Error, Expr, ExprClosure, FnArg, GenericArgument, Ident, ItemFn, Pat, PathArguments, Result, ReturnType,
    Stmt, Type, TypeParamBound, parse_quote, parse2,
};

use crate::arguments::{Arguments, OnLimit};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Algorithm {
    FixedWindow,
    SlidingWindow,
    TokenBucket,
    LeakyBucket,
}

impl Algorithm {
    fn constructor(self) -> Ident {
        let name = match self {
            Self::FixedWindow => "fixed_window",
            Self::SlidingWindow => "sliding_window",
            Self::TokenBucket => "token_bucket",
            Self::LeakyBucket => "leaky_bucket",
        };
        format_ident!("{name}")
    }

    fn is_window(self) -> bool {
        matches!(self, Self::FixedWindow | Self::SlidingWindow)
    }
}

/// The function with the prelude, or as it was beside the error, so that there is just the one.
pub(crate) fn expand(algorithm: Algorithm, arguments: TokenStream, function: &TokenStream) -> TokenStream {
    throttle(algorithm, arguments, function.clone()).unwrap_or_else(|error| {
        let error = error.into_compile_error();
        quote!(#error #function)
    })
}

fn throttle(algorithm: Algorithm, arguments: TokenStream, function: TokenStream) -> Result<TokenStream> {
    let arguments: Arguments = parse2(arguments)?;
    let mut function: ItemFn = parse2(function)
        .map_err(|error| Error::new(error.span(), "only the calls of a function that has a body can be limited"))?;

    let limit = limit(algorithm, &arguments)?;
    let key = key(&arguments, &function)?;
    let is_async_trait = function.sig.asyncness.is_none() && boxed_future(&mut function.block).is_some();
    let is_async = function.sig.asyncness.is_some() || is_async_trait;
    let (throttler, awaits) = if is_async {
        (quote!(::premier_client::decorate::async_throttler()), quote!(.await))
    } else {
        (quote!(::premier_client::decorate::throttler()), quote!())
    };
    let throttler = arguments.throttler.as_ref().map_or(throttler, |throttler| quote!(#throttler));
    let returned = if is_async_trait { future_output(&function.sig.output) } else { returned(&function.sig.output) };
    let not_admitted = not_admitted(&arguments.on_limit, &function.sig.ident, returned)?;
    // Not seen by what the user wrote, who may have an argument of this name.
    let name = Ident::new("key", Span::mixed_site());
    let call = match &arguments.on_limit {
        OnLimit::Wait(at_most) => quote!(acquire(&#name, #limit, #at_most)),
        OnLimit::Error | OnLimit::Value(_) => quote!(admit(&#name, #limit)),
    };
    let prelude: Stmt = parse_quote! {
        {
            let #name = #key;
            if let Err(error) = (#throttler).#call #awaits {
                #not_admitted
            }
        }
    };
    let body = match boxed_future(&mut function.block) {
        Some(future) if is_async_trait => future,
        _ => &mut function.block,
    };
    body.stmts.insert(0, prelude);
    Ok(quote!(#function))
}

/// What `#[async_trait]` makes of an async function: `Box::pin(async move { … })`.
fn boxed_future(block: &mut Block) -> Option<&mut Block> {
    let Some(Stmt::Expr(Expr::Call(call), None)) = block.stmts.last_mut() else { return None };
    let Expr::Path(function) = &*call.func else { return None };
    let names: Vec<_> = function.path.segments.iter().map(|segment| segment.ident.to_string()).collect();
    match call.args.first_mut() {
        Some(Expr::Async(future)) if names.ends_with(&["Box".to_owned(), "pin".to_owned()]) => Some(&mut future.block),
        _ => None,
    }
}

fn returned(output: &ReturnType) -> Option<&Type> {
    match output {
        ReturnType::Default => None,
        ReturnType::Type(_, returned) => Some(returned),
    }
}

/// `R` of `Pin<Box<dyn Future<Output = R>>>`, which is what `#[async_trait]` makes of `R`.
fn future_output(output: &ReturnType) -> Option<&Type> {
    let mut future = returned(output)?;
    loop {
        let path = match future {
            Type::Path(path) => &path.path,
            Type::TraitObject(object) => object.bounds.iter().find_map(|bound| match bound {
                TypeParamBound::Trait(bound) => Some(&bound.path),
                _ => None,
            })?,
            _ => return None,
        };
        let PathArguments::AngleBracketed(inner) = &path.segments.last()?.arguments else { return None };
        future = match inner.args.first()? {
            GenericArgument::Type(inner) => inner,
            GenericArgument::AssocType(output) => return Some(&output.ty),
            _ => return None,
        };
    }
}

/// What a call that is not admitted returns. The error is called `error`.
fn not_admitted(on_limit: &OnLimit, function: &Ident, returned: Option<&Type>) -> Result<TokenStream> {
    let is_nothing = returned.is_none_or(|returned| matches!(returned, Type::Tuple(tuple) if tuple.elems.is_empty()));
    let span = returned.map_or_else(|| function.span(), Spanned::span);
    match on_limit {
        OnLimit::Value(value) => Ok(quote!(let _ = error; return #value;)),
        OnLimit::Wait(_) if is_nothing || matches!(returned, Some(Type::ImplTrait(_))) => Ok(quote!(panic!("{error}"))),
        OnLimit::Error if is_nothing || matches!(returned, Some(Type::ImplTrait(_))) => Err(Error::new(
            span,
            "a function that returns no Result has no error to return: add `on_limit = wait(\"10s\")`, which panics when that \
             is not long enough, or `on_limit = …` with what it shall return",
        )),
        OnLimit::Wait(_) => {
            let give_up = quote_spanned!(span=> return (&::core::marker::PhantomData::<#returned>).give_up(error););
            Ok(quote! {
                use ::premier_client::decorate::{OrError as _, OrPanic as _};
                #give_up
            })
        }
        OnLimit::Error => {
            Ok(quote_spanned!(span=> return ::premier_client::decorate::NotAdmitted::not_admitted(error);))
        }
    }
}

/// A constant, so that what is out of bounds does not compile.
fn limit(algorithm: Algorithm, arguments: &Arguments) -> Result<TokenStream> {
    let Arguments { quota, duration, capacity, cost, max_wait, .. } = arguments;
    let names = [capacity.as_ref().map(|(name, _)| name), max_wait.as_ref().map(|(name, _)| name)];
    if let (true, Some(name)) = (algorithm.is_window(), names.into_iter().flatten().next()) {
        return Err(Error::new(name.span(), format!("a window has no {name}, only a token or leaky bucket has")));
    }
    let constructor = algorithm.constructor();
    let capacity = capacity.as_ref().map(|(_, capacity)| quote!(.capacity(#capacity)));
    let cost = cost.as_ref().map(|cost| quote!(.cost(#cost)));
    let max_wait = max_wait.as_ref().map(|(_, max_wait)| quote!(.max_wait(#max_wait)));
    Ok(quote!(const { ::premier_client::Limit::#constructor(#quota, #duration) #capacity #cost #max_wait }))
}

fn key(arguments: &Arguments, function: &ItemFn) -> Result<TokenStream> {
    let mut key = quote!(::premier_client::Key::new(::core::module_path!(), ::premier_client::function_name!()));
    if let Some(keyspace) = &arguments.keyspace {
        key = quote!({
            static KEYSPACE: ::premier_client::Keyspace = ::premier_client::Keyspace::from_static(#keyspace);
            #key.keyspace(&KEYSPACE)
        });
    }
    match &arguments.key {
        Some(Expr::Closure(closure)) => {
            let bindings = bindings(closure, function)?;
            let custom = &closure.body;
            Ok(quote!({ #(#bindings)* #key.custom(#custom) }))
        }
        Some(other) => Err(Error::new_spanned(other, "a key is a closure over the arguments, like |user, _| user.id")),
        None => Ok(key),
    }
}

/// What the closure calls the arguments.
fn bindings(closure: &ExprClosure, function: &ItemFn) -> Result<Vec<TokenStream>> {
    let patterns = function.sig.inputs.iter().filter_map(|argument| match argument {
        FnArg::Typed(argument) => Some(&*argument.pat),
        FnArg::Receiver(_) => None,
    });
    let arguments: Vec<_> = patterns.collect();
    if arguments.len() != closure.inputs.len() {
        let count = arguments.len();
        return Err(Error::new_spanned(
            &closure.inputs,
            format!(
                "the function has {count} arguments beside self, and so must this closure; `_` for those it does not need"
            ),
        ));
    }
    let pairs = closure.inputs.iter().zip(arguments);
    pairs
        .filter(|(name, _)| !matches!(name, Pat::Wild(_)))
        .map(|(name, argument)| match argument {
            Pat::Ident(argument) => {
                let argument = &argument.ident;
                Ok(quote!(let #name = &#argument;))
            }
            pattern => Err(Error::new_spanned(pattern, "the key can use only arguments that have a name")),
        })
        .collect()
}
