//! What is done to a host of a random run, in order of time and only where it makes sense.

use std::time::Duration;

use udpchat_core::client::timing as client;

use super::MOMENT;
use crate::naming::random::Stream;
use crate::planning::plan::{Act, CLIENT_PORT, Folder, Host, Role, SERVER_PORT};

/// What is to be done to a host, before it is clear in which state it is by then.
pub(super) enum Todo {
    Start,
    /// The program is killed, or told to leave. One that still takes its leave when it is to be
    /// started again is so when everything is healed.
    End(Act),
    Pause(Duration),
    Clock(i64),
    Drift(i64),
    Leave,
    Return,
    Say {
        to: String,
        bytes: usize,
    },
    /// A text to a group, or to everybody.
    Cast {
        group: Option<&'static str>,
    },
    /// Something happens to the folder.
    Folder(Folder),
    /// Anything else.
    Type(String),
}

/// How a host is when everything is healed.
pub(super) struct Left {
    port: u16,
    away: bool,
    clock: i64,
    drifts: bool,
}

/// Writes down what is done to a host, in order of time and only where it makes sense, and heals
/// it in the end: also if somebody else wanted its user's name.
pub(super) fn write_down(
    seed: u64,
    host: &mut Host,
    todo: Vec<(Duration, Todo)>,
    heal: Duration,
    is_wanted: bool,
) {
    let Left { port, away, clock, drifts } = play(seed, host, todo, heal);
    // Without effect if it runs. A client that never reached the server ends by itself, the last
    // of them so long after healing.
    host.then(heal, Act::Start { port });
    if away {
        host.then_type(heal, &format!("reg {}", user(host)));
    }
    if drifts {
        host.then(heal, Act::Drift { ppm: 0 });
    }
    if clock != 0 {
        host.then(heal, Act::StepClock { by_ms: -clock });
    }
    if is_wanted {
        // Whoever was refused does not try again by itself.
        host.then_type(heal + ASKED_LATE, &format!("reg {}", user(host)));
    }
    host.then(heal + client::GIVE_UP + MOMENT, Act::Start { port });
}

/// Writes down what is done to a host from which somebody goes on elsewhere at some time.
pub(super) fn leave_behind(
    seed: u64,
    host: &mut Host,
    todo: Vec<(Duration, Todo)>,
    at: Duration,
    heal: Duration,
) {
    play(seed, host, todo, at);
    host.then(at, Act::Folder(Folder::Copied));
    host.then(at, Act::Crash);
    // A program that its disk had ended before may have been started again.
    host.then(heal, Act::Crash);
}

/// A refusal that was on its way when its reason was gone has arrived by then.
const ASKED_LATE: Duration = Duration::from_secs(5);

/// Writes down what is done to a host, and nothing that heals it.
pub(super) fn play(
    seed: u64,
    host: &mut Host,
    mut todo: Vec<(Duration, Todo)>,
    heal: Duration,
) -> Left {
    todo.retain(|(at, _)| *at < heal);
    todo.sort_by_key(|(at, _)| *at);
    let mut ports = Stream::new(seed, &["ports", &host.name]);
    let (mut runs, mut away, mut clock, mut drifts) = (false, false, 0, false);
    let mut port = if host.role == Role::Server { SERVER_PORT } else { CLIENT_PORT };
    let mut said = 0;
    for (at, what) in todo {
        match what {
            Todo::Start if !runs => {
                if host.role != Role::Server && ports.fraction() < 0.3 {
                    port += 1;
                }
                host.then(at, Act::Start { port });
                runs = true;
            }
            Todo::End(act) if runs => {
                host.then(at, act);
                (runs, away) = (false, false);
            }
            Todo::Pause(lasts) if runs => host.then(at, Act::Pause { lasts }),
            Todo::Clock(by_ms) => {
                clock += by_ms;
                host.then(at, Act::StepClock { by_ms });
            }
            Todo::Drift(ppm) => {
                drifts = true;
                host.then(at, Act::Drift { ppm });
            }
            Todo::Leave if runs => {
                away = true;
                host.then_type(at, &format!("dereg {}", user(host)));
            }
            Todo::Return if runs && away => {
                away = false;
                host.then_type(at, &format!("reg {}", user(host)));
            }
            Todo::Say { to, bytes } if runs => {
                said += 1;
                let text = format!("{} to {to}, number {said}", host.name);
                host.then_type(at, &format!("send {to} {text:.<bytes$}"));
            }
            Todo::Cast { group } if runs => {
                said += 1;
                let line = match group {
                    Some(group) => format!("send_group {group} {} to {group}", host.name),
                    None => format!("send_all {} to all", host.name),
                };
                host.then_type(at, &format!("{line}, number {said}"));
            }
            Todo::Folder(folder) => host.then(at, Act::Folder(folder)),
            Todo::Type(line) if runs => host.then_type(at, &line),
            _ => {}
        }
    }
    Left { port, away, clock, drifts }
}

/// What its user is called.
fn user(host: &Host) -> String {
    host.user().map_or_else(|| host.name.to_string(), ToString::to_string)
}

/// Each client writes to the next one when everybody is there: what is healed carries messages,
/// and no run passes in which nothing was sent because nobody ever got as far as signing in.
pub(super) fn say_one_more(hosts: &mut [Host], at: Duration) {
    let stays = |host: &&Host| host.role != Role::Server && host.stays();
    let clients = || hosts.iter().filter(stays);
    let to: Vec<String> = clients().cycle().skip(1).map(user).take(clients().count()).collect();
    let clients = hosts.iter_mut().filter(|host| stays(&&**host));
    for (host, to) in clients.zip(to) {
        host.then_type(at, &format!("send {to} {} to {to}, after healing", host.name));
    }
}
