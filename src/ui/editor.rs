//! The line editor in a thread of its own: keys in, commands out.
//!
//! Knows rustyline and the desk; what a line means is the desk's to say, and no event comes by.
//! What the desk has to show is written together with the prompt whenever the editor draws that,
//! so that only one thread ever writes.

use std::borrow::Cow;
use std::cell::RefCell;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustyline::completion::Completer;
use rustyline::config::BellStyle;
use rustyline::error::ReadlineError;
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::Hinter;
use rustyline::history::DefaultHistory;
use rustyline::validate::Validator;
use rustyline::{
    Cmd, ColorMode, ConditionalEventHandler, Config, Context, Editor, Event, EventContext,
    EventHandler, ExternalPrinter, Helper, KeyCode, KeyEvent, Modifiers, RepeatCount,
};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use udpchat_core::client::Command;
use udpchat_node::standard;

use super::desk::Desk;
use super::keys::{Does, Key, Keys};
use super::remembered::{self, into_io};
use super::terminal;

/// How many lines are remembered: months of talk, and a file that is read at once.
const HISTORY_MAX: usize = 1_000;

/// What becomes of bytes that no text can have, and why the keys seem dead for a moment.
const NO_TEXT: &str = "these bytes are no text (UTF-8): nothing of the line is taken, up to its \
    end or to a pause of two seconds";

/// Starts to edit lines. The commands in them are never more than a person types, so nothing
/// bounds their number; and the editor must wait for nobody.
///
/// # Errors
///
/// The terminal cannot be used so, or a thread not be started.
pub(super) fn start(
    desk: &Arc<Desk>,
    history: Option<PathBuf>,
) -> io::Result<UnboundedReceiver<Command>> {
    let config = Config::builder()
        .max_history_size(HISTORY_MAX)
        .and_then(|config| config.history_ignore_dups(true))
        .map_err(into_io)?
        // Whether there are colours is the desk's to say; without this it would not be asked.
        .color_mode(ColorMode::Forced)
        .bell_style(BellStyle::None)
        .build();
    let mut editor = Editor::with_config(config).map_err(into_io)?;
    let mut printer = editor.create_external_printer().map_err(into_io)?;
    editor.set_helper(Some(Face { desk: Arc::clone(desk), line: RefCell::default() }));
    let keyboard = Arc::new(Keyboard::new());
    let filter = Filter { keyboard: Arc::clone(&keyboard), desk: Arc::clone(desk) };
    editor.bind_sequence(Event::Any, EventHandler::Conditional(Box::new(filter)));
    let (sender, commands) = mpsc::unbounded_channel();

    let waking = Arc::clone(desk);
    thread::Builder::new().name("printer".to_owned()).spawn(move || {
        waking.keep_drawing(|text| printer.print(text.to_owned()).map_err(into_io));
    })?;
    let lines = Lines { editor, keyboard, desk: Arc::clone(desk), history, failed: None };
    thread::Builder::new().name("editor".to_owned()).spawn(move || {
        terminal::take_stops();
        lines.edit(&sender);
        drop(sender);
        // It goes on taking them.
        loop {
            thread::park();
        }
    })?;
    Ok(commands)
}

/// What the user types, line by line.
struct Lines {
    editor: Editor<Face, DefaultHistory>,
    keyboard: Arc<Keyboard>,
    desk: Arc<Desk>,
    /// Where lines are remembered.
    history: Option<PathBuf>,
    failed: Option<io::Error>,
}

impl Lines {
    /// Edits lines until the user leaves or the terminal does.
    fn edit(mut self, commands: &UnboundedSender<Command>) {
        self.load_history();
        while let Some(prompt) = self.desk.prompt() {
            terminal::begin_line();
            let read = self.editor.readline(&prompt);
            terminal::line_begun();
            self.desk.line_ended();
            match read {
                Ok(text) => {
                    if self.take(&prompt, &text, commands) {
                        return self.desk.leaving();
                    }
                }
                Err(ReadlineError::Interrupted) => {
                    let line = self.line();
                    self.wipe_hint(&prompt, &line);
                    if line.is_empty() {
                        // A node that has ended obeys nobody.
                        let _ = commands.send(Command::Quit);
                        return;
                    }
                    self.desk.notice("line cleared; ^C on an empty line leaves");
                }
                Err(ReadlineError::Eof) => return self.desk.leaving(),
                Err(ReadlineError::Io(error)) if error.kind() == io::ErrorKind::InvalidData => {
                    self.keyboard.broken();
                    self.desk.notice(NO_TEXT);
                }
                Err(error) => {
                    self.failed = Some(into_io(error));
                    return;
                }
            }
        }
    }

    /// Passes on what was typed. Whether that ends the conversation.
    fn take(&mut self, prompt: &str, text: &str, commands: &UnboundedSender<Command>) -> bool {
        self.remember(text);
        let one_row = self.fits_a_row(prompt.chars().chain(text.chars()));
        let found = self.desk.typed(text, one_row);
        let leaves = found.contains(&Command::Finish);
        for command in found {
            // As above.
            let _ = commands.send(command);
        }
        leaves
    }

    /// The line as it was drawn last.
    fn line(&self) -> String {
        self.editor.helper().map(|face| face.line.borrow().clone()).unwrap_or_default()
    }

    /// Takes the hint away that rustyline leaves behind an interrupted line, in the row above the
    /// cursor. Only where it is certain what is in that row.
    fn wipe_hint(&mut self, prompt: &str, line: &str) {
        let Some(hint) = self.desk.hint(line) else { return };
        let all = prompt.chars().chain(line.chars()).chain(hint.chars());
        if line.is_ascii() && self.fits_a_row(all) {
            let columns = prompt.chars().count() + line.len();
            let mut out = standard::stdout();
            // If the terminal is gone, reading from it says so.
            let _ = writeln!(out, "\u{1b}[A\u{1b}[{columns}C\u{1b}[K");
            let _ = out.flush();
        }
    }

    fn fits_a_row(&mut self, text: impl Iterator<Item = char>) -> bool {
        let columns = self.editor.dimensions().map_or(0, |(columns, _)| usize::from(columns));
        text.map(widest).sum::<usize>() < columns
    }

    fn load_history(&mut self) {
        let Some(path) = &self.history else { return };
        if let Err(error) = remembered::load(&mut self.editor, path) {
            self.forget(&error);
        }
    }

    /// Each line for itself, and on the disk at once: no way out may lose them.
    fn remember(&mut self, text: &str) {
        let lines = text.split('\n').filter(|line| !line.trim().is_empty());
        for line in lines.filter(|line| remembered::fits(line)) {
            let added = self.editor.add_history_entry(line).map_err(into_io);
            let Some(path) = self.history.clone() else { continue };
            let kept = added.and_then(|_| {
                path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
                self.editor.append_history(&path).map_err(into_io)
            });
            if let Err(error) = kept {
                self.forget(&error);
            }
        }
    }

    /// One complaint is enough.
    fn forget(&mut self, error: &io::Error) {
        if let Some(path) = self.history.take() {
            let path = path.display();
            self.desk
                .notice(&format!("lines are not remembered in {path}: {error}; mend or remove it"));
        }
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        if thread::panicking() {
            self.failed = Some(io::Error::other("the line editor has failed"));
        }
        self.desk.editor_gone(self.failed.take());
    }
}

/// No character takes more columns.
fn widest(character: char) -> usize {
    match character {
        ' '..='~' => 1,
        // Ends the row, which is then one of several.
        '\n' => usize::from(u16::MAX),
        _ => 2,
    }
}

/// What the keys have come to, for the two places in the editor's thread that learn of them.
struct Keyboard {
    keys: Mutex<Keys>,
    started: Instant,
}

impl Keyboard {
    #[expect(clippy::disallowed_methods, reason = "people's pauses are of real time")]
    fn new() -> Self {
        Self { keys: Mutex::new(Keys::new()), started: Instant::now() }
    }

    fn with<T>(&self, act: impl FnOnce(&mut Keys, Duration) -> T) -> T {
        act(&mut self.keys.lock().unwrap_or_else(PoisonError::into_inner), self.started.elapsed())
    }

    fn broken(&self) {
        self.with(Keys::broken);
    }
}

/// Sees every key before the editor obeys it.
struct Filter {
    keyboard: Arc<Keyboard>,
    desk: Arc<Desk>,
}

impl ConditionalEventHandler for Filter {
    fn handle(
        &self,
        event: &Event,
        times: RepeatCount,
        _: bool,
        context: &EventContext<'_>,
    ) -> Option<Cmd> {
        let key = key(event, times);
        let line = context.line().len();
        match self.keyboard.with(|keys, now| keys.press(now, key, line)) {
            Does::AsUsual => None,
            Does::Nothing => Some(Cmd::Noop),
            Does::Insert(text) => Some(Cmd::Insert(1, text)),
            Does::Refused(why) => {
                self.desk.notice(&why);
                Some(Cmd::Noop)
            }
        }
    }
}

/// A key of the editor's as it matters before it.
fn key(event: &Event, times: RepeatCount) -> Key {
    let Some(KeyEvent(code, held)) = event.get(0) else { return Key::Other };
    let ctrl = *held == Modifiers::CTRL;
    match code {
        KeyCode::BracketedPasteStart => Key::PasteBegins,
        KeyCode::BracketedPasteEnd => Key::PasteEnds,
        KeyCode::Enter => Key::Return,
        KeyCode::Tab => Key::Control('\t', 1),
        // The C1 character that begins an escape sequence.
        KeyCode::Esc if *held == Modifiers::SHIFT => Key::Control('\u{9b}', 1),
        KeyCode::Char('J') if ctrl => Key::Newline,
        KeyCode::Char('C') if ctrl => Key::Interrupt,
        KeyCode::Char(letter) if ctrl && letter.is_ascii() => {
            Key::Control(char::from(*letter as u8 & 0x1f), times.into())
        }
        KeyCode::Char(character) if held.is_empty() => Key::Char(*character, times.into()),
        _ => Key::Other,
    }
}

/// What the editor asks while a line is being edited.
struct Face {
    desk: Arc<Desk>,
    /// The line as it was drawn last.
    line: RefCell<String>,
}

impl Helper for Face {}

impl Validator for Face {}

impl Completer for Face {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        cursor: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(self.desk.completions(line, cursor))
    }
}

impl Hinter for Face {
    type Hint = String;

    fn hint(&self, line: &str, cursor: usize, _: &Context<'_>) -> Option<String> {
        line.clone_into(&mut self.line.borrow_mut());
        if cursor == line.len() { self.desk.hint(line) } else { None }
    }
}

impl Highlighter for Face {
    /// The editor writes this at the beginning of its row, which it has cleared: lines that stand
    /// before the prompt move it down, and it never counts rows above its own.
    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(
        &'s self,
        prompt: &'p str,
        is_ours: bool,
    ) -> Cow<'b, str> {
        terminal::line_begun();
        let prompt = if is_ours { self.desk.painted_prompt() } else { prompt.to_owned() };
        let above = self.desk.draw(|| {
            let line = self.line.borrow();
            format!("{prompt}{}", self.highlight(&line, line.len()))
        });
        Cow::Owned(above + &prompt)
    }

    fn highlight_hint<'h>(&self, hint: &'h str) -> Cow<'h, str> {
        Cow::Owned(self.desk.quiet(hint))
    }

    /// Without what takes no room but may do something, as pasted text has it.
    fn highlight<'l>(&self, line: &'l str, _: usize) -> Cow<'l, str> {
        if line.chars().any(is_control) {
            return Cow::Owned(line.chars().filter(|character| !is_control(*character)).collect());
        }
        Cow::Borrowed(line)
    }

    fn highlight_char(&self, line: &str, _: usize, _: CmdKind) -> bool {
        line.chars().any(is_control)
    }
}

/// The editor itself sees to line ends and tabs.
fn is_control(character: char) -> bool {
    character.is_control() && !matches!(character, '\n' | '\t')
}
