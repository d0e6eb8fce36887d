//! The JSON form of an adversary's moves.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use udpchat_core::protocol::{Nonce, PacketKind};

use crate::planning::moves::{Claim, Datagram, Place, SERVER, Trick};
use crate::planning::plan::{CLIENT_PORT, SERVER_PORT};

/// A datagram, where it goes and where it claims to come from.
#[derive(Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ForgeryForm {
    #[serde(rename = "as", default, skip_serializing_if = "Option::is_none")]
    claims: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    as_port: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nobody: Option<u16>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    apart: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    own_port: Option<u16>,
    to: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    original: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hello: Option<Nonce>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    raw: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    packet: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body: Option<String>,
}

/// What a step sends from somebody else's address.
pub(super) fn spoofed(form: ForgeryForm) -> Result<Trick, String> {
    let claim = match (&form.claims, form.nobody) {
        (Some(host), None) => Claim::Of(place(host, form.as_port)),
        (None, Some(number)) => Claim::Nobody { number, apart: form.apart },
        _ => return Err("`spoof` needs `as`, a host, or `nobody`, a number".to_owned()),
    };
    if form.own_port.is_some() {
        return Err("`own_port` belongs to forge".to_owned());
    }
    trick(claim, form)
}

/// What a step sends from the adversary's own.
pub(super) fn forged(form: ForgeryForm) -> Result<Trick, String> {
    let lies = form.claims.is_some() || form.as_port.is_some() || form.nobody.is_some();
    if lies || form.apart {
        return Err("what is sent from somebody else's address is `spoof`".to_owned());
    }
    let port = form.own_port.unwrap_or(CLIENT_PORT);
    trick(Claim::Own { port }, form)
}

fn trick(claim: Claim, form: ForgeryForm) -> Result<Trick, String> {
    let to = place(&form.to, form.port);
    let body_belongs = form.packet.is_some() || form.body.is_none();
    let body = form.body.unwrap_or_default();
    let datagrams = [
        form.original.map(Datagram::Original),
        form.hello.map(|Nonce(nonce)| Datagram::Hello(nonce)),
        form.raw.map(Datagram::Text),
        form.packet.map(|packet| Datagram::Packet { packet, body }),
    ];
    let mut datagrams = datagrams.into_iter().flatten();
    let (Some(datagram), None, true) = (datagrams.next(), datagrams.next(), body_belongs) else {
        let what = "`original`, `hello`, `raw`, or `packet`, perhaps with `body`";
        return Err(format!("a datagram is exactly one of {what}"));
    };
    if let Datagram::Packet { packet, .. } = &datagram {
        let name = packet.as_object().and_then(|packet| packet.keys().next());
        let is_kind = |name: &String| PacketKind::ALL.iter().any(|kind| kind.name() == *name);
        if !name.is_some_and(is_kind) {
            return Err(format!("no packet is called {:?}", name.cloned().unwrap_or_default()));
        }
        if let Some(why) = datagram.objection() {
            return Err(format!("`{}` is no packet: {why}", name.cloned().unwrap_or_default()));
        }
    }
    Ok(Trick::Forge { claim, to, datagram })
}

/// A host and its port, the usual one if none is named.
pub(super) fn place(host: &str, port: Option<u16>) -> Place {
    Place { host: host.into(), port: port.unwrap_or_else(|| usual(host)) }
}

fn usual(host: &str) -> u16 {
    if host == SERVER { SERVER_PORT } else { CLIENT_PORT }
}

/// A port that must be written, as it is not the one that is understood.
pub(super) fn unusual(port: u16, usual: u16) -> Option<u16> {
    (port != usual).then_some(port)
}

/// Writes what is sent.
pub(super) fn write(claim: &Claim, to: &Place, datagram: &Datagram) -> ForgeryForm {
    let mut form = ForgeryForm { to: to.host.to_string(), ..ForgeryForm::default() };
    form.port = unusual(to.port, usual(&to.host));
    match claim {
        Claim::Own { port } => form.own_port = unusual(*port, CLIENT_PORT),
        Claim::Of(place) => {
            form.claims = Some(place.host.to_string());
            form.as_port = unusual(place.port, usual(&place.host));
        }
        Claim::Nobody { number, apart } => {
            (form.nobody, form.apart) = (Some(*number), *apart);
        }
    }
    match datagram.clone() {
        Datagram::Original(words) => form.original = Some(words),
        Datagram::Hello(nonce) => form.hello = Some(Nonce(nonce)),
        Datagram::Text(words) => form.raw = Some(words),
        Datagram::Packet { packet, body } => {
            form.packet = Some(packet);
            form.body = (!body.is_empty()).then_some(body);
        }
    }
    form
}
