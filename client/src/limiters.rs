//! The algorithms: a block each, and what is made of the blocks.
//!
//! Whatever differs between the algorithms is in their blocks; nothing else in this crate names all
//! of them.

use std::time::Duration;

use premier_algorithms::CallOption;

use crate::lease::Leasing;
use crate::limit::{Terms, ok, valid};
use crate::{InvalidArgument, Limit};

/// Calls another macro with its own input, followed by the blocks of all algorithms.
macro_rules! by_algorithm {
    ($call:ident! { $($input:tt)* }) => {
        $call! {
            $($input)*
            FixedWindow(Fixed) {
                summary: "Admits at most `quota` units in a window, which the first admitted call opens.",
                details: "Around the end of a window up to twice the quota may be admitted within a \
                          moment: where that matters, use [`Sliding`](crate::Sliding). When the limit \
                          changes, an open window stays open, for the new duration from its beginning.",
                name: fixed,
                word: "FIXED",
                command: "PREMIER.FIXED" premier_fixed,
                constructors: fixed_window try_fixed_window,
                options: [Aligned, Zone, Cost, Keep, Force],
                is_bucket: no,
                turn_at_retry: |_| Duration::ZERO,
                leases: UntilTheWindowEnds,
            }
            SlidingWindow(Sliding) {
                summary: "Admits at most `quota` units in any span of the duration.",
                details: "Exact up to a quota of 64, and above that while units were admitted at no more \
                          than 66 moments within the duration. Beyond that a unit may count for up to a \
                          64th of the duration longer than it should, never shorter, so that a key takes \
                          at most about 1 KiB. If the duration changes, it is a 64th of the longest one.",
                name: sliding,
                word: "SLIDING",
                command: "PREMIER.SLIDING" premier_sliding,
                constructors: sliding_window try_sliding_window,
                options: [Cost, Keep, Force],
                is_bucket: no,
                turn_at_retry: |_| Duration::ZERO,
                leases: OverALongerDuration,
            }
            // The algorithm of throttlers that are given none.
            #[default]
            TokenBucket(Token) {
                summary: "Admits what a bucket of tokens holds, full at first and refilled at `quota` per `duration`.",
                details: "Bursts up to the [capacity](Limit::capacity) are admitted at once. With a \
                          [maximum wait](Limit::max_wait) the bucket also lends tokens.",
                name: token,
                word: "TOKEN",
                command: "PREMIER.TOKEN" premier_token,
                constructors: token_bucket try_token_bucket,
                options: [Capacity, Cost, Keep, MaxWait, Force],
                is_bucket: yes,
                // It is limited until it can borrow for its maximum wait.
                turn_at_retry: |terms| terms.max_wait().unwrap_or_default(),
                leases: FromASmallerBucket,
            }
            LeakyBucket(Leaky) {
                summary: "Admits calls to a queue, which they leave one after the other at `quota` per `duration`.",
                details: "The queue has room for the [capacity](Limit::capacity). An admitted call has to \
                          [wait](crate::Decision::wait) for its turn.",
                name: leaky,
                word: "LEAKY",
                command: "PREMIER.LEAKY" premier_leaky,
                constructors: leaky_bucket try_leaky_bucket,
                options: [Capacity, Cost, Keep, MaxWait, Force],
                is_bucket: yes,
                // It is limited until it fits, and until its turn comes within its maximum wait.
                turn_at_retry: |terms| {
                    let others = terms.limit().saturating_sub(terms.cost() + terms.keep());
                    terms.time_for(others).min(terms.max_wait().unwrap_or(Duration::MAX))
                },
                leases: Never,
            }
        }
    };
}
pub(crate) use by_algorithm;

/// An algorithm as a type: [`Fixed`], [`Sliding`], [`Token`] or [`Leaky`].
pub trait Limiter: sealed::Sealed {}

/// Seals the traits: no other crate can implement them.
pub(crate) mod sealed {
    pub trait Sealed {
        const ALGORITHM: crate::Algorithm;
    }

    /// An algorithm whose limits have a capacity and a maximum wait.
    #[diagnostic::on_unimplemented(message = "only token and leaky buckets have a capacity and a maximum wait")]
    pub trait Bucket: super::Limiter {}
}

macro_rules! limiters {
    ($($(#[$default:meta])? $variant:ident($limiter:ident) {
        summary: $summary:literal,
        details: $details:literal,
        name: $name:ident,
        word: $word:literal,
        command: $command:literal $method:ident,
        constructors: $constructor:ident $try_constructor:ident,
        options: [$($option:ident),+],
        is_bucket: $is_bucket:ident,
        turn_at_retry: $turn_at_retry:expr,
        leases: $leases:ident,
    })+) => {
        $(
            #[doc = $summary]
            ///
            #[doc = $details]
            ///
            #[doc = concat!("Its limits are made by [`Limit::", stringify!($constructor), "`].")]
            #[derive(Debug, Clone, Copy)]
            pub struct $limiter;

            impl Limiter for $limiter {}
            impl sealed::Sealed for $limiter {
                const ALGORITHM: Algorithm = Algorithm::$variant;
            }
            limiters!(@bucket $is_bucket $limiter);

            impl Limit<$limiter> {
                #[doc = $summary]
                ///
                /// # Panics
                /// If an argument is out of [bounds](Limit).
                #[must_use]
                #[track_caller]
                pub const fn $constructor(quota: u64, duration: Duration) -> Self {
                    valid!(Self::$try_constructor(quota, duration))
                }

                #[doc = concat!("[`Limit::", stringify!($constructor), "`] for values that may be out of bounds.")]
                ///
                /// # Errors
                /// If an argument is out of [bounds](Limit).
                pub const fn $try_constructor(quota: u64, duration: Duration) -> Result<Self, InvalidArgument> {
                    Ok(Self::of(ok!(Terms::new(quota, duration))))
                }
            }

            impl From<Limit<$limiter>> for AnyLimit {
                fn from(limit: Limit<$limiter>) -> Self {
                    Self::$variant(limit)
                }
            }
        )+

        /// An algorithm as a value.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
        #[non_exhaustive]
        pub enum Algorithm {
            $(
                #[doc = $summary]
                $(#[$default])?
                $variant,
            )+
        }

        impl Algorithm {
            /// Makes a limit of `quota` units per `duration`.
            ///
            /// # Errors
            /// If the quota is more than 10¹², or the duration not from 1 ms to 3650 days.
            pub const fn limit(self, quota: u64, duration: Duration) -> Result<AnyLimit, InvalidArgument> {
                Ok(match self {
                    $(Self::$variant => AnyLimit::$variant(ok!(Limit::$try_constructor(quota, duration))),)+
                })
            }

            /// Returns the name that keys have in them: `fixed`, `sliding`, `token` or `leaky`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => stringify!($name),)+
                }
            }

            /// Returns the word for commands that take any algorithm.
            pub(crate) const fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }

            /// Returns the name of its command.
            pub(crate) const fn command(self) -> &'static str {
                match self {
                    $(Self::$variant => $command,)+
                }
            }

            /// Returns the algorithm of this name, in any case.
            pub(crate) fn named(name: &str) -> Option<Self> {
                [$(Self::$variant),+].into_iter().find(|algorithm| name.eq_ignore_ascii_case(algorithm.name()))
            }

            /// Returns the options that its limits may have.
            pub(crate) const fn options(self) -> &'static [CallOption] {
                match self {
                    $(Self::$variant => &[$(CallOption::$option),+],)+
                }
            }

            pub(crate) const fn with_terms(self, terms: Terms) -> AnyLimit {
                match self {
                    $(Self::$variant => AnyLimit::$variant(Limit::of(terms)),)+
                }
            }

            /// Returns whether its limits have a maximum wait.
            pub(crate) const fn is_bucket(self) -> bool {
                match self {
                    $(Self::$variant => limiters!(@is $is_bucket),)+
                }
            }

            /// Returns how its units are leased.
            pub(crate) const fn leases(self) -> Leasing {
                match self {
                    $(Self::$variant => Leasing::$leases,)+
                }
            }

            /// Returns how long a call that is limited now has to wait for its turn when it comes
            /// back after its retry-after.
            pub(crate) fn turn_at_retry(self, terms: &Terms) -> Duration {
                let turn_at_retry: fn(&Terms) -> Duration = match self {
                    $(Self::$variant => $turn_at_retry,)+
                };
                turn_at_retry(terms)
            }
        }

        /// A limit by any algorithm.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum AnyLimit {
            $(
                #[doc = concat!("See [`Limit::", stringify!($constructor), "`].")]
                $variant(Limit<$limiter>),
            )+
        }

        impl AnyLimit {
            /// Returns the algorithm of the limit.
            #[must_use]
            pub const fn algorithm(&self) -> Algorithm {
                match self {
                    $(Self::$variant(_) => Algorithm::$variant,)+
                }
            }

            /// Returns what the limit says, whatever its algorithm.
            #[must_use]
            pub const fn terms(&self) -> &Terms {
                match self {
                    $(Self::$variant(limit) => &limit.terms,)+
                }
            }

            pub(crate) const fn with_terms(self, terms: Terms) -> Self {
                self.algorithm().with_terms(terms)
            }
        }
    };
    (@bucket yes $limiter:ident) => {
        impl sealed::Bucket for $limiter {}
    };
    (@bucket no $limiter:ident) => {};
    (@is yes) => {
        true
    };
    (@is no) => {
        false
    };
}

by_algorithm! { limiters! {} }
