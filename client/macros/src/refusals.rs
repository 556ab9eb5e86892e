//! `refusals.txt` lists what the attributes refuse: an item, then the error's text. Without a
//! function behind them, attributes are those of [`FUNCTION`]. What is underlined is in «»: the
//! tests of the client check that by the compiler.

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::{Meta, Result, parse_quote, parse2};

use crate::layers;

const FUNCTION: &str = "async fn f() -> Result<(), Error> { Ok(()) }";

#[test]
fn each_refusal_says_why() {
    for refusal in include_str!("refusals.txt").split("\n\n") {
        let (item, text) = refusal.split_once("\nerror: ").expect("an error follows the item");
        let mut item = item.replace(['«', '»'], "");
        if item.ends_with(']') {
            item += FUNCTION;
        }
        let error = expand(&item).expect_err(&item);
        assert_eq!(error.to_string(), text.trim_end(), "{item}");
    }
}

/// Expands the attributes as the compiler does: the first one, as long as there is one.
fn expand(item: &str) -> Result<TokenStream> {
    let mut item: TokenStream = item.parse().expect("valid tokens");
    loop {
        let mut tokens = item.clone().into_iter();
        let (Some(TokenTree::Punct(_)), Some(TokenTree::Group(attribute))) = (tokens.next(), tokens.next()) else {
            return Ok(item);
        };
        let attribute: Meta = parse2(attribute.stream())?;
        let arguments = attribute.require_list().map_or_else(|_| TokenStream::new(), |list| list.tokens.clone());
        let name = attribute.path().segments.last().expect("a path").to_token_stream().to_string();
        let function = tokens.collect();
        item = match name.as_str() {
            "layer" => layers::try_expand(arguments, function)?,
            name => layers::try_defer(name, arguments, function, || Ok(parse_quote!(::premier_client)))?,
        };
    }
}
