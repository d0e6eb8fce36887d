//! What the user wants, one after the other: each command is done after those before it.
//!
//! docs/protocol.md, "Sending" and "Registration".

use super::session::Phase;
use super::{Client, Command, Event, Problem, Timer, Wish};
use crate::plant::Plant;
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
                self.waiting_for = Some(WaitingFor::OutcomesToFinish);
                self.finish_if_done(now);
            }
            Command::ServerAddresses(addrs) => self.server_addresses(now, &addrs),
            Command::Quit => {
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
        for command in std::mem::take(&mut self.commands) {
            match command {
                Command::Send { to, .. } => self.fail(Problem::LeftBefore(to)),
                Command::SendAll { .. } => {
                    self.fail(Problem::LeftBeforeCast("everybody".to_owned()));
                }
                Command::SendGroup { group, .. } => {
                    self.fail(Problem::LeftBeforeCast(group.to_string()));
                }
                Command::CreateGroup(_) | Command::JoinGroup(_) | Command::LeaveGroup(_) => {
                    self.fail(Problem::LeftUnanswered);
                }
                _ => {}
            }
        }
    }

    /// Does the commands that waited, until one of them has to be waited for.
    pub(super) fn go_on(&mut self, now: Now) {
        while self.waiting_for.is_none()
            && let Some(command) = self.commands.pop_front()
        {
            self.do_command(now, command);
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

    /// Nobody has answered for [`super::timing::GIVE_UP`].
    pub(super) fn give_up(&mut self, now: Now) {
        if self.waiting_for != Some(WaitingFor::Arrival) {
            return;
        }
        if self.session.ever_registered {
            self.waiting_for = None;
            self.go_on(now);
        } else {
            if !self.tell_foreign() {
                self.tell_silence();
            }
            self.drop_commands();
            self.leave(false);
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
            Some(WaitingFor::LastDeparture) => {
                self.drop_commands(); // Those that came after it.
                // Not earlier: an outcome that comes during the sign-off is told as it is.
                self.abandon_sends();
                self.abandon_requests();
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
