//! `udpchat store`, and folders that cannot be used.

use std::fs;
use std::io::Read;
use std::process::{Command, Stdio};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::common::{
    Ended, Process, Scratch, client_in, command, free_port, json, registered, server_in,
    server_with,
};

fn store(work: &str, folder: &str) -> Ended {
    Process::start(&["store", work, folder]).ended()
}

/// What a store's work prints when all is well.
fn done(work: &str, folder: &str) -> Vec<String> {
    Process::start(&["store", work, folder]).ends_with(0)
}

fn refused(work: &str, folder: &str, says: &str) {
    let ended = store(work, folder);
    assert_eq!((ended.code, ended.lines.len()), (Some(1), 0), "{work}: {ended:?}");
    assert!(ended.errors.starts_with("udpchat: the data folder "), "{work}: {ended:?}");
    assert!(ended.errors.contains(says), "{work}: {ended:?}");
    assert!(ended.errors.contains(folder), "{work}: {ended:?}");
    assert_eq!(ended.errors.matches('\n').count(), 1, "{work}: {ended:?}");
}

/// What to do about a damaged store, whoever notices it.
const REMEDY: &str = "put a backup in its place, or give another folder with --data";

const WORKS: [&str; 4] = ["check", "stats", "compact", "export"];

/// The folders of a server and of the client alice after a little chat; all have ended.
fn chatted(scratch: &Scratch) -> [String; 2] {
    let folders = [scratch.path("server"), scratch.path("alice")];
    let port = free_port();
    let server = server_with(port, &["--data", &folders[0]]).unwrap();
    let port_text = port.to_string();
    let arguments = ["-c", "alice", "127.0.0.1", &port_text, "0", "--json", "--data", &folders[1]];
    let mut alice = Process::start(&arguments);
    registered("bob", port).kill();
    alice.say("send bob hello \"bob\"");
    alice.event("saved");
    alice.end_input();
    alice.ends_with(0);
    server.signal("TERM");
    server.ends_with(0);
    folders
}

#[test]
fn stores_are_checked_counted_compacted_and_exported() {
    let scratch = Scratch::new();
    let [server, alice] = chatted(&scratch);
    assert_eq!(done("check", &server), ["the store is sound: a server's, format 1"]);
    assert_eq!(done("check", &alice), ["the store is sound: a client's, format 1"]);
    let stats = done("stats", &server);
    assert!(stats.contains(&"1 letters".to_owned()), "{stats:?}");
    assert!(stats.contains(&"2 accounts".to_owned()), "{stats:?}");
    for folder in [&server, &alice] {
        let before = done("export", folder);
        let line = done("compact", folder).concat();
        assert!(line.contains(" bytes before, "), "{line}");
        assert_eq!(done("export", folder), before);
        done("check", folder);
    }
}

#[test]
fn an_export_is_a_json_object_a_line_without_secrets() {
    let scratch = Scratch::new();
    let [server, alice] = chatted(&scratch);
    let lines: Vec<_> = done("export", &server).iter().map(|line| json(line)).collect();
    let letter = lines.iter().find(|line| line["table"] == "letters").unwrap();
    assert_eq!(letter["from"], "alice");
    assert_eq!(letter["to"], "bob");
    assert_eq!(letter["text"], "hello \"bob\"");
    assert!(letter["stored_at"].as_str().unwrap().ends_with('Z'));
    let accounts = lines.iter().filter(|line| line["table"] == "accounts");
    assert_eq!(accounts.map(|line| &line["name"]).collect::<Vec<_>>(), ["alice", "bob"]);
    let client: Vec<_> = done("export", &alice).iter().map(|line| json(line)).collect();
    assert!(client.iter().any(|line| line["registrations"] == 1), "{client:?}");
    for line in lines.iter().chain(&client) {
        assert!(line.get("token").is_none(), "{line}");
    }
}

#[test]
fn an_export_says_of_a_copy_of_a_text_to_many_which_it_is() {
    let scratch = Scratch::new();
    let folders = ["server", "alice", "carol"].map(|name| scratch.path(name));
    let port = free_port();
    let server = server_in(&folders[0], port);
    let [mut alice, mut carol] =
        [("alice", 1), ("carol", 2)].map(|(name, at)| client_in(&folders[at], name, port));
    let mut bob = registered("bob", port);
    for (client, verb) in [(&mut alice, "create"), (&mut bob, "join"), (&mut carol, "join")] {
        client.say(&format!("{verb}_group team"));
        client.event("group");
    }
    bob.kill();
    alice.say("send_group team hello");
    let cast = alice.event("sending_many")["cast"].clone();
    alice.event("outcome");
    carol.event("message");
    for client in [alice, carol] {
        client.signal("TERM");
        client.ended();
    }
    server.signal("TERM");
    server.ends_with(0);
    for (folder, table, rows) in [
        (&folders[0], "letters", 1),
        (&folders[1], "unsettled", 1),
        (&folders[1], "lines", 2),
        (&folders[2], "lines", 1),
    ] {
        let exported = done("export", folder).iter().map(|line| json(line)).collect::<Vec<_>>();
        let of_table: Vec<_> = exported.iter().filter(|line| line["table"] == table).collect();
        assert_eq!(of_table.len(), rows, "{exported:?}");
        for line in of_table {
            assert_eq!((&line["cast"], &line["group"]), (&cast, &"team".into()), "{line}");
        }
    }
}

#[test]
fn a_store_that_cannot_be_looked_at_is_told_what_to_do_about_it() {
    let scratch = Scratch::new();
    let [server, alice] = chatted(&scratch);
    let store = format!("{server}/store.redb");
    for work in WORKS {
        refused(work, &store, "it is no folder; give the folder that the store is in");
    }
    // Nobody can write there, not even root.
    const READ_ONLY: &str =
        r#"mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@""#;
    let read_only = |what: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c", READ_ONLY, &alice]);
        command.args(what).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    };
    if !read_only(&["true"]).status().is_ok_and(|status| status.success()) {
        eprintln!("not tested: nothing may be mounted here");
        return;
    }
    for work in WORKS {
        let look = read_only(&[env!("CARGO_BIN_EXE_udpchat"), "store", work, &alice]);
        let ended = Process::of(look, Scratch::new()).ended();
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.errors.contains("lock in it: Read-only file system"), "{ended:?}");
        let remedy = "copy the folder to a place that you can write to";
        assert!(ended.errors.contains(remedy), "{ended:?}");
        assert!(!ended.errors.contains("--data"), "{ended:?}");
    }
}

#[test]
fn a_store_in_use_is_refused() {
    let scratch = Scratch::new();
    let folder = scratch.path("server");
    let server = server_with(free_port(), &["--data", &folder]).unwrap();
    for work in WORKS {
        refused(work, &folder, "another udpchat is using it; stop that one first");
    }
    let port = free_port().to_string();
    let second = Process::start(&["-s", &port, "--data", &folder]).ended();
    assert_eq!(second.code, Some(1), "{second:?}");
    assert!(second.errors.contains("another udpchat is using it; stop that one"), "{second:?}");
    assert!(second.errors.contains(&folder), "{second:?}");
    drop(server);
}

#[test]
fn a_folder_that_cannot_be_made_is_refused_with_its_reason_once() {
    let scratch = Scratch::new();
    let file = scratch.path("file");
    fs::write(&file, "no folder").unwrap();
    let below = scratch.path("file/below");
    for (folder, says, errors) in [
        (&file, "it is no folder; give another one with --data\n", 0),
        (&below, "give another folder with --data\n", 1),
    ] {
        let ended = Process::start(&["-s", &free_port().to_string(), "--data", folder]).ended();
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.errors.starts_with("udpchat: cannot use the data folder "), "{ended:?}");
        assert_eq!(ended.errors.matches("os error").count(), errors, "{ended:?}");
        assert!(ended.errors.ends_with(says), "{ended:?}");
    }
}

#[test]
fn a_store_that_cannot_be_opened_is_refused_with_what_to_do() {
    let scratch = Scratch::new();
    let folder = scratch.path("server");
    fs::create_dir_all(scratch.path("server/store.redb")).unwrap();
    let ended = Process::start(&["-s", &free_port().to_string(), "--data", &folder]).ended();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.errors.contains(&folder), "{ended:?}");
    assert!(ended.errors.ends_with("store.redb in it is no file: remove it\n"), "{ended:?}");
    // What is left of an attempt to make one is removed, if it can be.
    let other = scratch.path("other");
    fs::create_dir_all(scratch.path("other/store.redb.new")).unwrap();
    let ended = Process::start(&["-s", &free_port().to_string(), "--data", &other]).ended();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.errors.contains("store.redb.new in it is no file: remove it"), "{ended:?}");
}

#[test]
fn a_store_that_is_cut_short_is_damaged() {
    let scratch = Scratch::new();
    let [server, alice] = chatted(&scratch);
    for (folder, works) in [(&server, &WORKS[..]), (&alice, &WORKS[..1])] {
        let file = format!("{folder}/store.redb");
        let bytes = fs::read(&file).unwrap();
        for length in [1, 2, 9, 100, 319, 320, 4_095, 4_096, 10_000] {
            fs::write(&file, &bytes[..length]).unwrap();
            for work in works {
                refused(work, folder, "damaged");
                refused(work, folder, REMEDY);
            }
        }
    }
    let ended = Process::start(&["-s", &free_port().to_string(), "--data", &server]).ended();
    assert!(ended.errors.contains(REMEDY), "{ended:?}");
}

#[test]
fn what_is_no_store_is_refused() {
    let scratch = Scratch::new();
    let missing = scratch.path("missing");
    let empty = scratch.path("empty");
    fs::create_dir(&empty).unwrap();
    let other = scratch.path("other");
    fs::create_dir(&other).unwrap();
    fs::write(scratch.path("other/store.redb"), "no store").unwrap();
    for work in WORKS {
        refused(work, &missing, "there is no store in it");
        refused(work, &empty, "there is no store in it");
        refused(work, &other, "it holds no store of udpchat, or a damaged one");
        refused(work, &other, REMEDY);
    }
    let ended = Process::start(&["-s", &free_port().to_string(), "--data", &other]).ended();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.errors.contains(REMEDY) && ended.errors.contains(&other), "{ended:?}");
    assert_eq!(ended.errors.matches('\n').count(), 1, "{ended:?}");
}

#[test]
fn a_server_does_not_take_the_folder_of_a_client() {
    let scratch = Scratch::new();
    let [_, alice] = chatted(&scratch);
    let ended = Process::start(&["-s", &free_port().to_string(), "--data", &alice]).ended();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.errors.contains("belongs to a client, not to a server"), "{ended:?}");
}

#[test]
fn a_client_does_not_take_the_folder_of_another_name() {
    let scratch = Scratch::new();
    let [_, alice] = chatted(&scratch);
    let port = free_port().to_string();
    let ended = Process::start(&["-c", "carol", "127.0.0.1", &port, "0", "--data", &alice]).ended();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.errors.contains(&alice) && ended.errors.contains("it is alice's"), "{ended:?}");
    assert_eq!(ended.errors.matches('\n').count(), 1, "{ended:?}");
}

#[test]
fn a_damaged_store_is_found_out() {
    let scratch = Scratch::new();
    let [server, _] = chatted(&scratch);
    let file = scratch.path("server/store.redb");
    let bytes = fs::read(&file).unwrap();
    let letter = b"hello \"bob\"";
    let at = bytes.windows(letter.len()).position(|window| window == letter).unwrap();
    // Every copy of it: which of them counts only the file knows.
    let mut damaged = bytes.clone();
    for (at, window) in bytes.windows(letter.len()).enumerate().skip(at) {
        if window == letter {
            damaged[at] ^= 1;
        }
    }
    fs::write(&file, damaged).unwrap();
    let ended = store("check", &server);
    assert_eq!((ended.code, ended.lines.len()), (Some(1), 0), "{ended:?}");
    assert!(ended.errors.contains("damaged"), "{ended:?}");
    assert!(ended.errors.contains(REMEDY), "{ended:?}");
    assert_eq!(ended.errors.matches('\n').count(), 1, "{ended:?}");
}

#[test]
fn whatever_is_damaged_is_told_in_a_line() {
    let scratch = Scratch::new();
    let [server, _] = chatted(&scratch);
    let file = scratch.path("server/store.redb");
    let bytes = fs::read(&file).unwrap();
    let written: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] != 0).collect();
    let mut refused = 0;
    for seed in 0..30 {
        let mut random = StdRng::seed_from_u64(seed);
        let mut damaged = bytes.clone();
        for _ in 0..8 {
            let at = written[random.random_range(0..written.len())];
            let until = damaged.len().min(at + 64);
            random.fill(&mut damaged[at..until]);
        }
        fs::write(&file, damaged).unwrap();
        let ended = store("export", &server);
        let told = ended.errors.matches('\n').count() == 1 && ended.errors.contains(REMEDY);
        assert!(ended.code == Some(0) || told, "{ended:?}");
        refused += usize::from(ended.code != Some(0));
    }
    assert!(refused > 3, "{refused}");
}

#[test]
fn an_export_that_nobody_reads_ends_quietly() {
    let scratch = Scratch::new();
    let [server, _] = chatted(&scratch);
    let mut export = command(&["store", "export", &server], &scratch).spawn().unwrap();
    drop(export.stdout.take());
    let mut errors = String::new();
    export.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    assert_eq!((export.wait().unwrap().code(), errors.as_str()), (Some(1), ""));
}
