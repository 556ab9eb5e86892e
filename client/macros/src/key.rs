//! What a call is counted or remembered under.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Error, Expr, ExprClosure, Ident, Lit, LitStr, Pat, Result};

use crate::function::{Function, names};

/// The part of the key that a user gives, and its keyspace.
#[derive(Default)]
pub(crate) struct Key {
    custom: Option<ExprClosure>,
    keyspace: Option<LitStr>,
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.custom == other.custom && self.keyspace == other.keyspace
    }
}

impl Key {
    pub(crate) fn new(custom: Option<Expr>, keyspace: Option<Expr>) -> Result<Self> {
        let custom = match custom {
            None => None,
            Some(Expr::Closure(closure)) => Some(closure),
            Some(other) => {
                return Err(Error::new_spanned(other, "a key is a closure over the arguments, like |user, _| user.id"));
            }
        };
        let keyspace = match keyspace {
            None => None,
            Some(Expr::Lit(syn::ExprLit { lit: Lit::Str(name), .. })) => Some(name),
            Some(other) => return Err(Error::new_spanned(other, "a keyspace is a string, like \"premier\"")),
        };
        Ok(Self { custom, keyspace })
    }

    pub(crate) fn is_custom(&self) -> bool {
        self.custom.is_some()
    }

    /// The key of all calls, or of those that have the custom part in common.
    pub(crate) fn of(&self, function: &Function) -> Result<TokenStream> {
        let Some(closure) = &self.custom else { return Ok(self.of_function()) };
        let key = self.of_function();
        let bindings = bindings(closure, function)?;
        let custom = &closure.body;
        Ok(quote!({ #(#bindings)* #key.custom(#custom) }))
    }

    /// The key of calls that have all arguments in common.
    pub(crate) fn of_arguments(&self, function: &Function) -> TokenStream {
        let key = self.of_function();
        let arguments: Vec<_> = function.arguments().flat_map(names).collect();
        if arguments.is_empty() { key } else { quote!(#key.custom_parts(&[#(&#arguments),*])) }
    }

    fn of_function(&self) -> TokenStream {
        let key = quote!(::premier_client::Key::new(::core::module_path!(), ::premier_client::function_name!()));
        match &self.keyspace {
            None => key,
            Some(keyspace) => quote!({
                static KEYSPACE: ::premier_client::Keyspace = ::premier_client::Keyspace::from_static(#keyspace);
                #key.keyspace(&KEYSPACE)
            }),
        }
    }
}

/// What the closure calls the arguments.
fn bindings(closure: &ExprClosure, function: &Function) -> Result<Vec<TokenStream>> {
    let count = function.arguments().count();
    if count != closure.inputs.len() {
        return Err(Error::new_spanned(
            &closure.inputs,
            format!(
                "the function has {count} arguments beside self, and so must this closure; `_` for those it does not need"
            ),
        ));
    }
    let pairs = closure.inputs.iter().zip(function.arguments());
    pairs
        .filter(|(name, _)| !matches!(name, Pat::Wild(_)))
        .map(|(name, argument)| {
            let argument = only_name(argument)?;
            Ok(quote!(let #name = &#argument;))
        })
        .collect()
}

fn only_name(argument: &Pat) -> Result<&Ident> {
    match names(argument)[..] {
        [name] => Ok(name),
        _ => Err(Error::new_spanned(argument, "the key can use only arguments that are called by one name")),
    }
}
