//! A file system that is full in the middle of a run, and not in a simulation: a small one of its
//! own for the server, filled up and emptied beside it.

use std::fs::{self, File};
use std::io;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::common::{Process, Scratch, free_port, json, registered, texts};

/// Mounts a file system of 24 MiB at the first argument, where nobody else sees it, and does the
/// rest there: enough for the room that a server holds back, and for twice that to be free.
const IN_A_SMALL_PLACE: [&str; 6] = [
    "--user",
    "--map-root-user",
    "--mount",
    "sh",
    "-c",
    r#"mount -t tmpfs -o size=24m none "$0" && exec "$@""#,
];

/// Nothing is long enough to fill the rest of a MiB that the file has already.
const TEXTS_MAX: usize = 900;

fn in_a_small_place(mount: &str, what: &[&str]) -> Command {
    let mut command = Command::new("unshare");
    command.args(IN_A_SMALL_PLACE).arg(mount).args(what);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Takes all the room there is.
fn fill(ballast: &str) {
    let full = io::copy(&mut io::repeat(b'x'), &mut File::create(ballast).unwrap()).unwrap_err();
    assert_eq!(full.kind(), io::ErrorKind::StorageFull);
}

/// Sends a text and gives what becomes of it.
fn outcome(alice: &mut Process, text: &str) -> Value {
    alice.say(&format!("send bob {text}"));
    let id = alice.event("sending")["id"].clone();
    alice.find("an outcome", |line| {
        let event = json(line);
        let said = event["event"] == "saved" || event["event"] == "unsent";
        (said && event["id"] == id).then_some(event)
    })
}

/// Needs a user's and a mount namespace of its own. Where the system does not give them to
/// everybody, it says so and tests nothing: `sim` has the same with a simulated disk.
#[test]
fn on_a_file_system_that_is_full_nothing_is_lost_and_it_goes_on_by_itself() {
    let scratch = Scratch::new();
    let mount = scratch.path("mount");
    fs::create_dir(&mount).unwrap();
    if !in_a_small_place(&mount, &["true"]).status().is_ok_and(|status| status.success()) {
        eprintln!("not tested: no file system may be mounted here");
        return;
    }
    let (port, folder) = (free_port(), format!("{mount}/server"));
    let udpchat = env!("CARGO_BIN_EXE_udpchat");
    let arguments = [udpchat, "-s", &port.to_string(), "--json", "--data", &folder];
    let mut server = Process::of(in_a_small_place(&mount, &arguments), Scratch::new());
    server.event("listening");
    let ballast = format!("/proc/{}/root{mount}/ballast", server.id());
    let mut alice = registered("alice", port);
    let mut bob = registered("bob", port);
    bob.end_input();
    bob.ends_with(0);
    let mut sent: Vec<String> = ["one", "two", "three"].map(str::to_owned).into();
    for text in &sent {
        assert_eq!(outcome(&mut alice, text)["event"], "saved");
    }

    fill(&ballast);
    let refused = loop {
        assert!(sent.len() < TEXTS_MAX, "it is never full");
        sent.push(format!("{}-{}", sent.len(), "x".repeat(600)));
        let outcome = outcome(&mut alice, sent.last().unwrap());
        if outcome["event"] == "unsent" {
            break outcome;
        }
    };
    assert_eq!((&refused["reason"], &refused["kept"]), (&"disk_full".into(), &true.into()));
    server.event_where("room", |event| event["low"] == true);

    // What is stored is handed over all the same, and gone then.
    let mut bob = registered("bob", port);
    for _ in 1..sent.len() {
        bob.event("message");
        alice.event("read_later");
    }
    bob.end_input();
    let mut shown = texts(&bob.ends_with(0));

    fs::remove_file(&ballast).unwrap();
    server.event_where("room", |event| event["low"] == false);
    // Only so that nobody has to wait until the sender tries again by itself.
    let mut bob = registered("bob", port);
    alice.find("the outcome of what was kept", |line| {
        let event = json(line);
        let settled = event["event"] == "saved" || event["event"] == "received";
        (settled && event["id"] == refused["id"]).then_some(())
    });
    if !bob.seen.iter().any(|line| line.contains(r#""event":"message""#)) {
        bob.event("message");
    }
    alice.end_input();
    let told = alice.ends_with(0);
    assert_eq!(told.iter().filter(|line| line.contains(r#""event":"unsent""#)).count(), 1);
    bob.end_input();
    shown.extend(texts(&bob.ends_with(0)));
    assert_eq!(shown, sent);
    server.signal("TERM");
    server.ends_with(0);
}
