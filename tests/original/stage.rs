//! A world with doubles of the original in it.

use std::cell::{Ref, RefCell};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};
use std::rc::Rc;
use std::time::Duration;

use udpchat_core::client::Event;

use crate::client::{OriginalClient, ServerArgument};
use crate::server::OriginalServer;
use crate::world::{Shared, Wire, World, server_addr};

/// The first port that the system gives to whoever asks for none.
const EPHEMERAL_PORTS: u16 = 49_152;

/// A world, and the doubles in it by name.
pub(crate) struct Stage {
    world: World,
    originals: BTreeMap<String, Shared<OriginalClient>>,
    server: Option<Shared<OriginalServer>>,
    starts: u16,
}

impl Stage {
    /// At our server.
    pub(crate) fn at_ours() -> Self {
        Self { world: World::new(), originals: BTreeMap::new(), server: None, starts: 0 }
    }

    /// At the original's server.
    pub(crate) fn at_the_original() -> Self {
        let mut stage = Self { world: World::without_server(), ..Self::at_ours() };
        stage.world.original = true;
        stage.start_original_server(BTreeMap::new());
        stage
    }

    /// Starts the original's server (anew) in a folder with these files.
    pub(crate) fn start_original_server(&mut self, files: BTreeMap<String, String>) {
        let double = Rc::new(RefCell::new(OriginalServer::new(files)));
        self.world.add_foreign("server", server_addr(), double.clone());
        self.server = Some(double);
    }

    /// Starts an original client, in place of an older one of the name.
    pub(crate) fn original(&mut self, name: &str) {
        self.original_told(name, &server_addr().ip().to_string());
    }

    /// Starts an original client whose user writes the server's host like this.
    pub(crate) fn original_told(&mut self, name: &str, host: &str) {
        let addr = SocketAddr::from(([192, 0, 2, 3], EPHEMERAL_PORTS + self.starts));
        self.starts += 1;
        let guess = SocketAddr::from(([127, 0, 1, 1], 5_000));
        let server = ServerArgument { host: host.to_owned(), addr: server_addr() };
        let name_typed = name.split('.').next().unwrap_or(name);
        let client = OriginalClient::start(self.world.reading(), name_typed, server, guess);
        let double = Rc::new(RefCell::new(client));
        self.world.add_foreign(name, addr, double.clone());
        self.originals.insert(name.to_owned(), double);
    }

    /// Starts one of our clients.
    pub(crate) fn ours(&mut self, name: &str) {
        self.starts += 1;
        let port = 5_000 + self.starts;
        self.world.start(name, port, 0);
    }

    /// Lets everybody register: originals first, each a while after the one before.
    pub(crate) fn with(mut self, originals: &[&str], ours: &[&str]) -> Self {
        for name in originals {
            self.original(name);
            self.run_ms(200);
        }
        for name in ours {
            self.ours(name);
            self.run_ms(200);
        }
        self.run_ms(2_000);
        self
    }

    /// A user types a line, wherever.
    pub(crate) fn says(&mut self, name: &str, line: &str) {
        if let Some(double) = self.originals.get(name) {
            double.borrow_mut().types(self.world.reading(), line);
            self.world.drain();
        } else {
            self.world.types(name, line);
        }
    }

    pub(crate) fn run_ms(&mut self, ms: u64) {
        self.world.run(Duration::from_millis(ms));
    }

    /// The double of a client.
    pub(crate) fn client(&self, name: &str) -> Ref<'_, OriginalClient> {
        self.originals[name].borrow()
    }

    /// How often an original client shows this line behind `>>> `.
    pub(crate) fn shows(&self, name: &str, line: &str) -> usize {
        self.client(name).lines(&format!(">>> {line}"))
    }

    /// The texts from somebody that an original client shows, in order, direct and stored.
    pub(crate) fn texts_from(&self, name: &str, from: &str) -> Vec<String> {
        let lead = format!(">>> {from}: ");
        let client = self.client(name);
        let texts = client.screen().lines().filter_map(|line| line.strip_prefix(&lead));
        let unstamped = texts.map(|text| match text.split_once("> ") {
            Some((stamp, text)) if stamp.starts_with('<') => text.to_owned(),
            _ => text.to_owned(),
        });
        unstamped.collect()
    }

    /// The double of the server.
    pub(crate) fn original_server(&self) -> Ref<'_, OriginalServer> {
        self.server.as_ref().expect("a stage at the original's server").borrow()
    }

    /// Everything that went over the wire since the `from`-th datagram: who to whom what.
    pub(crate) fn transcript(&self, from: usize) -> Vec<String> {
        let wires = self.world.wire[from..].iter();
        wires.map(|wire| format!("{}>{} {}", wire.from, wire.to, wire.text())).collect()
    }
}

impl Deref for Stage {
    type Target = World;
    fn deref(&self) -> &World {
        &self.world
    }
}

impl DerefMut for Stage {
    fn deref_mut(&mut self) -> &mut World {
        &mut self.world
    }
}

pub(crate) fn is_received(event: &Event) -> bool {
    matches!(event, Event::Received { .. })
}

pub(crate) fn is_saved(event: &Event) -> bool {
    matches!(event, Event::Saved { .. })
}

pub(crate) fn has(wire: &Wire, part: &str) -> bool {
    wire.text().contains(part)
}
