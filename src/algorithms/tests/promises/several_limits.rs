//! A call to several limits is admitted by all of them or charged to none, and the strictest limit
//! binds.

use premier_algorithms::{Decision, Joint, Outcome, Retry, Span};
use proptest::collection;
use proptest::prelude::*;

/// The decision of one limit, from few different numbers, so that there are ties.
fn any_answer() -> impl Strategy<Value = Decision<()>> {
    let outcome = prop_oneof![
        3 => (0..4_u64).prop_map(|wait| Outcome::Admitted { wait: Span::from_micros(wait), change: () }),
        1 => (1..4_u64).prop_map(|wait| Outcome::Limited { retry: Retry::After(Span::from_micros(wait)) }),
        1 => Just(Outcome::Limited { retry: Retry::Never }),
    ];
    (outcome, 0..4_u64, 4..6_u64, 0..4_u64).prop_map(|(outcome, remaining, limit, reset)| Decision {
        outcome,
        limit,
        remaining,
        reset: Span::from_micros(reset),
    })
}

/// Returns how long a decision limits a call: for ever is longer than any time. `None` if the call
/// is admitted.
fn limits_for(answer: &Decision<()>) -> Option<u64> {
    match answer.outcome {
        Outcome::Admitted { .. } => None,
        Outcome::Limited { retry: Retry::After(span) } => Some(span.as_micros()),
        Outcome::Limited { retry: Retry::Never } => Some(u64::MAX),
    }
}

fn waits(answer: &Decision<()>) -> u64 {
    match answer.outcome {
        Outcome::Admitted { wait, .. } => wait.as_micros(),
        Outcome::Limited { .. } => 0,
    }
}

proptest! {
    #[test]
    fn the_binding_limit_is_the_first_of_the_strictest(alone in collection::vec(any_answer(), 1..=16)) {
        let Joint { decision, binding } = Joint::new(&alone).expect("there is a limit");
        let answer = &alone[binding];
        prop_assert_eq!((decision.limit, decision.remaining, decision.reset), (answer.limit, answer.remaining, answer.reset));
        let (before, after) = (&alone[..binding], &alone[binding..]);
        if let Some(longest) = limits_for(&decision) {
            prop_assert_eq!(limits_for(answer), Some(longest));
            prop_assert!(before.iter().all(|other| limits_for(other).is_none_or(|wait| wait < longest)));
            prop_assert!(after.iter().all(|other| limits_for(other).is_none_or(|wait| wait <= longest)));
        } else {
            prop_assert!(alone.iter().all(|answer| limits_for(answer).is_none()));
            prop_assert!(before.iter().all(|other| other.remaining > answer.remaining));
            prop_assert!(after.iter().all(|other| other.remaining >= answer.remaining));
            prop_assert_eq!(Some(waits(&decision)), alone.iter().map(waits).max());
        }
    }
}

#[test]
fn without_a_limit_there_is_no_decision() {
    assert_eq!(Joint::new(&[]), None);
}
