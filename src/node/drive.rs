//! The one loop that gives a [`Machine`] its inputs and carries out its outputs.
//!
//! The same function runs the shipped binary over UDP and the simulator's hosts.

use std::io;
use std::time::Duration;

use tokio::sync::mpsc::{Receiver, Sender};
use udpchat_core::machine::{Datagram, Machine, Output};
use udpchat_core::protocol::limits::RECEIVE_BUFFER;
use udpchat_core::store::Store;
use udpchat_core::time::Now;

use crate::transport::{Received, Transport};

/// Outputs between two looks at the network: a datagram that arrives meanwhile waits for no more.
const OUTPUTS_AT_A_TIME: usize = 3;

/// After so many datagrams without a pause it is the outputs' turn. Until then only what is to be
/// sent at once goes out, so it does not wait in the socket behind a burst of what takes longer.
const DATAGRAMS_IN_A_ROW: usize = 64;

/// Outputs after such a row: in a flood that does not end, a machine says as much as it hears.
const OUTPUTS_AFTER_ROW: usize = DATAGRAMS_IN_A_ROW;

/// What time it is, and waiting for a later one: a clock that runs fast is waited for by itself.
pub trait Clock {
    /// Both clocks' readings.
    fn now(&self) -> Now;

    /// Waits until [`Now::time`] is so much later. Cancel safe; waking early or late is survived.
    fn sleep(&self, wait: Duration) -> impl Future<Output = ()>;
}

/// What a node is connected to.
#[derive(Debug)]
pub struct Environment<'a, T, S, C, Command> {
    /// The network.
    pub transport: &'a T,
    /// The disk.
    pub store: &'a mut S,
    /// The clocks.
    pub clock: &'a C,
    /// The user, who waits while the machine has no room for more ([`Machine::takes_commands`]). A
    /// closed channel says nothing more, but ends nothing.
    pub commands: &'a mut Receiver<Command>,
    /// Whoever does not wait behind that: the first Ctrl-C and its like.
    pub interrupts: &'a mut Receiver<Command>,
}

/// Runs the machine until it is finished, and gives it back. `on_event` is told every event.
///
/// # Errors
///
/// The store or the transport has failed for good, or `on_event` could not tell anybody: then
/// nothing that the machine wanted done after the event is done.
pub async fn drive<M, T, S, C>(
    mut machine: M,
    environment: Environment<'_, T, S, C, M::Command>,
    mut on_event: impl FnMut(Now, M::Event, &M) -> io::Result<()>,
) -> io::Result<M>
where
    M: Machine,
    T: Transport,
    S: Store<Change = M::Change>,
    C: Clock,
{
    let Environment { transport, store, clock, commands, interrupts } = environment;
    let mut buffer = vec![0; RECEIVE_BUFFER];
    let mut row = 0; // of datagrams
    loop {
        let now = clock.now();
        // Before waiting, so that no flood of other inputs can hold a timer up.
        if machine.next_timeout().is_some_and(|due| due <= now.time) {
            machine.handle_timeout(now);
        }
        while let Some(transmit) = machine.poll_at_once() {
            transport.send(&transmit);
        }
        let mut left = match row {
            0 => OUTPUTS_AT_A_TIME,
            DATAGRAMS_IN_A_ROW => OUTPUTS_AFTER_ROW,
            _ => 0,
        };
        while left > 0
            && let Some(output) = machine.poll_output()
        {
            left -= 1;
            match output {
                Output::Transmit(transmit) => transport.send(&transmit),
                Output::Event(event) => on_event(now, event, &machine)?,
                Output::Commit(changes) => store.commit(changes),
            }
        }
        if machine.is_finished() {
            return Ok(machine);
        }
        let rest = if left == 0 {
            Rest::ALittle
        } else {
            Rest::For(machine.next_timeout().map(|due| due - now.time))
        };
        let row_before = std::mem::take(&mut row);
        tokio::select! {
            biased;
            committed = store.committed() => {
                machine.handle_committed(clock.now(), committed?);
            }
            Some(command) = interrupts.recv() => machine.handle_command(clock.now(), command),
            Some(command) = commands.recv(), if machine.takes_commands() => {
                machine.handle_command(clock.now(), command);
            }
            received = transport.receive(&mut buffer) => {
                let received = received?;
                let bytes = &buffer[..received.length];
                let Received { socket, local, from, .. } = received;
                let datagram = Datagram { socket, local, from, bytes };
                machine.handle_datagram(clock.now(), datagram);
                row = row_before % DATAGRAMS_IN_A_ROW + 1;
            }
            () = elapsed(clock, rest) => {}
        }
    }
}

/// Gives a node a command, from the other end of [`Environment::commands`].
pub async fn give<C>(commands: &Sender<C>, command: C) {
    // A node that has ended obeys nobody.
    let _ = commands.send(command).await;
}

/// How long to wait for inputs.
enum Rest {
    /// There are more outputs: see what is there.
    ALittle,
    /// Until a timer is due, if there is one.
    For(Option<Duration>),
}

async fn elapsed(clock: &impl Clock, rest: Rest) {
    match rest {
        Rest::ALittle => tokio::task::yield_now().await,
        Rest::For(Some(wait)) => clock.sleep(wait).await,
        Rest::For(None) => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::convert::Infallible;
    use std::net::SocketAddr;

    use super::*;
    use crate::store::Nowhere;
    use udpchat_core::machine::{Identity, Socket, Transmit};
    use udpchat_core::protocol::PacketKind;
    use udpchat_core::store::Committed;
    use udpchat_core::time::{Time, WallTime};

    /// Has a lot to say, and answers every datagram before that.
    struct Talker {
        answers: u32,
        others: u32,
    }

    fn transmit(kind: PacketKind) -> Transmit {
        let identity = Identity { kind, message: None, attempt: 1 };
        let to = SocketAddr::from(([192, 0, 2, 1], 9_000));
        Transmit { socket: Socket::Main, source: None, to, bytes: Vec::new(), identity }
    }

    impl Machine for Talker {
        type Command = Infallible;
        type Event = Infallible;
        type Change = Infallible;

        fn handle_datagram(&mut self, _now: Now, _datagram: Datagram<'_>) {
            self.answers += 1;
        }

        fn handle_command(&mut self, _now: Now, command: Infallible) {
            match command {}
        }

        fn handle_timeout(&mut self, _now: Now) {}

        fn handle_committed(&mut self, _now: Now, _committed: Committed) {}

        fn poll_at_once(&mut self) -> Option<Transmit> {
            self.answers = self.answers.checked_sub(1)?;
            Some(transmit(PacketKind::Pong))
        }

        fn poll_output(&mut self) -> Option<Output<Infallible, Infallible>> {
            let answer = self.poll_at_once();
            let transmit = answer.or_else(|| {
                self.others = self.others.checked_sub(1)?;
                Some(transmit(PacketKind::Saved))
            });
            transmit.map(Output::Transmit)
        }

        fn next_timeout(&self) -> Option<Time> {
            None
        }

        fn is_finished(&self) -> bool {
            self.others == 0
        }
    }

    /// Remembers what is sent. A datagram is there whenever so many have been sent.
    struct Wire {
        sent: RefCell<Vec<PacketKind>>,
        taken: Cell<usize>,
        arrives: fn(sent: usize, taken: usize) -> bool,
    }

    impl Transport for Wire {
        async fn receive(&self, _buffer: &mut [u8]) -> io::Result<Received> {
            if !(self.arrives)(self.sent.borrow().len(), self.taken.get()) {
                std::future::pending::<()>().await;
            }
            self.taken.set(self.taken.get() + 1);
            let from = SocketAddr::from(([192, 0, 2, 1], 9_000));
            Ok(Received { socket: Socket::Main, local: None, length: 0, from })
        }

        fn send(&self, transmit: &Transmit) {
            self.sent.borrow_mut().push(transmit.identity.kind);
        }
    }

    struct Stopped;

    impl Clock for Stopped {
        fn now(&self) -> Now {
            Now { time: Time::ZERO, wall: WallTime::from_unix_ms(0) }
        }

        async fn sleep(&self, _wait: Duration) {}
    }

    /// What is sent while a machine with so much to say gets datagrams.
    fn sent(others: u32, arrives: fn(usize, usize) -> bool) -> Vec<PacketKind> {
        let wire = Wire { sent: RefCell::default(), taken: Cell::default(), arrives };
        let (_sender, mut commands) = tokio::sync::mpsc::channel(1);
        let (_urgent, mut interrupts) = tokio::sync::mpsc::channel(1);
        let environment = Environment {
            transport: &wire,
            store: &mut Nowhere::new(),
            clock: &Stopped,
            commands: &mut commands,
            interrupts: &mut interrupts,
        };
        let driven =
            drive(Talker { answers: 0, others }, environment, |_, event, _| match event {});
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(driven).unwrap();
        wire.sent.into_inner()
    }

    #[test]
    fn a_datagram_does_not_wait_for_all_that_is_to_be_said() {
        let sent = sent(1_000, |sent, taken| sent > 100 && taken == 0);
        let answered = sent.iter().position(|kind| *kind == PacketKind::Pong).unwrap();
        assert!((101..=101 + OUTPUTS_AT_A_TIME).contains(&answered), "{answered}");
        assert_eq!(sent.len(), 1_001);
    }

    #[test]
    fn what_is_to_be_said_is_said_in_any_flood() {
        let sent = sent(10, |_, _| true);
        assert_eq!(sent.iter().filter(|kind| **kind == PacketKind::Saved).count(), 10);
    }

    #[test]
    fn a_burst_is_answered_before_anything_else_is_said_but_not_an_endless_one() {
        let sent = sent(1_000, |_, _| true);
        let runs: Vec<usize> = sent.chunk_by(|one, other| one == other).map(<[_]>::len).collect();
        assert_eq!(runs[..3], [OUTPUTS_AT_A_TIME, DATAGRAMS_IN_A_ROW, OUTPUTS_AFTER_ROW]);
        assert_eq!(runs[3], DATAGRAMS_IN_A_ROW);
    }
}
