//! What a server or client has open is taken from it, and limits of the process.
//!
//! By the tools that people do it with, while the program runs.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::process::{Command, Stdio};

use crate::common::{
    Ended, Process, Scratch, client_in, command, free_port, json, registered, server_in,
    server_with,
};

/// Does something to files.
fn shell(script: &str) {
    assert!(Command::new("sh").args(["-ec", script]).status().unwrap().success(), "{script}");
}

fn has_lost_it(ended: &Ended, folder: &str) {
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.errors.contains(folder), "{ended:?}");
    assert!(ended.errors.contains("put that one back, then start again"), "{ended:?}");
    assert_eq!(ended.errors.matches('\n').count(), 1, "{ended:?}");
}

#[test]
fn a_server_whose_store_is_taken_away_ends_with_a_line_that_says_so() {
    let ways = [
        "rm -rf $D",
        "rm $D/store.redb",
        "mv $D $D.elsewhere",
        "cp $D/store.redb $D/copy; mv $D/copy $D/store.redb",
        "printf x | dd of=$D/store.redb bs=1 seek=9 conv=notrunc 2>&1",
        "cp $D.older/store.redb $D/store.redb",
    ];
    let scratch = Scratch::new();
    let servers: Vec<_> = (0..ways.len())
        .map(|at| {
            let folder = scratch.path(&at.to_string());
            let older = server_in(&folder, free_port());
            older.signal("TERM");
            older.ends_with(0);
            shell(&format!("cp -r {folder} {folder}.older"));
            let port = free_port();
            let server = server_in(&folder, port);
            registered("alice", port).kill();
            (server, folder)
        })
        .collect();
    for ((_, folder), way) in servers.iter().zip(ways) {
        shell(&format!("D={folder}; {way}"));
    }
    for (server, folder) in servers {
        has_lost_it(&server.ended(), &folder);
    }
    // What was put there is as it was put there.
    shell(&format!("cmp {0}/store.redb {0}.older/store.redb", scratch.path("5")));
}

#[test]
fn a_server_whose_folder_is_another_one_all_at_once_says_saved_no_more() {
    let scratch = Scratch::new();
    let [folder, there, other] = ["data", "there", "other"].map(|name| scratch.path(name));
    fs::create_dir(&there).unwrap();
    fs::create_dir(&other).unwrap();
    symlink(&there, &folder).unwrap();
    let port = free_port();
    let server = server_in(&folder, port);
    let mut alice = registered("alice", port);
    registered("bob", port).kill();
    shell(&format!("ln -sfn {other} {folder}"));
    alice.say("send bob hello");
    has_lost_it(&server.ended(), &folder);
    alice.signal("TERM");
    let told = alice.ended().lines;
    assert!(!told.iter().any(|line| json(line)["event"] == "saved"), "{told:?}");
    assert!(fs::read_dir(other).unwrap().next().is_none());
}

#[test]
fn a_client_whose_store_is_taken_away_ends_with_a_line_that_says_so() {
    let scratch = Scratch::new();
    let (folder, port) = (scratch.path("alice"), free_port());
    let _server = server_with(port, &[]).unwrap();
    let mut alice = client_in(&folder, "alice", port);
    alice.event("registered");
    fs::remove_dir_all(&folder).unwrap();
    has_lost_it(&alice.ended(), &folder);
}

#[test]
fn without_its_lock_file_a_folder_still_takes_one_server_only() {
    let scratch = Scratch::new();
    let (folder, port) = (scratch.path("server"), free_port());
    let server = server_in(&folder, port);
    fs::remove_file(format!("{folder}/lock")).unwrap();
    let second = Process::start(&["-s", &free_port().to_string(), "--data", &folder]).ended();
    assert_eq!(second.code, Some(1), "{second:?}");
    assert!(second.errors.contains("another udpchat is using it; stop that one"), "{second:?}");
    server.signal("TERM");
    server.ends_with(0);
}

#[test]
fn what_belongs_to_somebody_else_is_refused_with_what_to_do() {
    let scratch = Scratch::new();
    let folder = scratch.path("server");
    let server = server_in(&folder, free_port());
    server.signal("TERM");
    server.ends_with(0);
    if std::os::unix::fs::chown(format!("{folder}/store.redb"), Some(54_321), None).is_err() {
        eprintln!("not tested: nothing can be given to somebody else here");
        return;
    }
    let refused = Process::start(&["-s", &free_port().to_string(), "--data", &folder]).ended();
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.errors.contains("belongs to another user, 54321"), "{refused:?}");
    assert!(refused.errors.contains("chown"), "{refused:?}");
    // Root looks after everybody's.
    Process::start(&["store", "check", &folder]).ends_with(0);
    assert_eq!(fs::metadata(format!("{folder}/store.redb")).unwrap().uid(), 54_321);
}

/// A shell that sets limits and becomes udpchat.
fn limited(limits: &str, arguments: &[&str], home: Scratch) -> Process {
    let mut command = Command::new("sh");
    command.args(["-c", &format!(r#"{limits}; exec "$0" "$@""#), env!("CARGO_BIN_EXE_udpchat")]);
    command.args(arguments).env("XDG_DATA_HOME", home.home());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    Process::of(command, home)
}

#[test]
fn a_limit_on_the_size_of_files_is_a_full_disk() {
    let port = free_port();
    // In blocks of 512 bytes: enough for a store, and not for what is held in reserve.
    let arguments = ["-s", &port.to_string(), "--json"];
    let mut server = limited("ulimit -f 12000", &arguments, Scratch::new());
    server.event_where("room", |event| event["low"] == true);
    let port = port.to_string();
    let client = ["-c", "alice", "127.0.0.1", &port, "0", "--json"];
    let mut told = limited("ulimit -f 1500", &client, Scratch::new());
    told.end_input();
    let errors = told.ended().errors;
    assert!(errors.contains("768000 bytes") && errors.contains("ulimit -f"), "{errors}");
    let port: u16 = port.parse().unwrap();
    let alice = crate::common::client("alice", port);
    let ended = alice.ended();
    assert!(ended.lines.iter().any(|line| line.contains("disk")), "{ended:?}");
    server.signal("TERM");
    let ended = server.ended();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.errors.contains("ulimit -f"), "{ended:?}");
    // Not even for a store.
    let ended = limited("ulimit -f 8", &arguments, Scratch::new()).ended();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.errors.contains("ulimit -f"), "{ended:?}");
    assert_eq!(ended.errors.matches('\n').count(), 1, "{ended:?}");
}

#[test]
fn with_too_few_descriptors_it_says_so_in_a_line() {
    let (_server, port) = crate::common::server();
    let (here, other, port) = ("127.0.0.1", free_port().to_string(), port.to_string());
    let mut works = 0;
    // Below that not even its libraries are loaded.
    for limit in 4..=24 {
        let limits = format!("ulimit -n {limit}");
        for arguments in [&["-s", &other][..], &["-c", "alice", here, &port, "0"]] {
            let mut process = limited(&limits, arguments, Scratch::new());
            process.feed("quit\n".to_owned());
            let ended = process.ended();
            if ended.code == Some(0) {
                works += 1;
                continue;
            }
            assert_eq!((ended.code, ended.errors.matches('\n').count()), (Some(1), 1), "{ended:?}");
            assert!(ended.errors.contains("ulimit -n"), "{limit} {ended:?}");
        }
    }
    assert!((4..30).contains(&works), "{works}");
}

/// For root there is no such limit: it becomes nobody.
#[cfg(target_os = "linux")]
#[test]
fn with_too_few_threads_it_says_so_in_a_line() {
    let program = env!("CARGO_BIN_EXE_udpchat");
    let become_nobody = if rustix::process::getuid().is_root() {
        "exec setpriv --reuid=65534 --regid=65534 --clear-groups"
    } else {
        "exec env"
    };
    let can = format!("{become_nobody} {program} --version");
    let can = Command::new("sh").args(["-c", &can]).output();
    if !can.is_ok_and(|output| output.status.success()) {
        eprintln!("not tested: nobody may run {program}");
        return;
    }
    for limit in 1..=4 {
        let home = Scratch::new();
        fs::set_permissions(home.path(""), fs::Permissions::from_mode(0o777)).unwrap();
        let limits =
            format!("{become_nobody} sh -c 'ulimit -u {limit}; exec \"$0\" \"$@\"' \"$0\" \"$@\"");
        let port = free_port().to_string();
        let mut process = limited(&limits, &["-s", &port], home);
        process.feed("quit\n".to_owned());
        let ended = process.ended();
        let said = ended.errors.matches('\n').count() == 1 && ended.errors.contains("ulimit -u");
        assert!(ended.code == Some(0) || ended.code == Some(1) && said, "{limit} {ended:?}");
    }
}

/// A folder of which a sync fails as on file systems that know none; needs a C compiler.
#[cfg(target_os = "linux")]
#[test]
fn a_file_system_that_syncs_no_folders_is_good_enough() {
    let scratch = Scratch::new();
    let (source, shim) = (scratch.path("shim.c"), scratch.path("shim.so"));
    for error in ["EINVAL", "ENOTSUP", "EBADF"] {
        let code = format!(
            "#include <errno.h>\n#include <sys/stat.h>\n#include <sys/syscall.h>\n\
             #include <unistd.h>\nint fsync(int fd) {{ struct stat s; \
             if (fstat(fd, &s) == 0 && S_ISDIR(s.st_mode)) {{ errno = {error}; return -1; }} \
             return syscall(SYS_fsync, fd); }}\n"
        );
        fs::write(&source, code).unwrap();
        let cc = Command::new("cc").args(["-shared", "-fPIC", "-o", &shim, &source]).status();
        if !cc.is_ok_and(|status| status.success()) {
            eprintln!("not tested: there is no C compiler");
            return;
        }
        let port = free_port().to_string();
        let home = Scratch::new();
        let mut server = command(&["-s", &port, "--json"], &home);
        server.env("LD_PRELOAD", &shim);
        let mut server = Process::of(server, home);
        server.event("listening");
        server.signal("TERM");
        server.ends_with(0);
    }
}
