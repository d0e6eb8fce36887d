//! The same seed is the same run: in another process, environment, number of threads, and for
//! whatever tick the carrier works in.

#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

use std::process::Command;
use std::time::Duration;

use sim::engine::{self, Engine};
use sim::faults::bugs::Planted;
use sim::faults::fate::{Target, Which};
use sim::planning::adversary::Classes;
use sim::planning::moves::{Claim, Datagram, Move, Place, Trick};
use sim::planning::plan::{CLIENT_PORT, SERVER, SERVER_PORT, SERVER_SECOND_PORT};
use sim::planning::workload::{self, Profile, Size};
use sim::record::log::Detail;
use sim::search::chaos::Setting;
use sim::search::sweep::{Shard, Sweep, run_seeds};
use udpchat_core::protocol::PacketKind;

const SIZE: Size = Size { clients: 4, messages: 40, duration: Duration::from_secs(20) };

/// A run with any faults.
const fn swarm(adversary: Classes) -> Setting {
    Setting {
        size: SIZE,
        profile: Profile::MOST,
        swarm: true,
        adversary,
        bug: None,
        engine: Engine::Direct,
    }
}

/// Fails at the first line in which the logs differ.
fn assert_same(a: &str, b: &str, what: &str) {
    let difference = a.lines().zip(b.lines()).enumerate().find(|(_, (a, b))| a != b);
    if let Some((number, (a, b))) = difference {
        panic!("{what}: line {} differs:\n{a}\n{b}", number + 1);
    }
    assert_eq!(a.lines().count(), b.lines().count(), "{what}: one goes on");
}

#[test]
fn the_length_of_a_tick_changes_nothing() {
    for seed in 0..3 {
        let plan = workload::plan(seed, &SIZE, &Profile::ALL);
        let log = |tick_ms| {
            let outcome =
                engine::run_in_ticks(&plan, Duration::from_millis(tick_ms), &Planted::default());
            outcome.log.to_text(Detail::Everything)
        };
        let usual = log(10);
        assert!(usual.lines().count() > 500, "the run is too quiet to prove anything");
        assert_same(&usual, &log(5), "10 ms and 5 ms");
        assert_same(&usual, &log(1), "10 ms and 1 ms");
    }
}

/// An adversary's own users, forgeries and fates depend on a tick as little as all else does.
#[test]
fn the_length_of_a_tick_changes_nothing_for_an_adversary() {
    let ms = Duration::from_millis;
    let forge = |claim, port, words: &str| Trick::Forge {
        claim,
        to: Place { host: SERVER.into(), port },
        datagram: Datagram::Original(words.to_owned()),
    };
    let alice = Claim::Of(Place { host: "alice".into(), port: CLIENT_PORT });
    let nobody = Claim::Nobody { number: 1, apart: true };
    let name = "zoe".parse().unwrap();
    let seen = |times| Target {
        from: "bob".into(),
        to: "carol".into(),
        packet: PacketKind::Message,
        message: None,
        which: Which::Counted { first: 1, times },
    };
    let (lasts, set) = (None, serde_json::Map::new());
    let mut plan = workload::plan(1, &SIZE, &Profile::ALL);
    let often = |at, times, every, trick| Move { at: ms(at), times, every: ms(every), trick };
    plan.moves = vec![
        often(1_003, 15, 1_000, Trick::SignIn { name, port: CLIENT_PORT }),
        often(2_007, 3, 1_500, forge(alice, SERVER_PORT, "[REQUEST:DEREG] alice")),
        often(9_001, 20, 7, forge(nobody.clone(), SERVER_PORT, "[REQUEST:REG] guest$i")),
        often(9_501, 20, 7, forge(nobody, SERVER_SECOND_PORT, "ACK")),
        often(
            10_003,
            1,
            0,
            Trick::Alter { of: seen(3), lasts, set, body: Some("altered".to_owned()) },
        ),
        often(15_001, 3, 777, Trick::Replay { of: seen(2), to: None }),
    ];
    let log = |tick_ms| {
        let outcome = engine::run_in_ticks(&plan, ms(tick_ms), &Planted::default());
        outcome.log.to_text(Detail::Everything)
    };
    let usual = log(10);
    let is_here = |name: &str| usual.contains(&format!("{name} is here"));
    assert!((0..20).any(|i| is_here(&format!("guest{i}"))) && is_here("zoe"), "nobody got in");
    assert!(usual.contains("altered"), "nothing was altered");
    assert_same(&usual, &log(5), "10 ms and 5 ms");
    assert_same(&usual, &log(1), "10 ms and 1 ms");
}

/// The log of one run, as it was on the machine on which it was written down.
const PINNED: &str = include_str!("pinned.log");

/// The hashes of the seeds from 0 on, likewise.
const PINNED_TRACES: [u64; 4] =
    [4540952065857223064, 9806071225028248088, 15019942730699258079, 6004329796778954489];

/// Debug and release builds, other machines and other days: all are held to the same events. A
/// wanted change of protocol or simulator changes them; the log of this build is then at the path
/// that this test names.
#[test]
fn every_build_on_every_machine_gives_the_pinned_events() {
    let size = Size { clients: 3, messages: 6, duration: Duration::from_secs(8) };
    let log = engine::run(&workload::plan(2, &size, &Profile::ALL)).log;
    let text = log.to_text(Detail::Everything);
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("pinned.log");
    std::fs::write(&path, &text).unwrap();
    // Git may give lines other ends.
    let pinned = PINNED.replace("\r\n", "\n");
    assert_same(&pinned, &text, &format!("sim/tests/pinned.log and {}", path.display()));
    let setting = swarm(Classes::default());
    let traces = [0, 1, 2, 3].map(|seed| sim::search::chaos::run_seed(seed, &setting).trace);
    assert_eq!(traces, PINNED_TRACES);
}

/// The simulator's log and trace hash as another process gives them.
fn in_a_process(seed: u64, jobs: u32, environment: &[(&str, &str)]) -> (String, String) {
    let run = |extra: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_sim"))
            .args(["--faults", "all", "--seed", &seed.to_string(), "--seeds", "3"])
            .args(["--jobs", &jobs.to_string()])
            .args(extra)
            .env_clear()
            .envs(environment.iter().copied())
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let json: serde_json::Value = serde_json::from_str(&run(&["--json"])).unwrap();
    let log = run(&["--log"]);
    let log: Vec<&str> = log.lines().filter(|line| !line.starts_with("time ")).collect();
    (log.join("\n"), json["trace_hash"].as_str().unwrap().to_owned())
}

#[test]
fn process_environment_and_threads_change_nothing() {
    let (log, hash) = in_a_process(11, 1, &[("TZ", "UTC"), ("LANG", "C")]);
    let strange = [("TZ", "Asia/Kathmandu"), ("LANG", "tr_TR.UTF-8"), ("COLUMNS", "7")];
    let (other_log, other_hash) = in_a_process(11, 2, &strange);
    assert_same(&log, &other_log, "two processes");
    assert_eq!(hash, other_hash);
}

#[test]
fn seeds_add_up_to_the_same_one_by_one_and_among_others() {
    let setting = swarm(Classes::default());
    let jobs = std::num::NonZeroUsize::new(2).unwrap();
    let among = run_seeds((0, Shard::WHOLE), jobs, &setting, |seed| seed < 4, |_| {});
    let mut alone = Sweep::default();
    for seed in [2, 0, 3, 1] {
        alone.add(sim::search::chaos::run_seed(seed, &setting));
    }
    assert_eq!(among, alone);
    let shard = |index| {
        let shard = Shard { index, of: 3 };
        run_seeds((0, shard), jobs, &setting, |seed| seed < 4, |_| {})
    };
    let mut joined = shard(2);
    joined.join(shard(0));
    assert_ne!(among, joined);
    joined.join(shard(1));
    assert_eq!(among, joined);
}
