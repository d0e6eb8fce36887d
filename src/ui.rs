//! What a client's user sees, and how lines come in.
//!
//! Knows events and where text goes; [`render`] and [`json`] are pure. It knows no network, and
//! nothing of the machines but their events.
//!
//! Programs and simple terminals have a [`Screen`]; people have a line editor, whose three threads
//! meet at a desk ([`front`] opens either).

mod chat;
mod complete;
mod desk;
mod editor;
mod foreground;
pub mod front;
pub mod input;
mod json;
mod keys;
mod local;
pub mod operator;
mod paint;
mod remembered;
mod render;
mod show;
mod talk;
pub mod terminal;

use std::io::{self, Write};

pub use show::show;

use udpchat_core::client::Event;
use udpchat_core::command;
use udpchat_node::standard;

use render::Renderer;

/// What stands in front of what is typed, and of what is said.
const PROMPT: &str = ">>> ";

/// How to talk to the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// To a person, with a line editor.
    Editor,
    /// To a person at a terminal that can do nothing but print: with a prompt.
    Terminal,
    /// A line per event.
    Plain,
    /// A JSON object per event.
    Json,
}

/// Where a client's events are shown. Every call has flushed what it wrote when it returns.
#[derive(Debug)]
pub struct Screen<W> {
    out: W,
    mode: Mode,
    renderer: Renderer,
    tables: json::Tables,
    /// Whether the cursor stands behind a prompt.
    prompting: bool,
}

impl<W: Write> Screen<W> {
    /// A screen that writes to `out`.
    pub fn new(mode: Mode, out: W) -> Self {
        let (renderer, tables) = (Renderer::default(), json::Tables::default());
        Self { out, mode, renderer, tables, prompting: false }
    }

    /// Shows an event.
    ///
    /// # Errors
    ///
    /// The event may not have been shown. So for all the others.
    pub fn event(&mut self, event: &Event) -> io::Result<()> {
        match self.mode {
            Mode::Json => match self.tables.event(event) {
                said if said.is_empty() => Ok(()),
                said => self.print(&[said]),
            },
            Mode::Plain | Mode::Terminal | Mode::Editor => {
                let lines = self.renderer.lines(event);
                self.print(&lines)
            }
        }
    }

    /// Shows what was wrong with a line that was typed.
    ///
    /// # Errors
    ///
    /// As for [`Self::event`].
    pub fn error(&mut self, why: &str) -> io::Result<()> {
        match self.mode {
            Mode::Json => self.print(&[json::error(why)]),
            _ => self.print(&[format!("[{why}]")]),
        }
    }

    /// Shows something to people that is no event of theirs; programs have no use for it.
    ///
    /// # Errors
    ///
    /// As for [`Self::event`].
    pub fn notice(&mut self, text: &str) -> io::Result<()> {
        match self.mode {
            Mode::Json => Ok(()),
            _ => self.print(&[format!("[{text}]")]),
        }
    }

    /// Shows the list of commands.
    ///
    /// # Errors
    ///
    /// As for [`Self::event`].
    pub fn help(&mut self) -> io::Result<()> {
        match self.mode {
            Mode::Json => self.print(&[json::help(&command::help())]),
            _ => self.print(&command::help()),
        }
    }

    /// A person has ended the line behind the prompt.
    pub fn line_entered(&mut self) {
        self.prompting = false;
    }

    /// Asks for the next line, if a person is there to be asked and is not asked already.
    ///
    /// # Errors
    ///
    /// As for [`Self::event`].
    pub fn prompt(&mut self) -> io::Result<()> {
        if self.mode == Mode::Terminal && !self.prompting {
            self.prompting = true;
            self.write(PROMPT)?;
        }
        Ok(())
    }

    /// Leaves the cursor where the next program expects it.
    ///
    /// # Errors
    ///
    /// As for [`Self::event`].
    pub fn end(&mut self) -> io::Result<()> {
        if self.prompting {
            self.prompting = false;
            self.write("\n")?;
        }
        Ok(())
    }

    fn print(&mut self, lines: &[String]) -> io::Result<()> {
        if lines.is_empty() {
            return Ok(());
        }
        let mut text = String::new();
        if self.prompting {
            text.push('\n');
        }
        for line in lines {
            match self.mode {
                Mode::Json => text.push_str(line),
                Mode::Plain => text.push_str(&show(line)),
                Mode::Terminal | Mode::Editor => {
                    if line.starts_with('[') {
                        text.push_str(PROMPT);
                    }
                    text.push_str(&show(line));
                }
            }
            text.push('\n');
        }
        if self.mode == Mode::Terminal {
            text.push_str(PROMPT);
            self.prompting = true;
        }
        self.write(&text)
    }

    /// In one piece: whoever reads sees no half event.
    fn write(&mut self, text: &str) -> io::Result<()> {
        self.out.write_all(text.as_bytes())?;
        self.out.flush()
    }
}

/// Says something beside what a node says.
pub(crate) fn say(line: &str) {
    // Whoever closed the output does not want to know.
    let _ = writeln!(standard::stderr(), "udpchat: {line}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use udpchat_core::protocol::{MessageId, StreamId};

    fn message(text: &str) -> Event {
        let id = MessageId { stream: StreamId(1), seq: 1 };
        let from = "bob".parse().unwrap();
        let text = text.to_owned();
        Event::Message { id, from, text, stored_at: None, group: None, again: false }
    }

    fn shown(mode: Mode, use_it: impl FnOnce(&mut Screen<Vec<u8>>) -> io::Result<()>) -> String {
        let mut screen = Screen::new(mode, Vec::new());
        use_it(&mut screen).unwrap();
        String::from_utf8(screen.out).unwrap()
    }

    #[test]
    fn a_person_has_a_prompt_after_everything() {
        let text = shown(Mode::Terminal, |screen| {
            screen.prompt()?;
            screen.event(&message("hi"))?;
            screen.line_entered();
            screen.error("unknown command")?;
            screen.prompt()?;
            screen.end()
        });
        assert_eq!(text, ">>> \n>>> bob: hi\n>>> >>> [unknown command]\n>>> \n");
    }

    #[test]
    fn a_pipe_has_lines_and_no_prompt() {
        let text = shown(Mode::Plain, |screen| {
            screen.prompt()?;
            screen.event(&message("hi"))?;
            screen.line_entered();
            screen.error("unknown command")?;
            screen.end()
        });
        assert_eq!(text, ">>> bob: hi\n[unknown command]\n");
    }

    #[test]
    fn a_text_cannot_leave_its_line_or_reach_the_terminal() {
        let evil = message("a\n[You are Offline. Bye.]\u{1b}[2J");
        for mode in [Mode::Plain, Mode::Terminal] {
            let text = shown(mode, |screen| screen.event(&evil));
            assert!(text.starts_with(r">>> bob: a\n[You are Offline. Bye.]\u{1b}[2J"), "{text:?}");
        }
        let text = shown(Mode::Json, |screen| screen.event(&evil));
        assert!(text.contains(r#""text":"a\n[You are Offline. Bye.]\u001b[2J""#), "{text:?}");
        assert_eq!(text.lines().count(), 1);
    }

    #[test]
    fn the_list_of_commands_is_lines_or_one_object() {
        assert!(shown(Mode::Plain, Screen::help).lines().count() > 4);
        let json = shown(Mode::Json, Screen::help);
        assert!(json.starts_with(r#"{"event":"help","text":"send <name> <text>"#), "{json}");
        assert_eq!(json.lines().count(), 1);
    }
}
