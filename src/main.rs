//! The shipped binary: reads the command line, runs what it asks for, maps errors to exit codes.

use std::io::{self, Write};
use std::process::ExitCode;

use udpchat::cli::{self, NoTask};
use udpchat::{program, ui};
use udpchat_node::{shortage, standard};

fn main() -> ExitCode {
    let task = match cli::parse(std::env::args_os()) {
        Ok(task) => task,
        Err(NoTask::Answer(text)) => return answer(&text),
        Err(NoTask::Wrong(why)) => return fail(cli::EXIT_USAGE, &why),
    };
    // Before anything is begun: a client must not say that somebody has seen what nobody sees.
    if let Err(error) = standard::output() {
        return fail(cli::EXIT_FAILURE, &error.to_string());
    }
    match program::run(task) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) if is_broken_pipe(&error) => ExitCode::FAILURE,
        Err(error) if is_want_of_threads(&error) => fail(
            cli::EXIT_FAILURE,
            &format!("{error:#}; too few processes may run, raise the limit (ulimit -u)"),
        ),
        Err(error) => match io_errors(&error).find_map(shortage::remedy) {
            Some(remedy) => fail(cli::EXIT_FAILURE, &format!("{error:#}; {remedy}")),
            None => fail(cli::EXIT_FAILURE, &format!("{error:#}")),
        },
    }
}

fn answer(text: &str) -> ExitCode {
    if let Err(error) = standard::output() {
        return fail(cli::EXIT_FAILURE, &error.to_string());
    }
    match standard::stdout().write_all(text.as_bytes()) {
        // Whoever has read enough of it does not want the rest.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            fail(cli::EXIT_FAILURE, &error.to_string())
        }
        _ => ExitCode::SUCCESS,
    }
}

fn fail(code: u8, why: &str) -> ExitCode {
    // Without a place to complain the exit code must do.
    let _ = writeln!(standard::stderr(), "udpchat: {}", ui::show(why));
    ExitCode::from(code)
}

/// Whoever read our output has gone, and knows it.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io_error = error.downcast_ref::<io::Error>();
    io_error.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// No thread can be started: what else might be temporarily unavailable is waited for.
fn is_want_of_threads(error: &anyhow::Error) -> bool {
    io_errors(error).any(|error| error.kind() == io::ErrorKind::WouldBlock)
}

fn io_errors(error: &anyhow::Error) -> impl Iterator<Item = &io::Error> {
    error.chain().filter_map(|cause| cause.downcast_ref())
}
