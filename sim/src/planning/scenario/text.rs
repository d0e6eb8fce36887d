//! What a scenario's JSON has as texts: durations, speeds, bugs.

use std::time::Duration;

use crate::faults::bugs::Bug;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::faults::bugs;
use crate::faults::fate::whole_ms;
use crate::planning::plan::DiskSpeed;

/// Something that is written as a text.
#[derive(Default)]
pub(super) struct Text<T>(pub(super) T);

/// A duration that may be negative, in milliseconds.
pub(super) struct Signed(pub(super) i64);

impl<'de> Deserialize<'de> for Text<Duration> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        duration(&text).map(Self).map_err(de::Error::custom)
    }
}

impl Serialize for Text<Duration> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&humantime::format_duration(self.0))
    }
}

impl<'de> Deserialize<'de> for Text<Signed> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let (sign, rest) = text.strip_prefix('-').map_or((1, &*text), |rest| (-1, rest));
        let ms = duration(rest).map_err(de::Error::custom)?.as_millis();
        let ms = i64::try_from(ms).map_err(|_| de::Error::custom("too long"))?;
        Ok(Self(Signed(sign * ms)))
    }
}

impl Serialize for Text<Signed> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(Signed(ms)) = self;
        let sign = if *ms < 0 { "-" } else { "" };
        let size = humantime::format_duration(Duration::from_millis(ms.unsigned_abs()));
        serializer.collect_str(&format_args!("{sign}{size}"))
    }
}

impl<'de> Deserialize<'de> for Text<DiskSpeed> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let (shortest, longest) = text.split_once("..").unwrap_or((&text, &text));
        let shortest = duration(shortest).map_err(de::Error::custom)?;
        let longest = duration(longest).map_err(de::Error::custom)?;
        Ok(Self(DiskSpeed { shortest, longest }))
    }
}

impl<'de> Deserialize<'de> for Text<Bug> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let wrong = || format!("no bug is called {name:?}; `sim --help` lists them at --plant");
        bugs::named(&name).map(Self).ok_or_else(wrong).map_err(de::Error::custom)
    }
}

impl Serialize for Text<DiskSpeed> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let DiskSpeed { shortest, longest } = self.0;
        let (from, to) = (whole_ms(shortest), whole_ms(longest));
        if from == to {
            serializer.collect_str(&format_args!("{to}ms"))
        } else {
            serializer.collect_str(&format_args!("{from}ms..{to}ms"))
        }
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no duration in whole milliseconds, such as 1s or 250ms");
    let duration = humantime::parse_duration(text).map_err(|_| wrong())?;
    let whole = duration.subsec_nanos().is_multiple_of(1_000_000);
    whole.then_some(duration).ok_or_else(wrong)
}
