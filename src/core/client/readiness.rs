//! How far the client is, as the commands that wait have to know it.

use super::Command;
use super::context::Context;
use super::directory::Directory;
use super::groups::Requests;
use super::outbox::Outbox;
use super::session::Session;
use crate::mutation::Mutations;
use crate::protocol::limits::OUTBOX_MAX;

/// Looks at the parts, and changes nothing.
pub(super) struct Readiness<'a> {
    session: &'a Session,
    directory: &'a Directory,
    outbox: &'a Outbox,
    requests: &'a Requests,
}

impl<'a> Readiness<'a> {
    /// By where the client stands with its server, and by what waits.
    pub(super) const fn of(
        (session, directory): (&'a Session, &'a Directory),
        (outbox, requests): (&'a Outbox, &'a Requests),
    ) -> Self {
        Self { session, directory, outbox, requests }
    }

    /// Registered, with the whole table.
    pub(super) fn has_arrived(&self) -> bool {
        self.session.id().is_some() && self.directory.is_whole()
    }

    /// Not registered, and not asking to be.
    pub(super) const fn is_offline(&self) -> bool {
        self.session.is_offline()
    }

    /// The user knows of everything sent and asked what has become of it.
    pub(super) fn is_settled(&self) -> bool {
        self.outbox.every_send_has_its_outcome() && self.requests.every_one_has_its_outcome()
    }

    /// Whether there is no room for what a command wants, but there may soon be, and the user can
    /// wait. What has no outcome yet may make room; of the rest nobody knows when.
    pub(super) fn waits_for_room<M: Mutations>(
        &self,
        context: &Context<M>,
        command: &Command,
    ) -> bool {
        if !context.config().patient || !self.session.takes_part() {
            return false;
        }
        match command {
            Command::Send { .. } => {
                self.outbox.room() == 0 && !self.outbox.every_send_has_its_outcome()
            }
            Command::SendAll { .. } => {
                let copies = self.directory.everybody_but(&context.config().name).len();
                let is_full = copies <= OUTBOX_MAX && self.outbox.room() < copies;
                is_full && !self.outbox.every_send_has_its_outcome()
            }
            Command::SendGroup { .. }
            | Command::CreateGroup(_)
            | Command::JoinGroup(_)
            | Command::LeaveGroup(_)
            | Command::ListGroups
            | Command::ListMembers(_) => {
                self.requests.is_full() && !self.requests.every_one_has_its_outcome()
            }
            Command::Register(_)
            | Command::Deregister(_)
            | Command::List
            | Command::History(_)
            | Command::Quit
            | Command::Finish
            | Command::ServerAddresses(_) => false,
        }
    }
}
