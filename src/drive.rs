//! The one loop that gives a [`Machine`] its inputs and carries out its outputs.
//!
//! The same function runs the shipped binary over UDP and the simulator's hosts.

use std::io;
use std::time::Duration;

use tokio::sync::mpsc::{Receiver, Sender};

use crate::machine::{Datagram, Machine, Output};
use crate::protocol::limits::RECEIVE_BUFFER;
use crate::store::{Commit, Room, Store};
use crate::time::Now;
use crate::transport::Transport;

/// What time it is, and waiting for a later one: a clock that runs fast is waited for by itself.
pub trait Clock {
    /// Both clocks' readings.
    fn now(&self) -> Now;

    /// Waits until [`Now::time`] is so much later. Cancel safe; waking early or late is survived.
    fn sleep(&self, wait: Duration) -> impl Future<Output = ()>;
}

/// What a node is connected to.
#[derive(Debug)]
pub struct Surroundings<'a, T, S, C, Command> {
    /// The network.
    pub transport: &'a T,
    /// The disk.
    pub store: &'a mut S,
    /// The clocks.
    pub clock: &'a C,
    /// The user. A closed channel says nothing more, but ends nothing.
    pub commands: &'a mut Receiver<Command>,
}

/// Runs the machine until it is finished, and gives it back. `on_event` is told every event.
///
/// # Errors
///
/// The store or the transport has failed for good, or `on_event` could not tell anybody: then
/// nothing that the machine wanted done after the event is done.
pub async fn drive<M, T, S, C>(
    mut machine: M,
    surroundings: Surroundings<'_, T, S, C, M::Command>,
    mut on_event: impl FnMut(Now, M::Event, &M) -> io::Result<()>,
) -> io::Result<M>
where
    M: Machine,
    T: Transport,
    S: Store<Change = M::Change>,
    C: Clock,
{
    let Surroundings { transport, store, clock, commands } = surroundings;
    let mut buffer = vec![0; RECEIVE_BUFFER];
    let mut commit: Option<Commit> = None;
    let mut listening = true;
    loop {
        // Before waiting, so that no flood of other inputs can hold a timer up.
        if machine.next_timeout().is_some_and(|due| due <= clock.now().time) {
            machine.handle_timeout(clock.now());
        }
        while let Some(output) = machine.poll_output() {
            match output {
                Output::Transmit(transmit) => transport.send(&transmit).await,
                Output::Event(event) => on_event(clock.now(), event, &machine)?,
                Output::Commit(changes) => commit = Some(store.commit(changes)),
            }
        }
        if machine.is_finished() {
            return Ok(machine);
        }
        let wait = machine.next_timeout().map(|due| due - clock.now().time);
        tokio::select! {
            biased;
            result = ended(&mut commit) => {
                let room = result?;
                commit = None;
                machine.handle_committed(clock.now(), room);
            }
            command = commands.recv(), if listening => match command {
                Some(command) => machine.handle_command(clock.now(), command),
                None => listening = false,
            },
            received = transport.receive(&mut buffer) => {
                let received = received?;
                let bytes = &buffer[..received.length];
                let datagram = Datagram { socket: received.socket, from: received.from, bytes };
                machine.handle_datagram(clock.now(), datagram);
            }
            () = elapsed(clock, wait) => {}
        }
    }
}

/// Gives a node a command, from the other end of [`Surroundings::commands`].
pub(crate) async fn give<C>(commands: &Sender<C>, command: C) {
    // A node that has ended obeys nobody.
    let _ = commands.send(command).await;
}

async fn ended(commit: &mut Option<Commit>) -> io::Result<Room> {
    match commit {
        Some(commit) => commit.await,
        None => std::future::pending().await,
    }
}

async fn elapsed(clock: &impl Clock, wait: Option<Duration>) {
    match wait {
        Some(wait) => clock.sleep(wait).await,
        None => std::future::pending().await,
    }
}
