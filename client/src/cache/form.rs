//! The form of a value: all that serde is told when it is serialized.

use std::fmt::Display;

use rmp_serde::encode::Error;
use serde::ser::{
    Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

/// Returns bytes that are the same for two values if, and only if, their forms are the same. The
/// order within sequences and maps does not count, as that of a set differs each time.
pub(super) fn of(value: &(impl Serialize + ?Sized)) -> Result<Vec<u8>, Error> {
    value.serialize(Form)
}

struct Form;

/// A form of several parts.
struct Compound {
    kind: Vec<u8>,
    parts: Vec<Vec<u8>>,
    has_order: bool,
}

impl Compound {
    fn ordered(kind: &[&str]) -> Self {
        let kind = list(kind.iter().map(|name| name.as_bytes()));
        Self { kind, parts: Vec::new(), has_order: true }
    }

    fn unordered(kind: &str) -> Self {
        Self { has_order: false, ..Self::ordered(&[kind]) }
    }

    fn push(&mut self, part: &(impl Serialize + ?Sized)) -> Result<(), Error> {
        self.parts.push(of(part)?);
        Ok(())
    }

    fn push_named(&mut self, name: &str, part: &(impl Serialize + ?Sized)) -> Result<(), Error> {
        self.parts.push(list([name.as_bytes(), &of(part)?]));
        Ok(())
    }

    fn into_form(mut self) -> Vec<u8> {
        if !self.has_order {
            self.parts.sort_unstable();
        }
        list([self.kind.as_slice(), &list(self.parts.iter().map(Vec::as_slice))])
    }
}

/// Joins parts such that no other parts give the same.
fn list<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut list = Vec::new();
    for part in parts {
        list.extend(part.len().to_ne_bytes());
        list.extend(part);
    }
    list
}

fn leaf(kind: &str, value: &[u8]) -> Vec<u8> {
    list([kind.as_bytes(), value])
}

fn wrapper(kind: &[&str], value: &(impl Serialize + ?Sized)) -> Result<Vec<u8>, Error> {
    let mut wrapper = Compound::ordered(kind);
    wrapper.push(value)?;
    Ok(wrapper.into_form())
}

macro_rules! numbers {
    ($($method:ident: $number:ty)+) => {
        $(
            fn $method(self, value: $number) -> Result<Vec<u8>, Error> {
                Ok(leaf(stringify!($number), &value.to_ne_bytes()))
            }
        )+
    };
}

impl Serializer for Form {
    type Ok = Vec<u8>;
    type Error = Error;
    type SerializeSeq = Compound;
    type SerializeTuple = Compound;
    type SerializeTupleStruct = Compound;
    type SerializeTupleVariant = Compound;
    type SerializeMap = Compound;
    type SerializeStruct = Compound;
    type SerializeStructVariant = Compound;

    numbers! {
        serialize_i8: i8 serialize_i16: i16 serialize_i32: i32 serialize_i64: i64 serialize_i128: i128
        serialize_u8: u8 serialize_u16: u16 serialize_u32: u32 serialize_u64: u64 serialize_u128: u128
        serialize_f32: f32 serialize_f64: f64
    }

    fn serialize_bool(self, value: bool) -> Result<Vec<u8>, Error> {
        Ok(leaf("bool", &[u8::from(value)]))
    }

    fn serialize_char(self, value: char) -> Result<Vec<u8>, Error> {
        Ok(leaf("char", &u32::from(value).to_ne_bytes()))
    }

    fn serialize_str(self, value: &str) -> Result<Vec<u8>, Error> {
        Ok(leaf("str", value.as_bytes()))
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<Vec<u8>, Error> {
        Ok(leaf("bytes", value))
    }

    fn serialize_none(self) -> Result<Vec<u8>, Error> {
        Ok(leaf("none", &[]))
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Vec<u8>, Error> {
        wrapper(&["some"], value)
    }

    fn serialize_unit(self) -> Result<Vec<u8>, Error> {
        Ok(leaf("unit", &[]))
    }

    fn serialize_unit_struct(self, name: &'static str) -> Result<Vec<u8>, Error> {
        Ok(leaf("unit struct", name.as_bytes()))
    }

    fn serialize_unit_variant(self, name: &'static str, _: u32, variant: &'static str) -> Result<Vec<u8>, Error> {
        Ok(Compound::ordered(&["unit variant", name, variant]).into_form())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, name: &'static str, value: &T) -> Result<Vec<u8>, Error> {
        wrapper(&["newtype", name], value)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<Vec<u8>, Error> {
        wrapper(&["newtype variant", name, variant], value)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Compound, Error> {
        Ok(Compound::unordered("sequence"))
    }

    fn serialize_tuple(self, _: usize) -> Result<Compound, Error> {
        Ok(Compound::ordered(&["tuple"]))
    }

    fn serialize_tuple_struct(self, name: &'static str, _: usize) -> Result<Compound, Error> {
        Ok(Compound::ordered(&["tuple struct", name]))
    }

    fn serialize_tuple_variant(
        self,
        name: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Compound, Error> {
        Ok(Compound::ordered(&["tuple variant", name, variant]))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Compound, Error> {
        Ok(Compound::unordered("map"))
    }

    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Compound, Error> {
        Ok(Compound::ordered(&["struct", name]))
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Compound, Error> {
        Ok(Compound::ordered(&["struct variant", name, variant]))
    }

    fn collect_str<T: Display + ?Sized>(self, value: &T) -> Result<Vec<u8>, Error> {
        self.serialize_str(&value.to_string())
    }

    /// As the formats are in which values are stored.
    fn is_human_readable(&self) -> bool {
        false
    }
}

impl SerializeMap for Compound {
    type Ok = Vec<u8>;
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        self.push(key)
    }

    /// Joins the value with its key.
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        let key = self.parts.pop().unwrap_or_default();
        self.parts.push(list([key.as_slice(), &of(value)?]));
        Ok(())
    }

    fn end(self) -> Result<Vec<u8>, Error> {
        Ok(self.into_form())
    }
}

macro_rules! compounds {
    ($($interface:ident: $method:ident)+) => {
        $(
            impl $interface for Compound {
                type Ok = Vec<u8>;
                type Error = Error;

                fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
                    self.push(value)
                }

                fn end(self) -> Result<Vec<u8>, Error> {
                    Ok(self.into_form())
                }
            }
        )+
    };
}

compounds! {
    SerializeSeq: serialize_element
    SerializeTuple: serialize_element
    SerializeTupleStruct: serialize_field
    SerializeTupleVariant: serialize_field
}

macro_rules! structs {
    ($($interface:ident)+) => {
        $(
            impl $interface for Compound {
                type Ok = Vec<u8>;
                type Error = Error;

                fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Error> {
                    self.push_named(name, value)
                }

                fn end(self) -> Result<Vec<u8>, Error> {
                    Ok(self.into_form())
                }
            }
        )+
    };
}

structs! { SerializeStruct SerializeStructVariant }
