//! What an adversary does: moves, each written down beforehand with its time.
//!
//! An adversary is a host that runs no udpchat. Its datagrams claim to come from wherever it
//! likes, and meet the network's faults as all others do. What a move cannot say beforehand, such
//! as the session that the server grants, it names: see [`Datagram`].

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde_json::{Map, Value};
use udpchat_core::machine::Identity;
use udpchat_core::original;
use udpchat_core::protocol::envelope::{decode_stamped, encode, encode_stamped};
use udpchat_core::protocol::limits::DATAGRAM_MAX;
use udpchat_core::protocol::{Name, Nonce, Packet, PacketKind, hello};

use crate::faults::fate::{Fault, Rule, Target};
use crate::naming::label::HostName;

/// The server's host.
pub const SERVER: &str = "server";
/// The adversary's host, which no user's may be called like.
pub const ADVERSARY: &str = "mallory";

/// One move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// When it is made first.
    pub at: Duration,
    /// How often it is made.
    pub times: u32,
    /// The pause before it is made again.
    pub every: Duration,
    /// What is done.
    pub trick: Trick,
}

/// What can be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trick {
    /// A datagram is sent.
    Forge {
        /// Where it claims to come from.
        claim: Claim,
        /// Where it goes.
        to: Place,
        /// What it is.
        datagram: Datagram,
    },
    /// A datagram that was seen on its way is sent again, as if by whoever sent it.
    Replay {
        /// Which of those that have been seen so far.
        of: Target,
        /// Where it goes, if not where it went.
        to: Option<Place>,
    },
    /// From now on, datagrams that are seen on their way are answered, as if by those whom they
    /// are for. The fields of what is answered are put in by their names: `$stream`.
    Answer {
        /// Which, of those that are seen from now on.
        of: Target,
        /// For so long, or to the end.
        lasts: Option<Duration>,
        /// The answer.
        datagram: Datagram,
    },
    /// From now on, datagrams are taken from their way and others sent in their place.
    Alter {
        /// Which, of those that are sent from now on.
        of: Target,
        /// For so long, or to the end.
        lasts: Option<Duration>,
        /// What their packets' fields are set to.
        set: Map<String, Value>,
        /// Their text, if that is another.
        body: Option<String>,
    },
    /// Signs in as a user of its own, or stays so: each time that the move is made, what is still
    /// missing is asked for.
    SignIn {
        /// The user.
        name: Name,
        /// From this port.
        port: u16,
    },
}

/// A host's port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The host.
    pub host: HostName,
    /// Its port.
    pub port: u16,
}

/// Where a datagram claims to come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// From the adversary's own address, which it can be answered at.
    Own {
        /// Its port.
        port: u16,
    },
    /// From somebody else's.
    Of(Place),
    /// From an address that nobody has.
    Nobody {
        /// The number of the address, at most 65,535. One is added each time that the move is
        /// made, if `apart`.
        number: u16,
        /// Whether each repetition claims another address.
        apart: bool,
    },
}

/// The port of all addresses that nobody has.
pub const NOBODY_PORT: u16 = 4_000;

impl Claim {
    /// Whether it is the server's address.
    #[must_use]
    pub fn is_servers(&self) -> bool {
        matches!(self, Self::Of(place) if *place.host == *SERVER)
    }

    /// The address that nobody has with this number.
    #[must_use]
    pub fn nobody(number: u16) -> SocketAddr {
        let [high, low] = number.to_be_bytes();
        SocketAddr::new(IpAddr::V4(Ipv4Addr::new(203, 0, high, low)), NOBODY_PORT)
    }
}

/// What is sent. In its texts `$i` is how often the move was made before.
///
/// A text of a packet that is nothing but one of these stands for it: `$session`, `$store`,
/// `$table` and `$token` for the adversary's own, at the port from which it sends; `$n` for the
/// number `$i`, `$random` for an identifier that differs each time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Datagram {
    /// A request or a text of the original's dialect, or its `ACK`.
    Original(String),
    /// A packet of ours.
    Packet {
        /// The packet as in docs/protocol.md.
        packet: Value,
        /// The text beside it.
        body: String,
    },
    /// A hello with this nonce.
    Hello(u64),
    /// Anything else.
    Text(String),
}

/// What the adversary can put in for a name in a datagram.
pub type Known<'a> = &'a dyn Fn(&str) -> Option<Value>;

impl Datagram {
    /// What is sent the `i`th time, from 0, and what it will be taken for. None if it cannot be
    /// said, for something that it names is not known, or is too long.
    #[must_use]
    pub fn encode(&self, i: u32, known: Known<'_>) -> Option<(Identity, Vec<u8>)> {
        let text = |text: &str| text.replace("$i", &i.to_string());
        let of_kind = |kind| Identity { kind, message: None, attempt: 1 };
        match self {
            Self::Original(words) => {
                let words = text(words);
                Some((of_kind(original_kind(&words)), original::text(&words)))
            }
            Self::Hello(nonce) => Some((of_kind(PacketKind::Hello), hello::encode(Nonce(*nonce)))),
            Self::Text(words) => {
                let kind = match original::decode(words.as_bytes()) {
                    Some(original::Word::Table(_)) => PacketKind::Table,
                    _ => PacketKind::Hello,
                };
                Some((of_kind(kind), text(words).into_bytes()))
            }
            Self::Packet { packet, body } => {
                let lookup = |name: &str| match name {
                    "$n" => Some(Value::from(i)),
                    name => known(name),
                };
                let filled = filled(packet, &text, &lookup)?;
                let body = text(body);
                if filled.to_string().len() + body.len() + ENVELOPE_MAX > DATAGRAM_MAX {
                    return None;
                }
                let packet: Packet = serde_json::from_value(filled).ok()?;
                let message = packet.message();
                let identity = Identity { message, ..of_kind(packet.kind()) };
                Some((identity, encode(&packet, body.as_bytes())))
            }
        }
    }
}

impl Datagram {
    /// Why it is no datagram of ours, whatever the adversary puts in for the names in it.
    #[must_use]
    pub fn objection(&self) -> Option<String> {
        let Self::Packet { packet, body } = self else { return None };
        let example = |name: &str| {
            Some(match name {
                "$n" => Value::from(0),
                "$session" | "$store" | "$table" | "$token" | "$random" => {
                    Value::from("0000000000000001")
                }
                _host => Value::from("192.0.2.1:5000"),
            })
        };
        let filled = filled(packet, &|text| text.replace("$i", "0"), &example)?;
        let length = filled.to_string().len() + body.len() + ENVELOPE_MAX;
        match serde_json::from_value::<Packet>(filled) {
            Err(why) => Some(why.to_string()),
            Ok(_) if length > DATAGRAM_MAX => {
                Some(format!("{length} bytes are more than the {DATAGRAM_MAX} of a datagram"))
            }
            Ok(_) => None,
        }
    }
}

/// The most that an envelope adds to a packet's JSON.
const ENVELOPE_MAX: usize = 96;

/// The datagram with other fields and another text, and a checksum that matches. None if it is
/// none of ours, or would be none.
#[must_use]
pub fn altered(
    bytes: &[u8],
    set: &Map<String, Value>,
    body: Option<&str>,
) -> Option<(Identity, Vec<u8>)> {
    let (packet, stamps, text) = decode_stamped(bytes).ok()?;
    let mut value = serde_json::to_value(&packet).ok()?;
    let fields = value.as_object_mut()?.values_mut().next()?.as_object_mut()?;
    fields.extend(set.clone());
    let text = body.map_or(text, str::as_bytes);
    if value.to_string().len() + text.len() + ENVELOPE_MAX > DATAGRAM_MAX {
        return None;
    }
    let packet: Packet = serde_json::from_value(value).ok()?;
    let identity = Identity { kind: packet.kind(), message: packet.message(), attempt: 1 };
    Some((identity, encode_stamped(&packet, stamps, text)))
}

fn original_kind(words: &str) -> PacketKind {
    match original::request(words) {
        Some(original::Request::Register(_)) => PacketKind::Register,
        Some(original::Request::Fetch(_)) => PacketKind::Ping,
        Some(original::Request::Deregister(_)) => PacketKind::Deregister,
        Some(original::Request::Save { .. }) => PacketKind::Save,
        None if words == "ACK" => PacketKind::Ack,
        None => PacketKind::Message,
    }
}

/// The value with all that it names put in.
fn filled(value: &Value, text: &dyn Fn(&str) -> String, known: Known<'_>) -> Option<Value> {
    Some(match value {
        Value::String(name) if name.starts_with('$') => known(name)?,
        Value::String(words) => Value::String(text(words)),
        Value::Array(values) => {
            let values = values.iter().map(|value| filled(value, text, known));
            Value::Array(values.collect::<Option<_>>()?)
        }
        Value::Object(fields) => {
            let fields = fields
                .iter()
                .map(|(name, value)| Some((name.clone(), filled(value, text, known)?)));
            Value::Object(fields.collect::<Option<_>>()?)
        }
        other => other.clone(),
    })
}

impl Trick {
    /// The hosts that it is about.
    #[must_use]
    pub fn hosts(&self) -> Vec<&HostName> {
        match self {
            Self::Forge { claim: Claim::Of(claimed), to, .. } => vec![&claimed.host, &to.host],
            Self::Forge { to, .. } => vec![&to.host],
            Self::SignIn { .. } => Vec::new(),
            Self::Replay { of, to } => {
                [&of.from, &of.to].into_iter().chain(to.iter().map(|to| &to.host)).collect()
            }
            Self::Answer { of, .. } | Self::Alter { of, .. } => vec![&of.from, &of.to],
        }
    }

    /// The datagrams that it must see on their way, if it must.
    #[must_use]
    pub const fn sees(&self) -> Option<&Target> {
        match self {
            Self::Replay { of, .. } | Self::Answer { of, .. } | Self::Alter { of, .. } => Some(of),
            Self::Forge { .. } | Self::SignIn { .. } => None,
        }
    }
}

impl Move {
    /// A move that is made once.
    #[must_use]
    pub const fn once(at: Duration, trick: Trick) -> Self {
        Self { at, times: 1, every: Duration::ZERO, trick }
    }

    /// When it is made for the last time.
    #[must_use]
    pub fn last(&self) -> Duration {
        self.at.saturating_add(self.every * self.times.saturating_sub(1))
    }

    /// Whether it signs in from this port, or stays there.
    #[must_use]
    pub fn signs_in_at(&self, own: u16) -> bool {
        matches!(self.trick, Trick::SignIn { port, .. } if port == own)
    }

    /// The port of its own from which it is made, if it is.
    #[must_use]
    pub const fn own_port(&self) -> Option<u16> {
        match self.trick {
            Trick::Forge { claim: Claim::Own { port }, .. } | Trick::SignIn { port, .. } => {
                Some(port)
            }
            _ => None,
        }
    }

    /// What becomes of the datagrams that it takes from their way.
    #[must_use]
    pub fn rule(&self) -> Option<Rule> {
        let Trick::Alter { of, .. } = &self.trick else { return None };
        let (since, until) = (self.at, self.until());
        Some(Rule { since, until, target: of.clone(), fault: Fault::Taken })
    }

    /// When it waits for datagrams no longer, if it waits for some.
    #[must_use]
    pub fn until(&self) -> Duration {
        let (Trick::Answer { lasts, .. } | Trick::Alter { lasts, .. }) = &self.trick else {
            return self.at;
        };
        lasts.map_or(Duration::MAX, |lasts| self.at.saturating_add(lasts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use udpchat_core::protocol::SessionId;
    use udpchat_core::protocol::envelope::decode;

    #[test]
    fn what_a_datagram_names_is_put_in_or_it_is_not_sent() {
        let packet = json!({"save": {"session": "$session", "to": "bob$i", "stream": "$random",
            "seq": "$n", "base": 1, "unreachable": false}});
        let datagram = Datagram::Packet { packet, body: "number $i".to_owned() };
        let known = |name: &str| match name {
            "$session" => Some(json!(SessionId(7))),
            "$random" => Some(json!("00000000000000ff")),
            _ => None,
        };
        let (identity, bytes) = datagram.encode(2, &known).unwrap();
        assert_eq!(identity.kind, PacketKind::Save);
        let (packet, body) = decode(&bytes).unwrap();
        assert_eq!((packet.session(), body), (Some(SessionId(7)), &b"number 2"[..]));
        assert!(matches!(packet, Packet::Save { to, seq: 2, .. } if to.as_str() == "bob2"));
        assert_eq!(datagram.encode(2, &|_| None), None);
    }

    #[test]
    fn requests_of_the_originals_dialect_are_taken_for_what_they_ask() {
        let kind = |words: &str| Datagram::Original(words.to_owned()).encode(0, &|_| None);
        let kind = |words| kind(words).map(|(identity, _)| identity.kind);
        assert_eq!(kind("[REQUEST:REG] alice"), Some(PacketKind::Register));
        assert_eq!(kind("[REQUEST:DEREG] alice"), Some(PacketKind::Deregister));
        assert_eq!(kind("ACK"), Some(PacketKind::Ack));
    }
}
