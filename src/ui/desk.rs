//! Where three threads meet: the node's, which has something to show; the editor's, which alone
//! writes to the terminal while a line is being edited; and the waker's, which alone owns the
//! editor's printer and tells it that there is something to write.
//!
//! No thread holds the lock while it waits for the terminal, but to write the last lines when the
//! editor is gone; and the editor waits for no other thread. So none can wait in a circle, however
//! many messages arrive while keys are pressed. docs/terminal.md, "Shown" says what follows for
//! the promises.

use std::io::{self, Write};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use udpchat_core::client::{Command, Event};
use udpchat_core::command::{self, UserRequest};
use udpchat_core::time::Now;
use udpchat_node::standard;

use super::chat::{Chat, HOLD};
use super::complete;
use super::talk::{Talk, Typed};

/// How long the node waits for a message to be written. The editor takes far less, unless it shows
/// a search in the history, which no message interrupts: the node must not stand still meanwhile.
const SHOWN_WITHIN: Duration = Duration::from_millis(100);

/// How many lines may wait to be written before the node waits for ever: thousands fit a memory,
/// and nobody reads more.
const BACKLOG_MAX: usize = 5_000;

/// How long the last lines may take, so that a terminal that is stuck cannot keep the process.
const LAST_LINES_WITHIN: Duration = Duration::from_secs(1);

/// What makes the editor write its row again, and what has come above it: nothing to see. The line
/// end is what it would add itself.
const WAKE: &str = "\u{1b}[A\n";

/// What the threads share.
#[derive(Debug)]
pub(super) struct Desk {
    state: Mutex<DeskState>,
    changed: Condvar,
}

#[derive(Debug)]
struct DeskState {
    chat: Chat,
    talk: Talk,
    editor: Editor,
    /// How often the editor has taken what there was to write.
    draws: u64,
    /// A wait for the editor has been in vain since its last draw.
    slow: bool,
    /// The node has ended: no line must be begun any more.
    closing: bool,
    failed: Option<io::Error>,
}

/// What the editor is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Editor {
    /// Before or after a line.
    Between,
    /// A line is being edited: it writes when woken.
    Editing,
    /// It writes no more: others may.
    Gone,
}

impl Desk {
    pub(super) fn new(chat: Chat, talk: Talk) -> Self {
        let state = DeskState {
            chat,
            talk,
            editor: Editor::Between,
            draws: 0,
            slow: false,
            closing: false,
            failed: None,
        };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, DeskState> {
        // Its values are whole between any two statements of those who hold it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(
        &self,
        state: MutexGuard<'a, DeskState>,
        limit: Duration,
    ) -> MutexGuard<'a, DeskState> {
        self.changed.wait_timeout(state, limit).unwrap_or_else(PoisonError::into_inner).0
    }

    /// Shows an event. A message has been handed to whoever writes it at once when this returns,
    /// unless the terminal is slow.
    ///
    /// # Errors
    ///
    /// The terminal takes no more.
    pub(super) fn show(&self, now: Now, event: &Event) -> io::Result<()> {
        let mut state = self.lock();
        state.talk.note(event);
        state.chat.event(now, event);
        self.changed.notify_all();
        while state.chat.ready() > BACKLOG_MAX && state.failed.is_none() {
            state = self.wait(state, SHOWN_WITHIN);
        }
        if matches!(event, Event::Message { .. }) && !state.slow {
            state = self.wait_while(state, SHOWN_WITHIN, |state| state.chat.ready() > 0);
            state.slow = state.chat.ready() > 0;
        }
        state.failed.take().map_or(Ok(()), Err)
    }

    /// Waits until it is so no more.
    fn wait_while<'a>(
        &self,
        state: MutexGuard<'a, DeskState>,
        limit: Duration,
        is_so: impl Fn(&DeskState) -> bool,
    ) -> MutexGuard<'a, DeskState> {
        self.changed
            .wait_timeout_while(state, limit, |state| state.failed.is_none() && is_so(state))
            .unwrap_or_else(PoisonError::into_inner)
            .0
    }

    /// Shows what is left. Nothing is written after this has returned, and no setting changed: the
    /// editor, which may be about to begin a line, has ended. Once is enough.
    ///
    /// # Errors
    ///
    /// As for [`Self::show`].
    pub(super) fn end(&self) -> io::Result<()> {
        let mut state = self.lock();
        if std::mem::replace(&mut state.closing, true) {
            return Ok(());
        }
        state.chat.release();
        self.changed.notify_all();
        let is_edited = |state: &DeskState| state.editor != Editor::Gone;
        let mut state = self.wait_while(state, LAST_LINES_WITHIN, is_edited);
        if state.chat.ready() > 0 {
            state.write()?;
        }
        state.failed.take().map_or(Ok(()), Err)
    }

    /// The prompt for the next line, as it is without colours; none if there is no next line.
    pub(super) fn prompt(&self) -> Option<String> {
        let state = self.lock();
        (!state.closing).then(|| state.prompt(false))
    }

    /// The same as it looks.
    pub(super) fn painted_prompt(&self) -> String {
        self.lock().prompt(true)
    }

    pub(super) fn hint(&self, line: &str) -> Option<String> {
        complete::hint(&self.lock().talk, line)
    }

    pub(super) fn quiet(&self, text: &str) -> String {
        self.lock().chat.look().quiet(text)
    }

    pub(super) fn completions(&self, line: &str, cursor: usize) -> (usize, Vec<String>) {
        complete::completions(&self.lock().talk, line, cursor)
    }

    /// What the editor must write at the beginning of its row, now; the rest of the row it knows.
    /// At the end all is written here, and the editor's thread kept for ever: nobody could tell
    /// when it has written a row, and the terminal is to be left below the last one.
    pub(super) fn draw(&self, rest: impl FnOnce() -> String) -> String {
        let mut state = self.lock();
        state.editor = Editor::Editing;
        state.draws += 1;
        state.slow = false;
        let text = state.chat.draw();
        let closing = state.closing;
        drop(state);
        self.changed.notify_all();
        if closing {
            self.editor_gone(write(&(text + &rest())).err());
            loop {
                thread::park();
            }
        }
        text
    }

    /// The line has ended, or could not be edited on.
    pub(super) fn line_ended(&self) {
        self.lock().editor = Editor::Between;
        self.changed.notify_all();
    }

    /// There will be no more lines.
    pub(super) fn editor_gone(&self, failed: Option<io::Error>) {
        let mut state = self.lock();
        state.editor = Editor::Gone;
        state.chat.prompt_gone();
        state.failed = state.failed.take().or(failed);
        self.changed.notify_all();
    }

    /// Tells the user something.
    pub(super) fn notice(&self, text: &str) {
        self.lock().chat.notice(text);
        self.changed.notify_all();
    }

    /// Takes the lines that were typed at once, and gives the commands in them. `one_row`: on the
    /// screen they fill a row and no more.
    pub(super) fn typed(&self, text: &str, one_row: bool) -> Vec<Command> {
        let mut state = self.lock();
        let mut commands = Vec::new();
        for line in text.split('\n') {
            if let Some(command) = state.read(line) {
                let ends = command == Command::Finish;
                commands.push(command);
                if ends {
                    break;
                }
            }
        }
        let to = match &commands[..] {
            [Command::Send { to, .. }] if one_row => Some(to.clone()),
            _ => None,
        };
        state.chat.typed(to);
        self.changed.notify_all();
        commands
    }

    /// The user wants to leave when everything has its outcome.
    pub(super) fn leaving(&self) {
        let mut state = self.lock();
        let pending = state.chat.pending();
        if pending > 0 {
            let text = format!("waiting for the outcome of {pending} sent; ^C leaves at once");
            state.chat.notice(&text);
        }
        self.changed.notify_all();
    }

    /// Wakes the editor whenever there is something to write, and writes when it is gone. Ends
    /// never.
    pub(super) fn keep_drawing(&self, mut wake: impl FnMut(&str) -> io::Result<()>) {
        let mut state = self.lock();
        loop {
            let draws = state.draws;
            let awaited = state.chat.ready() > 0 || state.closing;
            if state.editor == Editor::Editing && awaited {
                drop(state);
                let woken = wake(WAKE);
                state = self.lock();
                if let Err(error) = woken {
                    state.failed.get_or_insert(error);
                }
                while state.draws == draws && state.editor == Editor::Editing {
                    state = self.wait(state, HOLD);
                }
                continue;
            }
            if state.editor == Editor::Gone && state.chat.ready() > 0 {
                if let Err(error) = state.write() {
                    state.failed.get_or_insert(error);
                }
                state.slow = false;
                self.changed.notify_all();
                continue;
            }
            if state.chat.has_held() {
                let (next, waited) =
                    self.changed.wait_timeout(state, HOLD).unwrap_or_else(PoisonError::into_inner);
                state = next;
                if waited.timed_out() {
                    state.chat.release();
                }
            } else {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }
}

impl DeskState {
    fn prompt(&self, painted: bool) -> String {
        self.chat.prompt(self.talk.partner(), painted)
    }

    /// Does what concerns nobody but the screen, and gives the rest.
    fn read(&mut self, line: &str) -> Option<Command> {
        match self.talk.read(line) {
            Typed::Nothing => {}
            Typed::Ask(UserRequest::Command(command)) => return Some(command),
            Typed::Ask(UserRequest::Help) => self.chat.plain(&command::help()),
            Typed::Partner(said) => self.chat.notice(&said),
            Typed::Wrong(why) => self.chat.wrong(&why),
        }
        None
    }

    /// Writes without the editor.
    fn write(&mut self) -> io::Result<()> {
        write(&self.chat.lines())
    }
}

fn write(text: &str) -> io::Result<()> {
    let mut out = standard::stdout();
    out.write_all(text.as_bytes())?;
    out.flush()
}
