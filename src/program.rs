//! Assembles nodes out of machines and the real world, and runs what was asked for to its end.
//!
//! It knows nothing of what the machines say to each other. Read in this order; each module knows
//! only those before it.
//!
//! 1. `real`, `interrupt`, `find`, `data_dir`: what a node needs of the system, and in words for
//!    users what is wrong with it.
//! 2. `manner`: how users are talked to.
//! 3. `client`, `server`, `store`, `demo`: what can be run.

mod client;
mod data_dir;
mod demo;
mod find;
mod interrupt;
mod manner;
mod real;
mod server;
mod store;

use anyhow::Context;

use crate::cli::Task;
use interrupt::ignore_user_signals;

/// Runs what was asked for, to its end. Whether everything that it was to do is done.
///
/// # Errors
///
/// It could not begin, or not go on. [`std::io::ErrorKind::BrokenPipe`]: nobody reads what it
/// prints.
pub fn run(task: Task) -> anyhow::Result<bool> {
    data_dir::bear_file_size_limit();
    ignore_user_signals().context("cannot ignore the signals USR1 and USR2")?;
    match task {
        Task::Server(options) => server::run(&options).map(|()| true),
        Task::Client(options) => client::run(options),
        Task::Store(options) => store::run(&options).map(|()| true),
        Task::Demo(options) => demo::run(&options),
    }
}
