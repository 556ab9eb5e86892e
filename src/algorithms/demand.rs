use crate::{Algorithm, Change, Cost, Decision, Keep, Now, Outcome, RateLimit, State};

/// What a call asks of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Demand {
    /// All units of this cost, or none, as long as the reserve remains.
    Exactly(Cost, Keep),
    /// As many units as fit above the reserve, this cost at most.
    AtMost(Cost, Keep),
    /// All units of this cost, whatever is left.
    Forced(Cost),
}

/// The decision on a demand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant<Change> {
    /// The decision.
    pub decision: Decision<Change>,
    /// The units that the call is charged if it is admitted.
    pub charge: u64,
}

impl Demand {
    /// Returns the most units that the call may be charged.
    #[must_use]
    pub const fn cost(self) -> Cost {
        match self {
            Self::Exactly(cost, _) | Self::AtMost(cost, _) | Self::Forced(cost) => cost,
        }
    }

    /// Returns the units that must remain after the call.
    #[must_use]
    pub const fn keep(self) -> Keep {
        match self {
            Self::Exactly(_, keep) | Self::AtMost(_, keep) => keep,
            Self::Forced(_) => Keep::NOTHING,
        }
    }

    /// Decides a call that asks this of a rate limit. This changes nothing: the caller applies the
    /// change of an admitted call.
    #[inline]
    pub fn decide<'call, A: RateLimit>(
        self,
        state: &A::State,
        now: Now,
        limit: &A::Limit<'call>,
    ) -> Grant<Change<'call, A>> {
        match self {
            Self::Exactly(cost, Keep::NOTHING) => Grant::new(A::decide(state, now, limit, cost), cost),
            _ => self.decide_with_option::<A>(state, now, limit),
        }
    }

    /// Decides a call with an option that few calls have, apart from the others, which it would
    /// slow down.
    #[cold]
    fn decide_with_option<'call, A: RateLimit>(
        self,
        state: &A::State,
        now: Now,
        limit: &A::Limit<'call>,
    ) -> Grant<Change<'call, A>> {
        match self {
            Self::Exactly(cost, keep) => Grant::exactly::<A>(state, now, limit, cost, keep),
            Self::AtMost(cost, keep) => {
                let most = A::room(state, now, limit).saturating_sub(keep.get()).min(cost.get());
                match Cost::new(most) {
                    Ok(granted) => Grant::new(A::decide(state, now, limit, granted), granted),
                    // Nothing fits, so one unit is limited, too.
                    Err(_) => Grant::new(decide_keeping::<A>(state, now, limit, Cost::ONE, keep), Cost::ONE),
                }
            }
            Self::Forced(cost) => Grant::new(A::force(state, now, limit, cost), cost),
        }
    }
}

/// Decides a call that must leave a reserve: it fits if its cost and the reserve would fit
/// together, and is charged its cost alone.
#[inline]
fn decide_keeping<'call, A: Algorithm>(
    state: &A::State,
    now: Now,
    limit: &A::Limit<'call>,
    cost: Cost,
    keep: Keep,
) -> Decision<Change<'call, A>> {
    if keep == Keep::NOTHING {
        return A::decide(state, now, limit, cost);
    }
    let decision = A::decide(state, now, limit, cost.with(keep));
    match decision.outcome {
        Outcome::Admitted { .. } => A::decide(state, now, limit, cost),
        Outcome::Limited { .. } => decision,
    }
}

impl<Change> Grant<Change> {
    /// Decides a call that takes all units of a cost, or none, as long as a reserve remains.
    #[inline]
    pub fn exactly<'call, A: Algorithm<State: State<Change<'call> = Change>>>(
        state: &A::State,
        now: Now,
        limit: &A::Limit<'call>,
        cost: Cost,
        keep: Keep,
    ) -> Self {
        Self::new(decide_keeping::<A>(state, now, limit, cost, keep), cost)
    }

    fn new(decision: Decision<Change>, cost: Cost) -> Self {
        Self { decision, charge: cost.get() }
    }

    /// Returns the units that were granted: 0 if the call is limited.
    #[must_use]
    pub fn units(&self) -> u64 {
        match self.decision.outcome {
            Outcome::Admitted { .. } => self.charge,
            Outcome::Limited { .. } => 0,
        }
    }
}
