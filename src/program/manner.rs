//! How a client of the shipped binary talks to its user, and whether it has done what that one
//! asked for.
//!
//! Knows interfaces and a client's events.

use std::cell::Cell;

use udpchat_core::client::Event;

use super::interrupt::{HangUp, is_hang_up_ignored};
use crate::cli::Style;
use crate::ui::{Mode, front, terminal};

/// Who is talked to how, and whether the node ends with their terminal.
pub(crate) fn manner(style: Option<Style>) -> (Mode, HangUp) {
    let mode = match style {
        Some(Style::Json) => Mode::Json,
        Some(Style::Plain) => Mode::Plain,
        None => front::fitting(),
    };
    if mode != Mode::Editor {
        // Whoever was started by nohup means to stay.
        let hang_up = if is_hang_up_ignored() { HangUp::AsUsual } else { HangUp::Ends };
        return (mode, hang_up);
    }
    terminal::deny_stops();
    (mode, HangUp::Ends)
}

/// Whether a client has done all that it was to do.
pub(crate) struct Verdict {
    /// Whether a person is there to see that a line was not understood.
    pub(super) for_people: bool,
    /// Whether every line was a command.
    pub(crate) understood: Cell<bool>,
    /// Not before the client says so.
    pub(crate) complete: Cell<bool>,
}

impl Verdict {
    pub(crate) fn new(mode: Mode) -> Self {
        let for_people = matches!(mode, Mode::Editor | Mode::Terminal);
        Self { for_people, understood: Cell::new(true), complete: Cell::new(false) }
    }

    /// A script is not done if a line of it was not understood: that is told as well.
    pub(crate) fn note(&self, event: &mut Event) {
        if let Event::Left { complete } = event {
            *complete &= self.for_people || self.understood.get();
            self.complete.set(*complete);
        }
    }
}
