//! What can be asked for, as whoever does it reads it.
//!
//! Knows no words of the command line.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use anstream::ColorChoice;
use udpchat_core::protocol::Name;
use udpchat_core::server::Guests;

pub use crate::ui::operator::Style as ServerStyle;

/// The lowest port that can be asked for: the original's, and none below it is free for all.
pub const PORT_MIN: u16 = 1024;

/// What to run.
#[derive(Clone, Debug, PartialEq)]
pub enum Task {
    /// A server.
    Server(ServerOptions),
    /// A client.
    Client(ClientOptions),
    /// A network to try it on.
    Demo(DemoOptions),
    /// Work on the store of a node that does not run.
    Store(StoreOptions),
}

/// Where a node keeps what outlives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    /// In a folder of its own in the user's data folder.
    Usual,
    /// In this folder.
    Folder(PathBuf),
    /// In memory only: nothing outlives it.
    Nowhere,
}

/// A server as asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerOptions {
    /// Its port.
    pub port: u16,
    /// How long it keeps messages for readers who do not come; for ever if nothing is said.
    pub keep: Option<Duration>,
    /// Its address, none for all interfaces.
    pub bind: Option<IpAddr>,
    /// Which clients of the original's dialect are served.
    pub original: Guests,
    /// What its operator reads.
    pub style: ServerStyle,
    /// Where it keeps what outlives it.
    pub data: Data,
}

/// A client as asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientOptions {
    /// The user.
    pub name: Name,
    /// The server's host: an address or a name to be resolved.
    pub host: String,
    /// The server's port.
    pub server_port: u16,
    /// The own port, 0 for any free one.
    pub port: u16,
    /// How to talk to the user, if it was said.
    pub style: Option<Style>,
    /// Whether there are colours on a terminal.
    pub color: ColorChoice,
    /// Whether lines typed at a terminal are remembered from run to run.
    pub history: bool,
    /// Whether a server of the original's dialect is spoken to.
    pub original: bool,
    /// Where it keeps what outlives it.
    pub data: Data,
}

/// A demo as asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct DemoOptions {
    /// How bad the network is.
    pub rates: Rates,
    /// What decides each datagram's fate, any number if none.
    pub seed: Option<u64>,
    /// How to talk to the user, if it was said.
    pub style: Option<Style>,
    /// Whether there are colours on a terminal.
    pub color: ColorChoice,
}

/// What to do with a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreOptions {
    /// What.
    pub work: StoreWork,
    /// The folder that it is in.
    pub folder: PathBuf,
}

/// Something that can be done with a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreWork {
    /// Read all of it and say whether it is sound.
    Check,
    /// Say how much there is of everything.
    Stats,
    /// Give back room that it does not need.
    Compact,
    /// Write every row as a line of JSON.
    Export,
}

/// A client's interface when it is not a person's terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// A line per event.
    Plain,
    /// A JSON object per event.
    Json,
}

/// How bad the network is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rates {
    /// The share of datagrams that are lost, 0 to 1.
    pub drop: f64,
    /// The share of datagrams that come twice, 0 to 1.
    pub duplicate: f64,
    /// Each datagram is held back by any time up to this.
    pub delay: Duration,
}

impl fmt::Display for Rates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "between them {:.0} % of all datagrams are lost", self.drop * 100.0)?;
        if self.duplicate > 0.0 {
            write!(f, ", {:.0} % come twice", self.duplicate * 100.0)?;
        }
        if !self.delay.is_zero() {
            write!(f, ", all come up to {} ms late", self.delay.as_millis())?;
        }
        Ok(())
    }
}
