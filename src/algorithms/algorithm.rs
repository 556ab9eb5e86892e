use crate::{Cost, Decision, Now, State};

/// The change that an admitted call makes to the state of the algorithm `A`.
pub type Change<'call, A> = <<A as Algorithm>::State as State>::Change<'call>;

/// An algorithm that limits calls.
pub trait Algorithm {
    /// The state that is stored for a key.
    type State: State;

    /// The limit that comes with a call.
    type Limit<'call>;

    /// Decides a call of this cost. This changes nothing: the caller applies the change of an
    /// admitted call.
    fn decide<'call>(
        state: &Self::State,
        now: Now,
        limit: &Self::Limit<'call>,
        cost: Cost,
    ) -> Decision<Change<'call, Self>>;

    /// Decides a call of cost 0, which changes nothing. It is limited only by a quota of 0.
    fn look(state: &Self::State, now: Now, limit: &Self::Limit<'_>) -> Decision<()>;
}

/// An algorithm that limits how many units are used over time.
pub trait RateLimit: Algorithm {
    /// Returns the units of the largest call that would be admitted.
    fn room(state: &Self::State, now: Now, limit: &Self::Limit<'_>) -> u64;

    /// Charges a call of this cost even if too little is left, for costs that are known only
    /// afterwards. What is used may then exceed the limit, up to [`MAX_USED`](crate::MAX_USED);
    /// later calls are limited until the excess has drained or expired. A forced call is limited
    /// only by a quota of 0. This changes nothing: the caller applies the change.
    fn force<'call>(
        state: &Self::State,
        now: Now,
        limit: &Self::Limit<'call>,
        cost: Cost,
    ) -> Decision<Change<'call, Self>>;
}
