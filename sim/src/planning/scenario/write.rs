//! Writes scenarios as people do: a step a line, so that a step less is a line less.

use std::fmt;
use std::io;

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

use super::disk::DiskForm;
use super::form::{DirectionForm, StepForm, TargetForm};
use super::text::{Signed, Text};
use super::{Scenario, Step, Verb, trick};
use crate::faults::bugs::name_of;
use crate::faults::fate::{Fault, Target, Which};
use crate::naming::label::HostName;
use crate::planning::moves::{Claim, Datagram, Trick};
use crate::planning::plan::{CLIENT_PORT, DiskSpeed, Folder};

/// Writes a file.
pub(super) fn write(scenario: &Scenario, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    writeln!(f, "{{\n  \"about\": {},", json(&scenario.about)?)?;
    writeln!(f, "  \"seed\": {},", scenario.seed)?;
    if let Some(bug) = scenario.bug {
        writeln!(f, "  \"bug\": {},", json(&name_of(bug))?)?;
    }
    if scenario.disk != DiskSpeed::default() {
        writeln!(f, "  \"disk\": {},", json(&Text(scenario.disk))?)?;
    }
    if let Some(mtu) = scenario.mtu {
        writeln!(f, "  \"mtu\": {mtu},")?;
    }
    if let Some(mail) = scenario.mail {
        writeln!(f, "  \"mail\": {},", json(&Text(mail))?)?;
    }
    if !scenario.two_addresses.is_empty() {
        let hosts: Vec<&str> = scenario.two_addresses.iter().map(|host| &**host).collect();
        writeln!(f, "  \"two_addresses\": {},", json(&hosts)?)?;
    }
    if scenario.settles {
        writeln!(f, "  \"settles\": true,")?;
    }
    writeln!(f, "  \"steps\": [")?;
    for (index, step) in scenario.steps.iter().enumerate() {
        let comma = if index + 1 < scenario.steps.len() { "," } else { "" };
        writeln!(f, "    {}{comma}", json(&step_form(step))?)?;
    }
    writeln!(f, "  ],\n  \"until\": {}\n}}", json(&Text(scenario.until))?)
}

/// JSON on one line with a space behind commas and colons.
fn json(value: &impl Serialize) -> Result<String, fmt::Error> {
    let mut bytes = Vec::new();
    let mut serializer = Serializer::with_formatter(&mut bytes, Spaced);
    value.serialize(&mut serializer).map_err(|_| fmt::Error)?;
    String::from_utf8(bytes).map_err(|_| fmt::Error)
}

struct Spaced;

impl Formatter for Spaced {
    fn begin_array_value<W: ?Sized + io::Write>(
        &mut self,
        w: &mut W,
        first: bool,
    ) -> io::Result<()> {
        if first { Ok(()) } else { w.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + io::Write>(
        &mut self,
        w: &mut W,
        first: bool,
    ) -> io::Result<()> {
        if first { Ok(()) } else { w.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, w: &mut W) -> io::Result<()> {
        w.write_all(b": ")
    }
}

fn step_form(step: &Step) -> StepForm {
    let mut form = StepForm { at: Text(step.at), ..StepForm::default() };
    match &step.verb {
        Verb::Start { host, user, port } => {
            form.start = Some(host.to_string());
            form.user.clone_from(user);
            form.port = *port;
        }
        Verb::Restart { host, port } => {
            form.restart = Some(host.to_string());
            form.port = *port;
        }
        Verb::Crash { host } => form.crash = Some(host.to_string()),
        Verb::Type { host, line } => {
            form.who = Some(host.to_string());
            form.line = Some(line.clone());
        }
        Verb::Pause { host, lasts } => {
            form.pause = Some(host.to_string());
            form.lasts = Some(Text(*lasts));
        }
        Verb::Clock { host, by_ms } => {
            form.clock = Some(host.to_string());
            form.by = Some(Text(Signed(*by_ms)));
        }
        Verb::Drift { host, ppm } => {
            form.drift = Some(host.to_string());
            form.ppm = Some(*ppm);
        }
        Verb::Fault { target, fault } => fault_form(&mut form, target, *fault),
        Verb::Link { directions, cut } => match &**directions {
            [(a, b), _] => {
                let pair = Some((a.to_string(), b.to_string()));
                *(if *cut { &mut form.partition } else { &mut form.heal }) = pair;
            }
            _ => {
                let direction = directions
                    .first()
                    .map(|(from, to)| DirectionForm { from: from.to_string(), to: to.to_string() });
                *(if *cut { &mut form.cut } else { &mut form.mend }) = direction;
            }
        },
        Verb::Disk { host, kind, nth, fault, restart_after } => {
            form.disk = Some(DiskForm::write(host, (*kind, *nth), *fault, *restart_after));
        }
        Verb::Move { times, every, trick } => {
            form.times = (*times != 1).then_some(*times);
            form.every = (*times != 1).then_some(Text(*every));
            move_form(&mut form, trick);
        }
        Verb::Folder { host, folder } => folder_form(&mut form, host, folder),
        Verb::Mark(name) => form.mark = Some(name.clone()),
    }
    form
}

fn folder_form(form: &mut StepForm, host: &HostName, folder: &Folder) {
    let name = Some(host.to_string());
    match folder {
        Folder::Copied => form.copy = name,
        Folder::Lost => form.lose = name,
        Folder::Replaced { by } => {
            form.restore = name;
            form.of = (by != host).then(|| by.to_string());
        }
    }
}

fn move_form(form: &mut StepForm, trick: &Trick) {
    match trick {
        Trick::Forge { claim, to, datagram } => {
            let forgery = Some(trick::write(claim, to, datagram));
            match claim {
                Claim::Own { .. } => form.forge = forgery,
                Claim::Of(_) | Claim::Nobody { .. } => form.spoof = forgery,
            }
        }
        Trick::SignIn { name, port } => {
            form.sign_in = Some(name.to_string());
            form.own_port = trick::unusual(*port, CLIENT_PORT);
        }
        Trick::Replay { of, to } => {
            form.replay = Some(target_form(of));
            form.toward = to.as_ref().map(|to| to.host.to_string());
        }
        Trick::Answer { of, lasts, datagram } => {
            form.lasts = lasts.map(Text);
            form.answer = Some(target_form(of));
            if let Datagram::Packet { packet, body } = datagram {
                form.with_packet = Some(packet.clone());
                form.body = (!body.is_empty()).then(|| body.clone());
            }
        }
        Trick::Alter { of, lasts, set, body } => {
            form.lasts = lasts.map(Text);
            form.alter = Some(target_form(of));
            form.set = (!set.is_empty()).then(|| set.clone());
            form.body.clone_from(body);
        }
    }
}

fn fault_form(form: &mut StepForm, target: &Target, fault: Fault) {
    let target = Some(target_form(target));
    match fault {
        Fault::Drop | Fault::Burst | Fault::TooLong | Fault::Taken => form.drop = target,
        Fault::Duplicate { after } => {
            form.duplicate = target;
            form.after = (!after.is_zero()).then_some(Text(after));
        }
        Fault::Delay { by } => {
            form.delay = target;
            form.by = Some(Text(Signed(i64::try_from(by.as_millis()).unwrap_or(i64::MAX))));
        }
        Fault::Corrupt { bit } => {
            form.corrupt = target;
            form.bit = Some(bit);
        }
        Fault::Truncate { keep } => {
            form.truncate = target;
            form.keep = Some(keep);
        }
    }
}

fn target_form(target: &Target) -> TargetForm {
    let (nth, times, attempt) = match target.which {
        Which::Counted { first, times } => {
            ((first != 1).then_some(first), (times != 1).then_some(times), None)
        }
        Which::Attempt(attempt) => (None, None, Some(attempt)),
    };
    TargetForm {
        from: target.from.to_string(),
        to: target.to.to_string(),
        packet: target.packet.name().to_owned(),
        message: target.message.as_ref().map(ToString::to_string),
        nth,
        times,
        attempt,
    }
}
