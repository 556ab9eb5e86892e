//! The settings of the module. docs/configuration.md explains each.

use premier_server::{Number, Setting, Switch};

/// The largest number of keys in a reply of `PREMIER.TOP`. With 0, keys are not counted.
pub(crate) static TOP_KEYS: Number = Number::new(c"top-keys", 32, 256);

/// Whether the command `CL.THROTTLE` exists.
pub(crate) static CELL_COMPAT: Switch = Switch::new(c"cell-compat");

pub(crate) static ALL: [Setting; 2] = [Setting::Switch(&CELL_COMPAT), Setting::Number(&TOP_KEYS)];
