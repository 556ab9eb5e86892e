//! The keys that `key!` makes.

use std::fmt::{self, Display};

use premier_client::{Key, key};

macro_rules! assert_written_as_displayed {
    ($($number:ty)+) => {
        $(for number in [<$number>::MIN, 0, 7, <$number>::MAX] {
            let displayed = number.to_string();
            assert_eq!(key!("f", number), Key::named("f").custom(&displayed));
            assert_eq!(key!("f", "a:b", number, number), Key::named("f").custom_parts(&[&"a:b", &displayed, &displayed]));
        })+
    };
}

#[test]
fn a_number_in_a_key_is_written_as_it_is_displayed() {
    assert_written_as_displayed! { u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize }
    assert_eq!(key!("f", -1), Key::named("f").custom("-1"));
    assert_eq!(key!("f", &42), Key::named("f").custom("42"));
}

/// Also a type with the name of one that the macro uses, and a method with the name of its own.
#[test]
fn a_part_of_a_key_has_any_type_that_is_displayed() {
    struct Part(u64);

    impl Part {
        fn add_to(&self, other: u64) -> u64 {
            self.0 + other
        }
    }

    impl Display for Part {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "part:{}", self.0)
        }
    }

    fn of<T: Display>(part: T) -> Key<'static> {
        key!("f", part)
    }

    assert_eq!(key!("f", Part(1), Part(1).add_to(1)), Key::named("f").custom(r"part\:1:2"));
    assert_eq!(of(Part(1)), Key::named("f").custom(r"part\:1"));
    assert_eq!(of(1_u64), Key::named("f").custom("1"));
    let displayed: &dyn Display = &1.5;
    assert_eq!(key!("f", displayed, *"text", 'c'), Key::named("f").custom("1.5:text:c"));
}

/// An empty part is one, too.
#[test]
fn parts_of_a_key_are_joined_by_colons() {
    for parts in [["", ""], ["", "a"], ["a", ""], ["a", "b"]] {
        let [first, second] = parts;
        assert_eq!(key!("f", first, second), Key::named("f").custom(parts.join(":")));
    }
    assert_ne!(key!("f", ""), key!("f"));
}

/// Also of a text that takes an allocation.
#[test]
fn colons_and_backslashes_in_a_part_are_escaped() {
    for (part, escaped) in [(":", r"\:"), (r"a\b:c", r"a\\b\:c"), ("ä:ö", r"ä\:ö"), ("no", "no")] {
        let (long, escaped_long) = (part.repeat(40), escaped.repeat(40));
        assert_eq!(key!("f", part), Key::named("f").custom(escaped));
        assert_eq!(key!("f", long), Key::named("f").custom(escaped_long));
    }
}
