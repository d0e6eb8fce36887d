//! The JSON form of a scenario: plain structs of options, so that every error names its place.

use std::time::Duration;

use crate::faults::bugs::Bug;
use serde::{Deserialize, Serialize, de};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use udpchat_core::protocol::{Name, PacketKind};

use super::disk::DiskForm;
use super::text::{Signed, Text};
use super::trick::{self, ForgeryForm};
use super::{BadScenario, Scenario, Step, Verb};
use crate::faults::fate::{Fault, Target, Which};
use crate::naming::label::HostName;
use crate::planning::moves::{Datagram, Trick};
use crate::planning::plan::{CLIENT_PORT, DiskSpeed, Folder};

/// The version of the form, which files may name. One that means something else by the same words,
/// or has words that programs of today do not know, gets another.
const VERSION: &str = "1";

/// The file's version, whatever else is in it.
#[derive(Deserialize)]
struct VersionForm<'a> {
    #[serde(default, borrow)]
    version: Option<&'a RawValue>,
}

/// The file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileForm<'a> {
    // Known by now.
    #[serde(default, rename = "version")]
    _version: de::IgnoredAny,
    about: String,
    #[serde(default)]
    seed: u64,
    #[serde(default)]
    bug: Option<Text<Bug>>,
    #[serde(default)]
    disk: Text<DiskSpeed>,
    #[serde(default)]
    mtu: Option<usize>,
    #[serde(default)]
    mail: Option<Text<Duration>>,
    #[serde(default)]
    two_addresses: Vec<String>,
    #[serde(default)]
    settles: bool,
    #[serde(borrow)]
    steps: Vec<&'a RawValue>,
    until: Text<Duration>,
}

/// A step: a time, exactly one verb, and what belongs to that.
#[derive(Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StepForm {
    pub(super) at: Text<Duration>,
    #[serde(rename = "as", default, skip_serializing_if = "Option::is_none")]
    pub(super) who: Option<String>,
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub(super) line: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) start: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) restart: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) user: Option<Name>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) port: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) crash: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) pause: Option<String>,
    #[serde(rename = "for", default, skip_serializing_if = "Option::is_none")]
    pub(super) lasts: Option<Text<Duration>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) clock: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) drift: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) ppm: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) drop: Option<TargetForm>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) duplicate: Option<TargetForm>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) after: Option<Text<Duration>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) delay: Option<TargetForm>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) by: Option<Text<Signed>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) corrupt: Option<TargetForm>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) bit: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) truncate: Option<TargetForm>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) keep: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) partition: Option<(String, String)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) heal: Option<(String, String)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) cut: Option<DirectionForm>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) mend: Option<DirectionForm>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) disk: Option<DiskForm>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) spoof: Option<ForgeryForm>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) forge: Option<ForgeryForm>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) sign_in: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) own_port: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) replay: Option<TargetForm>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) toward: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) answer: Option<TargetForm>,
    #[serde(rename = "with", default, skip_serializing_if = "Option::is_none")]
    pub(super) with_packet: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) alter: Option<TargetForm>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) set: Option<Map<String, Value>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) body: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) times: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) every: Option<Text<Duration>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) copy: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) lose: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) restore: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) of: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) mark: Option<String>,
}

const VERBS: &str = "type, start, restart, crash, pause, clock, drift, drop, duplicate, delay, \
                     corrupt, truncate, partition, heal, cut, mend, disk, spoof, forge, \
                     sign_in, replay, answer, alter, copy, lose, restore, mark";

/// Datagrams.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TargetForm {
    pub(super) from: String,
    pub(super) to: String,
    pub(super) packet: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) message: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) nth: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) times: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) attempt: Option<u32>,
}

/// One direction of a link.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DirectionForm {
    pub(super) from: String,
    pub(super) to: String,
}

/// Where in the file each step begins.
pub(super) struct Places(Vec<(usize, usize)>);

impl Places {
    /// A problem with this step.
    pub(super) fn bad(&self, step: usize, problem: String) -> BadScenario {
        let (line, column) = self.0[step];
        BadScenario { line, column, problem }
    }
}

/// Reads a file and checks each step by itself.
pub(super) fn read(text: &str) -> Result<(Scenario, Places), BadScenario> {
    let place = |raw: &&RawValue| {
        let offset = raw.get().as_ptr() as usize - text.as_ptr() as usize;
        let before = &text[..offset];
        let start_of_line = before.rfind('\n').map_or(0, |at| at + 1);
        (before.matches('\n').count() + 1, offset - start_of_line + 1)
    };
    // First, as all else that is wrong may be right in another version.
    if let Ok(VersionForm { version: Some(version) }) = serde_json::from_str(text)
        && version.get() != VERSION
    {
        let (line, column) = place(&version);
        let found = version.get();
        let problem =
            format!("this is version {found} of the form, and this sim reads version {VERSION}");
        return Err(BadScenario { line, column, problem });
    }
    let file: FileForm<'_> = serde_json::from_str(text).map_err(|error| located(&error, (1, 1)))?;
    let places = Places(file.steps.iter().map(place).collect());
    let mut steps = Vec::new();
    for (index, raw) in file.steps.iter().enumerate() {
        let form: StepForm =
            serde_json::from_str(raw.get()).map_err(|error| located(&error, places.0[index]))?;
        let at = form.at.0;
        let verb = verb(form).map_err(|problem| places.bad(index, problem))?;
        steps.push(Step { at, verb });
    }
    let FileForm { about, seed, bug, disk: Text(disk), mtu, mail, .. } = file;
    let FileForm { two_addresses, settles, until: Text(until), .. } = file;
    let (mail, bug) = (mail.map(|Text(mail)| mail), bug.map(|Text(bug)| bug));
    let two_addresses = two_addresses.into_iter().map(HostName::from).collect();
    Ok((
        Scenario { about, seed, bug, disk, mtu, mail, two_addresses, settles, steps, until },
        places,
    ))
}

/// The error of a part of the file that begins at this line and column.
fn located(error: &serde_json::Error, (line, column): (usize, usize)) -> BadScenario {
    let problem = error.to_string();
    let problem = problem.rsplit_once(" at line ").map_or(&*problem, |(problem, _)| problem);
    let first_line = if error.line() <= 1 { column - 1 } else { 0 };
    BadScenario {
        line: line + error.line().saturating_sub(1),
        column: first_line + error.column(),
        problem: problem.to_owned(),
    }
}

/// The one verb of a step, with what belongs to it taken away; nothing may be left.
fn verb(mut form: StepForm) -> Result<Verb, String> {
    let mut verbs = Vec::new();
    if let Some(line) = form.line.take() {
        let host = form.who.take().ok_or("`type` needs `as`, the host at which it is typed")?;
        verbs.push(Verb::Type { host: host.into(), line });
    }
    if let Some(host) = form.start.take() {
        let (user, port) = (form.user.take(), form.port.take());
        verbs.push(Verb::Start { host: host.into(), user, port });
    }
    if let Some(host) = form.restart.take() {
        verbs.push(Verb::Restart { host: host.into(), port: form.port.take() });
    }
    if let Some(host) = form.crash.take() {
        verbs.push(Verb::Crash { host: host.into() });
    }
    if let Some(host) = form.pause.take() {
        let Text(lasts) = form.lasts.take().ok_or("`pause` needs `for`, how long")?;
        verbs.push(Verb::Pause { host: host.into(), lasts });
    }
    if let Some(host) = form.clock.take() {
        let Text(Signed(by_ms)) = form.by.take().ok_or("`clock` needs `by`, how far")?;
        verbs.push(Verb::Clock { host: host.into(), by_ms });
    }
    if let Some(host) = form.drift.take() {
        let ppm = form.ppm.take().ok_or("`drift` needs `ppm`, what the clock gains")?;
        verbs.push(Verb::Drift { host: host.into(), ppm });
    }
    verbs.extend(network_verbs(&mut form)?);
    if let Some(disk) = form.disk.take() {
        verbs.push(disk.read()?);
    }
    verbs.extend(moves(&mut form)?);
    verbs.extend(folders(&mut form));
    verbs.extend(form.mark.take().map(Verb::Mark));
    let mut verbs = verbs.into_iter();
    match (verbs.next(), verbs.next()) {
        (Some(verb), None) => left_over(&form).map_or(Ok(verb), Err),
        (None, _) => {
            Err(format!("a step does exactly one thing, this one none: add one of {VERBS}"))
        }
        (Some(_), Some(_)) => {
            Err(format!("a step does exactly one thing, this one more: keep one of {VERBS}"))
        }
    }
}

fn network_verbs(form: &mut StepForm) -> Result<Vec<Verb>, String> {
    let mut verbs = Vec::new();
    let mut add = |target: TargetForm, fault| -> Result<(), String> {
        verbs.push(Verb::Fault { target: read_target(target)?, fault });
        Ok(())
    };
    if let Some(target) = form.drop.take() {
        add(target, Fault::Drop)?;
    }
    if let Some(target) = form.duplicate.take() {
        let after = form.after.take().map(|Text(after)| after).unwrap_or_default();
        add(target, Fault::Duplicate { after })?;
    }
    if let Some(target) = form.delay.take() {
        let Text(Signed(ms)) = form.by.take().ok_or("`delay` needs `by`, how long")?;
        let ms = u64::try_from(ms).map_err(|_| "no datagram can be early: `by` is negative")?;
        add(target, Fault::Delay { by: Duration::from_millis(ms) })?;
    }
    if let Some(target) = form.corrupt.take() {
        add(target, Fault::Corrupt { bit: form.bit.take().unwrap_or_default() })?;
    }
    if let Some(target) = form.truncate.take() {
        add(target, Fault::Truncate { keep: form.keep.take().unwrap_or_default() })?;
    }
    for (pair, cut) in [(form.partition.take(), true), (form.heal.take(), false)] {
        if let Some((a, b)) = pair {
            let (a, b): (HostName, HostName) = (a.into(), b.into());
            verbs.push(Verb::Link { directions: vec![(a.clone(), b.clone()), (b, a)], cut });
        }
    }
    for (direction, cut) in [(form.cut.take(), true), (form.mend.take(), false)] {
        if let Some(DirectionForm { from, to }) = direction {
            verbs.push(Verb::Link { directions: vec![(from.into(), to.into())], cut });
        }
    }
    Ok(verbs)
}

fn moves(form: &mut StepForm) -> Result<Vec<Verb>, String> {
    let mut tricks = Vec::new();
    if let Some(spoof) = form.spoof.take() {
        tricks.push(trick::spoofed(spoof)?);
    }
    if let Some(forge) = form.forge.take() {
        tricks.push(trick::forged(forge)?);
    }
    if let Some(name) = form.sign_in.take() {
        let name: Name = name.parse().map_err(|why| format!("{name:?}: {why}"))?;
        tricks.push(Trick::SignIn { name, port: form.own_port.take().unwrap_or(CLIENT_PORT) });
    }
    if let Some(of) = form.replay.take() {
        let to = form.toward.take().map(|host| trick::place(&host, None));
        tricks.push(Trick::Replay { of: read_target(of)?, to });
    }
    if let Some(of) = form.answer.take() {
        let packet = form.with_packet.take().ok_or("`answer` needs `with`, a packet")?;
        let body = form.body.take().unwrap_or_default();
        let datagram = Datagram::Packet { packet, body };
        let lasts = form.lasts.take().map(|Text(lasts)| lasts);
        tricks.push(Trick::Answer { of: read_target(of)?, lasts, datagram });
    }
    if let Some(of) = form.alter.take() {
        let (set, body) = (form.set.take().unwrap_or_default(), form.body.take());
        let lasts = form.lasts.take().map(|Text(lasts)| lasts);
        tricks.push(Trick::Alter { of: read_target(of)?, lasts, set, body });
    }
    if tricks.is_empty() {
        return Ok(Vec::new());
    }
    let times = form.times.take().unwrap_or(1);
    let every = form.every.take().map(|Text(every)| every).unwrap_or_default();
    if times == 0 || (times > 1 && every.is_zero()) {
        return Err("`times` counts from 1, and more than one needs `every`, a pause".to_owned());
    }
    Ok(tricks.into_iter().map(|trick| Verb::Move { times, every, trick }).collect())
}

fn folders(form: &mut StepForm) -> Vec<Verb> {
    let verb = |host: String, folder| Verb::Folder { host: host.into(), folder };
    let mut verbs = Vec::new();
    verbs.extend(form.copy.take().map(|host| verb(host, Folder::Copied)));
    verbs.extend(form.lose.take().map(|host| verb(host, Folder::Lost)));
    if let Some(host) = form.restore.take() {
        let by = form.of.take().unwrap_or_else(|| host.clone()).into();
        verbs.push(verb(host, Folder::Replaced { by }));
    }
    verbs
}

/// What belongs to another verb than the step's.
fn left_over(form: &StepForm) -> Option<String> {
    let left = [
        (form.who.is_some(), "as", "type"),
        (form.user.is_some(), "user", "start"),
        (form.port.is_some(), "port", "start and restart"),
        (form.own_port.is_some(), "own_port", "sign_in"),
        (form.toward.is_some(), "toward", "replay"),
        (form.with_packet.is_some(), "with", "answer"),
        (form.set.is_some(), "set", "alter"),
        (form.body.is_some(), "body", "answer and alter"),
        (form.times.is_some(), "times", "spoof, forge, sign_in and replay"),
        (form.every.is_some(), "every", "spoof, forge, sign_in and replay"),
        (form.lasts.is_some(), "for", "pause, answer and alter"),
        (form.ppm.is_some(), "ppm", "drift"),
        (form.after.is_some(), "after", "duplicate"),
        (form.by.is_some(), "by", "delay and clock"),
        (form.bit.is_some(), "bit", "corrupt"),
        (form.keep.is_some(), "keep", "truncate"),
        (form.of.is_some(), "of", "restore"),
    ];
    let (_, field, verbs) = left.into_iter().find(|(is_left, ..)| *is_left)?;
    Some(format!("`{field}` belongs to {verbs}"))
}

fn read_target(form: TargetForm) -> Result<Target, String> {
    let TargetForm { from, to, packet, message, nth, times, attempt } = form;
    let kinds = PacketKind::ALL;
    let packet = kinds.iter().copied().find(|kind| kind.name() == packet).ok_or_else(|| {
        let names: Vec<&str> = kinds.iter().map(|kind| kind.name()).collect();
        format!("no packet is called {packet:?}, they are: {}", names.join(", "))
    })?;
    let message =
        match message {
            Some(text) => Some(text.parse().map_err(|_| {
                format!("{text:?} is no message: alice's third send is \"alice#3\"")
            })?),
            None => None,
        };
    let which = match (nth, times, attempt) {
        (Some(0), ..) | (_, Some(0), _) | (.., Some(0)) => {
            return Err("`nth`, `times` and `attempt` count from 1".to_owned());
        }
        (nth, times, None) => Which::Counted { first: nth.unwrap_or(1), times: times.unwrap_or(1) },
        (None, None, Some(attempt)) => Which::Attempt(attempt),
        _ => return Err("`attempt` excludes `nth` and `times`".to_owned()),
    };
    Ok(Target { from: from.into(), to: to.into(), packet, message, which })
}
