//! The key that a call is counted or cached under.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use proc_macro2::{Literal, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::spanned::Spanned as _;
use syn::{Error, Expr, ExprClosure, ExprLit, Ident, Lit, LitStr, Pat, PatType, Result};

use crate::function::{Function, bound_names};
use crate::names::runtime;

/// The closure that computes the user's part of the key, and the keyspace.
pub(crate) struct Key {
    closure: Option<ExprClosure>,
    keyspace: Option<LitStr>,
}

/// The keyspace of throttlers and caches that are given no other.
const DEFAULT_KEYSPACE: &str = "premier";

impl Key {
    pub(crate) fn new(closure: Option<Expr>, keyspace: Option<Expr>) -> Result<Self> {
        let closure = match closure {
            None => None,
            Some(Expr::Closure(closure)) => Some(closure),
            Some(other) => {
                return Err(Error::new_spanned(
                    other,
                    "`key` must be a closure over the function's arguments, like |user, _| user.id",
                ));
            }
        };
        let keyspace = match keyspace {
            None => None,
            Some(Expr::Lit(ExprLit { lit: Lit::Str(name), .. })) => Some(name),
            Some(other) => return Err(Error::new_spanned(other, "`keyspace` must be a string, like \"shop\"")),
        };
        Ok(Self { closure, keyspace })
    }

    pub(crate) fn has_closure(&self) -> bool {
        self.closure.is_some()
    }

    /// Returns whether both may be the same key of a function. Two closures may return the same,
    /// whatever they are.
    pub(crate) fn may_be(&self, other: &Self) -> bool {
        self.has_closure() == other.has_closure() && self.has_keyspace_of(other)
    }

    /// Returns whether both have the same keyspace, as far as the attributes know: without one it
    /// is the default.
    pub(crate) fn has_keyspace_of(&self, other: &Self) -> bool {
        let [one, other] = [self, other].map(|key| key.keyspace.as_ref().map(LitStr::value));
        one.as_deref().unwrap_or(DEFAULT_KEYSPACE) == other.as_deref().unwrap_or(DEFAULT_KEYSPACE)
    }

    /// Returns the key of all calls of the function, or with a closure of those for which it
    /// returns the same.
    pub(crate) fn of_call(&self, function: &Function) -> Result<TokenStream> {
        let key = self.of_function(function);
        let Some(closure) = &self.closure else { return Ok(key) };
        let parameters = bind_parameters(closure, function)?;
        let (output, body) = (&closure.output, &closure.body);
        // The compiler reports at the body if it does not return what can be displayed.
        let custom = quote_spanned!(Span::mixed_site().located_at(body.span())=> (|| #output #body)());
        Ok(quote!({ #parameters #key.custom(#custom) }))
    }

    /// Returns the key of the calls that have the same arguments.
    pub(crate) fn of_arguments(&self, function: &Function) -> TokenStream {
        let key = self.of_function(function);
        // The compiler reports at the argument if it cannot be displayed.
        let arguments = function.arguments().flat_map(bound_names);
        let arguments: Vec<_> = arguments.map(|name| quote_spanned!(name.span()=> &#name)).collect();
        if arguments.is_empty() { key } else { quote!(#key.custom_parts(&[#(#arguments),*])) }
    }

    fn of_function(&self, function: &Function) -> TokenStream {
        let runtime = runtime();
        let span = function.name().span();
        let (line, column) = line_and_column(span);
        // In a macro's code these are the line and column of its use.
        let expanded = quote_spanned!(span=> (::core::line!(), ::core::column!()));
        let place = quote!([(#line, #column), #expanded]);
        let repetition = function.repetition;
        let closure = quote!(::core::any::type_name_of_val(&|| ()));
        let is_method = function.is_method();
        let key = quote!(#runtime::key_of(#closure, ::core::module_path!(), #is_method, #place, #repetition));
        match &self.keyspace {
            None => key,
            Some(keyspace) => quote!({
                static KEYSPACE: ::premier_client::Keyspace = ::premier_client::Keyspace::from_static(#keyspace);
                #key.keyspace(&KEYSPACE)
            }),
        }
    }
}

/// Returns how many functions with a name of this span have been expanded before, and counts this
/// one: a macro may repeat the same words.
pub(crate) fn count_repetition(span: Span) -> u32 {
    static EXPANDED: Mutex<BTreeMap<(String, usize, usize), u32>> = Mutex::new(BTreeMap::new());
    if !proc_macro::is_available() {
        return 0;
    }
    let span = span.unwrap();
    let mut expanded = EXPANDED.lock().unwrap_or_else(PoisonError::into_inner);
    let count = expanded.entry((span.file(), span.line(), span.column())).or_default();
    *count += 1;
    *count - 1
}

/// Returns where the user's code has the span, in the code of a macro too.
fn line_and_column(span: Span) -> (Literal, Literal) {
    // Tests of this crate run outside of the compiler.
    let (line, column) =
        if proc_macro::is_available() { (span.unwrap().line(), span.unwrap().column()) } else { (0, 0) };
    (Literal::usize_unsuffixed(line), Literal::usize_unsuffixed(column))
}

/// Binds the closure's parameters to references to the arguments. All are bound at once, so that
/// none hides an argument from another.
fn bind_parameters(closure: &ExprClosure, function: &Function) -> Result<TokenStream> {
    let [expected, found] = [function.arguments().count(), closure.inputs.len()];
    if expected != found {
        return Err(Error::new_spanned(
            &closure.inputs,
            format!(
                "expected {expected} parameters, one for each argument besides `self` (`_` if the key does not need it), \
                 found {found}"
            ),
        ));
    }
    let pairs = closure.inputs.iter().zip(function.arguments());
    let used = pairs.filter(|(parameter, _)| !matches!(parameter, Pat::Wild(_)));
    let (mut patterns, mut types, mut names) = (Vec::new(), Vec::new(), Vec::new());
    for (parameter, argument) in used {
        let (pattern, ty) = match parameter {
            Pat::Type(PatType { pat, ty, .. }) => (&**pat, quote!(#ty)),
            pattern => (pattern, quote!(_)),
        };
        patterns.push(pattern);
        types.push(ty);
        names.push(single_name(argument)?);
    }
    Ok(quote!(let (#(#patterns,)*): (#(#types,)*) = (#(&#names,)*);))
}

fn single_name(argument: &Pat) -> Result<&Ident> {
    match bound_names(argument)[..] {
        [name] => Ok(name),
        ref names => Err(Error::new_spanned(
            argument,
            format!("`key` cannot use a pattern that binds {} names: expected one, or `_` in the closure", names.len()),
        )),
    }
}
