//! What does not compile says why, at the user's own words, and what compiles does so without a warning.

#[test]
fn what_cannot_be_is_said_at_its_place() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/decorated/accepted/*.rs");
    cases.compile_fail("tests/decorated/refused/*.rs");
}
