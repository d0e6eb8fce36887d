//! Real processes on networks of their own making: neighbours that vanish, several addresses,
//! paths that carry little, systems that are set up otherwise.
//!
//! Each test runs itself again in a network namespace, where it is root and its traffic meets
//! nobody. Where the system does not give namespaces to everybody, it says so and tests nothing.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::net::sockopt::set_socket_send_buffer_size;
use rustix::process::{PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};
use udpchat_core::protocol::{Nonce, Packet, SessionId, Token, envelope, hello};

use crate::common::{DEADLINE, Process, Scratch, command, now};

/// Set in the environment of a test that runs in its own network.
const INSIDE: &str = "UDPCHAT_TEST_INSIDE";

const PORT: u16 = 9_000;

/// Runs the rest of the test of this name in a network of its own.
fn in_own_network(name: &str, rest: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        return rest();
    }
    let unshare = |what: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--net"]).args(what);
        command
    };
    let possible = unshare(&["ip", "link", "set", "lo", "up"]).output();
    if !possible.is_ok_and(|output| output.status.success()) {
        eprintln!("not tested: no network namespace may be made here");
        return;
    }
    let this = std::env::current_exe().unwrap();
    let test = format!("network::{name}");
    let mut again = unshare(&[this.to_str().unwrap(), &test, "--exact", "--nocapture"]);
    let output = again.env(INSIDE, "1").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    println!("{said}");
    assert!(output.status.success() && said.contains("1 passed"));
}

fn ip(arguments: &str) {
    assert!(ip_can(arguments), "ip {arguments}");
}

fn ip_can(arguments: &str) -> bool {
    let output = Command::new("ip").args(arguments.split(' ')).output().unwrap();
    output.status.success()
}

fn set(setting: &str, value: &str) {
    std::fs::write(format!("/proc/sys/net/{setting}"), value).unwrap();
}

/// Another machine: a network namespace beside this one. Gone when dropped.
struct Machine(Child);

impl Machine {
    fn new() -> Self {
        let mut holder = Command::new("unshare");
        holder.args(["--net", "sh", "-c", "ip link set lo up && echo up && exec cat"]);
        let mut child = holder.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let up = std::io::read_to_string(std::io::Read::take(child.stdout.as_mut().unwrap(), 3));
        assert_eq!(up.unwrap(), "up\n");
        Self(child)
    }

    /// Connects it: an interface here, and one there.
    fn connect(&self, here: &str, there: &str) {
        ip(&format!("link add {here} type veth peer name {there} netns {}", self.0.id()));
        ip(&format!("link set {here} up"));
        self.ip(&format!("link set {there} up"));
    }

    fn ip(&self, arguments: &str) {
        assert!(self.runs(&format!("ip {arguments}")), "ip {arguments}");
    }

    fn set(&self, setting: &str, value: &str) {
        assert!(self.runs(&format!("echo {value} >/proc/sys/net/{setting}")), "{setting}");
    }

    fn runs(&self, line: &str) -> bool {
        self.enter().args(["sh", "-c", line]).status().unwrap().success()
    }

    fn enter(&self) -> Command {
        let mut enter = Command::new("nsenter");
        enter.args(["--target", &self.0.id().to_string(), "--net"]);
        enter
    }

    /// A udpchat on it.
    fn start(&self, arguments: &[&str]) -> Process {
        let home = Scratch::new();
        let inner = command(arguments, &home);
        let mut outer = self.enter();
        outer.arg(inner.get_program()).args(inner.get_args());
        outer.env("XDG_DATA_HOME", home.path("")).stdout(Stdio::piped()).stderr(Stdio::piped());
        Process::of(outer, home)
    }

    /// A server on it that listens.
    fn server(&self) -> Process {
        let mut server = self.start(&["-s", &PORT.to_string(), "--json", "--no-store"]);
        server.event("listening");
        server
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A client here of a server there.
fn client(name: &str, server: &str, port: u16) -> Process {
    Process::start(&["-c", name, server, &PORT.to_string(), &port.to_string(), "--json"])
}

/// A machine with a server at 10.77.0.1 and 10.77.0.11, connected to this one at 10.77.0.2 and .3.
fn neighbour() -> Machine {
    ip("link set lo up");
    let machine = Machine::new();
    machine.connect("here", "there");
    for addr in ["10.77.0.2", "10.77.0.3"] {
        ip(&format!("addr add {addr}/24 dev here"));
    }
    for addr in ["10.77.0.1", "10.77.0.11"] {
        machine.ip(&format!("addr add {addr}/24 dev there"));
    }
    machine
}

/// A registered client without a program around it.
struct Bare {
    socket: UdpSocket,
    session: SessionId,
}

impl Bare {
    /// With the server at the first address of that network.
    fn register(name: &str, from: Ipv4Addr) -> Self {
        Self::register_again(name, from, 1)
    }

    /// The same with the so-many-th registration of that name from there.
    fn register_again(name: &str, from: Ipv4Addr, registration: u64) -> Self {
        let socket = UdpSocket::bind((from, 0)).unwrap();
        let [first, second, third, _] = from.octets();
        socket.connect((Ipv4Addr::new(first, second, third, 1), PORT)).unwrap();
        let bare = Self { socket, session: SessionId(0) };
        let cookie = bare.ask(&hello::encode(Nonce(1)), |packet| match packet {
            Packet::Challenge { cookie, .. } => Some(cookie),
            _ => None,
        });
        let (name, token) = (name.parse().unwrap(), Token(from.to_bits().into()));
        let register = Packet::Register { name, token, registration, nonce: Nonce(1), cookie };
        let session = bare.ask(&envelope::encode(&register, b""), |packet| match packet {
            Packet::Registered { session, .. } => Some(session),
            _ => None,
        });
        let bare = Self { session, ..bare };
        // Now it gets tables, which it never acknowledges.
        bare.ping();
        bare
    }

    fn send(&self, packet: &Packet) {
        self.socket.send(&envelope::encode(packet, b"")).unwrap();
    }

    /// Asks until a packet has what is wanted, for whatever is sent may be lost.
    fn ask<T>(&self, bytes: &[u8], wanted: impl Fn(Packet) -> Option<T>) -> T {
        let begin = now();
        self.socket.set_read_timeout(Some(ASK_AGAIN)).unwrap();
        while begin.elapsed() < DEADLINE {
            self.socket.send(bytes).unwrap();
            while let Some(packet) = self.receive() {
                if let Some(found) = wanted(packet) {
                    return found;
                }
            }
        }
        panic!("never answered");
    }

    fn receive(&self) -> Option<Packet> {
        let mut buffer = [0; 2_048];
        let length = self.socket.recv(&mut buffer).ok()?;
        Some(envelope::decode(&buffer[..length]).unwrap().0)
    }

    /// Asks until it is answered, and says how long that took.
    fn ping(&self) -> Duration {
        let begin = now();
        let ping = Packet::Ping { session: self.session };
        self.ask(&envelope::encode(&ping, b""), |packet| match packet {
            Packet::Pong { .. } => Some(begin.elapsed()),
            Packet::Unknown { .. } => panic!("thrown out after {:?}", begin.elapsed()),
            _ => None,
        })
    }
}

/// Before something is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(300);

/// How long answers took, and what a server lost meanwhile.
struct Waits {
    median: Duration,
    longest: Duration,
    lost: u64,
}

impl Waits {
    fn told(mut waits: Vec<Duration>, server: &mut Process) -> Self {
        waits.sort();
        let (median, longest) = (waits[waits.len() / 2], waits[waits.len() - 1]);
        server.say("stats");
        let lost = server.event("stats")["datagrams_lost"].as_u64().unwrap();
        let count = waits.len();
        println!("{count} answers: {median:?} median, {longest:?} longest; {lost} datagrams lost");
        Self { median, longest, lost }
    }
}

const VANISHED: u8 = 60;

/// A system keeps what is for a neighbour that does not answer for 3 s, and that filled the
/// server's socket: answers took 12 s, and clients were thrown out.
#[test]
fn neighbours_that_vanish_hold_up_nobody_else() {
    in_own_network("neighbours_that_vanish_hold_up_nobody_else", || {
        let machine = neighbour();
        let addr = |number| Ipv4Addr::new(10, 77, 0, 100 + number);
        (0..VANISHED).for_each(|n| ip(&format!("addr add {}/32 dev here", addr(n))));
        let mut server = machine.server();
        shrink(&server);
        let healthy = Bare::register("healthy", Ipv4Addr::new(10, 77, 0, 2));
        for number in 0..VANISHED {
            Bare::register(&format!("gone{number}"), addr(number));
        }
        (0..VANISHED).for_each(|n| ip(&format!("addr del {}/32 dev here", addr(n))));
        machine.ip("neigh flush dev there");
        let mut waits = Vec::new();
        let begin = now();
        for number in 1.. {
            if begin.elapsed() > Duration::from_secs(9) {
                break;
            }
            // Each time the table changes, which the server then tells to everybody.
            Bare::register_again("restless", Ipv4Addr::new(10, 77, 0, 3), number);
            waits.push(healthy.ping());
            std::thread::park_timeout(Duration::from_millis(50));
        }
        let Waits { median, .. } = Waits::told(waits, &mut server);
        assert!(median < Duration::from_secs(1));
        server.signal("TERM");
        server.event("stopped");
    });
}

/// As much as a system gives by default; here it may give more.
const ROOM: usize = 212_992;

/// Sets the room of another process's sockets.
fn shrink(process: &Process) {
    let pid = rustix::process::Pid::from_raw(process.id().try_into().unwrap()).unwrap();
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).unwrap();
    for entry in std::fs::read_dir(format!("/proc/{}/fd", process.id())).unwrap() {
        let number = entry.unwrap().file_name().to_str().unwrap().parse().unwrap();
        // What is no socket has no room.
        if let Ok(fd) = pidfd_getfd(&pidfd, number, PidfdGetfdFlags::empty()) {
            let _ = set_socket_send_buffer_size(fd, ROOM);
        }
    }
}

/// What was for clients behind a slow line filled the server, and nobody else was answered.
#[test]
fn clients_behind_a_slow_line_hold_up_nobody_else() {
    in_own_network("clients_behind_a_slow_line_hold_up_nobody_else", || {
        let machine = neighbour();
        machine.connect("fast", "faster");
        ip("addr add 10.78.0.2/24 dev fast");
        machine.ip("addr add 10.78.0.1/24 dev faster");
        let slow_addr = |number: u8| Ipv4Addr::new(10, 77, 0, 100 + number);
        (0..4).for_each(|n| ip(&format!("addr add {}/32 dev here", slow_addr(n))));
        let mut server = machine.server();
        shrink(&server);
        let healthy = Bare::register("healthy", Ipv4Addr::new(10, 78, 0, 2));
        let slow: Vec<_> =
            (0..4).map(|n| Bare::register(&format!("slow{n}"), slow_addr(n))).collect();
        if !machine.runs("tc qdisc add dev there root tbf rate 16kbit burst 3000 limit 9000000") {
            eprintln!("not tested: there is no tc, or it cannot make a line slow here");
            return;
        }
        let (mut waits, begin) = (Vec::new(), now());
        let lasts = || begin.elapsed() < Duration::from_secs(8);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while lasts() {
                    for asks in &slow {
                        (0..5).for_each(|_| asks.send(&Packet::Ping { session: asks.session }));
                    }
                    std::thread::park_timeout(Duration::from_millis(5));
                }
            });
            while lasts() {
                waits.push(healthy.ping());
                std::thread::park_timeout(Duration::from_millis(20));
            }
        });
        let Waits { longest, lost, .. } = Waits::told(waits, &mut server);
        assert!(lost > 0 && longest < Duration::from_secs(2));
        server.signal("TERM");
        server.event("stopped");
    });
}

#[test]
fn answers_leave_from_whichever_address_was_asked() {
    in_own_network("answers_leave_from_whichever_address_was_asked", || {
        let machine = neighbour();
        machine.ip("addr add fd77::1/64 dev there nodad");
        machine.ip("addr add fd77::11/64 dev there nodad");
        ip("addr add fd77::2/64 dev here nodad");
        let _server = machine.server();
        for (name, server) in [("alice", "10.77.0.11"), ("bob", "fd77::11"), ("carol", "fd77::1")] {
            client(name, server, 0).event("registered");
        }
    });
}

/// Its system would speak to the peer from another address than to the server.
#[test]
fn a_client_with_two_addresses_reaches_its_peers_directly() {
    in_own_network("a_client_with_two_addresses_reaches_its_peers_directly", || {
        let machine = neighbour();
        machine.ip("addr add 10.77.1.12/24 dev there");
        ip("route add 10.77.1.0/24 dev here src 10.77.0.2");
        ip("route add 10.77.0.1 dev here src 10.77.0.3");
        let _server = machine.server();
        let mut bob = machine.start(&["-c", "bob", "10.77.1.12", "9000", "0", "--json"]);
        bob.event("registered");
        let mut alice = client("alice", "10.77.0.1", 0);
        alice.table(&["alice", "bob"]);
        bob.table(&["alice", "bob"]);
        alice.say("send bob hello");
        alice.event("received");
        assert!(!alice.seen.iter().any(|line| line.contains("via_server")), "{:?}", alice.seen);
    });
}

#[test]
fn both_families_are_served_where_sockets_are_for_one() {
    in_own_network("both_families_are_served_where_sockets_are_for_one", || {
        ip("link set lo up");
        set("ipv6/bindv6only", "1");
        let mut server = Process::start(&["-s", &PORT.to_string(), "--json", "--no-store"]);
        server.event("listening");
        client("alice", "127.0.0.1", 0).event("registered");
        client("bob", "::1", 0).event("registered");
    });
}

/// Asked by binding, every address was the machine's own then, and whoever had the same port was
/// taken for the node itself.
#[test]
fn others_with_the_same_port_are_heard_where_any_address_may_be_bound() {
    in_own_network("others_with_the_same_port_are_heard_where_any_address_may_be_bound", || {
        let machine = neighbour();
        set("ipv4/ip_nonlocal_bind", "1");
        machine.set("ipv4/ip_nonlocal_bind", "1");
        let _server = machine.server();
        client("alice", "10.77.0.1", PORT).event("registered");
    });
}

/// Behind a router is a path that carries 600 bytes, and the router's word of that is lost.
#[test]
fn a_long_text_gets_over_a_path_that_carries_less() {
    in_own_network("a_long_text_gets_over_a_path_that_carries_less", || {
        ip("link set lo up");
        let (router, far) = (Machine::new(), Machine::new());
        router.connect("here", "near");
        let pid = far.0.id();
        router.ip(&format!("link add out type veth peer name there netns {pid}"));
        ip("addr add 10.77.0.2/24 dev here");
        router.ip("addr add 10.77.0.254/24 dev near");
        router.ip("addr add 10.77.1.254/24 dev out");
        router.ip("link set out mtu 600 up");
        far.ip("link set there mtu 600 up");
        far.ip("addr add 10.77.1.1/24 dev there");
        ip("route add default via 10.77.0.254");
        far.ip("route add default via 10.77.1.254");
        router.set("ipv4/ip_forward", "1");
        if !router.runs("ip rule add ipproto icmp blackhole") {
            println!("the router's word is not lost here: no rules");
        }
        let _server = far.server();
        let mut bob = far.start(&["-c", "bob", "10.77.1.1", "9000", "0", "--json"]);
        bob.event("registered");
        let mut alice = client("alice", "10.77.1.1", 0);
        alice.table(&["alice", "bob"]);
        let text = "x".repeat(700);
        alice.say(&format!("send bob {text}"));
        assert_eq!(bob.event("message")["text"], text);
        alice.event("received");
    });
}

/// An address of a network's machines altogether is nobody's to listen on.
#[test]
fn no_server_listens_on_its_networks_broadcast_address() {
    in_own_network("no_server_listens_on_its_networks_broadcast_address", || {
        let _machine = neighbour();
        ip("addr add 10.78.0.2/24 brd + dev here");
        let server = Process::start(&["-s", &PORT.to_string(), "--bind", "10.78.0.255"]);
        let ended = server.ended();
        assert_eq!(ended.code, Some(1));
        assert!(ended.errors.contains("an address of many machines at once"), "{ended:?}");
    });
}

#[test]
fn no_server_listens_on_an_address_of_one_link() {
    let ended = Process::start(&["-s", &PORT.to_string(), "--bind", "fe80::1"]).ended();
    assert_eq!(ended.code, Some(1));
    assert!(ended.errors.contains("address of one link") && ended.errors.contains("--bind out"));
}

#[test]
fn without_a_free_port_that_is_said() {
    in_own_network("without_a_free_port_that_is_said", || {
        ip("link set lo up");
        set("ipv4/ip_local_port_range", "40000 40000");
        let _taken = UdpSocket::bind("[::]:40000").unwrap();
        let ended = client("alice", "127.0.0.1", 0).ended();
        assert_eq!(ended.code, Some(1));
        assert!(ended.errors.contains("no port is free"), "{ended:?}");
        let start = |more: &[&str]| {
            let port = PORT.to_string();
            Process::start(&[&["-s", &port, "--json", "--no-store"], more].concat())
        };
        let ended = start(&[]).ended();
        assert_eq!(ended.code, Some(1));
        assert!(ended.errors.contains("second port") && ended.errors.contains("--original off"));
        start(&["--original", "off"]).event("listening");
    });
}

#[test]
fn a_server_that_can_never_receive_again_says_so_and_ends() {
    let home = Scratch::new();
    let trace = home.path("trace");
    let inject = ["-f", "-o", &trace, "-e", "inject=recvmmsg:error=EACCES"];
    let traced = |what: &[&str]| {
        let mut strace = Command::new("strace");
        strace.args(inject).args(what).env("XDG_DATA_HOME", home.path(""));
        strace.stdout(Stdio::piped()).stderr(Stdio::piped());
        strace
    };
    if !traced(&["true"]).output().is_ok_and(|output| output.status.success()) {
        eprintln!("not tested: no strace, or it may trace nobody here");
        return;
    }
    let port = crate::common::free_port();
    let udpchat = env!("CARGO_BIN_EXE_udpchat");
    let arguments = [udpchat, "-s", &port.to_string(), "--no-store"];
    let mut server = Process::of(traced(&arguments), Scratch::new());
    server.find("listening", |line| line.contains("listening").then_some(()));
    let other = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    other.send_to(b"!", SocketAddr::from((Ipv4Addr::LOCALHOST, port))).unwrap();
    let ended = server.ended();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.errors.contains("cannot receive at"), "{ended:?}");
}
