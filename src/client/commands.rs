//! What the user wants, one after the other: each command is done after those before it.
//!
//! docs/protocol.md, "Sending" and "Registration".

use super::session::Phase;
use super::timing::INPUT_PAUSE;
use super::{Client, Command, Event, Problem, Timer, UnsentReason, Wish};
use crate::plant::Plant;
use crate::protocol::limits::{OUTBOX_MAX, WAITING_COMMANDS_MAX};
use crate::store::Room;
use crate::time::Now;

/// What commands wait for: each is done after those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WaitingFor {
    /// The registration and the whole table.
    Arrival,
    /// The outcome of every send, to go offline then.
    OutcomesToDeregister,
    /// The outcome of every send, to end then.
    OutcomesToFinish,
    /// The answer to a deregistration.
    Departure,
    /// The same, to end then.
    LastDeparture,
    /// The end of the input, or a pause in it, to end then.
    InputsEnd,
}

impl<P: Plant> Client<P> {
    pub(super) fn do_command(&mut self, now: Now, command: Command) {
        if let Some(problem) = self.objection(&command) {
            return self.fail(problem);
        }
        let offline = !self.session.takes_part();
        match command {
            Command::Send { to, text } => self.send_text(now, &to, text),
            Command::SendAll { text } => self.send_to_all(now, &text),
            Command::SendGroup { group, text } => self.say_to_group(now, group, text),
            Command::CreateGroup(group) => self.wish(now, Wish::Create(group)),
            Command::JoinGroup(group) => self.wish(now, Wish::Join(group)),
            Command::LeaveGroup(group) => self.wish(now, Wish::Leave(group)),
            Command::ListGroups => self.list_groups(now),
            Command::ListMembers(group) => self.list_members(now, group),
            Command::List => {
                let listing = self.roster.listing();
                self.journal.event_durably(Event::List(listing));
            }
            Command::History(with) => self.tell_history(with),
            Command::Register(name) if name != self.config.name => {
                self.problem(Problem::CannotRegister(name, self.config.name.clone()));
            }
            Command::Register(_) if !offline => self.problem(Problem::AlreadyRegistered),
            Command::Register(_) => {
                self.waiting_for = Some(WaitingFor::Arrival);
                self.set_give_up(now);
                self.sign_in(now);
            }
            Command::Deregister(name) if name != self.config.name => {
                self.problem(Problem::CannotDeregister(name, self.config.name.clone()));
            }
            Command::Deregister(_) if offline => self.problem(Problem::AlreadyOffline),
            Command::Deregister(_) => {
                self.waiting_for = Some(WaitingFor::OutcomesToDeregister);
                self.finish_if_done(now);
            }
            Command::Finish => {
                self.input_over = true;
                self.waiting_for = Some(WaitingFor::OutcomesToFinish);
                self.drop_commands(); // Those that came after it.
                self.finish_if_done(now);
            }
            Command::ServerAddresses(addrs) => self.server_addresses(now, &addrs),
            Command::Quit => {
                self.input_over = true;
                self.drop_commands();
                match self.waiting_for.replace(WaitingFor::LastDeparture) {
                    Some(WaitingFor::LastDeparture) => self.signed_out(),
                    _ => self.sign_out(now),
                }
                self.departed(now);
            }
        }
    }

    /// Why something that is to be sent or asked cannot even be kept for later.
    fn objection(&self, command: &Command) -> Option<Problem> {
        let offline = !self.session.takes_part();
        match command {
            Command::Send { .. } | Command::SendAll { .. } | Command::SendGroup { .. }
                if offline =>
            {
                Some(Problem::Offline)
            }
            Command::CreateGroup(_)
            | Command::JoinGroup(_)
            | Command::LeaveGroup(_)
            | Command::ListGroups
            | Command::ListMembers(_)
                if offline =>
            {
                Some(Problem::OfflineForGroups)
            }
            Command::Send { .. }
            | Command::SendAll { .. }
            | Command::SendGroup { .. }
            | Command::CreateGroup(_)
            | Command::JoinGroup(_)
            | Command::LeaveGroup(_)
                if self.room == Room::Low =>
            {
                Some(Problem::DiskFull)
            }
            _ => None,
        }
    }

    pub(super) fn problem(&mut self, problem: Problem) {
        self.journal.event_durably(Event::Error(problem));
    }

    /// A send that cannot even begin.
    pub(super) fn fail(&mut self, problem: Problem) {
        self.incomplete = true;
        self.problem(problem);
    }

    /// The user leaves without waiting for what was still to be done.
    pub(super) fn drop_commands(&mut self) {
        std::mem::take(&mut self.commands)
            .into_iter()
            .for_each(|command| self.drop_command(command));
    }

    /// A command comes too late.
    fn drop_command(&mut self, command: Command) {
        match command {
            Command::Send { to, .. } => self.fail(Problem::LeftBefore(to)),
            Command::SendAll { .. } => self.fail(Problem::LeftBeforeCast("everybody".to_owned())),
            Command::SendGroup { group, .. } => {
                self.fail(Problem::LeftBeforeCast(group.to_string()));
            }
            Command::CreateGroup(_)
            | Command::JoinGroup(_)
            | Command::LeaveGroup(_)
            | Command::ListGroups
            | Command::ListMembers(_)
            | Command::List
            | Command::History(_) => self.fail(Problem::LeftUnasked),
            // The user is leaving anyway.
            Command::Register(_)
            | Command::Deregister(_)
            | Command::ServerAddresses(_)
            | Command::Quit => {}
            Command::Finish => self.input_over = true,
        }
    }

    /// Takes a command, to be done after those before it. What the program itself says, that the
    /// input has ended or the user wants to leave at once, is always taken.
    pub(super) fn take_command(&mut self, now: Now, command: Command) {
        let is_leaving = self.is_leaving();
        match command {
            _ if self.ended => {}
            Command::Quit | Command::ServerAddresses(_) => self.do_command(now, command),
            Command::Finish if is_leaving => self.input_ended(now),
            command if is_leaving => {
                self.drop_command(command);
                if self.waiting_for == Some(WaitingFor::InputsEnd) {
                    self.timers.set(Timer::Input, now.time + INPUT_PAUSE);
                }
            }
            Command::Finish if self.commands.contains(&Command::Finish) => {}
            command
                if command != Command::Finish && self.commands.len() >= WAITING_COMMANDS_MAX =>
            {
                self.fail(Problem::TooManyCommands);
            }
            command => {
                self.commands.push_back(command);
                self.go_on(now);
            }
        }
    }

    /// Whether whatever is typed from now on is not done any more.
    pub(super) const fn is_leaving(&self) -> bool {
        matches!(
            self.waiting_for,
            Some(WaitingFor::OutcomesToFinish | WaitingFor::LastDeparture | WaitingFor::InputsEnd)
        )
    }

    /// Whether a command can be taken now: one from a user who can wait should, else it may be
    /// refused.
    pub(super) fn can_take_command(&self) -> bool {
        let has_room = self.commands.len() < WAITING_COMMANDS_MAX && !self.journal.is_full();
        !self.config.patient || self.is_leaving() || has_room
    }

    /// Does the commands that waited, until one of them has to be waited for, or has to wait.
    pub(super) fn go_on(&mut self, now: Now) {
        while self.waiting_for.is_none()
            && self.commands.front().is_some_and(|command| !self.waits_for_room(command))
            && let Some(command) = self.commands.pop_front()
        {
            self.do_command(now, command);
        }
    }

    /// Whether there is no room for what a command wants, but there may soon be, and the user can
    /// wait. What has no outcome yet may make room; of the rest nobody knows when.
    fn waits_for_room(&self, command: &Command) -> bool {
        if !self.config.patient || !self.session.takes_part() {
            return false;
        }
        match command {
            Command::Send { .. } => !self.has_room(1) && !self.every_send_has_its_outcome(),
            Command::SendAll { .. } => {
                let copies = self.everybody_else().len();
                let is_full = copies <= OUTBOX_MAX && !self.has_room(copies);
                is_full && !self.every_send_has_its_outcome()
            }
            Command::SendGroup { .. }
            | Command::CreateGroup(_)
            | Command::JoinGroup(_)
            | Command::LeaveGroup(_)
            | Command::ListGroups
            | Command::ListMembers(_) => {
                self.groups.is_full() && !self.every_request_has_its_outcome()
            }
            _ => false,
        }
    }

    /// The registration or the table has come.
    pub(super) fn arrived(&mut self, now: Now) {
        let here = self.session.id().is_some() && self.roster.is_whole();
        if here && self.waiting_for == Some(WaitingFor::Arrival) {
            self.timers.clear(&Timer::GiveUp);
            self.waiting_for = None;
            self.go_on(now);
        }
    }

    /// The name has not been granted for [`super::timing::GIVE_UP`].
    pub(super) fn give_up(&mut self, now: Now) {
        match self.waiting_for {
            Some(WaitingFor::Arrival) if self.session.ever_registered => {
                self.waiting_for = None;
                self.go_on(now);
            }
            Some(WaitingFor::Arrival) => {
                if self.session.is_answered(now.time) {
                    self.problem(Problem::NotRegistered);
                } else if !self.tell_foreign() {
                    self.tell_silence();
                }
                self.end_unregistered(now);
            }
            Some(WaitingFor::InputsEnd) => self.input_ended(now),
            _ => {}
        }
    }

    /// It ends before it ever was registered, or it would disturb others.
    pub(super) fn end_unregistered(&mut self, now: Now) {
        self.incomplete = true;
        // What an earlier life has left.
        self.report_all_unsent(Some(UnsentReason::Offline));
        self.drop_commands();
        self.waiting_for = Some(WaitingFor::LastDeparture);
        self.sign_out(now);
        self.departed(now);
    }

    /// There are no more commands, or they have to wait too long.
    pub(super) fn input_ended(&mut self, now: Now) {
        self.input_over = true;
        self.timers.clear(&Timer::Input);
        if self.waiting_for == Some(WaitingFor::InputsEnd) {
            self.waiting_for = Some(WaitingFor::LastDeparture);
            self.departed(now);
        }
    }

    /// The sends may have got their outcomes.
    pub(super) fn finish_if_done(&mut self, now: Now) {
        let next = match self.waiting_for {
            Some(WaitingFor::OutcomesToDeregister) => WaitingFor::Departure,
            Some(WaitingFor::OutcomesToFinish) => WaitingFor::LastDeparture,
            _ => return,
        };
        if self.every_send_has_its_outcome() && self.every_request_has_its_outcome() {
            self.waiting_for = Some(next);
            self.sign_out(now);
            self.departed(now);
        }
    }

    /// The registration may have ended.
    pub(super) fn departed(&mut self, now: Now) {
        if self.session.phase != Phase::Offline {
            return;
        }
        match self.waiting_for {
            Some(WaitingFor::Departure) => {
                self.waiting_for = None;
                self.go_on(now);
            }
            // Each line of a pipe gets its word, also of one that is longer than what may wait.
            Some(WaitingFor::LastDeparture) if self.config.patient && !self.input_over => {
                self.waiting_for = Some(WaitingFor::InputsEnd);
                self.timers.set(Timer::Input, now.time + INPUT_PAUSE);
                self.set_give_up(now);
            }
            Some(WaitingFor::LastDeparture) => {
                // Not earlier: an outcome that comes during the sign-off is told as it is.
                self.leave_sends();
                self.leave_requests();
                let complete = self.session.ever_registered && !self.incomplete;
                self.leave(complete);
            }
            _ => {}
        }
    }

    pub(super) fn leave(&mut self, complete: bool) {
        if !std::mem::replace(&mut self.ended, true) {
            self.journal.event_durably(Event::Left { complete });
        }
    }
}
