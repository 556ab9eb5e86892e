//! The function that has the attributes.

use std::mem;

use proc_macro2::{Group, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote};
use syn::visit_mut::VisitMut;
use syn::{
    Block, Error, Expr, FnArg, GenericArgument, GenericParam, Ident, ItemFn, Local, Pat, PathArguments, ReturnType,
    Stmt, Type, TypeParamBound, parse_quote, visit_mut,
};

use crate::names::{hygienic, runtime};

pub(crate) struct Function {
    /// The function without its body.
    item: ItemFn,
    /// What `#[async_trait]` puts before the body: it moves the arguments into the future, so it
    /// can run only once.
    prelude: Vec<Stmt>,
    /// The body, with the layers that have been put around it so far.
    pub(crate) body: Block,
    kind: Kind,
    /// Whether a layer outside the one that is being built retries.
    pub(crate) is_retried: bool,
}

enum Kind {
    Sync,
    Async,
    /// It returns a future made by an `async` block, as functions do after `#[async_trait]`.
    ReturnsFuture,
}

impl Kind {
    /// Returns the block that is the body: the function's own, or that of the future that it
    /// returns.
    fn body_in<'a>(&self, block: &'a mut Block) -> &'a mut Block {
        match self {
            Self::ReturnsFuture => returned_future(block).expect("this kind of function returns a future"),
            Self::Sync | Self::Async => block,
        }
    }
}

impl Function {
    pub(crate) fn new(mut item: ItemFn) -> Self {
        let kind = if item.sig.asyncness.is_some() {
            Kind::Async
        } else if future_output(&item.sig.output).is_some() && returned_future(&mut item.block).is_some() {
            Kind::ReturnsFuture
        } else {
            Kind::Sync
        };
        let mut body = mem::replace(kind.body_in(&mut item.block), parse_quote!({}));
        let prelude = match kind {
            Kind::ReturnsFuture => {
                let count = body.stmts.iter().take_while(|statement| is_of_async_trait(statement)).count();
                body.stmts.drain(..count).collect()
            }
            Kind::Sync | Kind::Async => Vec::new(),
        };
        Self { item, prelude, body, kind, is_retried: false }
    }

    /// Returns the function with its body.
    pub(crate) fn into_item(mut self) -> ItemFn {
        let Block { stmts, .. } = &self.body;
        let mut statements = quote!(#(#stmts)*);
        if self.prelude.iter().any(moves_self) {
            // `#[async_trait]` has renamed `self` in the body, but not in the arguments of
            // attributes.
            statements = rename_self(statements);
        }
        let prelude = &self.prelude;
        *self.kind.body_in(&mut self.item.block) = parse_quote!({ #(#prelude)* #statements });
        self.item
    }

    pub(crate) fn is_async(&self) -> bool {
        !matches!(self.kind, Kind::Sync)
    }

    /// Returns `.await` if the function is async, to go behind a call.
    pub(crate) fn awaits(&self) -> TokenStream {
        if self.is_async() { quote!(.await) } else { quote!() }
    }

    /// Returns the default `throttler` or `cache` of functions of this kind.
    pub(crate) fn default(&self, name: &str) -> TokenStream {
        let name = if self.is_async() { format_ident!("async_{name}") } else { format_ident!("{name}") };
        quote!(::premier_client::decorate::#name())
    }

    pub(crate) fn name(&self) -> &Ident {
        &self.item.sig.ident
    }

    /// Returns the type of a call's result, that of its future if it is async. `None` if it is
    /// `()`.
    fn return_type(&self) -> Option<&Type> {
        let returned = match self.kind {
            Kind::ReturnsFuture => future_output(&self.item.sig.output)?,
            Kind::Sync | Kind::Async => written_output(&self.item.sig.output)?,
        };
        if matches!(returned, Type::Tuple(unit) if unit.elems.is_empty()) { None } else { Some(returned) }
    }

    /// Returns the type of a call's result, unless it is `()` or an `impl Trait`. Only such a type
    /// can be a `Result`.
    pub(crate) fn named_return_type(&self) -> Option<&Type> {
        self.return_type().filter(|returned| !matches!(returned, Type::ImplTrait(_)))
    }

    /// Returns an error at the return type, or at the function's name if it returns nothing.
    pub(crate) fn wrong_return_type(&self, text: &str) -> Error {
        match self.return_type() {
            Some(returned) => Error::new_spanned(returned, text),
            None => Error::new(self.name().span(), text),
        }
    }

    /// Returns a value that has the return type as a parameter, for the compiler to choose a method
    /// by.
    pub(crate) fn return_type_marker(&self) -> TokenStream {
        let returned = self.return_type().map_or_else(|| quote!(()), ToTokens::to_token_stream);
        quote!(::core::marker::PhantomData::<#returned>)
    }

    /// Returns a call of a closure that has the body, so that `return` leaves only the body. A
    /// future if the function is async.
    pub(crate) fn call_body(&self) -> TokenStream {
        let body = &self.body;
        let asyncness = self.is_async().then(|| quote!(async));
        let returned = self.return_type().map(|returned| {
            let mut returned = returned.clone();
            InferImplTrait.visit_type_mut(&mut returned);
            quote!(-> #returned)
        });
        quote!((#asyncness || #returned #body)())
    }

    /// Returns the arguments besides `self`.
    pub(crate) fn arguments(&self) -> impl Iterator<Item = &Pat> {
        self.item.sig.inputs.iter().filter_map(|argument| match argument {
            FnArg::Typed(argument) => Some(&*argument.pat),
            FnArg::Receiver(_) => None,
        })
    }

    pub(crate) fn has_receiver(&self) -> bool {
        self.item.sig.receiver().is_some()
    }

    pub(crate) fn has_type_parameters(&self) -> bool {
        let mut parameters = self.item.sig.generics.params.iter();
        parameters.any(|parameter| !matches!(parameter, GenericParam::Lifetime(_)))
    }

    /// Returns the variable that keeps what retries need of the error that a layer has raised in
    /// the last attempt.
    pub(crate) fn raised() -> Ident {
        hygienic("raised")
    }

    /// Keeps an `error` of this crate's in [`raised`](Self::raised), if the function is retried.
    pub(crate) fn keep_for_retry(&self, error: &Ident) -> Option<TokenStream> {
        let raised = Self::raised();
        let runtime = runtime();
        self.is_retried.then(|| quote!(#raised = Some(#runtime::Raised::by(&#error));))
    }
}

/// Returns the names that a pattern binds.
pub(crate) fn bound_names(pattern: &Pat) -> Vec<&Ident> {
    match pattern {
        Pat::Ident(name) => vec![&name.ident],
        Pat::TupleStruct(inner) => inner.elems.iter().flat_map(bound_names).collect(),
        Pat::Tuple(inner) => inner.elems.iter().flat_map(bound_names).collect(),
        Pat::Slice(inner) => inner.elems.iter().flat_map(bound_names).collect(),
        Pat::Struct(inner) => inner.fields.iter().flat_map(|field| bound_names(&field.pat)).collect(),
        Pat::Reference(inner) => bound_names(&inner.pat),
        Pat::Paren(inner) => bound_names(&inner.pat),
        _ => Vec::new(),
    }
}

/// Whether `#[async_trait]` wrote the statement: `let user = user;`, `let __self = self;` or its
/// hint at the type.
fn is_of_async_trait(statement: &Stmt) -> bool {
    match statement {
        Stmt::Local(Local { pat, init: Some(init), .. }) => {
            let Expr::Path(from) = &*init.expr else { return false };
            let Some(from) = from.path.get_ident() else { return false };
            moves_self(statement) || matches!(pat, Pat::Ident(to) if to.ident == *from) || is_pattern(from)
        }
        Stmt::Expr(Expr::If(hint), _) => matches!(&*hint.cond, Expr::Let(hint) if bound_names(&hint.pat) == [RETURNED]),
        _ => false,
    }
}

/// The variable in `#[async_trait]`'s hint at the type.
const RETURNED: &str = "__ret";

/// Whether `#[async_trait]` has named the argument, because it is a pattern.
fn is_pattern(argument: &Ident) -> bool {
    argument.to_string().starts_with("__arg")
}

fn moves_self(statement: &Stmt) -> bool {
    matches!(statement, Stmt::Local(Local { pat: Pat::Ident(to), .. }) if to.ident == "__self")
}

fn rename_self(tokens: TokenStream) -> TokenStream {
    let tokens = tokens.into_iter().map(|token| match token {
        TokenTree::Ident(ident) if ident == "self" => Ident::new("__self", ident.span()).into(),
        TokenTree::Group(group) => {
            let mut renamed = Group::new(group.delimiter(), rename_self(group.stream()));
            renamed.set_span(group.span());
            renamed.into()
        }
        other => other,
    });
    tokens.collect()
}

/// Returns the block of `Box::pin(async move { … })` or of `async move { … }`, if that is what the
/// function returns.
fn returned_future(block: &mut Block) -> Option<&mut Block> {
    let Some(Stmt::Expr(returned, None)) = block.stmts.last_mut() else { return None };
    match returned {
        Expr::Async(future) => Some(&mut future.block),
        Expr::Call(call) if is_box_pin(&call.func) => match call.args.first_mut()? {
            Expr::Async(future) => Some(&mut future.block),
            _ => None,
        },
        _ => None,
    }
}

fn is_box_pin(function: &Expr) -> bool {
    let Expr::Path(function) = function else { return false };
    let names: Vec<_> = function.path.segments.iter().map(|segment| segment.ident.to_string()).collect();
    names.ends_with(&["Box".to_owned(), "pin".to_owned()])
}

fn written_output(output: &ReturnType) -> Option<&Type> {
    match output {
        ReturnType::Default => None,
        ReturnType::Type(_, returned) => Some(returned),
    }
}

/// Returns `R` of `Pin<Box<dyn Future<Output = R>>>` or of `impl Future<Output = R>`.
fn future_output(output: &ReturnType) -> Option<&Type> {
    let mut future = written_output(output)?;
    loop {
        let path = match future {
            Type::Path(path) => &path.path,
            Type::TraitObject(object) => first_trait(&object.bounds)?,
            Type::ImplTrait(bounds) => first_trait(&bounds.bounds)?,
            _ => return None,
        };
        let PathArguments::AngleBracketed(inner) = &path.segments.last()?.arguments else { return None };
        future = match inner.args.first()? {
            GenericArgument::Type(inner) => inner,
            GenericArgument::AssocType(output) if output.ident == "Output" => return Some(&output.ty),
            _ => return None,
        };
    }
}

fn first_trait<'a>(bounds: impl IntoIterator<Item = &'a TypeParamBound>) -> Option<&'a syn::Path> {
    bounds.into_iter().find_map(|bound| match bound {
        TypeParamBound::Trait(bound) => Some(&bound.path),
        _ => None,
    })
}

/// Replaces `impl Trait`, which a closure cannot have as its return type, by `_`, which the
/// compiler infers.
struct InferImplTrait;

impl VisitMut for InferImplTrait {
    fn visit_type_mut(&mut self, ty: &mut Type) {
        if matches!(ty, Type::ImplTrait(_)) {
            *ty = parse_quote!(_);
        } else {
            visit_mut::visit_type_mut(self, ty);
        }
    }
}
