//! What the machine can do at most: datagrams echoed, bytes appended to a file and synced.

use std::fs::File;
use std::io::Write;
use std::net::UdpSocket;
use std::path::Path;
use std::thread;

use crate::{MEASURED, PATIENCE, TEXT, now, per_second};

/// Echoes per second with so many datagrams on their way.
pub(crate) fn raw_echo(outstanding: usize) -> f64 {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    thread::spawn(move || {
        let mut buffer = [0; 2_048];
        while let Ok((length, from)) = server.recv_from(&mut buffer)
            && length > 0
        {
            server.send_to(&buffer[..length], from).unwrap();
        }
    });
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let send = || {
        client.send_to(&TEXT, address).unwrap();
    };
    let mut buffer = [0; 2_048];
    let begin = now();
    (0..outstanding).for_each(|_| send());
    let mut count = 0;
    while begin.elapsed() < MEASURED {
        match client.recv(&mut buffer) {
            Ok(_) => count += 1,
            Err(_) => (1..outstanding).for_each(|_| send()),
        }
        send();
    }
    let rate = per_second(count, begin);
    client.send_to(&[], address).unwrap();
    rate
}

/// Messages per second appended to a file that is synced after every `batch`.
pub(crate) fn raw_append(path: &Path, batch: usize) -> f64 {
    let mut file = File::create(path).unwrap();
    let bytes = vec![b'x'; batch * TEXT.len()];
    let begin = now();
    let mut count = 0;
    while begin.elapsed() < MEASURED {
        file.write_all(&bytes).unwrap();
        file.sync_data().unwrap();
        count += batch;
    }
    per_second(count, begin)
}
