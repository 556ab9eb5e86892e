//! The function that has the attributes.

use std::mem;

use proc_macro2::{Group, Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::visit_mut::VisitMut;
use syn::{
    Block, Error, Expr, FnArg, GenericParam, Ident, ItemFn, Local, Pat, PatIdent, ReceiverKind, Result, ReturnType,
    Stmt, Type, parse_quote, visit_mut,
};

use crate::names::{hygienic, runtime};
use crate::{borrows, futures};

pub(crate) struct Function {
    /// The function without its body.
    item: ItemFn,
    /// What `#[async_trait]` puts before the body: it moves the arguments into the future, so it
    /// can run only once.
    prelude: Vec<Stmt>,
    /// The body, with the layers that have been put around it so far.
    pub(crate) body: Block,
    kind: Kind,
    /// Which of its bodies this is.
    number: usize,
    /// How many functions were made of the same words before it.
    pub(crate) repetition: u32,
    /// Whether a layer outside the one that is being built retries.
    pub(crate) is_retried: bool,
    /// Whether a layer outside the one that is being built caches.
    pub(crate) is_cached: bool,
    /// Whether a layer outside the one that is being built needs the arguments while the body runs,
    /// or after it.
    pub(crate) keeps_arguments: bool,
}

enum Kind {
    Sync,
    Async,
    /// It returns futures made by `async` blocks, as functions do after `#[async_trait]`.
    ReturnsFutures,
}

impl Kind {
    fn of(function: &ItemFn) -> Self {
        if function.sig.asyncness.is_some() {
            Self::Async
        } else if written_output(&function.sig.output).is_some_and(|returned| futures::output(returned).is_some()) {
            Self::ReturnsFutures
        } else {
            Self::Sync
        }
    }
}

/// Returns the number of the function's bodies: one, or that of the futures that it may return.
///
/// # Errors
/// If a call may run a body that attributes do not see.
pub(crate) fn count_bodies(function: &mut ItemFn) -> Result<usize> {
    let mut futures = 0;
    let all_seen = futures::each_returned(&mut function.block, |_| futures += 1);
    match Kind::of(function) {
        Kind::ReturnsFutures => all_seen.map(|()| futures),
        Kind::Sync if futures > 0 => Err(Error::new_spanned(
            &function.sig.output,
            "attributes cannot see what this future returns: write the type as Pin<Box<dyn Future<Output = …>>>",
        )),
        Kind::Sync | Kind::Async => Ok(1),
    }
}

impl Function {
    /// Takes one of the function's bodies out of it.
    pub(crate) fn new(mut item: ItemFn, number: usize, repetition: u32) -> Self {
        let kind = Kind::of(&item);
        let mut body = parse_quote!({});
        swap_body(&mut item, number, &mut body);
        let prelude = match kind {
            Kind::ReturnsFutures => {
                let count = body.stmts.iter().take_while(|statement| is_of_async_trait(statement)).count();
                body.stmts.drain(..count).collect()
            }
            Kind::Sync | Kind::Async => Vec::new(),
        };
        Self {
            item,
            prelude,
            body,
            kind,
            number,
            repetition,
            is_retried: false,
            is_cached: false,
            keeps_arguments: false,
        }
    }

    /// Returns the function with this body in it.
    pub(crate) fn into_item(mut self) -> ItemFn {
        let Block { stmts, .. } = &self.body;
        let mut statements = quote!(#(#stmts)*);
        if self.prelude.iter().any(moves_self) {
            // `#[async_trait]` has renamed `self` in the body, but not in the arguments of
            // attributes.
            statements = rename_self(statements);
        }
        let prelude = &self.prelude;
        swap_body(&mut self.item, self.number, &mut parse_quote!({ #(#prelude)* #statements }));
        self.item
    }

    pub(crate) fn is_async(&self) -> bool {
        !matches!(self.kind, Kind::Sync)
    }

    /// Whether this is a sync function whose body calls `block_on`, as `#[tokio::main]` writes it.
    pub(crate) fn blocks_on_a_future(&self) -> bool {
        !self.is_async() && has_word("block_on", self.body.to_token_stream())
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
            Kind::ReturnsFutures => futures::output(written_output(&self.item.sig.output)?)?,
            Kind::Sync | Kind::Async => written_output(&self.item.sig.output)?,
        };
        let returned = futures::ungrouped(returned);
        if matches!(returned, Type::Tuple(unit) if unit.elems.is_empty()) { None } else { Some(returned) }
    }

    /// Returns the type of a call's result, unless it is `()`, `!` or an `impl Trait`. Only such a
    /// type can be a `Result`.
    pub(crate) fn named_return_type(&self) -> Option<&Type> {
        self.return_type().filter(|returned| !matches!(returned, Type::ImplTrait(_) | Type::Never(_)))
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

    /// Returns a call of a closure that has the body, so that `return` leaves only the body. If the
    /// function is async it is an `async` block, which may return what a closure may not: borrows
    /// from `&mut` arguments. The block may move the arguments if nobody needs them after it. By
    /// reference, those that are not `Sync` would make a future that is not `Send`.
    pub(crate) fn call_body(&self, may_move: bool) -> TokenStream {
        let body = &self.body;
        // Where the compiler reports that the body moves what another attempt needs.
        let at_name = Span::mixed_site().located_at(self.name().span());
        let returned = self.return_type().map(|returned| {
            let mut returned = returned.clone();
            InferImplTrait.visit_type_mut(&mut returned);
            returned
        });
        if self.is_async() {
            let returned = returned.unwrap_or_else(|| parse_quote!(()));
            let never = hygienic("never");
            let statements = &body.stmts;
            // The first statement says which type the block returns.
            let capture = may_move.then(|| quote!(move));
            quote_spanned!(at_name=> async #capture {
                if let Some(#never) = ::core::option::Option::None::<#returned> {
                    return #never;
                }
                #(#statements)*
            })
        } else {
            let returned = returned.map(|returned| quote!(-> #returned));
            quote_spanned!(at_name=> (|| #returned #body)())
        }
    }

    /// Returns the arguments besides `self`.
    pub(crate) fn arguments(&self) -> impl Iterator<Item = &Pat> {
        self.item.sig.inputs.iter().filter_map(|argument| match argument {
            FnArg::Typed(argument) => Some(&*argument.pat),
            FnArg::Receiver(_) => None,
        })
    }

    /// Returns whether an expression uses an argument.
    pub(crate) fn is_used_in(&self, expression: &Expr) -> bool {
        let tokens = expression.to_token_stream();
        let names = self.arguments().flat_map(bound_names).map(ToString::to_string);
        names.chain(["self".to_owned()]).any(|name| has_word(&name, tokens.clone()))
    }

    /// Returns the names of what the body may move, as they are where it is called. A name that
    /// begins with an underscore promises that the body does not use it.
    pub(crate) fn movable(&self) -> Vec<Ident> {
        let of_prelude = self.prelude.iter().filter_map(|statement| match statement {
            Stmt::Local(local) => Some(&local.pat),
            _ => None,
        });
        let arguments = self.arguments().filter(|_| self.prelude.is_empty());
        let names = arguments.chain(of_prelude).flat_map(bound_names).cloned();
        let receiver = self.item.sig.receiver().filter(|_| self.prelude.is_empty() && !self.is_called_by_reference());
        let receiver = receiver.map(|receiver| Ident::new("self", receiver.self_token.span));
        receiver.into_iter().chain(names).filter(|name| !name.to_string().starts_with('_')).collect()
    }

    /// Returns whether its receiver is `&self` or `&mut self`.
    fn is_called_by_reference(&self) -> bool {
        self.item.sig.receiver().is_some_and(|receiver| matches!(receiver.kind, ReceiverKind::Reference(..)))
    }

    pub(crate) fn has_receiver(&self) -> bool {
        self.item.sig.receiver().is_some()
    }

    pub(crate) fn has_type_parameters(&self) -> bool {
        let mut parameters = self.item.sig.generics.params.iter();
        parameters.any(|parameter| !matches!(parameter, GenericParam::Lifetime(_)))
    }

    /// Returns whether there is an `impl Trait` in the type of an argument.
    pub(crate) fn has_impl_trait_arguments(&self) -> bool {
        self.has_arguments_with(|ty| matches!(ty, Type::ImplTrait(_)))
    }

    /// Returns whether there is a `dyn Trait` in the type of an argument.
    pub(crate) fn has_dyn_trait_arguments(&self) -> bool {
        self.has_arguments_with(|ty| matches!(ty, Type::TraitObject(_)))
    }

    fn has_arguments_with(&self, is_it: fn(&Type) -> bool) -> bool {
        let mut find = FindType { is_it, found: false };
        for argument in &self.item.sig.inputs {
            find.visit_fn_arg_mut(&mut argument.clone());
        }
        find.found
    }

    /// Returns the variable that keeps what retries need of the error that a layer has raised in
    /// the last attempt.
    pub(crate) fn raised() -> Ident {
        hygienic("raised")
    }

    /// Returns the variable that says whether a limit has ended the call with a value of its own,
    /// which no cache remembers.
    pub(crate) fn is_fallback() -> Ident {
        hygienic("is_fallback")
    }

    /// Keeps what retries need of an `error` of this crate's in [`raised`](Self::raised), if the
    /// function is retried.
    pub(crate) fn keep_for_retry(&self, error: &Ident, raised_by: RaisedBy) -> Option<TokenStream> {
        let raised = Self::raised();
        let runtime = runtime();
        let constructor = match raised_by {
            RaisedBy::Call => quote!(by),
            RaisedBy::Limit => quote!(by_limit),
        };
        self.is_retried.then(|| quote!(#raised = Some(#runtime::Raised::#constructor(&#error));))
    }

    /// Checks that the body can run again as it ran before.
    pub(crate) fn check_can_run_again(&self) -> Result<()> {
        const IS_MUTABLE: &str =
            "a retry would see this argument as the previous attempt left it: drop `mut` and clone it in the body";
        for argument in &self.item.sig.inputs {
            let mutable = match argument {
                FnArg::Receiver(receiver) => receiver.mutability.map(|_| quote!(#receiver)),
                FnArg::Typed(argument) => mutable_binding(&argument.pat).map(ToTokens::to_token_stream),
            };
            if let Some(mutable) = mutable {
                return Err(Error::new_spanned(mutable, IS_MUTABLE));
            }
        }
        let is_reference = self.is_called_by_reference();
        let moved = self.prelude.iter().find_map(|statement| match statement {
            Stmt::Local(_) if moves_self(statement) && is_reference => None,
            Stmt::Local(argument) => mutable_binding(&argument.pat),
            _ => None,
        });
        if let Some(mutable) = moved {
            return Err(Error::new_spanned(mutable, IS_MUTABLE));
        }
        match self.return_type() {
            Some(returned) if borrows::from_mutable_argument(returned, &self.item.sig) => Err(Error::new_spanned(
                returned,
                "a retry cannot return what it borrows from a `&mut` argument, because the next attempt borrows it again: return \
                 an owned value, and borrow after the call",
            )),
            _ => Ok(()),
        }
    }
}

/// Exchanges one of the function's bodies: its block, or that of a future that it returns. The
/// future owns what it uses, as the layers in it may use arguments that the body does not.
fn swap_body(function: &mut ItemFn, number: usize, body: &mut Block) {
    if !matches!(Kind::of(function), Kind::ReturnsFutures) {
        return mem::swap(&mut *function.block, body);
    }
    let mut numbers = 0..;
    let seen = futures::each_returned(&mut function.block, |future| {
        if numbers.next() == Some(number) {
            future.capture.get_or_insert_default();
            mem::swap(&mut future.block, body);
        }
    });
    seen.expect("the bodies are counted before");
}

/// What has raised an error of this crate.
#[derive(Clone, Copy)]
pub(crate) enum RaisedBy {
    /// A layer that runs the body.
    Call,
    /// A limit, in place of the body.
    Limit,
}

/// Returns the first `mut` name that a pattern binds.
fn mutable_binding(pattern: &Pat) -> Option<&PatIdent> {
    match pattern {
        Pat::Ident(name) if name.mutability.is_some() => Some(name),
        Pat::Ident(PatIdent { subpat: Some((_, inner)), .. }) => mutable_binding(inner),
        Pat::TupleStruct(inner) => inner.elems.iter().find_map(mutable_binding),
        Pat::Tuple(inner) => inner.elems.iter().find_map(mutable_binding),
        Pat::Slice(inner) => inner.elems.iter().find_map(mutable_binding),
        Pat::Struct(inner) => inner.fields.iter().find_map(|field| mutable_binding(&field.pat)),
        Pat::Reference(inner) => mutable_binding(&inner.pat),
        Pat::Paren(inner) => mutable_binding(&inner.pat),
        _ => None,
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

pub(crate) fn has_word(word: &str, tokens: TokenStream) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(ident) => ident == word,
        TokenTree::Group(group) => has_word(word, group.stream()),
        _ => false,
    })
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

fn written_output(output: &ReturnType) -> Option<&Type> {
    match output {
        ReturnType::Default => None,
        ReturnType::Type(_, returned) => Some(returned),
    }
}

/// Looks for a type, also within other types.
struct FindType {
    is_it: fn(&Type) -> bool,
    found: bool,
}

impl VisitMut for FindType {
    fn visit_type_mut(&mut self, ty: &mut Type) {
        self.found |= (self.is_it)(ty);
        visit_mut::visit_type_mut(self, ty);
    }
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
