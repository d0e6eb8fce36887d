//! What a liar makes of a packet: any of its values becomes another of its kind, so that it is
//! still a packet.

use arbitrary::{Result, Unstructured};
use serde_json::Value;
use udpchat_core::protocol::{Packet, envelope};

/// Numbers at which programs go wrong.
const EDGES: [u64; 12] =
    [0, 1, 2, 31, 32, 33, 1_000, (1 << 53) - 1, 1 << 53, (1 << 63) - 1, 1 << 63, u64::MAX];

/// Names that somebody has, and one that nobody has.
const NAMES: [&str; 5] = ["alice", "bob", "carol", "all", "zoe"];

/// A packet as it was sent, with up to three values changed; nothing if that is no packet any more.
pub(crate) fn tell(bytes: &[u8], lies: &mut Unstructured<'_>) -> Result<Option<Vec<u8>>> {
    let Ok((packet, stamps, body)) = envelope::open(bytes) else { return Ok(None) };
    let Ok(mut told) = serde_json::to_value(&packet) else { return Ok(None) };
    for _ in 0..lies.int_in_range(1..=3)? {
        let values = count(&told);
        let which = lies.int_in_range(0..=values.saturating_sub(1))?;
        change(&mut told, &mut { which }, lies)?;
    }
    let packet: Option<Packet> = serde_json::from_value(told).ok();
    Ok(packet.map(|packet| envelope::encode_stamped(&packet, stamps, body)))
}

/// How many values there are that hold no others.
fn count(value: &Value) -> usize {
    match value {
        Value::Array(values) => values.iter().map(count).sum(),
        Value::Object(fields) => fields.values().map(count).sum(),
        _ => 1,
    }
}

/// Changes the value of this number.
fn change(value: &mut Value, which: &mut usize, lies: &mut Unstructured<'_>) -> Result<()> {
    match value {
        Value::Array(values) => values.iter_mut().try_for_each(|value| change(value, which, lies)),
        Value::Object(fields) => {
            fields.values_mut().try_for_each(|value| change(value, which, lies))
        }
        leaf => {
            if *which == 0 {
                *leaf = another(leaf, lies)?;
            }
            *which = which.wrapping_sub(1);
            Ok(())
        }
    }
}

/// Another value of the same kind.
fn another(value: &Value, lies: &mut Unstructured<'_>) -> Result<Value> {
    Ok(match value {
        Value::Bool(is) => Value::Bool(!is),
        Value::Number(number) => {
            let number = number.as_u64().unwrap_or(0);
            match lies.int_in_range(0..=3)? {
                0 => number.wrapping_add(1).into(),
                1 => number.wrapping_sub(1).into(),
                2 => lies.arbitrary::<u64>()?.into(),
                _ => (*lies.choose(&EDGES)?).into(),
            }
        }
        // Ids are digits in strings; whatever else is a name or an address.
        Value::String(text) => match u64::from_str_radix(text, 16) {
            Ok(number) if text.len() == 16 => {
                let edge = *lies.choose(&EDGES)?;
                format!("{:016x}", if lies.arbitrary()? { edge } else { number ^ 1 }).into()
            }
            _ => (*lies.choose(&NAMES)?).into(),
        },
        other => other.clone(),
    })
}
