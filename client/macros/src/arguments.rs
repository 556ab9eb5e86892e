//! The arguments of an attribute: `name = value, …`.

use proc_macro2::Span;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Error, Expr, Ident, Result, Token};

use crate::algorithm::{self, ALGORITHMS};

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

/// Arguments that their attribute knows, each given at most once.
pub(crate) struct Arguments {
    given: Vec<Argument>,
}

impl Arguments {
    pub(crate) fn parse(input: ParseStream, known: &[&str]) -> Result<Self> {
        let mut given: Vec<Argument> = Vec::new();
        for argument in Punctuated::<Argument, Token![,]>::parse_terminated(input)? {
            let name = &argument.name;
            if !known.iter().any(|known| name == known) {
                return Err(Error::new(name.span(), unknown(name, known)));
            }
            if given.iter().any(|other| other.name == *name) {
                return Err(Error::new(name.span(), format!("`{name}` may be given only once")));
            }
            given.push(argument);
        }
        Ok(Self { given })
    }

    pub(crate) fn take(&mut self, name: &str) -> Option<Expr> {
        let index = self.given.iter().position(|argument| argument.name == name)?;
        Some(self.given.swap_remove(index).value)
    }

    pub(crate) fn require(&mut self, name: &str, example: &str) -> Result<Expr> {
        self.take(name)
            .ok_or_else(|| Error::new(Span::call_site(), format!("missing argument `{name}`: expected {example}")))
    }
}

fn unknown(name: &Ident, known: &[&str]) -> String {
    let algorithms = algorithm::taking(&name.to_string());
    if algorithms.is_empty() || algorithms.len() == ALGORITHMS.len() {
        format!("unknown argument `{name}`: expected {}", known.join(", "))
    } else {
        format!("`{name}` is an argument of {} only", algorithms.join(" and "))
    }
}
