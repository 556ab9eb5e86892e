use crate::{Decision, Outcome, Span};

/// The joint decision of several limits on one call, which is charged to all of them or to none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joint {
    /// The decision of the binding limit, with the longest wait of all limits.
    pub decision: Decision<()>,
    /// The index of the binding limit. Ties go to the first limit.
    pub binding: usize,
}

impl Joint {
    /// Returns the joint decision, from what each limit decides alone; `None` if there is no limit.
    ///
    /// The call is admitted if every limit admits it. The binding limit is then the one that leaves
    /// the fewest units, and the call waits for the longest of all waits. Otherwise the binding
    /// limit is the one with the longest retry-after.
    #[must_use]
    pub fn new(alone: &[Decision<()>]) -> Option<Self> {
        let limiting = alone.iter().enumerate().filter_map(|(index, decision)| match decision.outcome {
            Outcome::Limited { retry } => Some((index, retry)),
            Outcome::Admitted { .. } => None,
        });
        // `max_by_key` returns the last of several maxima, so search from the end.
        if let Some((binding, _)) = limiting.rev().max_by_key(|(_, retry)| *retry) {
            return Some(Self { decision: alone[binding].clone(), binding });
        }
        let (binding, least) = alone.iter().enumerate().min_by_key(|(_, decision)| decision.remaining)?;
        let wait = alone.iter().filter_map(Decision::wait).max().unwrap_or(Span::ZERO);
        let outcome = Outcome::Admitted { wait, change: () };
        Some(Self { decision: Decision { outcome, ..least.clone() }, binding })
    }
}

impl<Change> Decision<Change> {
    /// Returns the decision without its change of state.
    #[must_use]
    pub fn answer(&self) -> Decision<()> {
        let outcome = match self.outcome {
            Outcome::Admitted { wait, .. } => Outcome::Admitted { wait, change: () },
            Outcome::Limited { retry } => Outcome::Limited { retry },
        };
        Decision { outcome, limit: self.limit, remaining: self.remaining, reset: self.reset }
    }

    /// Returns how long an admitted call waits before it goes ahead.
    fn wait(&self) -> Option<Span> {
        match self.outcome {
            Outcome::Admitted { wait, .. } => Some(wait),
            Outcome::Limited { .. } => None,
        }
    }
}
