//! The shipped binary: reads the command line, runs what it asks for, maps errors to exit codes.

use std::io::{self, Write};
use std::process::ExitCode;

use udpchat::cli::{self, NoTask};
use udpchat::{run, ui};

fn main() -> ExitCode {
    let task = match cli::parse(std::env::args_os()) {
        Ok(task) => task,
        Err(NoTask::Answer(text)) => {
            // Whoever closed the output does not want the answer.
            let _ = io::stdout().write_all(text.as_bytes());
            return ExitCode::SUCCESS;
        }
        Err(NoTask::Wrong(why)) => return fail(cli::EXIT_USAGE, &why),
    };
    match run::run(task) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) if is_broken_pipe(&error) => ExitCode::FAILURE,
        Err(error) => fail(cli::EXIT_FAILURE, &format!("{error:#}")),
    }
}

fn fail(code: u8, why: &str) -> ExitCode {
    // Without a place to complain the exit code must do.
    let _ = writeln!(io::stderr(), "udpchat: {}", ui::show(why));
    ExitCode::from(code)
}

/// Whoever read our output has gone, and knows it.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io_error = error.downcast_ref::<io::Error>();
    io_error.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
