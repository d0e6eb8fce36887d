//! A client's user interface, whichever it is: what goes to the user, and what comes from there.
//!
//! Which of them fits is decided before anything is written, by what standard input and output
//! are.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::env;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::sync::Arc;

use anstream::{AutoStream, ColorChoice};
use jiff::tz::TimeZone;
use tokio::sync::mpsc::{Receiver, Sender, UnboundedReceiver};
use udpchat_core::client::{Command, Event};
use udpchat_core::command::{self, UserRequest};
use udpchat_core::protocol::Name;
use udpchat_core::time::Now;
use udpchat_node::drive::give;
use udpchat_node::standard::{self, Stdout};
use udpchat_node::xdg;

use super::chat::Chat;
use super::desk::Desk;
use super::input::{InputLine, LINE_MAX, NO_TEXT, stdin_lines};
use super::paint::Look;
use super::talk::{Talk, Typed};
use super::terminal::{self, Guard};
use super::{Mode, Screen, editor};

/// Terminals that can do nothing but print, or of which nothing is known.
const SIMPLE_TERMINALS: [&str; 5] = ["", "unknown", "dumb", "cons25", "emacs"];

/// What is asked of a user interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wishes {
    /// The user.
    pub name: Name,
    /// For whom it is.
    pub mode: Mode,
    /// Whether there are colours.
    pub color: ColorChoice,
    /// Whether typed lines are remembered from run to run.
    pub history: bool,
    /// Whom lines are sent to from the beginning, if not every line is a command.
    pub partner: Option<Name>,
}

/// A user interface. The terminal is as before when it is dropped.
#[derive(Debug)]
pub struct Front(Shown);

#[derive(Debug)]
enum Shown {
    Screen(RefCell<Screen<Stdout>>),
    Desk { desk: Arc<Desk>, _guard: Guard },
}

/// What the user types.
#[derive(Debug)]
pub struct Input(From);

#[derive(Debug)]
enum From {
    Lines(Receiver<InputLine>, Option<Talk>),
    Editor(UnboundedReceiver<Command>),
}

/// Opens the user interface that is wished for.
///
/// # Errors
///
/// Input cannot be read, or the terminal not be used.
pub fn open(wishes: Wishes) -> io::Result<(Front, Input)> {
    let mode = wishes.mode;
    if mode != Mode::Editor {
        let screen = RefCell::new(Screen::new(mode, standard::stdout()));
        let partner = wishes.partner;
        let talk = partner.map(|partner| Talk::new(wishes.name).with_partner(Some(partner)));
        let input = Input(From::Lines(stdin_lines()?, talk));
        return Ok((Front(Shown::Screen(screen)), input));
    }
    standard::own_terminal();
    let guard = terminal::guard()?;
    let look = Look { color: has_colors(wishes.color), unicode: is_unicode() };
    let chat = Chat::new(wishes.name.clone(), look, TimeZone::system());
    let desk = Arc::new(Desk::new(chat, Talk::new(wishes.name).with_partner(wishes.partner)));
    let history = if wishes.history { history_file() } else { None };
    let commands = editor::start(&desk, history)?;
    let shown = Shown::Desk { desk, _guard: guard };
    Ok((Front(shown), Input(From::Editor(commands))))
}

/// The mode that fits what standard input and output are.
#[must_use]
pub fn fitting() -> Mode {
    let term = env::var("TERM").unwrap_or_default();
    if !(io::stdin().is_terminal() && io::stdout().is_terminal()) {
        Mode::Plain
    } else if SIMPLE_TERMINALS.iter().any(|simple| simple.eq_ignore_ascii_case(&term)) {
        Mode::Terminal
    } else {
        Mode::Editor
    }
}

fn has_colors(wish: ColorChoice) -> bool {
    let choice = match wish {
        // Asks the environment, NO_COLOR and its like.
        ColorChoice::Auto => AutoStream::choice(&io::stdout()),
        said => said,
    };
    choice != ColorChoice::Never
}

/// Whether the terminal's characters are those of UTF-8, by what its user's locale says.
fn is_unicode() -> bool {
    let said = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(|key| env::var(key).ok());
    let locale = said.into_iter().find(|value| !value.is_empty()).unwrap_or_default();
    let locale = locale.to_ascii_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

/// Where typed lines are remembered.
fn history_file() -> Option<PathBuf> {
    let variable = env::var_os;
    let state = xdg::folder(variable("XDG_STATE_HOME"), variable("HOME"), ".local/state")?;
    Some(state.join("udpchat").join("history"))
}

impl Drop for Front {
    /// After an error or a panic nobody may have said that this is the end.
    fn drop(&mut self) {
        if let Shown::Desk { desk, .. } = &self.0 {
            // Whether the last lines were shown is of no interest any more.
            let _ = desk.end();
        }
    }
}

impl Front {
    /// Shows an event.
    ///
    /// # Errors
    ///
    /// The event may not have been shown.
    pub fn event(&self, now: Now, event: &Event) -> io::Result<()> {
        match &self.0 {
            Shown::Screen(screen) => screen.borrow_mut().event(event),
            Shown::Desk { desk, .. } => desk.show(now, event),
        }
    }

    /// Shows something to people that is no event of theirs.
    ///
    /// # Errors
    ///
    /// It may not have been shown.
    pub fn notice(&self, text: &str) -> io::Result<()> {
        match &self.0 {
            Shown::Screen(screen) => screen.borrow_mut().notice(text),
            Shown::Desk { desk, .. } => {
                desk.notice(text);
                Ok(())
            }
        }
    }

    /// Shows what is left, and leaves the cursor where the next program expects it.
    ///
    /// # Errors
    ///
    /// Not all may have been shown.
    pub fn end(&self) -> io::Result<()> {
        match &self.0 {
            Shown::Screen(screen) => screen.borrow_mut().end(),
            Shown::Desk { desk, .. } => desk.end(),
        }
    }

    /// Gives the client the commands that are typed. What is no command it answers, and sets
    /// `understood` to false. After the last it lets the client finish, and waits for ever.
    ///
    /// # Errors
    ///
    /// An answer could not be shown.
    pub async fn obey(
        &self,
        input: Input,
        commands: &Sender<Command>,
        understood: &Cell<bool>,
    ) -> io::Result<Infallible> {
        match (input.0, &self.0) {
            (From::Lines(lines, talk), Shown::Screen(screen)) => {
                obey_lines((lines, talk), commands, screen, understood).await?;
            }
            (From::Lines(..), Shown::Desk { .. }) => {}
            (From::Editor(mut typed), _) => {
                while let Some(command) = typed.recv().await {
                    give(commands, command).await;
                }
            }
        }
        give(commands, Command::Finish).await;
        std::future::pending().await
    }
}

async fn obey_lines(
    (mut lines, mut talk): (Receiver<InputLine>, Option<Talk>),
    commands: &Sender<Command>,
    screen: &RefCell<Screen<Stdout>>,
    understood: &Cell<bool>,
) -> io::Result<()> {
    screen.borrow_mut().prompt()?;
    while let Some(line) = lines.recv().await {
        screen.borrow_mut().line_entered();
        let wrong = match line {
            InputLine::Text(text) => match read(talk.as_mut(), &text) {
                Typed::Ask(UserRequest::Command(command)) => {
                    give(commands, command).await;
                    None
                }
                Typed::Ask(UserRequest::Help) => {
                    screen.borrow_mut().help()?;
                    None
                }
                Typed::Partner(said) => {
                    screen.borrow_mut().notice(&said)?;
                    None
                }
                Typed::Nothing => None,
                Typed::Wrong(wrong) => Some(wrong),
            },
            InputLine::NoText => Some(NO_TEXT.to_owned()),
            InputLine::TooLong(bytes) => Some(format!(
                "the line has {bytes} bytes, at most {LINE_MAX} are read; nothing was done"
            )),
            InputLine::Failed(why) => Some(format!("cannot read standard input: {why}")),
        };
        if let Some(wrong) = wrong {
            understood.set(false);
            screen.borrow_mut().error(&wrong)?;
        }
        screen.borrow_mut().prompt()?;
    }
    Ok(())
}

/// Without a conversation every line is a command.
fn read(talk: Option<&mut Talk>, line: &str) -> Typed {
    match (talk, command::parse(line)) {
        (Some(talk), _) => talk.read(line),
        (None, Ok(None)) => Typed::Nothing,
        (None, Ok(Some(request))) => Typed::Ask(request),
        (None, Err(wrong)) => Typed::Wrong(wrong.to_string()),
    }
}
