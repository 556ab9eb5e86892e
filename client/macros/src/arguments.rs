//! What stands in the brackets of an attribute: `name = value, …`.

use proc_macro2::Span;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Error, Expr, Ident, Result, Token};

struct Argument {
    name: Ident,
    value: Expr,
}

impl Parse for Argument {
    fn parse(input: ParseStream) -> Result<Self> {
        let name = input.parse()?;
        input.parse::<Token![=]>()?;
        Ok(Self { name, value: input.parse()? })
    }
}

/// Arguments, each of which is one of those that there are and given once only.
pub(crate) struct Arguments {
    given: Vec<Argument>,
}

impl Arguments {
    pub(crate) fn parse(input: ParseStream, known: &[&str]) -> Result<Self> {
        let mut given: Vec<Argument> = Vec::new();
        for argument in Punctuated::<Argument, Token![,]>::parse_terminated(input)? {
            let name = &argument.name;
            if !known.iter().any(|known| name == known) {
                let known = known.join(", ");
                return Err(Error::new(name.span(), format!("no argument of this attribute, which takes {known}")));
            }
            if given.iter().any(|other| other.name == *name) {
                return Err(Error::new(name.span(), format!("{name} may be given once only")));
            }
            given.push(argument);
        }
        Ok(Self { given })
    }

    pub(crate) fn take(&mut self, name: &str) -> Option<Expr> {
        let index = self.given.iter().position(|argument| argument.name == name)?;
        Some(self.given.swap_remove(index).value)
    }

    /// The first of these that is given, as it is written.
    pub(crate) fn name_of(&self, names: &[&str]) -> Option<&Ident> {
        self.given.iter().map(|argument| &argument.name).find(|given| names.iter().any(|name| given == name))
    }

    pub(crate) fn require(&mut self, name: &str, example: &str) -> Result<Expr> {
        self.take(name).ok_or_else(|| Error::new(Span::call_site(), format!("{name} is missing: {example}")))
    }
}
