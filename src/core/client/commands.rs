//! What the user wants, one after the other: each command is done after those before it.
//!
//! docs/protocol.md, "Sending" and "Registration". Decides which one comes next, and what the
//! client does meanwhile; does none of them.

use std::collections::VecDeque;

use super::context::Context;
use super::readiness::Readiness;
use super::timing::{GIVE_UP, INPUT_PAUSE};
use super::{Command, Problem, Timer};
use crate::mutation::Mutations;
use crate::protocol::limits::WAITING_COMMANDS_MAX;

/// The commands that wait, and what for.
#[derive(Debug)]
pub(super) struct Commands {
    queue: VecDeque<Command>,
    waiting_for: Option<WaitingFor>,
    /// Nothing more is to be heard of the user.
    input_over: bool,
    ended: bool,
}

/// What commands wait for: each is done after those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WaitingFor {
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

/// What the client does next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    Do(Command),
    SignOut,
    /// It leaves, and says of all that is left what becomes of it.
    End,
}

impl Commands {
    /// Nothing is done before the client has arrived.
    pub(super) const fn new() -> Self {
        let waiting_for = Some(WaitingFor::Arrival);
        Self { queue: VecDeque::new(), waiting_for, input_over: false, ended: false }
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether the client has come to its end.
    pub(super) const fn is_over(&self) -> bool {
        self.ended
    }

    /// Whether whatever is typed from now on is not done any more.
    const fn is_leaving(&self) -> bool {
        matches!(
            self.waiting_for,
            Some(WaitingFor::OutcomesToFinish | WaitingFor::LastDeparture | WaitingFor::InputsEnd)
        )
    }

    /// Whether a command can be taken now: one from a user who can wait should, else it may be
    /// refused.
    pub(super) fn have_room<M: Mutations>(&self, context: &Context<M>) -> bool {
        let has_room = self.queue.len() < WAITING_COMMANDS_MAX && !context.is_full();
        !context.config().patient || self.is_leaving() || has_room
    }

    /// Takes a command, to be done after those before it. What the program itself says, that the
    /// user wants to leave at once, or where the server is, waits for nothing: it is given back.
    pub(super) fn take<M: Mutations>(
        &mut self,
        context: &mut Context<M>,
        command: Command,
    ) -> Option<Command> {
        match command {
            _ if self.ended => {}
            Command::Quit | Command::ServerAddresses(_) => return Some(command),
            Command::Finish if self.is_leaving() => self.input_ended(context),
            command if self.is_leaving() => {
                self.drop_command(context, command);
                if self.waiting_for == Some(WaitingFor::InputsEnd) {
                    context.timers.set(Timer::Input, context.time() + INPUT_PAUSE);
                }
            }
            Command::Finish if self.queue.contains(&Command::Finish) => {}
            command if command != Command::Finish && self.queue.len() >= WAITING_COMMANDS_MAX => {
                context.fail(Problem::TooManyCommands);
            }
            command => self.queue.push_back(command),
        }
        None
    }

    /// What is to be done now, if anything: whatever the client waited for has come, or it waits
    /// for nothing.
    pub(super) fn next<M: Mutations>(
        &mut self,
        context: &mut Context<M>,
        readiness: &Readiness<'_>,
    ) -> Option<Step> {
        match self.waiting_for {
            Some(WaitingFor::Arrival) if readiness.has_arrived() => {
                context.timers.clear(&Timer::GiveUp);
                self.waiting_for = None;
            }
            Some(WaitingFor::OutcomesToDeregister) if readiness.is_settled() => {
                self.waiting_for = Some(WaitingFor::Departure);
                return Some(Step::SignOut);
            }
            Some(WaitingFor::OutcomesToFinish) if readiness.is_settled() => {
                self.waiting_for = Some(WaitingFor::LastDeparture);
                return Some(Step::SignOut);
            }
            Some(WaitingFor::Departure) if readiness.is_offline() => self.waiting_for = None,
            // Each line of a pipe gets its word, also of one that is longer than what may wait.
            Some(WaitingFor::LastDeparture)
                if readiness.is_offline() && context.config().patient && !self.input_over =>
            {
                self.waiting_for = Some(WaitingFor::InputsEnd);
                context.timers.set(Timer::Input, context.time() + INPUT_PAUSE);
                context.timers.set(Timer::GiveUp, context.time() + GIVE_UP);
                return None;
            }
            Some(WaitingFor::LastDeparture) if readiness.is_offline() && !self.ended => {
                self.ended = true;
                return Some(Step::End);
            }
            Some(_) => return None,
            None => {}
        }
        let first = self.queue.front();
        let is_ready = first.is_some_and(|first| !readiness.waits_for_room(context, first));
        if is_ready { self.queue.pop_front().map(Step::Do) } else { None }
    }

    /// What comes waits for the registration, but not for ever.
    pub(super) fn wait_for_arrival<M: Mutations>(&mut self, context: &mut Context<M>) {
        self.waiting_for = Some(WaitingFor::Arrival);
        context.timers.set(Timer::GiveUp, context.time() + GIVE_UP);
    }

    /// The registration is refused: what waits for it is done without.
    pub(super) fn wait_no_longer<M: Mutations>(&mut self, context: &mut Context<M>) {
        if self.waiting_for == Some(WaitingFor::Arrival) {
            self.waiting_for = None;
            context.timers.clear(&Timer::GiveUp);
        }
    }

    /// The client has waited for [`GIVE_UP`]. Whether it waits for its registration, and still
    /// does.
    pub(super) fn give_up<M: Mutations>(
        &mut self,
        context: &mut Context<M>,
        ever_registered: bool,
    ) -> bool {
        match self.waiting_for {
            Some(WaitingFor::Arrival) if ever_registered => self.waiting_for = None,
            Some(WaitingFor::Arrival) => return true,
            Some(WaitingFor::InputsEnd) => self.input_ended(context),
            _ => {}
        }
        false
    }

    /// The user goes offline once every send has its outcome.
    pub(super) const fn deregister(&mut self) {
        self.waiting_for = Some(WaitingFor::OutcomesToDeregister);
    }

    /// The client ends once every send has its outcome.
    pub(super) fn finish<M: Mutations>(&mut self, context: &mut Context<M>) {
        self.input_over = true;
        self.waiting_for = Some(WaitingFor::OutcomesToFinish);
        self.drop_all(context); // Those that came after it.
    }

    /// The user leaves without waiting for what was still to be done. Whether they did before.
    pub(super) fn quit<M: Mutations>(&mut self, context: &mut Context<M>) -> bool {
        self.input_over = true;
        self.drop_all(context);
        self.waiting_for.replace(WaitingFor::LastDeparture) == Some(WaitingFor::LastDeparture)
    }

    /// The client ends, and each line that still comes is answered.
    pub(super) fn end_unregistered<M: Mutations>(&mut self, context: &mut Context<M>) {
        self.drop_all(context);
        self.waiting_for = Some(WaitingFor::LastDeparture);
    }

    /// There are no more commands, or they have to wait too long.
    pub(super) fn input_ended<M: Mutations>(&mut self, context: &mut Context<M>) {
        self.input_over = true;
        context.timers.clear(&Timer::Input);
        if self.waiting_for == Some(WaitingFor::InputsEnd) {
            self.waiting_for = Some(WaitingFor::LastDeparture);
        }
    }

    fn drop_all<M: Mutations>(&mut self, context: &mut Context<M>) {
        for command in std::mem::take(&mut self.queue) {
            self.drop_command(context, command);
        }
    }

    /// A command comes too late.
    fn drop_command<M: Mutations>(&mut self, context: &mut Context<M>, command: Command) {
        match command {
            Command::Send { to, .. } => context.fail(Problem::LeftBefore(to)),
            Command::SendAll { .. } => {
                context.fail(Problem::LeftBeforeCast("everybody".to_owned()));
            }
            Command::SendGroup { group, .. } => {
                context.fail(Problem::LeftBeforeCast(group.to_string()));
            }
            Command::CreateGroup(_)
            | Command::JoinGroup(_)
            | Command::LeaveGroup(_)
            | Command::ListGroups
            | Command::ListMembers(_)
            | Command::List
            | Command::History(_) => context.fail(Problem::LeftUnasked),
            // The user is leaving anyway.
            Command::Register(_)
            | Command::Deregister(_)
            | Command::ServerAddresses(_)
            | Command::Quit => {}
            Command::Finish => self.input_over = true,
        }
    }

    /// Panics if something does not hold that must between two inputs.
    pub(super) fn check_invariants<M: Mutations>(
        &self,
        context: &Context<M>,
        readiness: &Readiness<'_>,
    ) {
        // One Finish is always taken.
        assert!(self.queue.len() <= WAITING_COMMANDS_MAX + 1, "{} commands", self.queue.len());
        assert!(self.queue.is_empty() || !self.is_leaving(), "commands that are not done any more");
        let is_over = match self.waiting_for {
            None => false,
            Some(WaitingFor::Arrival) => readiness.has_arrived(),
            Some(WaitingFor::OutcomesToDeregister | WaitingFor::OutcomesToFinish) => {
                readiness.is_settled()
            }
            Some(WaitingFor::Departure | WaitingFor::LastDeparture) => {
                readiness.is_offline() && !self.ended
            }
            Some(WaitingFor::InputsEnd) => self.input_over,
        };
        assert!(!is_over, "{:?} has come, and nothing goes on", self.waiting_for);
        let has_an_end =
            matches!(self.waiting_for, Some(WaitingFor::Arrival | WaitingFor::InputsEnd));
        assert!(!has_an_end || context.timers.is_set(&Timer::GiveUp), "waits for ever");
        let is_patient = matches!(self.waiting_for, Some(WaitingFor::InputsEnd));
        assert!(!is_patient || context.timers.is_set(&Timer::Input), "waits for ever for input");
    }
}
