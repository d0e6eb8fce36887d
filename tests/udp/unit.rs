//! The systemd unit that ships, and the binary under what of it the kernel can do without systemd:
//! its system calls, address families, and no memory that is both written and executed.
//!
//! What a set of calls holds is systemd's to say: `fixtures/systemd/syscall-filter-252.txt` is
//! what `systemd-analyze syscall-filter` of version 252 prints. Not tested here: namespaces and
//! mounts (`PrivateDevices`, `ProtectSystem`, `ProcSubset`), for which systemd itself is needed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use seccompiler::{BpfProgram, TargetArch, apply_filter, compile_from_json};
use serde_json::{Value, json};

use crate::common::{Process, Scratch, free_port, registered};

const UNIT: &str = include_str!("../../contrib/udpchat.service");
const SETS: &str = include_str!("../../fixtures/systemd/syscall-filter-252.txt");

/// Set for a process that takes the filters and then becomes udpchat with these arguments.
const BECOME: &str = "UDPCHAT_TEST_UNDER_THE_UNIT";
/// Set if whatever is denied is to end it, though the unit is milder.
const STRICT: &str = "UDPCHAT_TEST_STRICT";
/// The exit code of such a process where the system takes no filters.
const NO_FILTERS: i32 = 77;

const EPERM: u32 = 1;
const ENOSYS: u32 = 38;
const EAFNOSUPPORT: u32 = 97;

/// What the unit's lines of this name say, in order.
fn settings(name: &str) -> impl Iterator<Item = &'static str> {
    let lines = UNIT.lines().filter_map(|line| line.split_once('='));
    lines.filter(move |(key, _)| *key == name).map(|(_, value)| value)
}

fn is_on(name: &str) -> bool {
    settings(name).last() == Some("yes")
}

/// The calls that a name stands for: those of a set, or the one of that name.
fn calls(name: &str) -> BTreeSet<&'static str> {
    let mut sets: BTreeMap<&str, Vec<&'static str>> = BTreeMap::new();
    let mut set = "";
    for line in SETS.lines() {
        match line.strip_prefix("    ") {
            Some(member) if !member.starts_with('#') => sets.entry(set).or_default().push(member),
            Some(_) => {}
            None => set = line,
        }
    }
    let mut found = BTreeSet::new();
    let mut left = vec![name.to_owned()];
    while let Some(name) = left.pop() {
        match sets.get(&*name) {
            Some(members) => {
                for member in members {
                    if member.starts_with('@') {
                        left.push((*member).to_owned());
                    } else {
                        found.insert(*member);
                    }
                }
            }
            None => {
                assert!(!name.starts_with('@'), "systemd 252 knows no {name}");
                found.insert(String::leak(name));
            }
        }
    }
    found
}

/// The calls that the unit allows: as systemd reads it, the first line says that it is a list of
/// those, `@default` is always among them, and later lines add to it and take away.
fn allowed() -> BTreeSet<&'static str> {
    let mut allowed = calls("@default");
    for (at, line) in settings("SystemCallFilter").enumerate() {
        let (denied, names) = line.strip_prefix('~').map_or((false, line), |names| (true, names));
        assert!(at > 0 || !denied, "this test knows lists of what is allowed only");
        for call in names.split_whitespace().flat_map(calls) {
            if denied {
                allowed.remove(call);
            } else {
                allowed.insert(call);
            }
        }
    }
    allowed
}

fn compile(filter: Value) -> Option<BpfProgram> {
    let arch = TargetArch::try_from(std::env::consts::ARCH).ok()?;
    let filters = json!({ "it": filter }).to_string();
    compile_from_json(filters.as_bytes(), arch).ok()?.remove("it")
}

/// A filter that refuses what matches, and lets everything else pass.
fn refusing(error: u32, filter: Value) -> BpfProgram {
    let filter = json!({
        "mismatch_action": "allow", "match_action": { "errno": error }, "filter": filter,
    });
    compile(filter).expect("the crate knows these calls")
}

/// The filters that systemd would make of the unit. That of calls comes last: it may deny more.
fn filters(is_strict: bool) -> Vec<BpfProgram> {
    let mut filters = Vec::new();
    if is_on("MemoryDenyWriteExecute") {
        let with = |call: &str, bits: u32| {
            let protection = json!({"masked_eq": bits});
            json!({"syscall": call, "args": [
                {"index": 2, "type": "dword", "op": protection, "val": bits}
            ]})
        };
        filters.push(refusing(EPERM, json!([with("mmap", 6), with("mprotect", 4)])));
    }
    if is_on("RestrictNamespaces") {
        filters.push(refusing(EPERM, json!([{"syscall": "unshare"}, {"syscall": "setns"}])));
        filters.push(refusing(ENOSYS, json!([{"syscall": "clone3"}])));
    }
    for families in settings("RestrictAddressFamilies") {
        let family = |name: &str| match name {
            "AF_UNIX" => 1,
            "AF_INET" => 2,
            "AF_INET6" => 10,
            other => panic!("this test does not know {other}"),
        };
        let others: Vec<Value> = families
            .split_whitespace()
            .map(|name| json!({"index": 0, "type": "dword", "op": "ne", "val": family(name)}))
            .collect();
        filters.push(refusing(EAFNOSUPPORT, json!([{"syscall": "socket", "args": others}])));
    }
    // The set names calls of every machine: those that this one has not are none.
    let denied = if settings("SystemCallErrorNumber").last() == Some("EPERM") && !is_strict {
        json!({ "errno": EPERM })
    } else {
        json!("kill_process")
    };
    let filter = |calls: Vec<Value>| json!({"mismatch_action": denied, "match_action": "allow", "filter": calls});
    let known = |call: &&str| compile(filter(vec![json!({"syscall": call})])).is_some();
    let calls = allowed().into_iter().filter(known).map(|call| json!({"syscall": call}));
    filters.extend(compile(filter(calls.collect())));
    filters
}

/// Started again by the others with [`BECOME`], it becomes udpchat under the unit's filters.
#[test]
fn the_units_filters_are_such_as_the_kernel_takes() {
    let Ok(arguments) = std::env::var(BECOME) else {
        let calls = allowed();
        assert!(calls.contains("read") && calls.contains("sendto") && calls.contains("fdatasync"));
        assert!(!calls.contains("reboot") && !calls.contains("mount"), "{calls:?}");
        assert!(filters(true).iter().all(|filter| !filter.is_empty()));
        return;
    };
    // What a test prints is not udpchat's: that has another output.
    let output = File::options().write(true).open("/dev/fd/3").unwrap();
    let arguments: Vec<String> = serde_json::from_str(&arguments).unwrap();
    let filters = filters(std::env::var_os(STRICT).is_some());
    let mut udpchat = Command::new(env!("CARGO_BIN_EXE_udpchat"));
    udpchat.args(arguments).stdout(output);
    for filter in &filters {
        if apply_filter(filter).is_err() {
            std::process::exit(NO_FILTERS);
        }
    }
    panic!("{}", udpchat.exec());
}

fn under_the_unit(arguments: &[&str], is_strict: bool) -> Process {
    let home = Scratch::new();
    let mut command = Command::new("sh");
    command
        .args(["-c", r#"exec "$0" "$@" 3>&1 >/dev/null"#])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "unit::the_units_filters_are_such_as_the_kernel_takes", "--nocapture"])
        .env(BECOME, serde_json::to_string(arguments).unwrap())
        .env("XDG_DATA_HOME", home.home())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if is_strict {
        command.env(STRICT, "yes");
    }
    Process::of(command, home)
}

/// A whole life: with a store, a message for somebody who is away, a restart, and signals.
fn serves(is_strict: bool) {
    let version = under_the_unit(&["--version"], is_strict).ended();
    if version.code == Some(NO_FILTERS) {
        eprintln!("not tested: no filter of system calls may be set here");
        return;
    }
    assert_eq!(version.code, Some(0), "{version:?}");
    let scratch = Scratch::new();
    let (folder, port) = (scratch.path("server"), free_port());
    let number = port.to_string();
    let arguments = ["-s", &number, "--json", "--data", &folder];
    let mut server = under_the_unit(&arguments, is_strict);
    server.event("listening");
    let mut alice = registered("alice", port);
    let mut bob = registered("bob", port);
    bob.end_input();
    bob.ends_with(0);
    alice.say("send bob hello");
    alice.event("saved");
    server.signal("TERM");
    server.ends_with(0);

    let mut server = under_the_unit(&arguments, is_strict);
    server.event("listening");
    let mut bob = registered("bob", port);
    assert_eq!(bob.event("message")["text"], "hello");
    server.signal("USR1");
    server.event("stats");
    server.signal("TERM");
    server.ends_with(0);
}

#[test]
fn under_the_units_filters_a_server_stores_restarts_delivers_and_ends() {
    serves(false);
}

#[test]
fn nothing_that_a_server_does_is_denied_by_the_unit() {
    serves(true);
}
