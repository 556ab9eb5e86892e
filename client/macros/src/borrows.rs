//! What a function's result borrows.

use syn::visit_mut::{self, VisitMut};
use syn::{
    FnArg, Lifetime, ParenthesizedGenericArguments, Receiver, ReceiverKind, Signature, TraitBound, Type, TypeFnPtr,
    TypeReference,
};

use crate::futures::ungrouped;

/// Whether a result of this type borrows from a `&mut` argument, as far as its lifetimes show.
pub(crate) fn from_mutable_argument(returned: &Type, function: &Signature) -> bool {
    let mut lifetimes = Lifetimes(Vec::new());
    lifetimes.visit_type_mut(&mut returned.clone());
    let arguments: Vec<_> = function.inputs.iter().filter_map(reference).collect();
    let elided = match arguments.iter().find(|argument| argument.is_receiver) {
        Some(receiver) => receiver.is_mutable,
        None => arguments.iter().any(|argument| argument.is_mutable),
    };
    lifetimes.0.iter().any(|lifetime| match lifetime {
        None => elided,
        Some(name) => arguments.iter().any(|argument| argument.is_mutable && argument.lifetime == Some(name)),
    })
}

/// Whether a value of this type borrows, as far as its lifetimes show. What is `'static` need not
/// be given back.
pub(crate) fn from_anything(returned: &Type) -> bool {
    let mut lifetimes = Lifetimes(Vec::new());
    lifetimes.visit_type_mut(&mut returned.clone());
    lifetimes.0.iter().any(|lifetime| lifetime.as_ref().is_none_or(|name| name.ident != "static"))
}

struct Reference<'a> {
    lifetime: Option<&'a Lifetime>,
    is_mutable: bool,
    is_receiver: bool,
}

fn reference(argument: &FnArg) -> Option<Reference<'_>> {
    let (ty, is_receiver) = match argument {
        FnArg::Receiver(Receiver { kind: ReceiverKind::Reference(_, lifetime, mutability), .. }) => {
            let is_mutable = mutability.is_some();
            return Some(Reference { lifetime: lifetime.as_ref(), is_mutable, is_receiver: true });
        }
        FnArg::Receiver(Receiver { kind: ReceiverKind::Typed(_, ty), .. }) => (&**ty, true),
        FnArg::Receiver(_) => return None,
        FnArg::Typed(argument) => (&*argument.ty, false),
    };
    let Type::Reference(TypeReference { lifetime, mutability, .. }) = ungrouped(ty) else { return None };
    Some(Reference { lifetime: lifetime.as_ref(), is_mutable: mutability.is_some(), is_receiver })
}

/// The lifetimes of the references in a type, and those it is written with. An elided one is
/// `None`.
struct Lifetimes(Vec<Option<Lifetime>>);

impl VisitMut for Lifetimes {
    fn visit_type_reference_mut(&mut self, reference: &mut TypeReference) {
        if reference.lifetime.is_none() {
            self.0.push(None);
        }
        visit_mut::visit_type_reference_mut(self, reference);
    }

    fn visit_lifetime_mut(&mut self, lifetime: &mut Lifetime) {
        self.0.push(Some(lifetime.clone()).filter(|lifetime| lifetime.ident != "_"));
    }

    // Those of a function's arguments are its own, as are those of `for<'a> Trait<'a>`.
    fn visit_trait_bound_mut(&mut self, bound: &mut TraitBound) {
        if bound.lifetimes.is_none() {
            visit_mut::visit_trait_bound_mut(self, bound);
        }
    }

    fn visit_type_fn_ptr_mut(&mut self, _: &mut TypeFnPtr) {}
    fn visit_parenthesized_generic_arguments_mut(&mut self, _: &mut ParenthesizedGenericArguments) {}
}
