//! What was typed in earlier runs, in a file: read within bounds, whatever is in its place.
//!
//! Knows the file and the editor's history, which writes it; not what the lines mean.

use std::fs;
use std::io;
use std::path::Path;

use rustyline::error::ReadlineError;
use rustyline::history::{DefaultHistory, History as _};
use rustyline::{Editor, Helper};

use super::input::LINE_MAX;

/// The largest file that is read, in bytes: a thousand of the longest lines, escaped, and as much
/// again, for it may have grown a little in the meantime.
const FILE_MAX: u64 = 16 << 20;

/// Whether a line is remembered. A longer one is no command, and too long to be edited again.
pub(super) fn fits(line: &str) -> bool {
    line.len() <= LINE_MAX
}

/// Reads the file, if there is one, and rewrites it without lines that nobody can use.
///
/// # Errors
///
/// It is none that can be read, and must not be written to.
pub(super) fn load<H: Helper>(
    editor: &mut Editor<H, DefaultHistory>,
    path: &Path,
) -> io::Result<()> {
    // To open a FIFO would wait for somebody at its other end.
    let file = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        file => file?,
    };
    if !file.is_file() {
        return Err(io::Error::other("it is no ordinary file"));
    }
    if file.len() > FILE_MAX {
        return Err(io::Error::other(format!("it has more than {FILE_MAX} bytes")));
    }
    editor.load_history(path).map_err(into_io)?;
    if editor.history().iter().all(|line| fits(line)) {
        return Ok(());
    }
    let kept: Vec<String> = editor.history().iter().filter(|line| fits(line)).cloned().collect();
    editor.clear_history().map_err(into_io)?;
    for line in kept {
        editor.history_mut().add_owned(line).map_err(into_io)?;
    }
    editor.save_history(path).map_err(into_io)
}

pub(super) fn into_io(error: ReadlineError) -> io::Error {
    match error {
        ReadlineError::Io(error) => error,
        other => io::Error::other(other),
    }
}
