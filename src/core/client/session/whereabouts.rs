//! Where the server is: the addresses of its name, which of them is tried next, which answers.
//!
//! docs/protocol.md, "Hello". Resolving the name is for others: it is asked for with
//! [`crate::client::Event::LookUp`] and answered with [`crate::client::Command::ServerAddresses`].

use std::fmt;
use std::net::SocketAddr;

use crate::client::ClientConfig;
use crate::client::timing::LOOK_UP_AGAIN;
use crate::protocol::limits::SERVER_ADDRS_MAX;
use crate::time::Time;

/// Datagrams that no server sends until something else is taken to be there: one may be damaged,
/// or somebody's joke.
const FOREIGN_ANSWERS: u32 = 2;

/// Where the server may be.
#[derive(Debug)]
pub(super) struct Whereabouts {
    /// In the order in which they are tried, never empty.
    addrs: Vec<SocketAddr>,
    /// The one that answered a hello last; before that, the first.
    server: SocketAddr,
    /// How many of them have their hello in the round that is under way; 0 between two rounds.
    turn: usize,
    /// When the name was last asked for.
    looked_up: Option<Time>,
    /// The user knows that the name is not found.
    lost_told: bool,
    heard: Heard,
}

/// What answers in the server's place that is no server of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::client) enum Foreign {
    /// Nobody knows what.
    Stranger,
    /// It speaks as a server of the original's dialect does, which is not asked for.
    Original,
}

/// What else answers in the server's place, since the server was last heard of.
#[derive(Debug, Default)]
struct Heard {
    last: Option<(SocketAddr, Foreign)>,
    answers: u32,
    told: bool,
}

/// Where a server was looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    /// As the user says.
    pub host: String,
    /// What that stands for, with one port.
    pub addrs: Vec<SocketAddr>,
}

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.host)?;
        let ips: Vec<String> = self.addrs.iter().map(|addr| addr.ip().to_string()).collect();
        if ips != [self.host.as_str()] {
            write!(f, " ({})", ips.join(", "))?;
        }
        self.addrs.first().map_or(Ok(()), |addr| write!(f, " port {}", addr.port()))
    }
}

impl Whereabouts {
    /// Begins where the server was last, if that is still one of its addresses.
    pub(super) fn new(config: &ClientConfig, home: Option<SocketAddr>) -> Self {
        let mut addrs = few(std::iter::once(&config.server).chain(&config.others));
        to_the_front(&mut addrs, home);
        let server = addrs.first().copied().unwrap_or(config.server);
        let (turn, looked_up, lost_told) = (0, None, false);
        Self { addrs, server, turn, looked_up, lost_told, heard: Heard::default() }
    }

    /// The server: whoever answered a hello last.
    pub(super) const fn server(&self) -> SocketAddr {
        self.server
    }

    /// Begins a first round.
    pub(super) const fn start_over(&mut self) {
        self.turn = 0;
    }

    /// Whether there are addresses that have not had their hello in this round.
    pub(super) const fn is_within_round(&self) -> bool {
        self.turn > 0
    }

    /// Whose turn it is to get a hello.
    pub(super) fn next(&mut self) -> SocketAddr {
        let next = self.addrs[self.turn];
        self.turn = (self.turn + 1) % self.addrs.len();
        next
    }

    /// Lets others try first: this one answers hellos, and nothing else.
    pub(super) fn put_last(&mut self) {
        self.addrs.rotate_left(1);
    }

    /// How many hellos of so many rounds an address has got.
    pub(super) fn hellos_to(&self, addr: SocketAddr, rounds: u32) -> u32 {
        match self.addrs.iter().position(|known| *known == addr) {
            None => 0,
            Some(at) if self.is_within_round() && at >= self.turn => rounds.saturating_sub(1),
            Some(_) => rounds,
        }
    }

    /// Takes whoever answered a hello for the server.
    pub(super) fn settle_on(&mut self, server: SocketAddr) {
        to_the_front(&mut self.addrs, Some(server));
        self.server = server;
        self.turn = 0;
    }

    /// Whether the server may be elsewhere.
    pub(super) fn has_others(&self) -> bool {
        self.addrs.iter().any(|addr| *addr != self.server)
    }

    /// Takes on what the name stands for now. Whether that is something else.
    pub(super) fn take_on(&mut self, addrs: &[SocketAddr]) -> bool {
        let mut addrs = few(addrs);
        // A name's addresses may come in another order every time.
        self.lost_told = false;
        let is_same =
            addrs.len() == self.addrs.len() && addrs.iter().all(|addr| self.addrs.contains(addr));
        if !is_same {
            to_the_front(&mut addrs, Some(self.server));
            self.addrs = addrs;
            self.turn = 0;
        }
        !is_same
    }

    /// The server has been heard of.
    pub(super) fn note_heard(&mut self) {
        self.heard = Heard::default();
        self.lost_told = false;
    }

    /// The name is not found any more. Whether the user is to be told.
    pub(super) const fn note_lost(&mut self) -> bool {
        !std::mem::replace(&mut self.lost_told, true)
    }

    /// The addresses that have got a hello in so many rounds; the server's if none has.
    pub(super) fn tried(&self, rounds: u32) -> Vec<SocketAddr> {
        let tried = self.addrs.iter().copied().filter(|addr| self.hellos_to(*addr, rounds) > 0);
        let tried: Vec<SocketAddr> = tried.collect();
        if tried.is_empty() { vec![self.server] } else { tried }
    }

    /// Whether it is time to ask where the server is now, for it may have moved.
    pub(super) fn take_due_look(&mut self, now: Time) -> bool {
        let is_due = self.looked_up.is_none_or(|at| now - at >= LOOK_UP_AGAIN);
        if is_due {
            self.looked_up = Some(now);
        }
        is_due
    }

    /// Something has come from where the server should be that no server says. Whether the user
    /// was told of that before.
    pub(super) const fn hears_foreign(&mut self, from: SocketAddr, foreign: Foreign) -> bool {
        self.heard.answers = self.heard.answers.saturating_add(1);
        self.heard.last = Some((from, foreign));
        self.heard.told
    }

    /// Where something else is in the server's place, and what, for the user to be told.
    pub(super) fn tell_foreign(&mut self) -> Option<(SocketAddr, Foreign)> {
        let last = self.heard.last.filter(|_| self.heard.answers >= FOREIGN_ANSWERS)?;
        self.heard.told = true;
        Some(last)
    }
}

/// The first of them, each once.
fn few<'a>(addrs: impl IntoIterator<Item = &'a SocketAddr>) -> Vec<SocketAddr> {
    let mut few = Vec::new();
    for addr in addrs {
        if !few.contains(addr) && few.len() < SERVER_ADDRS_MAX {
            few.push(*addr);
        }
    }
    few
}

fn to_the_front(addrs: &mut [SocketAddr], first: Option<SocketAddr>) {
    if let Some(at) = addrs.iter().position(|addr| Some(*addr) == first) {
        addrs[..=at].rotate_right(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(host: u8) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, host], 9_000))
    }

    fn with(others: &[SocketAddr], home: Option<SocketAddr>) -> Whereabouts {
        let name = "alice".parse().unwrap();
        let mut config = ClientConfig::new(name, at(1), 5_000);
        config.others = others.to_vec();
        Whereabouts::new(&config, home)
    }

    #[test]
    fn addresses_have_their_turns_and_the_one_that_answered_is_the_first() {
        let mut places = with(&[at(2), at(1), at(3)], Some(at(9)));
        let round: Vec<_> = (0..4).map(|_| places.next()).collect();
        assert_eq!(round, [at(1), at(2), at(3), at(1)]);
        assert_eq!([at(1), at(2), at(3), at(9)].map(|it| places.hellos_to(it, 2)), [2, 1, 1, 0]);
        places.settle_on(at(3));
        assert_eq!((places.server(), &places.addrs), (at(3), &vec![at(3), at(1), at(2)]));
        assert!(!places.take_on(&[at(2), at(1), at(3)]), "another order is no other place");
        assert!(places.take_on(&[at(4)]) && places.has_others());
    }

    #[test]
    fn a_client_begins_where_its_server_was_last() {
        assert_eq!(with(&[at(2), at(3)], Some(at(2))).addrs, [at(2), at(1), at(3)]);
        let many: Vec<_> = (2..100).map(at).collect();
        assert_eq!(with(&many, None).addrs.len(), SERVER_ADDRS_MAX);
    }

    #[test]
    fn what_was_tried_is_said_with_the_name_and_without_repeating_it() {
        let said = |host: &str, addrs| Tried { host: host.to_owned(), addrs }.to_string();
        let v6 = "[2001:db8::1]:9000".parse().unwrap();
        let name = "chat.example (192.0.2.1, 2001:db8::1) port 9000";
        assert_eq!(said("chat.example", vec![at(1), v6]), name);
        assert_eq!(said("192.0.2.1", vec![at(1)]), "192.0.2.1 port 9000");
    }
}
