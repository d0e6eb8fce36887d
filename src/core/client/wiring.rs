//! What a client's parts have to do with each other: what follows from one is handed to the next.

use std::net::SocketAddr;

use super::directory::Part;
use super::groups::GroupText;
use super::outbox::Outlook;
use super::session::{Dialect, Grant, Standing};
use super::wire::{Destination, Dispatch};
use super::{Client, Command, Event, Problem, UnsentReason, Wish};
use crate::machine::{Identity, Path, Socket, Transmit};
use crate::mutation::{Mutation, Mutations};
use crate::protocol::limits::OUTBOX_MAX;
use crate::protocol::{
    CastId, Cookie, GroupAnswer, GroupTag, Name, Packet, PacketKind, Refusal, SessionId, StoreId,
};
use crate::store::DiskSpace;

/// Sending.
impl<M: Mutations> Client<M> {
    /// Sends something, if there is anything, once everything changed so far is durable.
    pub(super) fn send(&mut self, dispatch: impl Into<Option<Dispatch>>) {
        let transmit = match dispatch.into() {
            None => None,
            Some(Dispatch::Hello { to, bytes, attempt }) => {
                let identity = Identity { kind: PacketKind::Hello, message: None, attempt };
                Some(Transmit { socket: Socket::Main, source: None, to, bytes, identity })
            }
            Some(Dispatch::Packet { to: Destination::Server, packet, body, attempt }) => {
                let path = Path::from(self.session.server());
                self.datagram(path, &packet, &body, attempt)
            }
            Some(Dispatch::Packet { to: Destination::Peer(path), packet, body, attempt }) => {
                self.datagram(path, &packet, &body, attempt)
            }
        };
        if let Some(transmit) = transmit {
            self.context.transmit(transmit);
        }
    }

    /// A packet in its receiver's dialect, if it can be said now. To its server a client speaks
    /// from whatever address the system chooses, and is answered there. To peers it speaks from
    /// there as well, unless they asked at another one.
    fn datagram(
        &mut self,
        path: Path,
        packet: &Packet,
        body: &str,
        attempt: u32,
    ) -> Option<Transmit> {
        let to = path.remote;
        let is_server = to == self.session.server();
        if is_server && self.originals.dialect() == Dialect::Original {
            let directory = &self.directory;
            let is_listed = |name: &Name| directory.get(name).is_some();
            let what = (packet, body, attempt);
            return self.originals.for_server(&self.context, to, what, is_listed);
        }
        let path = if is_server { to.into() } else { self.wire.source_for(path) };
        if self.directory.at(to).is_some_and(|entry| entry.original) {
            return self.originals.for_peer(&mut self.context, path, packet, body, attempt);
        }
        Some(self.wire.encode(&self.context, path, packet, body, attempt))
    }

    pub(super) fn standing(&self) -> Standing {
        self.session.standing(self.context.time(), self.originals.dialect())
    }

    fn outlook(&self, to: &Name) -> Outlook {
        let (standing, entry) = (self.standing(), self.directory.get(to));
        Outlook {
            standing,
            is_listed: entry.is_some(),
            addr: entry.and_then(|entry| entry.addr),
            table_is_whole: self.directory.is_whole(),
            goes_one_by_one: standing.dialect == Dialect::Original
                || entry.is_some_and(|entry| entry.original),
        }
    }

    /// Sends what is due to one recipient, says what has become of it, sets the next timer.
    pub(super) fn poll_queue(&mut self, to: &Name) {
        let outlook = self.outlook(to);
        self.outbox.choose_routes(&mut self.context, to, &outlook);
        self.transmit_due(to, &outlook);
        if self.outbox.give_up_too_large(&mut self.context, to) {
            self.transmit_due(to, &outlook);
        }
        self.outbox.report_saved(&mut self.context, to, &outlook);
        self.outbox.report_unsent(&mut self.context, to, &outlook);
        let probe = self.outbox.poll_probe(self.context.time(), to, &outlook);
        self.send(probe);
        self.outbox.set_timer(&mut self.context, to, &outlook);
    }

    fn transmit_due(&mut self, to: &Name, outlook: &Outlook) {
        while let Some(dispatch) = self.outbox.poll_transmit(&mut self.context, to, outlook) {
            self.send(dispatch);
        }
    }

    pub(super) fn poll_queues(&mut self, recipients: impl IntoIterator<Item = Name>) {
        recipients.into_iter().for_each(|name| self.poll_queue(&name));
    }

    /// Asks the server about groups whatever is due, and says what takes long.
    pub(super) fn poll_requests(&mut self) {
        let standing = self.standing();
        let ask = self.requests.poll_ask(&mut self.context, &standing);
        self.send(ask);
        self.requests.report(&mut self.context, &standing);
    }

    /// The server is (again) there: everything may have a new route.
    pub(super) fn resume(&mut self) {
        self.resume_queues(self.outbox.recipients());
        self.requests.hurry(&mut self.context, self.originals.dialect());
        self.poll_requests();
    }

    fn resume_queues(&mut self, recipients: Vec<Name>) {
        for name in recipients {
            self.outbox.hurry(self.context.time(), &name);
            self.poll_queue(&name);
        }
    }
}

/// The session, and the table.
impl<M: Mutations> Client<M> {
    pub(super) fn sign_in(&mut self) {
        let ask = self.session.sign_in(&mut self.context, self.originals.dialect());
        self.send(ask);
    }

    pub(super) fn sign_out(&mut self) {
        let ask = self.session.sign_out(&mut self.context, self.originals.dialect());
        self.send(ask);
    }

    pub(super) fn ask_server(&mut self) {
        let ask = self.session.ask(&mut self.context, self.originals.dialect());
        self.send(ask);
    }

    fn give_back(&mut self, session: SessionId) {
        let dialect = self.originals.dialect();
        let ask = self.session.give_back(&mut self.context, dialect, session);
        self.send(ask);
    }

    /// One of the addresses that were asked has a server, and it is known what it speaks.
    pub(super) fn hello_answered(&mut self, from: SocketAddr, cookie: Cookie) {
        let dialect = self.originals.dialect();
        let ask = self.session.hello_answered(&mut self.context, dialect, from, cookie);
        self.send(ask);
    }

    pub(super) fn granted(&mut self, session: SessionId, store: StoreId, back: bool) {
        let keeps_anything = self.outbox.len() > 0 || !self.context.record().wishes.is_empty();
        let granted = (session, store, back);
        match self.session.granted(&mut self.context, granted, keeps_anything) {
            Grant::Stray => {}
            Grant::Unwanted => self.give_back(session),
            Grant::KeptForAnother => {
                // The user has just been told so of all that is kept.
                self.outbox.report_all_unsent(&mut self.context, None);
                self.requests.told_of_all();
                self.give_back(session);
                self.end_unregistered();
            }
            Grant::Here { store_is_new } => {
                self.acknowledge_table();
                self.ask_server();
                if store_is_new {
                    self.outbox.forget_what_was_saved();
                }
                self.resume();
            }
        }
    }

    /// What the client remembers is an older copy: the numbers that come next have been used.
    pub(super) fn handle_behind(&mut self, known: u64, request: u64) {
        if !self.session.handle_behind(&mut self.context, known) {
            return; // It signs in anew when its patience ends.
        }
        self.context.problem(Problem::OldCopy);
        if !self.context.has(Mutation::KeepsStreamsOfOldCopy) {
            self.outbox.begin_new_streams(&mut self.context);
            self.requests.go_above(&mut self.context, request);
        }
        self.poll_queues(self.outbox.recipients());
        self.poll_requests();
        self.sign_in();
    }

    pub(super) fn refused(&mut self, reason: Refusal) {
        if self.session.refused(&mut self.context, reason) {
            self.commands.wait_no_longer(&mut self.context);
            if !self.session.ever_registered() {
                self.end_unregistered();
            }
        }
    }

    /// The client has waited long for something.
    pub(super) fn give_up(&mut self) {
        let ever_registered = self.session.ever_registered();
        if self.commands.give_up(&mut self.context, ever_registered) {
            if self.session.is_answered(self.context.time()) {
                self.context.problem(Problem::NotRegistered);
            } else if !self.session.tell_foreign(&mut self.context) {
                self.session.tell_silence(&mut self.context);
            }
            self.end_unregistered();
        }
    }

    /// It ends before it ever was registered, or it would disturb others.
    fn end_unregistered(&mut self) {
        self.context.note_failure();
        // What an earlier life has left.
        self.outbox.report_all_unsent(&mut self.context, Some(UnsentReason::Offline));
        self.commands.end_unregistered(&mut self.context);
        self.sign_out();
    }

    /// The client has come to its end. Not earlier: an outcome that comes during the sign-off is
    /// told as it is.
    pub(super) fn end(&mut self) {
        self.outbox.leave(&mut self.context);
        self.requests.leave(&mut self.context);
        let complete = self.session.ever_registered() && !self.context.has_failed();
        self.context.tell(Event::Left { complete });
    }

    pub(super) fn table_part(&mut self, part: Part) {
        let changed: Vec<Name> = part.entries.iter().map(|entry| entry.name.clone()).collect();
        let applied = self.directory.apply(part);
        self.acknowledge_table();
        if !applied {
            return;
        }
        let directory = &self.directory;
        let is_original = |addr| directory.at(addr).is_some_and(|entry| entry.original);
        self.originals.forget_absent(directory.is_whole(), is_original);
        if let Some(listing) = self.directory.news() {
            self.context.tell(Event::Table(listing));
        }
        if self.directory.is_whole() {
            // Some may have waited for the whole of it.
            self.poll_queues(self.outbox.recipients());
        }
        self.resume_queues(changed);
    }

    fn acknowledge_table(&mut self) {
        if let Some(session) = self.session.id() {
            let (table, version) = self.directory.position();
            let ack = Packet::TableAck { session, table, version };
            self.send(Dispatch::to_server(ack, 1));
        }
    }
}

/// Commands.
impl<M: Mutations> Client<M> {
    pub(super) fn do_command(&mut self, command: Command) {
        if let Some(problem) = self.objection(&command) {
            return self.context.fail(problem);
        }
        let is_offline = !self.session.takes_part();
        let own = self.context.config().name.clone();
        match command {
            Command::Send { to, text } => self.send_text(&to, text),
            Command::SendAll { text } => self.send_to_all(&text),
            Command::SendGroup { group, text } => {
                let cast = CastId(self.context.draw());
                self.wish(Wish::Say { group, cast, text });
            }
            Command::CreateGroup(group) => self.wish(Wish::Create(group)),
            Command::JoinGroup(group) => self.wish(Wish::Join(group)),
            Command::LeaveGroup(group) => self.wish(Wish::Leave(group)),
            Command::ListGroups => {
                self.requests.list_groups(&mut self.context, self.originals.dialect());
                self.poll_requests();
            }
            Command::ListMembers(group) => {
                let dialect = self.originals.dialect();
                self.requests.list_members(&mut self.context, dialect, group);
                self.poll_requests();
            }
            Command::List => self.context.tell(Event::List(self.directory.listing())),
            Command::History(with) => self.context.tell_history(with),
            Command::Register(name) if name != own => {
                self.context.problem(Problem::CannotRegister(name, own));
            }
            Command::Register(_) if !is_offline => {
                self.context.problem(Problem::AlreadyRegistered);
            }
            Command::Register(_) => {
                self.commands.wait_for_arrival(&mut self.context);
                self.sign_in();
            }
            Command::Deregister(name) if name != own => {
                self.context.problem(Problem::CannotDeregister(name, own));
            }
            Command::Deregister(_) if is_offline => self.context.problem(Problem::AlreadyOffline),
            Command::Deregister(_) => self.commands.deregister(),
            Command::Finish => self.commands.finish(&mut self.context),
            Command::ServerAddresses(addrs) => {
                let dialect = self.originals.dialect();
                let ask = self.session.found_at(&mut self.context, dialect, &addrs);
                self.send(ask);
            }
            Command::Quit if self.commands.quit(&mut self.context) => {
                self.session.signed_out(&mut self.context);
            }
            Command::Quit => self.sign_out(),
        }
    }

    /// Why something that is to be sent or asked cannot even be kept for later.
    fn objection(&self, command: &Command) -> Option<Problem> {
        let is_offline = !self.session.takes_part();
        let has_no_room = self.context.room() == DiskSpace::Low;
        match command {
            Command::Send { .. } | Command::SendAll { .. } | Command::SendGroup { .. } => {
                let no_room = has_no_room.then_some(Problem::DiskFull);
                if is_offline { Some(Problem::Offline) } else { no_room }
            }
            Command::CreateGroup(_) | Command::JoinGroup(_) | Command::LeaveGroup(_) => {
                let no_room = has_no_room.then_some(Problem::DiskFull);
                if is_offline { Some(Problem::OfflineForGroups) } else { no_room }
            }
            Command::ListGroups | Command::ListMembers(_) => {
                is_offline.then_some(Problem::OfflineForGroups)
            }
            Command::Register(_)
            | Command::Deregister(_)
            | Command::List
            | Command::History(_)
            | Command::Quit
            | Command::Finish
            | Command::ServerAddresses(_) => None,
        }
    }

    fn send_text(&mut self, to: &Name, text: String) {
        if self.outbox.room() == 0 {
            return self.context.fail(Problem::OutboxFull);
        }
        self.outbox.add(&mut self.context, to, text, None);
        self.poll_queue(to);
    }

    /// Sends a text to everybody in the table as the user was last shown it.
    fn send_to_all(&mut self, text: &str) {
        let group = GroupTag { cast: CastId(self.context.draw()), name: None };
        let others = self.directory.everybody_but(&self.context.config().name);
        if others.is_empty() {
            self.context.fail(Problem::NobodyElse(group));
        } else if others.len() > OUTBOX_MAX {
            self.context.fail(Problem::TooManyForAll(others.len()));
        } else if others.len() > self.outbox.room() {
            self.context.fail(Problem::OutboxFull);
        } else {
            self.broadcast(&group, others, text);
        }
    }

    /// Makes a copy of a text for each of these, for whom there is room.
    fn broadcast(&mut self, group: &GroupTag, others: Vec<Name>, text: &str) {
        // It waits for the commit that keeps the copies, though it is said before they are made.
        self.context.ask_for_commit();
        self.context.tell(Event::SendingMany { group: group.clone(), to: others.clone() });
        for to in &others {
            self.outbox.add(&mut self.context, to, text.to_owned(), Some(group.clone()));
        }
        self.poll_queues(others);
    }

    fn wish(&mut self, wish: Wish) {
        self.requests.wish(&mut self.context, self.originals.dialect(), wish);
        self.poll_requests();
    }

    pub(super) fn group_answered(&mut self, request: u64, answer: GroupAnswer) {
        let room = self.outbox.room();
        let text = self.requests.answered(&mut self.context, request, answer, room);
        if let Some(GroupText { group, members, text }) = text {
            self.broadcast(&group, members, &text);
        }
        self.poll_requests();
    }
}
