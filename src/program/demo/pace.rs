//! When a demo's client gets what was typed: not before its partner is there, not too much at a
//! time, and its end not before everything has been answered.
//!
//! Knows commands and events. So a script can type everything at once.

use std::cell::RefCell;
use std::convert::Infallible;

use tokio::sync::mpsc::{Receiver, Sender};
use tokio::sync::watch;
use udpchat_core::client::{Command, Event};
use udpchat_core::protocol::Name;
use udpchat_node::drive::give;

use super::ECHO;
use super::course::Courses;

/// Messages that may be without an answer: enough to see them overtake each other.
pub(super) const AHEAD_MAX: usize = 32;

/// How far the conversation is.
#[derive(Clone, Copy, Debug, Default)]
struct PaceState {
    /// Whether the partner has been seen.
    together: bool,
    /// Messages to the partner that it has not answered.
    unanswered: usize,
    /// Whether no answer can come.
    offline: bool,
}

/// The pace of a conversation.
#[derive(Debug)]
pub(super) struct Pace(watch::Sender<PaceState>);

impl Default for Pace {
    fn default() -> Self {
        Self(watch::Sender::new(PaceState::default()))
    }
}

impl Pace {
    /// The user's client has told it something.
    pub(super) fn note(&self, event: &Event) {
        self.0.send_modify(|state| match event {
            Event::Table(listing) => {
                state.together |= listing.online.iter().any(is_echo);
            }
            Event::Registered { .. } => state.offline = false,
            Event::Offline => (state.offline, state.unanswered) = (true, 0),
            Event::Message { from, .. } if is_echo(from) => {
                state.unanswered = state.unanswered.saturating_sub(1);
            }
            Event::Unsent { to, reason, .. } if is_echo(to) && reason.is_final() => {
                state.unanswered = state.unanswered.saturating_sub(1);
            }
            // Of whatever was asked for: then there may be one answer less to wait for.
            Event::Error(_) => state.unanswered = state.unanswered.saturating_sub(1),
            _ => {}
        });
    }

    /// Hands on what is typed. When there is no more it waits for ever.
    pub(super) async fn keep(
        &self,
        mut typed: Receiver<Command>,
        commands: &Sender<Command>,
        courses: &RefCell<Courses>,
    ) -> Infallible {
        let mut ahead = None;
        while let Some(command) = next(&mut ahead, &mut typed).await {
            let is_due: fn(&PaceState) -> bool = match &command {
                Command::Send { to, .. } if is_echo(to) => {
                    |state| state.offline || state.together && state.unanswered < AHEAD_MAX
                }
                Command::Finish => |state| state.unanswered == 0,
                _ => |_| true,
            };
            let mut state = self.0.subscribe();
            tokio::select! {
                biased;
                _ = state.wait_for(is_due) => {}
                () = look_ahead(&mut ahead, &mut typed) => {}
            }
            if matches!(&command, Command::Send { to, .. } if is_echo(to)) {
                self.0.send_modify(|state| state.unanswered += 1);
            }
            courses.borrow_mut().given(&command);
            give(commands, command).await;
        }
        std::future::pending().await
    }
}

async fn next(ahead: &mut Option<Command>, typed: &mut Receiver<Command>) -> Option<Command> {
    match ahead.take() {
        Some(command) => Some(command),
        None => typed.recv().await,
    }
}

/// Reads one command more, and returns when it is one that cannot wait for those before it.
async fn look_ahead(ahead: &mut Option<Command>, typed: &mut Receiver<Command>) {
    if ahead.is_none() {
        *ahead = typed.recv().await;
    }
    if !matches!(ahead, Some(Command::Quit)) {
        std::future::pending().await
    }
}

fn is_echo(name: &Name) -> bool {
    name.as_str() == ECHO
}
