//! The first word to a server: harmless to the original, and answered by ours.
//!
//! A datagram in our envelope kills an original server, so a client that does not know its server
//! yet begins in the original's dialect: a request to save that lacks its parameters. An original
//! server answers `ACK` and does nothing, an original client answers `ACK` and shows nothing, and
//! our server finds the key `udpchat` beside it and answers with a challenge in our envelope.

use serde::{Deserialize, Serialize};

use super::Nonce;
use super::envelope::VERSION;

/// The request that no original acts on.
const HARMLESS: &str = "[REQUEST:SAVE] v2?";

#[derive(Serialize, Deserialize)]
struct Hello {
    message: String,
    udpchat: Ours,
}

#[derive(Serialize, Deserialize)]
struct Ours {
    v: u32,
    nonce: Nonce,
}

/// The hello that asks for a challenge with this nonce.
#[must_use]
pub fn encode(nonce: Nonce) -> Vec<u8> {
    let hello = Hello { message: HARMLESS.to_owned(), udpchat: Ours { v: VERSION, nonce } };
    serde_json::to_vec(&hello).expect("strings and numbers are always JSON")
}

/// The same, as long as another datagram if that is longer: space behind a JSON object means
/// nothing to anybody.
#[must_use]
pub fn encode_as_long_as(nonce: Nonce, bytes: usize) -> Vec<u8> {
    let mut hello = encode(nonce);
    hello.resize(hello.len().max(bytes), b' ');
    hello
}

/// The nonce, if the datagram is a hello.
#[must_use]
pub fn decode(bytes: &[u8]) -> Option<Nonce> {
    if bytes.first() != Some(&b'{') {
        return None;
    }
    let hello: Hello = serde_json::from_slice(bytes).ok()?;
    (hello.udpchat.v == VERSION).then_some(hello.udpchat.nonce)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::limits::AMPLIFICATION_MAX;
    use crate::protocol::{Cookie, Packet, envelope};

    #[test]
    fn a_hello_is_a_request_that_lacks_its_parameters() {
        let bytes = encode(Nonce(1));
        assert_eq!(decode(&bytes), Some(Nonce(1)));
        let long = encode_as_long_as(Nonce(1), 1_200);
        assert_eq!((long.len(), decode(&long)), (1_200, Some(Nonce(1))));
        assert_eq!(encode_as_long_as(Nonce(1), 1), bytes);
        let json: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        let message = json["message"].as_str().unwrap();
        assert!(message.starts_with("[REQUEST:SAVE]") && message.split(' ').count() < 4);
    }

    #[test]
    fn its_answer_is_no_amplification() {
        let nonce = Nonce(1);
        let answer = envelope::encode(&Packet::Challenge { nonce, cookie: Cookie(1) }, b"");
        assert!(answer.len() <= AMPLIFICATION_MAX * encode(nonce).len());
    }
}
