//! The function under the attributes.

use std::mem;

use proc_macro2::{Group, Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote};
use syn::visit_mut::VisitMut;
use syn::{
    Block, Error, Expr, FnArg, GenericArgument, GenericParam, Ident, ItemFn, Local, Pat, PathArguments, ReturnType,
    Stmt, Type, TypeParamBound, parse_quote, visit_mut,
};

pub(crate) struct Function {
    /// Without its body.
    item: ItemFn,
    /// What `#[async_trait]` puts before the body: it moves the arguments into the future, which can happen but once.
    moves: Vec<Stmt>,
    /// What runs, with the layers that have been put around so far.
    pub(crate) body: Block,
    runs: Runs,
    /// Whether there is a layer of retries around the one that is being built.
    pub(crate) is_retried: bool,
}

enum Runs {
    Sync,
    Async,
    /// In a future that it makes and returns, as `#[async_trait]` would have it.
    InFuture,
}

impl Runs {
    /// What of a function's block runs when it is called.
    fn block<'a>(&self, block: &'a mut Block) -> &'a mut Block {
        match self {
            Self::InFuture => future(block).expect("it was seen before"),
            Self::Sync | Self::Async => block,
        }
    }
}

impl Function {
    pub(crate) fn new(mut item: ItemFn) -> Self {
        let runs = if item.sig.asyncness.is_some() {
            Runs::Async
        } else if future_output(&item.sig.output).is_some() && future(&mut item.block).is_some() {
            Runs::InFuture
        } else {
            Runs::Sync
        };
        let mut body = mem::replace(runs.block(&mut item.block), parse_quote!({}));
        let moves = match runs {
            Runs::InFuture => {
                let count = body.stmts.iter().take_while(|statement| moves_argument(statement)).count();
                body.stmts.drain(..count).collect()
            }
            Runs::Sync | Runs::Async => Vec::new(),
        };
        Self { item, moves, body, runs, is_retried: false }
    }

    /// The function, whole.
    pub(crate) fn into_item(mut self) -> ItemFn {
        let Block { stmts, .. } = &self.body;
        let mut statements = quote!(#(#stmts)*);
        if self.moves.iter().any(moves_self) {
            // In what stands in attributes it is still called by its name.
            statements = replace_self(statements);
        }
        let moves = &self.moves;
        *self.runs.block(&mut self.item.block) = parse_quote!({ #(#moves)* #statements });
        self.item
    }

    pub(crate) fn is_async(&self) -> bool {
        !matches!(self.runs, Runs::Sync)
    }

    /// What stands behind a call that an async function awaits.
    pub(crate) fn awaits(&self) -> TokenStream {
        if self.is_async() { quote!(.await) } else { quote!() }
    }

    /// What is configured for functions that name none of their own: `throttler` or `cache`.
    pub(crate) fn global(&self, name: &str) -> TokenStream {
        let name = if self.is_async() { format_ident!("async_{name}") } else { format_ident!("{name}") };
        quote!(::premier_client::decorate::#name())
    }

    pub(crate) fn name(&self) -> &Ident {
        &self.item.sig.ident
    }

    /// What it comes to in the end; `None` is nothing.
    pub(crate) fn returned(&self) -> Option<&Type> {
        let returned = match self.runs {
            Runs::InFuture => future_output(&self.item.sig.output)?,
            Runs::Sync | Runs::Async => written_output(&self.item.sig.output)?,
        };
        if matches!(returned, Type::Tuple(nothing) if nothing.elems.is_empty()) { None } else { Some(returned) }
    }

    /// An error at the type that it returns, or at its name if it returns nothing.
    pub(crate) fn wrong_return_type(&self, text: &str) -> Error {
        match self.returned() {
            Some(returned) => Error::new_spanned(returned, text),
            None => Error::new(self.name().span(), text),
        }
    }

    /// One run of the body, which may return early. A future, if the function is async.
    pub(crate) fn run(&self) -> TokenStream {
        let body = &self.body;
        let asyncness = self.is_async().then(|| quote!(async));
        let returned = self.returned().map(|returned| {
            let mut returned = returned.clone();
            InferImplTrait.visit_type_mut(&mut returned);
            quote!(-> #returned)
        });
        quote!((#asyncness || #returned #body)())
    }

    /// What has the type of what the function returns, for the compiler to look at.
    pub(crate) fn phantom(&self) -> TokenStream {
        let returned = self.returned().map_or_else(|| quote!(()), ToTokens::to_token_stream);
        quote!(::core::marker::PhantomData::<#returned>)
    }

    /// The arguments beside `self`.
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

    /// Where the last error of this crate's is noted that an attempt has raised.
    pub(crate) fn raised() -> Ident {
        unseen("raised")
    }

    /// Notes an `error` for the retries around.
    pub(crate) fn note(&self, error: &Ident) -> Option<TokenStream> {
        let raised = Self::raised();
        self.is_retried.then(|| quote!(#raised = Some(::premier_client::decorate::Raised::by(&#error));))
    }
}

/// A name that what the user wrote does not see, who may use it for something else.
pub(crate) fn unseen(name: &str) -> Ident {
    Ident::new(name, Span::mixed_site())
}

/// The names in a pattern.
pub(crate) fn names(pattern: &Pat) -> Vec<&Ident> {
    match pattern {
        Pat::Ident(name) => vec![&name.ident],
        Pat::TupleStruct(inner) => inner.elems.iter().flat_map(names).collect(),
        Pat::Tuple(inner) => inner.elems.iter().flat_map(names).collect(),
        Pat::Slice(inner) => inner.elems.iter().flat_map(names).collect(),
        Pat::Struct(inner) => inner.fields.iter().flat_map(|field| names(&field.pat)).collect(),
        Pat::Reference(inner) => names(&inner.pat),
        Pat::Paren(inner) => names(&inner.pat),
        _ => Vec::new(),
    }
}

/// Whether it is a line of `#[async_trait]`'s, like `let user = user;`, `let __self = self;` or its hint at the type.
fn moves_argument(statement: &Stmt) -> bool {
    match statement {
        Stmt::Local(Local { pat, init: Some(init), .. }) => {
            let Expr::Path(from) = &*init.expr else { return false };
            let Some(from) = from.path.get_ident() else { return false };
            moves_self(statement) || matches!(pat, Pat::Ident(to) if to.ident == *from) || is_unnamed(from)
        }
        Stmt::Expr(Expr::If(hint), _) => matches!(&*hint.cond, Expr::Let(hint) if names(&hint.pat) == [RETURNED]),
        _ => false,
    }
}

const RETURNED: &str = "__ret";

/// An argument that is a pattern.
fn is_unnamed(argument: &Ident) -> bool {
    argument.to_string().starts_with("__arg")
}

fn moves_self(statement: &Stmt) -> bool {
    matches!(statement, Stmt::Local(Local { pat: Pat::Ident(to), .. }) if to.ident == "__self")
}

fn replace_self(tokens: TokenStream) -> TokenStream {
    let tokens = tokens.into_iter().map(|token| match token {
        TokenTree::Ident(ident) if ident == "self" => Ident::new("__self", ident.span()).into(),
        TokenTree::Group(group) => {
            let mut replaced = Group::new(group.delimiter(), replace_self(group.stream()));
            replaced.set_span(group.span());
            replaced.into()
        }
        other => other,
    });
    tokens.collect()
}

/// The block of `Box::pin(async move { … })` or of `async move { … }`, if it is that which the function returns.
fn future(block: &mut Block) -> Option<&mut Block> {
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

/// `R` of `Pin<Box<dyn Future<Output = R>>>` or of `impl Future<Output = R>`.
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

/// A closure cannot return an `impl Trait`, but something that the compiler finds out.
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
