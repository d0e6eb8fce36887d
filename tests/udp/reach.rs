//! Finding a server by its name: which of several addresses has it, where it has moved to, and
//! what else may be there.

use std::fs;
use std::net::UdpSocket;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::common::{DEADLINE, Process, Scratch, command, free_port, now, server_with};

/// Lets a program take its host names from a file that nobody else sees.
const WITH_OWN_HOSTS: [&str; 6] = [
    "--user",
    "--map-root-user",
    "--mount",
    "sh",
    "-c",
    r#"mount --bind "$0" /etc/hosts && exec "$@""#,
];

/// A name that no file but such a one knows.
const NAME: &str = "chat.udpchat.test";

/// Nothing if the system gives no namespaces to everybody.
fn with_hosts(hosts: &str, arguments: &[&str]) -> Option<Process> {
    let under = |what: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(WITH_OWN_HOSTS).arg(hosts).args(what);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    };
    if !under(&["true"]).status().is_ok_and(|status| status.success()) {
        eprintln!("not tested: no file of host names of one's own is possible here");
        return None;
    }
    let home = Scratch::new();
    let mut command = under(&[&[env!("CARGO_BIN_EXE_udpchat")], arguments].concat());
    command.env("XDG_DATA_HOME", home.path(""));
    Some(Process::of(command, home))
}

/// A server on one address, on a port that is free everywhere.
fn server_at(ip: &str, port: u16, folder: &str) -> Option<Process> {
    server_with(port, &["--bind", ip, "--data", folder])
}

#[test]
fn a_server_on_the_second_address_of_localhost_is_found() {
    if UdpSocket::bind("[::1]:0").is_err() {
        eprintln!("not tested: this machine has no IPv6");
        return;
    }
    let scratch = Scratch::new();
    let hosts = scratch.path("hosts");
    fs::write(&hosts, format!("127.0.0.1 {NAME}\n::1 {NAME}\n")).unwrap();
    let port = free_port();
    let Some(_server) = server_at("::1", port, &scratch.path("server")) else {
        panic!("port {port} is taken");
    };
    let arguments = ["-c", "alice", NAME, &port.to_string(), "0", "--json"];
    let Some(mut alice) = with_hosts(&hosts, &arguments) else { return };
    alice.event("registered");
}

/// Later look-ups, which would find them as well, find nothing.
#[test]
fn all_addresses_that_a_name_has_at_the_start_are_tried() {
    let scratch = Scratch::new();
    let (hosts, folder) = (scratch.path("hosts"), scratch.path("alice"));
    fs::write(&hosts, format!("127.0.0.1 {NAME}\n127.0.0.3 {NAME}\n")).unwrap();
    let port = free_port();
    let _server = server_at("127.0.0.3", port, &scratch.path("server")).expect("a free port");
    let arguments = ["-c", "alice", NAME, &port.to_string(), "0", "--json", "--data", &folder];
    let Some(mut alice) = with_hosts(&hosts, &arguments) else { return };
    // It is made when the name was looked up.
    let begin = now();
    while !fs::exists(&folder).unwrap() {
        assert!(begin.elapsed() < DEADLINE, "no data folder");
        thread::park_timeout(Duration::from_millis(1));
    }
    fs::write(&hosts, "").unwrap();
    alice.event("registered");
}

#[test]
fn a_server_that_moves_is_found_by_a_client_that_runs() {
    let scratch = Scratch::new();
    let (hosts, folder) = (scratch.path("hosts"), scratch.path("server"));
    fs::write(&hosts, format!("127.0.0.1 {NAME}\n")).unwrap();
    let port = free_port();
    let server = server_at("127.0.0.1", port, &folder).expect("a free port");
    let arguments = ["-c", "alice", NAME, &port.to_string(), "0", "--json"];
    let Some(mut alice) = with_hosts(&hosts, &arguments) else { return };
    alice.event("registered");
    alice.say("dereg alice");
    alice.event("offline");
    alice.say("reg alice");
    alice.event("registered");
    server.kill();
    let _server = server_at("127.0.0.2", port, &folder).expect("a free port");
    // The file itself, for its place is taken by a mount.
    fs::write(&hosts, format!("127.0.0.2 {NAME}\n")).unwrap();
    let silent = alice.event("server_not_responding");
    let tried = Value::from(vec![format!("127.0.0.1:{port}")]);
    assert_eq!((&silent["host"], &silent["tried"]), (&Value::from(NAME), &tried));
    assert_eq!(alice.event("registered")["back"], true);
    alice.say("quit");
    alice.ends_with(0);
}

#[test]
fn a_name_that_is_forgotten_meanwhile_is_told_once_and_the_old_address_goes_on() {
    let scratch = Scratch::new();
    let (hosts, folder) = (scratch.path("hosts"), scratch.path("server"));
    fs::write(&hosts, format!("127.0.0.1 {NAME}\n")).unwrap();
    let port = free_port();
    let server = server_at("127.0.0.1", port, &folder).expect("a free port");
    let arguments = ["-c", "alice", NAME, &port.to_string(), "0", "--json"];
    let Some(mut alice) = with_hosts(&hosts, &arguments) else { return };
    alice.event("registered");
    fs::write(&hosts, "").unwrap();
    server.kill();
    let error = alice.event("error");
    assert!(error["text"].as_str().is_some_and(|text| text.contains(NAME)), "{error}");
    let _server = server_at("127.0.0.1", port, &folder).expect("a free port");
    alice.event("registered");
}

/// What a program says to whatever comes.
type Answer = fn(&[u8]) -> Vec<u8>;

/// A program that answers every datagram, and is no server of ours.
struct Stranger {
    port: u16,
    ended: Arc<AtomicBool>,
}

impl Stranger {
    fn new(answer: Answer) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        let ended = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&ended);
        socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        thread::spawn(move || {
            let mut buffer = [0; 2_048];
            while !is_over.load(Ordering::Relaxed) {
                if let Ok((length, from)) = socket.recv_from(&mut buffer) {
                    let _ = socket.send_to(&answer(&buffer[..length]), from);
                }
            }
        });
        Self { port, ended }
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
    }
}

#[test]
fn another_program_at_the_servers_port_is_named() {
    let answers: [Answer; 2] = [<[u8]>::to_vec, |_| b"\x80\x04K\x01.".to_vec()];
    for answer in answers {
        let stranger = Stranger::new(answer);
        let home = Scratch::new();
        let port = stranger.port.to_string();
        let alice = command(&["-c", "alice", "127.0.0.1", &port, "0"], &home);
        let lines = Process::of(alice, home).ended().lines;
        let said =
            format!("[Something answers at 127.0.0.1 port {port}, but it is no udpchat server]");
        assert_eq!(lines, [said.as_str(), said.as_str(), "[Exiting]"]);
    }
}

#[test]
fn where_a_server_was_looked_for_is_said() {
    let home = Scratch::new();
    let port = free_port().to_string();
    let alice = command(&["-c", "alice", "127.0.0.1", &port, "0"], &home);
    let lines = Process::of(alice, home).ended().lines;
    let said = format!("[Server not responding: tried 127.0.0.1 port {port}]");
    assert_eq!(lines, [said.as_str(), "[Exiting]"]);
}
