//! A terminal for one process: a pseudo-terminal, its emulated screen, and fingers.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{LocalModes, Termios, Winsize, tcgetattr, tcsetwinsize};

use crate::common::{DEADLINE, Process, Scratch, now, registered, server};

/// Rows and columns, before anybody resizes it; those of a new emulator too.
const SIZE: (u16, u16) = (24, 80);

/// Longer than any pause that means something to a client.
const BETWEEN_KEYS: Duration = Duration::from_secs(4);

/// Keys, as terminals send them.
pub(crate) const ENTER: &str = "\r";
pub(crate) const TAB: &str = "\t";
pub(crate) const LEFT: &str = "\u{1b}[D";
pub(crate) const UP: &str = "\u{1b}[A";
pub(crate) const CTRL_C: &str = "\u{3}";
pub(crate) const CTRL_D: &str = "\u{4}";
pub(crate) const CTRL_L: &str = "\u{c}";
pub(crate) const CTRL_R: &str = "\u{12}";
pub(crate) const CTRL_Z: &str = "\u{1a}";

/// A process and its terminal. Killed when dropped.
pub(crate) struct Terminal {
    child: Child,
    keys: File,
    /// The process's side, kept open to look at its settings.
    line: OwnedFd,
    /// The settings before the process.
    before: String,
    output: Arc<Output>,
    _home: Arc<Scratch>,
}

struct Output {
    shown: Mutex<Shown>,
    more: Condvar,
}

struct Shown {
    screen: vt100::Parser,
    /// Everything that was ever written.
    bytes: Vec<u8>,
}

/// A server, alice at a terminal and bob at a pipe, who have both been told of each other.
pub(crate) fn alice_and_bob() -> (Process, Terminal, Process) {
    let (server, port) = server();
    let alice = Terminal::registered("alice", port);
    let bob = registered("bob", port);
    alice.shows("bob is here");
    (server, alice, bob)
}

impl Terminal {
    /// A client of this name at the server on this port, without colours.
    pub(crate) fn client(name: &str, port: u16) -> Self {
        let port = port.to_string();
        let mut command = udpchat();
        command.args(["-c", name, "127.0.0.1", &port, "0", "--color", "never", "--no-history"]);
        Self::start(command)
    }

    /// The same, registered, with the first table, and at its prompt.
    pub(crate) fn registered(name: &str, port: u16) -> Self {
        let terminal = Self::client(name, port);
        terminal.shows("you are now registered");
        terminal
            .wait("table", |screen| screen.contains("else is here") || screen.contains("here: "));
        terminal.prompts(&format!("› {name}:"));
        terminal
    }

    pub(crate) fn start(command: Command) -> Self {
        Self::start_in(&Arc::new(Scratch::new()), command)
    }

    /// With a home that others have had before.
    pub(crate) fn start_in(home: &Arc<Scratch>, command: Command) -> Self {
        Self::start_on(home, command, |_| {})
    }

    /// The same, after something was done to the terminal.
    pub(crate) fn start_on(
        home: &Arc<Scratch>,
        mut command: Command,
        prepare: impl FnOnce(&OwnedFd),
    ) -> Self {
        command.env("XDG_DATA_HOME", home.path("data"));
        if command.get_envs().all(|(name, _)| name != "XDG_STATE_HOME") {
            command.env("XDG_STATE_HOME", home.path("state"));
        }
        let control = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        unlockpt(&control).unwrap();
        let line = ioctl_tiocgptpeer(&control, OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        tcsetwinsize(&line, winsize(SIZE)).unwrap();
        prepare(&line);
        let end = || File::from(line.try_clone().unwrap());
        let before = settings(&line);
        // Of its own, so that ^Z stops nobody else.
        command.process_group(0).stdin(end()).stdout(end()).stderr(end());
        let child = command.spawn().unwrap();
        drop(command);
        let screen = vt100::Parser::default();
        let shown = Mutex::new(Shown { screen, bytes: Vec::new() });
        let output = Arc::new(Output { shown, more: Condvar::new() });
        let keys = File::from(control);
        let source = keys.try_clone().unwrap();
        let sink = Arc::clone(&output);
        thread::spawn(move || read(source, &sink));
        Self { child, keys, line, before, output, _home: Arc::clone(home) }
    }

    /// Presses keys.
    pub(crate) fn press(&self, keys: &str) {
        self.press_bytes(keys.as_bytes());
    }

    pub(crate) fn press_bytes(&self, bytes: &[u8]) {
        (&self.keys).write_all(bytes).unwrap();
    }

    /// Types a line and ends it.
    pub(crate) fn enter(&self, line: &str) {
        self.press(line);
        self.press(ENTER);
    }

    pub(crate) fn resize(&self, rows: u16, columns: u16) {
        self.shown()
            .screen
            .screen_mut()
            .set_size(rows.try_into().unwrap(), columns.try_into().unwrap());
        tcsetwinsize(&self.line, winsize((rows, columns))).unwrap();
        // To nobody, if the terminal controls no session.
        self.signal("WINCH");
    }

    /// Says that the terminal has such a size, which the emulator need not be able to show.
    pub(crate) fn claim_size(&self, rows: u16, columns: u16) {
        tcsetwinsize(&self.line, winsize((rows, columns))).unwrap();
        self.signal("WINCH");
    }

    /// As another program does it that has the same terminal.
    pub(crate) fn set_nonblocking(&self) {
        make_nonblocking(&self.line);
    }

    pub(crate) fn is_nonblocking(&self) -> bool {
        fcntl_getfl(&self.line).unwrap().contains(OFlags::NONBLOCK)
    }

    /// Does something while nobody takes what is written to the terminal.
    pub(crate) fn while_stuck(&self, act: impl FnOnce()) {
        let _nothing_is_read = self.shown();
        act();
    }

    pub(crate) fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.output.shown.lock().unwrap()
    }

    /// The screen's text, its rows without the blanks at their ends.
    pub(crate) fn text(&self) -> String {
        self.shown().text()
    }

    /// Everything that was ever written to the terminal.
    pub(crate) fn written(&self) -> String {
        String::from_utf8_lossy(&self.shown().bytes).into_owned()
    }

    /// Waits until the screen is as wanted.
    pub(crate) fn wait(&self, what: &str, wanted: impl Fn(&str) -> bool) {
        let end = now() + DEADLINE;
        let mut shown = self.shown();
        while !wanted(&shown.text()) {
            let left = end.saturating_duration_since(now());
            assert!(!left.is_zero(), "no {what} within {DEADLINE:?}:\n{}", shown.text());
            shown = self.output.more.wait_timeout(shown, left).unwrap().0;
        }
    }

    /// Presses a key every now and then until the screen is as wanted.
    pub(crate) fn wait_pressing(&self, key: &str, wanted: impl Fn(&str) -> bool) {
        let end = now() + DEADLINE;
        let mut shown = self.shown();
        while !wanted(&shown.text()) {
            assert!(now() < end, "not so within {DEADLINE:?}:\n{}", shown.text());
            shown = self.output.more.wait_timeout(shown, BETWEEN_KEYS).unwrap().0;
            self.press(key);
        }
    }

    /// Waits until the text is somewhere on the screen.
    pub(crate) fn shows(&self, text: &str) {
        self.wait(&format!("{text:?}"), |screen| screen.contains(text));
    }

    /// Waits until the last row begins like that.
    pub(crate) fn prompts(&self, row: &str) {
        let last = |screen: &str| screen.lines().last().unwrap_or_default().starts_with(row);
        self.wait(&format!("last row {row:?}"), last);
    }

    /// The column of the cursor, from 0.
    pub(crate) fn cursor_column(&self) -> u16 {
        self.shown().screen.screen().cursor_position().1
    }

    pub(crate) fn is_raw(&self) -> bool {
        !tcgetattr(&self.line).unwrap().local_modes.contains(LocalModes::ICANON)
    }

    /// Waits until something about the terminal or its process is so.
    pub(crate) fn wait_until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let end = now() + DEADLINE;
        while !is_so(self) {
            assert!(now() < end, "not {what} within {DEADLINE:?}:\n{}", self.text());
            thread::yield_now();
        }
    }

    /// Waits for the end of the process, after which the terminal must be as it was before.
    pub(crate) fn ends(mut self) -> (ExitStatus, String) {
        let end = now() + DEADLINE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(now() < end, "still there after {DEADLINE:?}:\n{}", self.text());
            thread::yield_now();
        };
        // What it wrote last is still on its way through the terminal.
        (&self.line_writer()).write_all(END.as_bytes()).unwrap();
        let screen = || self.text();
        self.wait("end of the output", |text| text.contains(END));
        assert_eq!(settings(&self.line), self.before, "{}", screen());
        assert!(!self.shown().screen.screen().bracketed_paste(), "{}", screen());
        // A shell's prompt stands in a row of its own.
        assert!(screen().lines().any(|row| row == END), "{}", screen());
        (status, screen())
    }

    fn line_writer(&self) -> File {
        File::from(self.line.try_clone().unwrap())
    }

    pub(crate) fn ends_with(self, code: i32) -> String {
        let (status, screen) = self.ends();
        assert_eq!(status.code(), Some(code), "{screen}");
        screen
    }

    /// Whether the process is stopped, as ^Z does it.
    pub(crate) fn is_stopped(&self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        stat.rsplit(')').next().unwrap().trim_start().starts_with('T')
    }
}

/// What the test itself writes at the end.
const END: &str = "-- end --";

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may have ended long ago.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Shown {
    fn text(&self) -> String {
        let contents = self.screen.screen().contents();
        let rows: Vec<&str> = contents.lines().map(str::trim_end).collect();
        rows.join("\n").trim_end().to_owned()
    }
}

fn read(mut source: File, sink: &Output) {
    let mut buffer = [0; 4_096];
    // An error says that the other side is closed.
    while let Ok(length @ 1..) = source.read(&mut buffer) {
        let mut shown = sink.shown.lock().unwrap();
        shown.screen.process(&buffer[..length]);
        shown.bytes.extend_from_slice(&buffer[..length]);
        sink.more.notify_all();
    }
}

/// udpchat in an environment that is the same everywhere.
pub(crate) fn udpchat() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_udpchat"));
    surround(&mut command);
    command
}

/// Gives a process an environment that is the same everywhere.
pub(crate) fn surround(command: &mut Command) {
    for variable in ["LC_ALL", "LC_CTYPE", "NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"] {
        command.env_remove(variable);
    }
    command
        .env("TERM", "xterm-256color")
        .env("LANG", "C.UTF-8")
        .env("TZ", "UTC")
        .env("RUST_BACKTRACE", "0");
}

pub(crate) fn make_nonblocking(line: &OwnedFd) {
    let flags = fcntl_getfl(line).unwrap();
    fcntl_setfl(line, flags | OFlags::NONBLOCK).unwrap();
}

fn winsize((rows, columns): (u16, u16)) -> Winsize {
    Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}

/// All settings, to be compared.
fn settings(line: &OwnedFd) -> String {
    let Termios { input_modes, output_modes, control_modes, local_modes, special_codes, .. } =
        tcgetattr(line).unwrap();
    format!("{input_modes:?} {output_modes:?} {control_modes:?} {local_modes:?} {special_codes:?}")
}
