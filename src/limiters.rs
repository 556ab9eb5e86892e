//! The limiters: an algorithm each, with its command, its data type and its counters, in one block;
//! and `by_algorithm!`, the only place that dispatches over them.

use std::ffi::CStr;

use premier_algorithms::{
    ALGORITHM, Algorithm, Arguments, BucketLimit, CallOption, FixedLimit, Grant, HoldLimit, Now, Outcome, Peeked,
    SlidingLimit, Units,
};
use premier_server::{AnyKey, Change, DataType, Error, Handle, Mode};

use crate::info::Counters;

/// An algorithm with a command, a data type and counters.
pub(crate) trait Limiter: DataType<State = <Self::Algorithm as Algorithm>::State> {
    type Algorithm: Algorithm;

    /// The name in INFO.
    const NAME_IN_INFO: &'static CStr;

    const COMMAND: &'static CStr;
    const SUMMARY: &'static str;
    const COMPLEXITY: &'static str;

    /// The options of the command.
    const OPTIONS: &'static [CallOption];

    /// Returns the calls that INFO counts.
    fn counters() -> &'static Counters;

    /// Makes a limit of the arguments of a call.
    fn limit<'call>(arguments: &Arguments<'call>) -> <Self::Algorithm as Algorithm>::Limit<'call>;

    /// Decides a call with these arguments.
    ///
    /// # Errors
    /// If the key has no room for what an admitted call would add.
    fn decide<'call>(
        state: &Self::State,
        now: Now,
        arguments: &Arguments<'call>,
    ) -> Result<Grant<Change<'call, Self>>, Error>;

    /// Previews a call with these arguments.
    ///
    /// # Errors
    /// As for [`decide`](Self::decide).
    fn peek(state: &Self::State, now: Now, peeked: &Peeked) -> Result<Grant<()>, Error> {
        Ok(match peeked {
            Peeked::Call(arguments) => {
                let Grant { decision, charge } = Self::decide(state, now, arguments)?;
                Grant { decision: decision.answer(), charge }
            }
            Peeked::Look(arguments) => {
                Grant { decision: Self::Algorithm::look(state, now, &Self::limit(arguments)), charge: 0 }
            }
        })
    }

    /// Gives back units of a key that holds a state of this limiter, and returns their number.
    ///
    /// # Errors
    /// If units of this limiter are not given back by their number.
    fn refund(key: AnyKey, now: Now, units: Units) -> Result<u64, Error>;
}

/// Defines a [`Limiter`] as a type of the same name as its algorithm. Its kind is `rate`, if it
/// limits the units of a time, or `concurrency`, if it limits those held at the same time.
macro_rules! limiter {
    (@rate) => {
        #[inline]
        fn decide<'call>(
            state: &Self::State,
            now: Now,
            arguments: &Arguments<'call>,
        ) -> Result<Grant<Change<'call, Self>>, Error> {
            Ok(arguments.demand.decide::<Self::Algorithm>(state, now, &Self::limit(arguments)))
        }

        fn refund(key: AnyKey, now: Now, units: Units) -> Result<u64, Error> {
            Ok(key.typed::<Self>()?.refund(now, units))
        }
    };
    (@concurrency) => {
        #[inline]
        fn decide<'call>(
            state: &Self::State,
            now: Now,
            arguments: &Arguments<'call>,
        ) -> Result<Grant<Change<'call, Self>>, Error> {
            let (limit, demand) = (Self::limit(arguments), arguments.demand);
            let grant = Grant::exactly::<Self::Algorithm>(state, now, &limit, demand.cost(), demand.keep());
            if let Outcome::Admitted { .. } = grant.decision.outcome {
                Self::Algorithm::check_room(state, now, &limit).map_err(|full| Error::Argument(full.to_string()))?;
            }
            Ok(grant)
        }

        fn refund(_: AnyKey, _: Now, _: Units) -> Result<u64, Error> {
            Err(Error::WrongType)
        }
    };
    (
        $(#[$doc:meta])*
        $Limiter:ident {
            command: $command:literal,
            summary: $summary:literal,
            complexity: $complexity:literal,
            options: [$($option:ident),*],
            limit: |$arguments:ident| $limit:expr,
            data_type: $data_type:literal,
            letter: $letter:literal,
            info: $info:literal,
            kind: $kind:ident,
            $(free_effort: |$freed:ident| $effort:expr,)?
        }
    ) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub(crate) struct $Limiter;

        impl DataType for $Limiter {
            type State = <premier_algorithms::$Limiter as Algorithm>::State;

            const NAME: &'static CStr = $data_type;
            const LETTER: u8 = $letter;

            fn handle() -> &'static Handle {
                static HANDLE: Handle = Handle::new();
                &HANDLE
            }

            $(fn free_effort($freed: &Self::State) -> usize {
                $effort
            })?
        }

        impl Limiter for $Limiter {
            type Algorithm = premier_algorithms::$Limiter;

            const NAME_IN_INFO: &'static CStr = $info;
            const COMMAND: &'static CStr = $command;
            const SUMMARY: &'static str = $summary;
            const COMPLEXITY: &'static str = $complexity;
            const OPTIONS: &'static [CallOption] = &[$(CallOption::$option),*];

            fn counters() -> &'static Counters {
                static COUNTERS: Counters = Counters::new();
                &COUNTERS
            }

            #[inline]
            fn limit<'call>($arguments: &Arguments<'call>) -> <Self::Algorithm as Algorithm>::Limit<'call> {
                $limit
            }

            limiter!(@$kind);
        }
    };
}

limiter! {
    /// `PREMIER.FIXED key quota duration [ALIGNED [ZONE offset]] [COST n] [ATMOST] [KEEP n]
    /// [FORCE]`
    Fixed {
        command: c"PREMIER.FIXED",
        summary: "Limits calls by a fixed window, which the first admitted call opens",
        complexity: "O(1)",
        options: [Aligned, Zone, Cost, AtMost, Keep, Force],
        limit: |arguments| FixedLimit {
            quota: arguments.quota,
            window: arguments.window(),
        },
        data_type: c"premfixed",
        letter: b'F',
        info: c"fixed",
        kind: rate,
    }
}

limiter! {
    /// `PREMIER.SLIDING key quota duration [COST n] [ATMOST] [KEEP n] [FORCE]`
    Sliding {
        command: c"PREMIER.SLIDING",
        summary: "Limits calls in any span of the duration",
        complexity: "O(N) where N is the number of entries in the log of the key, 66 at most",
        options: [Cost, AtMost, Keep, Force],
        limit: |arguments| SlidingLimit { quota: arguments.quota, duration: arguments.duration },
        data_type: c"premslide",
        letter: b'S',
        info: c"sliding",
        kind: rate,
    }
}

limiter! {
    /// `PREMIER.TOKEN key quota duration [CAPACITY c] [COST n] [ATMOST] [KEEP n] [MAXWAIT duration]
    /// [FORCE]`
    Token {
        command: c"PREMIER.TOKEN",
        summary: "Limits calls by a bucket of tokens, which is refilled continuously",
        complexity: "O(1)",
        options: [Capacity, Cost, AtMost, Keep, MaxWait, Force],
        limit: |arguments| bucket(arguments),
        data_type: c"premtoken",
        letter: b'T',
        info: c"token",
        kind: rate,
    }
}

limiter! {
    /// `PREMIER.LEAKY key quota duration [CAPACITY c] [COST n] [ATMOST] [KEEP n] [MAXWAIT duration]
    /// [FORCE]`
    Leaky {
        command: c"PREMIER.LEAKY",
        summary: "Spaces calls evenly by a queue that drains continuously",
        complexity: "O(1)",
        options: [Capacity, Cost, AtMost, Keep, MaxWait, Force],
        limit: |arguments| bucket(arguments),
        data_type: c"premleaky",
        letter: b'L',
        info: c"leaky",
        kind: rate,
    }
}

limiter! {
    /// `PREMIER.HOLD key quota duration ID id [COST n] [KEEP n]`
    Hold {
        command: c"PREMIER.HOLD",
        summary: "Limits the units that are held at the same time, each by a lease",
        complexity: "O(log(N)) where N is the number of holders of the key, 65536 at most",
        options: [Id, Cost, Keep],
        limit: |arguments| HoldLimit {
            quota: arguments.quota,
            lease: arguments.duration,
            holder: arguments.holder,
        },
        data_type: c"premholds",
        letter: b'H',
        info: c"hold",
        kind: concurrency,
        free_effort: |holds| holds.len(),
    }
}

fn bucket(arguments: &Arguments) -> BucketLimit {
    BucketLimit {
        quota: arguments.quota,
        duration: arguments.duration,
        capacity: arguments.capacity,
        max_wait: arguments.max_wait,
    }
}

/// Dispatches over [`Fixed`], [`Sliding`], [`Token`], [`Leaky`] and [`Hold`]. In each form, `L` is
/// the type of the limiter:
///
/// - `by_algorithm!(each L => body)` runs the body for each limiter.
/// - `by_algorithm!(name, L => value)` evaluates to the value for the limiter that the [`Name`]
///   names.
/// - `by_algorithm!(enum Any of Typed)` defines an enum with a variant for each limiter, which
///   holds a `Typed<L>`; `enum Any<'a> of Typed` one that holds a `Typed<'a, L>`.
/// - `by_algorithm!(name, L => Any of value)` evaluates to the variant that holds the value.
/// - `by_algorithm!(any: Any, typed => value)` evaluates to the value for what the variant holds.
macro_rules! by_algorithm {
    ($($form:tt)*) => { $crate::limiters::dispatch! { [Fixed Sliding Token Leaky Hold] $($form)* } };
}

/// What [`by_algorithm!`] expands to, with the list of the limiters in front.
macro_rules! dispatch {
    ([$($Each:ident)*] each $L:ident => $body:expr) => {
        $({
            type $L = $crate::limiters::$Each;
            $body
        })*
    };
    ([$($Each:ident)*] enum $Any:ident of $Typed:ident) => {
        enum $Any {
            $($Each($Typed<$crate::limiters::$Each>),)*
        }
    };
    ([$($Each:ident)*] enum $Any:ident<$life:lifetime> of $Typed:ident) => {
        enum $Any<$life> {
            $($Each($Typed<$life, $crate::limiters::$Each>),)*
        }
    };
    ([$($Each:ident)*] $name:expr, $L:ident => $Any:ident of $value:expr) => {
        match $name {
            $($crate::limiters::Name::$Each => {
                type $L = $crate::limiters::$Each;
                $Any::$Each($value)
            })*
        }
    };
    ([$($Each:ident)*] $any:ident: $Any:ident, $typed:ident => $value:expr) => {
        match $any {
            $($Any::$Each($typed) => $value,)*
        }
    };
    ([$($Each:ident)*] $name:expr, $L:ident => $value:expr) => {
        match $name {
            $($crate::limiters::Name::$Each => {
                type $L = $crate::limiters::$Each;
                $value
            })*
        }
    };
    ([$($Each:ident)*] names) => {
        /// The name of a limiter.
        #[derive(Debug, Clone, Copy)]
        pub(crate) enum Name {
            $($Each,)*
        }

        impl Name {
            const ALL: &'static [Self] = &[$(Self::$Each),*];
        }
    };
}

pub(crate) use {by_algorithm, dispatch};

by_algorithm!(names);

impl Name {
    /// Reads the name of an algorithm as commands take it.
    ///
    /// # Errors
    /// If it is missing or unknown.
    pub(crate) fn parse(word: Option<&[u8]>) -> Result<Self, Error> {
        let word = word.ok_or(Error::WrongArity)?;
        Self::find(|name| word.eq_ignore_ascii_case(name.word())).ok_or_else(|| ALGORITHM.invalid().into())
    }

    /// Returns the limiter whose data type has this letter in effects.
    pub(crate) fn of_letter(letter: u8) -> Option<Self> {
        Self::find(|name| by_algorithm!(name, L => L::LETTER) == letter)
    }

    /// Returns the limiter whose state the key holds.
    pub(crate) fn of_key<M: Mode>(key: &AnyKey<M>) -> Option<Self> {
        Self::find(|name| by_algorithm!(name, L => key.holds::<L>()))
    }

    fn find(is_wanted: impl Fn(Self) -> bool) -> Option<Self> {
        Self::ALL.iter().copied().find(|name| is_wanted(*name))
    }

    /// Returns the name of its command behind `PREMIER.`
    pub(crate) fn word(self) -> &'static [u8] {
        const PREFIX: &[u8] = b"PREMIER.";
        by_algorithm!(self, L => &L::COMMAND.to_bytes()[PREFIX.len()..])
    }
}
