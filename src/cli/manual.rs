//! Completions and man pages, from the definitions of the command line.
//!
//! Knows clap's definitions, and none of ours.

use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;

/// What this shell must read to complete the command's words.
pub(super) fn completions(mut command: Command, shell: Shell) -> String {
    let name = command.get_name().to_owned();
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// The man page of the command below `command` that these words name; none if there is none.
pub(super) fn page(mut command: Command, words: &[String]) -> Option<String> {
    // Gives subcommands their full names.
    command.build();
    let mut found = &command;
    for word in words {
        found = found.find_subcommand(word)?;
    }
    let mut text = Vec::new();
    Man::new(found.clone()).render(&mut text).expect("a memory can be written to");
    Some(String::from_utf8_lossy(&text).into_owned())
}
