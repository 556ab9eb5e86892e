//! The arguments of an attribute: `name = value, …`.

use proc_macro2::Span;
use syn::ext::IdentExt;
use syn::parse::ParseStream;
use syn::{Error, Expr, ExprLit, Ident, Lit, Result, Token, parse_quote};

use crate::algorithm::{self, ALGORITHMS};

/// The arguments that have no value.
const FLAGS: &[&str] = &["aligned"];

struct Argument {
    name: Ident,
    value: Expr,
}

impl Argument {
    fn parse(input: ParseStream, known: &[&str]) -> Result<Self> {
        if let Some(name) =
            input.fork().call(Ident::parse_any).ok().filter(|name| FLAGS.iter().any(|flag| name == flag))
        {
            input.call(Ident::parse_any)?;
            if input.peek(Token![=]) {
                return Err(Error::new(name.span(), format!("`{name}` takes no value")));
            }
            return Ok(Self { name, value: parse_quote!(true) });
        }
        if !is_named(input) {
            let known: Vec<_> = known.iter().filter(|name| !FLAGS.contains(name)).copied().collect();
            return Err(input.error(format!("expected `name = value`, where the name is one of {}", known.join(", "))));
        }
        let name = input.call(Ident::parse_any)?;
        input.parse::<Token![=]>()?;
        Ok(Self { name, value: parse_value(input)? })
    }
}

/// Whether an argument follows that has a name.
pub(crate) fn is_named(input: ParseStream) -> bool {
    input.peek(Ident::peek_any) && input.peek2(Token![=]) && !input.peek2(Token![==]) && !input.peek2(Token![=>])
}

pub(crate) fn parse_value(input: ParseStream) -> Result<Expr> {
    input.parse().map(ungrouped)
}

/// Returns the expression without the parentheses around it, and without the invisible ones of
/// `macro_rules!`, if it means the same without them.
pub(crate) fn ungrouped(expression: Expr) -> Expr {
    let mut inner = &expression;
    loop {
        inner = match inner {
            Expr::Group(group) => &group.expr,
            Expr::Paren(paren) => &paren.expr,
            Expr::Array(_) | Expr::Call(_) | Expr::Closure(_) | Expr::Lit(_) | Expr::Path(_) => return inner.clone(),
            _ => return expression,
        }
    }
}

/// Arguments that their attribute knows, each given at most once.
pub(crate) struct Arguments {
    given: Vec<Argument>,
}

impl Arguments {
    pub(crate) fn parse(input: ParseStream, known: &[&str]) -> Result<Self> {
        let mut given: Vec<Argument> = Vec::new();
        while !input.is_empty() {
            let argument = Argument::parse(input, known)?;
            let name = &argument.name;
            if !known.iter().any(|known| name == known) {
                return Err(Error::new(name.span(), unknown(name, known)));
            }
            if given.iter().any(|other| other.name == *name) {
                return Err(Error::new(name.span(), format!("`{name}` may be given only once")));
            }
            given.push(argument);
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(Self { given })
    }

    pub(crate) fn take(&mut self, name: &str) -> Option<Expr> {
        let index = self.given.iter().position(|argument| argument.name == name)?;
        Some(self.given.swap_remove(index).value)
    }

    /// Takes a value of a type that has no literals.
    pub(crate) fn take_object(&mut self, name: &str, expected: &str) -> Result<Option<Expr>> {
        match self.take(name) {
            Some(literal @ Expr::Lit(_)) => Err(Error::new_spanned(literal, format!("`{name}` must be {expected}"))),
            value => Ok(value),
        }
    }

    /// Takes the keyspace, and checks it here, as the client's own check would be reported at the
    /// whole attribute.
    pub(crate) fn take_keyspace(&mut self) -> Result<Option<Expr>> {
        let keyspace = self.take("keyspace");
        if let Some(Expr::Lit(ExprLit { lit: Lit::Str(literal), .. })) = &keyspace {
            let name = literal.value();
            if name.is_empty() || name.contains(':') {
                let text = format!("invalid keyspace {name:?}: a keyspace must be non-empty and contain no ':'");
                return Err(Error::new_spanned(literal, text));
            }
        }
        Ok(keyspace)
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
