//! What does not compile says why, at the user's own words.

#[test]
fn what_cannot_be_is_said_at_its_place() {
    trybuild::TestCases::new().compile_fail("tests/decorated/refused/*.rs");
}
