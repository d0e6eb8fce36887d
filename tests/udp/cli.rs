//! Wrong usage and failures at the start: one line that says why, and the right exit code.

use std::net::UdpSocket;

use crate::common::{Ended, Process, free_port};

fn run(arguments: &str) -> Ended {
    Process::start(&arguments.split_whitespace().collect::<Vec<_>>()).ended()
}

fn fails(arguments: &str, code: i32, says: &str) {
    let ended = run(arguments);
    assert_eq!(ended.code, Some(code), "{arguments:?}: {ended:?}");
    assert!(ended.lines.is_empty(), "{arguments:?}: {ended:?}");
    assert!(ended.errors.starts_with("udpchat: "), "{arguments:?}: {ended:?}");
    assert!(ended.errors.contains(says), "{arguments:?}: {ended:?}");
    assert_eq!(ended.errors.matches('\n').count(), 1, "{arguments:?}: {ended:?}");
}

#[test]
fn wrong_usage_is_code_2() {
    for (arguments, says) in [
        ("", "it is not said what to run"),
        ("-s", "a value is required"),
        ("-s 80", "1024 to 65535"),
        ("-s 70000", "1024 to 65535"),
        ("-s many", "1024 to 65535"),
        ("-s 9000 9001", "unrecognized subcommand"),
        ("-c alice 127.0.0.1", "4 values required"),
        ("-c alice 127.0.0.1 9000 0 again", "unrecognized subcommand"),
        ("-c not/a/name 127.0.0.1 9000 0", "begins with a letter"),
        ("-c alice 127.0.0.1 0 0", "1024 to 65535"),
        ("-c alice 127.0.0.1 9000 1", "or 0 for any free one"),
        ("-s 9000 -c alice 127.0.0.1 9000 0", "cannot be used with"),
        ("-s 9000 --bind nowhere", "invalid IP address"),
        ("--loud", "unexpected argument"),
        ("demo --drop-rate 30", "30 % is 0.3"),
        ("completions klingon", "bash"),
        ("man mend", "there is no command"),
    ] {
        fails(arguments, 2, says);
    }
}

#[test]
fn a_start_that_fails_is_code_1() {
    let taken = UdpSocket::bind("0.0.0.0:0").unwrap();
    let taken = taken.local_addr().unwrap().port();
    for (arguments, says) in [
        (format!("-s {taken}"), "is taken by another program"),
        (format!("-c alice 127.0.0.1 9000 {taken}"), "is taken by another program"),
        ("-c alice no..host 9000 0".to_owned(), "cannot find the host"),
        ("-c alice 0.0.0.0 9000 0".to_owned(), "no address of a host"),
        (format!("-s {} --bind 192.0.2.1", free_port()), "no address of this machine"),
        (format!("-s {} --bind 224.0.0.1", free_port()), "of many machines at once"),
        (format!("-s {} --bind ff02::1", free_port()), "of many machines at once"),
        (format!("-s {} --bind 255.255.255.255", free_port()), "of many machines at once"),
        (
            format!("-s {} --data Cargo.toml", free_port()),
            "cannot use the data folder Cargo.toml: ",
        ),
    ] {
        fails(&arguments, 1, says);
    }
}

#[test]
fn help_and_version_are_answers() {
    for (arguments, says) in [
        ("-h", "udpchat --help has examples"),
        ("--help", "Examples:"),
        ("-V", "udpchat "),
        ("man", ".TH udpchat"),
        ("man demo", ".TH udpchat-demo"),
        ("completions bash", "_udpchat()"),
        ("completions zsh", "#compdef udpchat"),
        ("completions fish", "complete -c udpchat"),
    ] {
        let ended = run(arguments);
        assert_eq!((ended.code, ended.errors.as_str()), (Some(0), ""));
        assert!(ended.lines.iter().any(|line| line.starts_with(says)), "{ended:?}");
    }
}

#[test]
fn the_data_directory_is_created() {
    let path = std::env::temp_dir().join(format!("udpchat-data-{}", std::process::id()));
    let inner = path.join("in/there");
    let port = free_port().to_string();
    let mut server = Process::start(&["-s", &port, "--data", inner.to_str().unwrap()]);
    server.find("listening", |line| line.contains("listening").then_some(()));
    assert!(inner.is_dir());
    std::fs::remove_dir_all(path).unwrap();
}

#[test]
fn a_server_stops_at_a_signal_and_gives_its_port_back() {
    for signal in ["INT", "TERM"] {
        let (server, port) = crate::common::server();
        server.signal(signal);
        server.ends_with(0);
        assert!(crate::common::is_free(port));
    }
}
