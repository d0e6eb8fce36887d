//! What a program does that leads to nothing, counted; and whether it does anything else.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use crate::engine::network::Network;
use crate::naming::label::HostName;

/// Inputs without any time passing beyond which no time will ever pass: more than arrives or is
/// typed within a millisecond in any plan.
const INPUTS_MAX: u32 = 50_000;

/// Looks on at one program.
pub(super) struct Effort {
    network: Rc<Network>,
    host: HostName,
    /// When it had its last input, and how many it has had then.
    inputs: Cell<(Duration, u32)>,
    /// A timer has woken it, and it has done nothing since.
    is_woken: Cell<bool>,
    has_room: Cell<bool>,
}

impl Effort {
    pub(super) fn of(network: &Rc<Network>, host: &HostName) -> Self {
        let (network, host) = (Rc::clone(network), host.clone());
        let (inputs, is_woken) = (Cell::default(), Cell::new(false));
        // It may begin with a full disk, and is told so only later.
        Self { network, host, inputs, is_woken, has_room: Cell::new(false) }
    }

    /// It has an input.
    ///
    /// # Panics
    ///
    /// If it has had so many and no time has passed: it goes round in a circle.
    pub(super) fn input(&self) {
        let (at, count) = self.inputs.get();
        let now = self.network.now();
        let count = if at == now { count + 1 } else { 1 };
        assert!(count < INPUTS_MAX, "goes round in a circle: {count} inputs, and no time passes");
        self.inputs.set((now, count));
        self.is_woken.set(false);
    }

    /// That input was the end of a timer.
    pub(super) fn woken(&self, is_due: bool) {
        self.is_woken.set(is_due);
        self.network.works(&self.host, |effort| effort.woken += u64::from(is_due));
    }

    /// Whether there is room on its disk, as it knows now.
    pub(super) fn has_room(&self, has_room: bool) {
        self.has_room.set(has_room);
    }

    /// It sends or says something.
    pub(super) fn does_something(&self) {
        self.is_woken.set(false);
    }

    /// It commits so many changes: without room none, to ask for some.
    pub(super) fn commits(&self, changes: usize) {
        self.is_woken.set(false);
        if changes == 0 && self.has_room.get() {
            self.network.works(&self.host, |effort| effort.empty_commits += 1);
        }
    }

    /// It has nothing more to do for now.
    pub(super) fn rests(&self) {
        if self.is_woken.take() {
            self.network.works(&self.host, |effort| effort.woken_in_vain += 1);
        }
    }
}
