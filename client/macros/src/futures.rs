//! The futures that a function returns, as one of `fn f() -> Pin<Box<dyn Future<Output = R>>>`
//! does. Each is made by an `async` block, which is the body of a call.

use proc_macro2::{Ident, TokenStream, TokenTree};
use quote::ToTokens;
use syn::visit_mut::{self, VisitMut};
use syn::{
    Block, Error, Expr, ExprAsync, ExprClosure, ExprMacro, ExprReturn, GenericArgument, Item, Macro, PathArguments,
    PathSegment, Result, Stmt, StmtMacro, Type, TypeParamBound, parse_quote, parse2,
};

use crate::function::has_word;

/// Returns `R` of `Pin<Box<dyn Future<Output = R>>>`, `BoxFuture<'_, R>` or `impl Future<Output =
/// R>`.
pub(crate) fn output(returned: &Type) -> Option<&Type> {
    match ungrouped(returned) {
        Type::TraitObject(object) => output_of_trait(&object.bounds),
        Type::ImplTrait(bounds) => output_of_trait(&bounds.bounds),
        Type::Path(path) => {
            let last = path.path.segments.last()?;
            let PathArguments::AngleBracketed(inner) = &last.arguments else { return None };
            let inner = inner.args.iter().find_map(|argument| match argument {
                GenericArgument::Type(inner) => Some(inner),
                _ => None,
            })?;
            match last.ident.to_string().as_str() {
                "Pin" | "Box" => output(inner),
                "BoxFuture" | "LocalBoxFuture" => Some(inner),
                _ => None,
            }
        }
        _ => None,
    }
}

/// Whether this is an `impl Trait` of a future.
pub(crate) fn is_opaque(returned: &Type) -> bool {
    let Type::ImplTrait(opaque) = ungrouped(returned) else { return false };
    opaque.bounds.iter().any(|bound| future_trait(bound).is_some())
}

fn future_trait(bound: &TypeParamBound) -> Option<&PathSegment> {
    let TypeParamBound::Trait(bound) = bound else { return None };
    bound.path.segments.last().filter(|last| last.ident.to_string().ends_with("Future"))
}

fn output_of_trait<'a>(bounds: impl IntoIterator<Item = &'a TypeParamBound>) -> Option<&'a Type> {
    bounds.into_iter().find_map(|bound| {
        let PathArguments::AngleBracketed(inner) = &future_trait(bound)?.arguments else { return None };
        inner.args.iter().find_map(|argument| match argument {
            GenericArgument::AssocType(output) if output.ident == "Output" => Some(&output.ty),
            _ => None,
        })
    })
}

/// Returns the type without the parentheses, and without the invisible ones of `macro_rules!`.
pub(crate) fn ungrouped(mut ty: &Type) -> &Type {
    loop {
        ty = match ty {
            Type::Group(group) => &group.elem,
            Type::Paren(paren) => &paren.elem,
            _ => return ty,
        }
    }
}

/// Shows the `async` block of each future that a function returns, in the order of the source.
///
/// # Errors
/// If one is made in another way, as nothing can be put around its body.
pub(crate) fn each_returned(function: &mut Block, each: impl FnMut(&mut ExprAsync)) -> Result<()> {
    let mut returned = Returned { each, refused: None };
    returned.block(function);
    returned.refused.map_or(Ok(()), Err)
}

struct Returned<F> {
    each: F,
    refused: Option<Error>,
}

impl<F: FnMut(&mut ExprAsync)> Returned<F> {
    /// Finds what a block evaluates to, and what it returns before its end.
    fn block(&mut self, block: &mut Block) {
        let Some((last, before)) = block.stmts.split_last_mut() else { return };
        for statement in before {
            self.visit_stmt_mut(statement);
        }
        match last {
            Stmt::Expr(value, None) => self.value(value),
            Stmt::Macro(value) if value.semi_token.is_none() => self.value_of_macro(&value.mac),
            other => self.visit_stmt_mut(other),
        }
    }

    /// Finds the futures that an expression in the place of a return value may evaluate to.
    fn value(&mut self, value: &mut Expr) {
        match value {
            Expr::Async(future) => (self.each)(future),
            Expr::Call(call) if is_box_pin(&call.func) && call.args.len() == 1 => self.value(&mut call.args[0]),
            Expr::MethodCall(call) if call.method == "boxed" || call.method == "boxed_local" => {
                self.value(&mut call.receiver);
            }
            Expr::Paren(inner) => self.value(&mut inner.expr),
            Expr::Group(inner) => self.value(&mut inner.expr),
            Expr::Cast(inner) => self.value(&mut inner.expr),
            Expr::Block(block) if block.label.is_none() => self.block(&mut block.block),
            Expr::Unsafe(block) => self.block(&mut block.block),
            Expr::If(choice) => {
                self.visit_expr_mut(&mut choice.cond);
                self.block(&mut choice.then_branch);
                if let Some((_, otherwise)) = &mut choice.else_branch {
                    self.value(otherwise);
                }
            }
            Expr::Match(choice) => {
                self.visit_expr_mut(&mut choice.expr);
                for arm in &mut choice.arms {
                    self.visit_pat_mut(&mut arm.pat);
                    self.value(&mut arm.body);
                }
            }
            Expr::Return(returned) => self.visit_expr_return_mut(returned),
            Expr::Macro(value) => self.value_of_macro(&value.mac),
            other => self.refuse(
                other,
                "attributes cover only the `async` blocks that a function returns: return Box::pin(async move { … }) here, \
                 and await this future in it",
            ),
        }
    }

    fn value_of_macro(&mut self, value: &Macro) {
        if !name_is_in(value, DIVERGING) {
            self.refuse(value, IN_A_MACRO);
        }
    }

    fn refuse(&mut self, tokens: impl ToTokens, text: &str) {
        self.refused.get_or_insert_with(|| Error::new_spanned(tokens, text));
    }
}

const IN_A_MACRO: &str = "attributes cannot see whether this macro returns a future: move it into the `async` block";

/// Visits what runs before the future is returned.
impl<F: FnMut(&mut ExprAsync)> VisitMut for Returned<F> {
    fn visit_expr_return_mut(&mut self, returned: &mut ExprReturn) {
        if let Some(value) = &mut returned.expr {
            self.value(value);
        }
    }

    // In a closure that returns nothing, `return` in a macro is an error of the compiler.
    fn visit_stmt_mut(&mut self, statement: &mut Stmt) {
        if let Stmt::Macro(StmtMacro { attrs, mac, .. }) = statement
            && name_is_in(mac, LOGGING)
        {
            *statement = parse_quote!((|| -> () { #(#attrs)* #mac; })(););
        }
        visit_mut::visit_stmt_mut(self, statement);
    }

    fn visit_expr_mut(&mut self, expression: &mut Expr) {
        if let Expr::Macro(ExprMacro { mac, .. }) = expression
            && name_is_in(mac, LOGGING)
        {
            *expression = parse_quote!((|| -> () { #mac })());
        }
        visit_mut::visit_expr_mut(self, expression);
    }

    fn visit_macro_mut(&mut self, call: &mut Macro) {
        let is_known = name_is_in(call, DIVERGING) || name_is_in(call, RETURNING_NOTHING);
        if !is_known || has_word("return", call.tokens.clone()) || has_unknown_macro(call.tokens.clone()) {
            self.refuse(call, IN_A_MACRO);
        }
    }

    // These return from themselves.
    fn visit_expr_async_mut(&mut self, _: &mut ExprAsync) {}
    fn visit_expr_closure_mut(&mut self, _: &mut ExprClosure) {}
    fn visit_item_mut(&mut self, item: &mut Item) {
        if let Item::Macro(call) = item
            && call.ident.is_none()
        {
            visit_mut::visit_item_macro_mut(self, call);
        }
    }
}

fn is_box_pin(function: &Expr) -> bool {
    let Expr::Path(function) = function else { return false };
    let names: Vec<_> = function.path.segments.iter().map(|segment| segment.ident.to_string()).collect();
    names.ends_with(&["Box".to_owned(), "pin".to_owned()])
}

const DIVERGING: &[&str] = &["panic", "todo", "unimplemented", "unreachable"];

/// The macros that log, and return nothing. They have names that one's own macros may have too.
const LOGGING: &[&str] = &["debug", "error", "event", "info", "log", "trace", "warn"];

/// The other macros of the standard library and of tracing that cannot make their caller return.
const RETURNING_NOTHING: &[&str] = &[
    "assert",
    "assert_eq",
    "assert_ne",
    "cfg",
    "column",
    "concat",
    "dbg",
    "debug_assert",
    "debug_assert_eq",
    "debug_assert_ne",
    "debug_span",
    "env",
    "eprint",
    "eprintln",
    "error_span",
    "file",
    "format",
    "format_args",
    "include_bytes",
    "include_str",
    "info_span",
    "line",
    "matches",
    "module_path",
    "option_env",
    "print",
    "println",
    "span",
    "stringify",
    "thread_local",
    "trace_span",
    "vec",
    "warn_span",
    "write",
    "writeln",
];

/// Whether one of the tokens of a macro's call may be the call of a macro that returns.
fn has_unknown_macro(tokens: TokenStream) -> bool {
    let tokens: Vec<_> = tokens.into_iter().collect();
    let is_call = |tokens: &[TokenTree]| match tokens {
        [TokenTree::Ident(name), TokenTree::Punct(mark), TokenTree::Group(_)] if mark.as_char() == '!' => {
            // `return !(…)` calls nothing.
            let is_keyword = parse2::<Ident>(name.to_token_stream()).is_err();
            !is_keyword && !DIVERGING.iter().chain(RETURNING_NOTHING).any(|known| name == known)
        }
        _ => false,
    };
    tokens.windows(3).any(is_call)
        || tokens.into_iter().any(|token| match token {
            TokenTree::Group(group) => has_unknown_macro(group.stream()),
            _ => false,
        })
}

fn name_is_in(call: &Macro, names: &[&str]) -> bool {
    call.path.segments.last().is_some_and(|last| names.iter().any(|name| last.ident == name))
}
