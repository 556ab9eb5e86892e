//! The function that has the attributes.

use std::mem;

use proc_macro2::{Group, Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::visit_mut::VisitMut;
use syn::{
    Block, Error, Expr, FnArg, GenericParam, Ident, ItemFn, Local, Pat, PatIdent, ReceiverKind, Result, ReturnType,
    Stmt, Type, Visibility, parse_quote, visit_mut,
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
    /// An attribute has made an async function sync.
    MadeSync,
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
        } else if is_of_tokio(&function.block) {
            Self::MadeSync
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
    match Kind::of(function) {
        Kind::ReturnsFutures => {
            let mut futures = 0;
            futures::each_returned(&mut function.block, |_| futures += 1)?;
            Ok(futures)
        }
        Kind::Sync if written_output(&function.sig.output).is_some_and(futures::is_opaque) => Err(Error::new_spanned(
            &function.sig.output,
            "attributes cannot see what this future returns: write the type as Pin<Box<dyn Future<Output = …>>>",
        )),
        Kind::Sync | Kind::MadeSync | Kind::Async => Ok(1),
    }
}

/// Returns a statement that the compiler refuses if a function that looks sync returns a future, by
/// an alias or as an associated type. If it holds a permit, it may not return a `Result` of one
/// either.
pub(crate) fn check_by_compiler(function: &ItemFn, is_held: bool) -> Option<Stmt> {
    let returned = written_output(&function.sig.output)?;
    // Only the compiler can name a type that has these.
    let is_unnamed = has_type(returned, |ty| matches!(ty, Type::ImplTrait(_) | Type::Never(_)));
    if is_unnamed || !matches!(Kind::of(function), Kind::Sync) {
        return None;
    }
    let runtime = runtime();
    let marker = quote_spanned!(returned.span()=> (&::core::marker::PhantomData::<#returned>));
    let is_no_future = quote_spanned!(returned.span()=> #marker.check_is_no_future(););
    let holds_no_future = is_held.then(|| quote_spanned!(returned.span()=> #marker.check_holds_no_future();));
    Some(parse_quote!({
        use #runtime::{OfFuture as _, OfFutureInResult as _, OfOther as _};
        #is_no_future
        #holds_no_future
    }))
}

/// Checks that the names of all arguments are seen.
pub(crate) fn check_arguments(function: &ItemFn) -> Result<()> {
    let unseen = function.sig.inputs.iter().find_map(|argument| match argument {
        FnArg::Typed(argument) => unseen_part(&argument.pat),
        FnArg::Receiver(_) => None,
    });
    unseen.map_or(Ok(()), |unseen| {
        Err(Error::new_spanned(
            unseen,
            "attributes cannot see which names this pattern binds: write it without a macro",
        ))
    })
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
            Kind::Sync | Kind::MadeSync | Kind::Async => Vec::new(),
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
        !matches!(self.kind, Kind::Sync | Kind::MadeSync)
    }

    /// Whether an attribute has made it sync.
    pub(crate) fn was_async(&self) -> bool {
        matches!(self.kind, Kind::MadeSync)
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

    /// Returns the method that checks whether a given throttler or cache is one for functions of
    /// this kind.
    pub(crate) fn check_of_given(&self) -> &'static str {
        if self.is_async() {
            "of_async_function"
        } else if self.was_async() {
            "of_function_made_sync"
        } else {
            "of_sync_function"
        }
    }

    pub(crate) fn name(&self) -> &Ident {
        &self.item.sig.ident
    }

    /// Returns the type of a call's result, that of its future if it is async. `None` if it is
    /// `()`.
    fn return_type(&self) -> Option<&Type> {
        let returned = match self.kind {
            Kind::ReturnsFutures => futures::output(written_output(&self.item.sig.output)?)?,
            Kind::Sync | Kind::MadeSync | Kind::Async => written_output(&self.item.sig.output)?,
        };
        let returned = futures::ungrouped(returned);
        if matches!(returned, Type::Tuple(unit) if unit.elems.is_empty()) { None } else { Some(returned) }
    }

    /// Returns the type of a call's result, unless it is `()`, `!` or an `impl Trait`. Only such a
    /// type can be a `Result`.
    pub(crate) fn named_return_type(&self) -> Option<&Type> {
        self.return_type().filter(|returned| !matches!(returned, Type::ImplTrait(_) | Type::Never(_)))
    }

    /// Returns the type of a call's result, as it may be written in the body. `None` if it is `()`.
    fn inferred_return_type(&self) -> Option<Type> {
        let mut returned = self.return_type()?.clone();
        InferImplTrait.visit_type_mut(&mut returned);
        Some(returned)
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
        let returned = self.inferred_return_type().map_or_else(|| quote!(()), Type::into_token_stream);
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
        let returned = self.inferred_return_type();
        if self.is_async() {
            let returned = returned.unwrap_or_else(|| parse_quote!(()));
            let never = hygienic("never");
            let statements = &body.stmts;
            // The first statement says which type the block returns.
            let capture = may_move.then(|| quote!(move));
            quote_spanned!(at_name=> async #capture {
                if let ::core::option::Option::Some(#never) = ::core::option::Option::None::<#returned> {
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
        let names = self.arguments().flat_map(names_in).map(|name| name.ident.to_string());
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

    /// Returns whether a function whose path names a type is in its `impl`, or in a trait, and not
    /// in a function of that name. Nobody writes `pub` within a function.
    pub(crate) fn is_method(&self) -> bool {
        let is_public = !matches!(self.item.vis, Visibility::Inherited);
        is_public || self.has_receiver() || has_word("Self", self.item.sig.to_token_stream())
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
        self.item.sig.inputs.iter().any(|argument| match argument {
            FnArg::Typed(argument) => has_type(&argument.ty, is_it),
            FnArg::Receiver(_) => false,
        })
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
        self.is_retried
            .then(|| quote!(#raised = ::core::option::Option::Some(#runtime::Raised::#constructor(&#error));))
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
    names_in(pattern).into_iter().find(|name| name.mutability.is_some())
}

/// Returns the names that a pattern binds. What binds `whole @ (one, other)` is its whole.
pub(crate) fn bound_names(pattern: &Pat) -> Vec<&Ident> {
    match pattern {
        Pat::Ident(name) => vec![&name.ident],
        // Each alternative binds the same names. What only one has is a constant, like `None`.
        Pat::Or(or) => {
            let mut alternatives = or.cases.iter().map(bound_names);
            let first = alternatives.next().unwrap_or_default();
            alternatives.fold(first, |names, other| names.into_iter().filter(|name| other.contains(name)).collect())
        }
        _ => parts(pattern).into_iter().flat_map(bound_names).collect(),
    }
}

/// Returns all names in a pattern: also those within `whole @ (one, other)`, and those of each
/// alternative.
fn names_in(pattern: &Pat) -> Vec<&PatIdent> {
    let name = match pattern {
        Pat::Ident(name) => Some(name),
        _ => None,
    };
    name.into_iter().chain(parts(pattern).into_iter().flat_map(names_in)).collect()
}

/// Returns the patterns that a pattern consists of.
fn parts(pattern: &Pat) -> Vec<&Pat> {
    match pattern {
        Pat::Ident(PatIdent { subpat: Some((_, inner)), .. }) => vec![inner],
        Pat::Or(inner) => inner.cases.iter().collect(),
        Pat::TupleStruct(inner) => inner.elems.iter().collect(),
        Pat::Tuple(inner) => inner.elems.iter().collect(),
        Pat::Slice(inner) => inner.elems.iter().collect(),
        Pat::Struct(inner) => inner.fields.iter().map(|field| &*field.pat).collect(),
        Pat::Reference(inner) => vec![&inner.pat],
        Pat::Paren(inner) => vec![&inner.pat],
        _ => Vec::new(),
    }
}

/// Returns the first part of a pattern whose names only the compiler sees.
fn unseen_part(pattern: &Pat) -> Option<&Pat> {
    match pattern {
        Pat::Macro(_) | Pat::Verbatim(_) => Some(pattern),
        _ => parts(pattern).into_iter().find_map(unseen_part),
    }
}

/// Whether `#[tokio::main]` or `#[tokio::test]` wrote the body: it begins with `let body = async {
/// … };` and ends with `{ return ….block_on(body); }`.
fn is_of_tokio(body: &Block) -> bool {
    let [Stmt::Local(Local { pat, init: Some(init), .. }), .., Stmt::Expr(Expr::Block(end), None)] = &body.stmts[..]
    else {
        return false;
    };
    let Some(Stmt::Expr(Expr::Return(returned), _)) = end.block.stmts.last() else { return false };
    matches!(pat, Pat::Ident(name) if name.ident == "body")
        && matches!(*init.expr, Expr::Async(_))
        && matches!(returned.expr.as_deref(), Some(Expr::MethodCall(call)) if call.method == "block_on")
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

/// Returns whether a type is, or has within it, one of this kind.
fn has_type(ty: &Type, is_it: fn(&Type) -> bool) -> bool {
    let mut find = FindType { is_it, found: false };
    find.visit_type_mut(&mut ty.clone());
    find.found
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

/// Replaces `impl Trait`, which only the type of a function may have, by `_`, which the compiler
/// infers.
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
