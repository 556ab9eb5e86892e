use crate::{Cost, Decision, Now, State};

/// A way to decide whether a call is admitted.
pub trait Algorithm {
    /// What is kept of a key.
    type State: State;

    /// What a call is limited to.
    type Limit;

    /// Decides a call of this cost. Changes nothing itself.
    fn decide(
        state: &Self::State,
        now: Now,
        limit: &Self::Limit,
        cost: Cost,
    ) -> Decision<<Self::State as State>::Change>;

    /// Charges a call of this cost, whatever is left: its cost was known only afterwards. What was used may exceed the limit, up
    /// to [`MAX_USED`]; later calls are limited until it has drained. Only a quota of 0 limits it. Changes nothing itself.
    fn force(
        state: &Self::State,
        now: Now,
        limit: &Self::Limit,
        cost: Cost,
    ) -> Decision<<Self::State as State>::Change>;
}
