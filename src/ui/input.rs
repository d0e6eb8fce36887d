//! Lines from standard input, whatever bytes they are made of.
//!
//! Knows no commands. What a line means is for [`udpchat_core::command`].

use std::io::{self, BufRead};

use tokio::sync::mpsc::{self, Receiver};
use udpchat_node::standard;

use super::foreground;

/// The longest line that is read, in bytes: more than any command needs, and what a terminal hands
/// over at once. The rest of a longer one is skipped, so that no input can exhaust the memory.
pub const LINE_MAX: usize = 4_096;

/// What is wrong with [`InputLine::NoText`].
pub const NO_TEXT: &str = "the line has bytes that are no text (UTF-8); nothing was done";

/// Lines that are read ahead: reading goes on while a few commands are being carried out.
const READ_AHEAD: usize = 64;

/// What came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InputLine {
    /// A line.
    Text(String),
    /// A line with bytes that are not UTF-8: no text, and nobody may guess which was meant.
    NoText,
    /// A line of more than [`LINE_MAX`] bytes, and how many it has.
    TooLong(usize),
    /// Nothing more can be read.
    Failed(String),
}

/// Reads standard input in a thread of its own until its end, which closes the channel.
///
/// The thread is never waited for: a read that blocks for ever must not keep the process alive.
///
/// # Errors
///
/// No thread could be started.
pub fn stdin_lines() -> io::Result<Receiver<InputLine>> {
    lines_when(|| {})
}

/// The same for a process that may be in the background, and must not be stopped for reading there.
///
/// # Errors
///
/// No thread could be started.
pub fn stdin_lines_in_front() -> io::Result<Receiver<InputLine>> {
    lines_when(foreground::wait)
}

/// `ready` returns when a line may be read.
fn lines_when(ready: fn()) -> io::Result<Receiver<InputLine>> {
    let (sender, lines) = mpsc::channel(READ_AHEAD);
    std::thread::Builder::new().name("stdin".to_owned()).spawn(move || {
        let mut stdin = io::stdin().lock();
        loop {
            ready();
            let Some(line) = next_line(&mut stdin) else { break };
            let last = matches!(line, InputLine::Failed(_));
            if sender.blocking_send(line).is_err() || last {
                break;
            }
        }
    })?;
    Ok(lines)
}

fn next_line(source: &mut impl BufRead) -> Option<InputLine> {
    let mut kept = Vec::new();
    let mut length = 0;
    loop {
        let chunk = match source.fill_buf() {
            Ok(chunk) => chunk,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            // Another program that shares the input has made it so.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                standard::wait_for_input();
                continue;
            }
            Err(error) => return Some(InputLine::Failed(error.to_string())),
        };
        let end = chunk.iter().position(|byte| *byte == b'\n');
        let part = &chunk[..end.unwrap_or(chunk.len())];
        let at_end = end.is_some() || chunk.is_empty();
        if chunk.is_empty() && length == 0 {
            return None;
        }
        kept.extend_from_slice(&part[..part.len().min(LINE_MAX - kept.len())]);
        length += part.len();
        let used = part.len() + usize::from(end.is_some());
        source.consume(used);
        if at_end {
            break;
        }
    }
    if length > LINE_MAX {
        return Some(InputLine::TooLong(length));
    }
    Some(String::from_utf8(kept).map_or(InputLine::NoText, InputLine::Text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::BufReader;

    fn lines(bytes: &[u8]) -> Vec<InputLine> {
        // A small buffer, so that lines lie across its borders.
        let mut source = BufReader::with_capacity(3, bytes);
        std::iter::from_fn(|| next_line(&mut source)).collect()
    }

    fn text(line: &str) -> InputLine {
        InputLine::Text(line.to_owned())
    }

    #[test]
    fn lines_are_taken_apart_and_the_last_needs_no_end() {
        assert_eq!(lines(b"list\n\nsend bob hi"), [text("list"), text(""), text("send bob hi")]);
        assert_eq!(lines(b"list\n"), [text("list")]);
        assert_eq!(lines(b""), []);
    }

    #[test]
    fn a_line_with_bytes_that_are_no_text_is_no_line_and_the_next_is() {
        let latin = b"send bob caf\xe9!\nlist\nsend bob \xe2\x82";
        assert_eq!(lines(latin), [InputLine::NoText, text("list"), InputLine::NoText]);
    }

    #[test]
    fn a_line_may_be_long_but_not_endless() {
        let longest = "x".repeat(LINE_MAX);
        let all = format!("{longest}\n{longest}yz\nlist\n");
        assert_eq!(
            lines(all.as_bytes()),
            [text(&longest), InputLine::TooLong(LINE_MAX + 2), text("list")]
        );
    }

    #[test]
    fn a_failing_input_says_so() {
        struct Broken;
        impl io::Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("no medium"))
            }
        }
        let mut source = BufReader::new(Broken);
        assert_eq!(next_line(&mut source), Some(InputLine::Failed("no medium".to_owned())));
    }
}
