//! The traffic in the pictures. Times are milliseconds from the left edge of a picture.

use std::ops::Range;

/// How long a picture lasts.
pub(crate) const LENGTH: i32 = 20_000;

/// Requests at a fixed pace, in each of several spans.
#[derive(Debug)]
pub(crate) struct Traffic {
    pub(crate) title: &'static str,
    spans: &'static [(Range<i32>, usize)],
}

/// Ten requests a second, for two seconds.
const BETWEEN_IN_A_BURST: usize = 100;

/// Two requests a second.
const BETWEEN_IN_A_STREAM: usize = 500;

impl Traffic {
    pub(crate) const ALL: [Self; 3] = [
        Self {
            title: "Two bursts, 6 s apart",
            spans: &[(2_000..4_000, BETWEEN_IN_A_BURST), (8_000..10_000, BETWEEN_IN_A_BURST)],
        },
        Self { title: "A steady stream, twice the quota", spans: &[(0..LENGTH, BETWEEN_IN_A_STREAM)] },
        Self {
            title: "A burst across a window's edge",
            // The first request opens a window, which ends in the middle of the burst.
            spans: &[(0..1, 1), (9_000..11_000, BETWEEN_IN_A_BURST)],
        },
    ];

    /// When the requests come, in order.
    pub(crate) fn requests(&self) -> Vec<i32> {
        self.spans.iter().flat_map(|(span, between)| span.clone().step_by(*between)).collect()
    }
}
