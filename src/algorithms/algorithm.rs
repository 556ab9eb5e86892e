use crate::{Cost, Decision, Now, State};

/// A rate-limiting algorithm: it decides whether a call is admitted.
pub trait Algorithm {
    /// The state that is stored for a key.
    type State: State;

    /// The limit that comes with a call.
    type Limit;

    /// Decides a call of this cost. This changes nothing: the caller applies the change of an
    /// admitted call.
    fn decide(
        state: &Self::State,
        now: Now,
        limit: &Self::Limit,
        cost: Cost,
    ) -> Decision<<Self::State as State>::Change>;

    /// Charges a call of this cost even if too little is left, for costs that are known only
    /// afterwards. What is used may then exceed the limit, up to [`MAX_USED`](crate::MAX_USED);
    /// later calls are limited until the excess has drained or expired. A forced call is limited
    /// only by a quota of 0. This changes nothing: the caller applies the change.
    fn force(
        state: &Self::State,
        now: Now,
        limit: &Self::Limit,
        cost: Cost,
    ) -> Decision<<Self::State as State>::Change>;
}
