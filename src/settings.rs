//! The settings of the module; docs/configuration.md says what each means.

use crate::server::{Number, Setting, Switch};

/// How many keys `PREMIER.TOP` answers at most; 0 counts none.
pub(crate) static TOP_KEYS: Number = Number::new(c"top-keys", 32, 256);

/// Whether there is a command `CL.THROTTLE`.
pub(crate) static CELL_COMPAT: Switch = Switch::new(c"cell-compat");

pub(crate) static ALL: [Setting; 2] = [Setting::Switch(&CELL_COMPAT), Setting::Number(&TOP_KEYS)];
