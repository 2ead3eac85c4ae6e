// SPDX-License-Identifier: GPL-2.0

//! Requests over a ring: entries that wait, are filled, are with the server, and are torn down.

use super::{
    caller,
    one_of, //
};
use crate::{
    fuse::request::wait::Patience,
    ring::RingServer,
    world::{
        Call,
        Server,
        World, //
    },
};
use kernel::{
    error::code::*,
    rt::{
        spawn,
        Signal, //
    },
};

super::scenarios! {
    2 ring: "a caller gets the answer that comes over the ring";
    1 ring_two: "a request that comes while an entry is put away goes to that entry";
    2 ring_settle: "the gate opens when the ring is ready, whoever of mount and server is first";
    1 ring_forced: "a caller that is forced through the gate while the ring is settled is answered";
    2 ring_commit_and_abort: "an abort ends a request whose answer is committed meanwhile, and its \
        entry";
    2 ring_fill_and_abort: "an abort ends a request that is being filled into an entry, and the \
        entry";
    2 ring_cancel: "an entry that is cancelled while a request comes leaves it to another entry, or \
        ends it";
    2 ring_add: "ADD_QUEUE and REGISTER of one queue make one queue";
    2 ring_add_and_abort: "an abort ends an entry whose queue is added meanwhile";
    2 ring_kill: "a killed caller leaves with EINTR if no entry has its request";
    2 ring_signal: "the server is told of a signal that comes while a request is filled in";
    1 ring_close: "the end of the server's files ends what waits in its queue";
}

/// A connection with a ring that is ready, of one entry.
fn ready() -> (World, Server, RingServer) {
    let (world, device) = World::uninitialized();
    let ring = RingServer::new(&device);
    world.agree_on_ring();
    ring.register(0);
    (world, device, ring)
}

fn ring() {
    let (world, device, ring) = ready();
    let caller = caller(&world, Call::by(1));
    let request = ring.next().unwrap();
    ring.commit(request, 0);
    assert_eq!(caller.join(), 0);
    ring.close();
    drop(device);
    world.check();
}

fn ring_two() {
    let (world, device, ring) = ready();
    let one = caller(&world, Call::by(1));
    let two = caller(&world, Call::by(2));
    for _ in 0..2 {
        let request = ring.next().unwrap();
        ring.commit(request, 0);
    }
    assert_eq!(one.join(), 0);
    assert_eq!(two.join(), 0);
    ring.close();
    drop(device);
    world.check();
}

fn ring_settle() {
    let (world, device) = World::uninitialized();
    let ring = RingServer::new(&device);
    let mounter = {
        let world = world.clone();
        spawn("mounter", move || world.agree_on_ring())
    };
    let caller = caller(&world, Call::by(1));
    ring.register(0);
    let first = match ring.next() {
        Ok(request) => request,
        Err(error) => {
            // INIT was not answered yet: a server tries again when it has sent that answer.
            assert!(one_of(error, &[EAGAIN, EOPNOTSUPP]));
            mounter.join();
            ring.register(0);
            ring.commit(ring.next().unwrap(), 0);
            assert_eq!(caller.join(), 0);
            ring.close();
            drop(device);
            return world.check();
        }
    };
    ring.commit(first, 0);
    assert_eq!(caller.join(), 0);
    mounter.join();
    ring.close();
    drop(device);
    world.check();
}

fn ring_forced() {
    let (world, device) = World::uninitialized();
    let ring = RingServer::new(&device);
    world.agree_on_ring();
    let call = Call {
        patience: Patience::Forced,
        ..Call::by(1)
    };
    let caller = caller(&world, call);
    // The request comes by the device if the caller did not find the ring ready.
    let reader = device.share();
    let reader = spawn("server", move || reader.serve());
    let server = spawn("server 2", move || {
        ring.register(0);
        ring.serve();
        ring.close();
    });
    assert_eq!(caller.join(), 0);
    world.abort();
    reader.join();
    server.join();
    drop(device);
    world.check();
}

fn ring_commit_and_abort() {
    let (world, device, ring) = ready();
    let caller = caller(&world, Call::by(1));
    let request = ring.next().unwrap();
    let server = spawn("server", move || {
        ring.commit(request, 0);
        // No other request comes: the entry ends with the connection.
        let error = ring.next().unwrap_err();
        assert!(one_of(error, &[ENOTCONN, ECONNABORTED]));
        ring.close();
    });
    world.abort();
    let errno = caller.join();
    assert!(errno == 0 || one_of(errno, &[ECONNABORTED]));
    server.join();
    drop(device);
    world.check();
}

fn ring_fill_and_abort() {
    let (world, device, ring) = ready();
    let caller = caller(&world, Call::by(1));
    let server = spawn("server", move || {
        let error = ring.serve();
        assert!(one_of(error, &[ENOTCONN, ECONNABORTED]));
        ring.close();
    });
    world.abort();
    let errno = caller.join();
    assert!(errno == 0 || one_of(errno, &[ENOTCONN, ECONNABORTED]));
    server.join();
    drop(device);
    world.check();
}

fn ring_cancel() {
    let (world, device, ring) = ready();
    let other = RingServer::new(&device);
    other.register(0);
    // The last entry that came is the first that goes: the request meets the one that is cancelled.
    let closer = spawn("server", move || other.close());
    let caller = caller(&world, Call::by(1));
    closer.join();
    let server = spawn("server 2", move || {
        ring.serve();
        ring.close();
    });
    let errno = caller.join();
    assert!(errno == 0 || one_of(errno, &[ECANCELED]));
    world.abort();
    server.join();
    drop(device);
    world.check();
}

fn ring_add() {
    let (world, device) = World::uninitialized();
    let (ring, other) = (RingServer::new(&device), RingServer::new(&device));
    world.agree_on_ring();
    let adder = spawn("server 2", move || {
        let added = other.add_queue();
        other.close();
        added
    });
    ring.register(0);
    let added = adder.join();
    assert!(added == 0 || one_of(added, &[EEXIST]));
    let caller = caller(&world, Call::by(1));
    // The entry is on the queue that requests go to.
    ring.commit(ring.next().unwrap(), 0);
    assert_eq!(caller.join(), 0);
    ring.close();
    drop(device);
    world.check();
}

fn ring_add_and_abort() {
    let (world, device) = World::uninitialized();
    let ring = RingServer::new(&device);
    world.agree_on_ring();
    let server = spawn("server", move || {
        ring.register(0);
        // Whatever it was that came too late, it has an end.
        let error = ring.next().unwrap_err();
        assert!(one_of(error, &[ENOTCONN, ECONNABORTED]));
        ring.close();
    });
    world.abort();
    server.join();
    drop(device);
    world.check();
}

fn ring_kill() {
    let (world, device, ring) = ready();
    let caller = caller(&world, Call::by(1));
    let server = spawn("server", move || {
        ring.serve();
        ring.close();
    });
    caller.task().signal(Signal::Fatal);
    let errno = caller.join();
    assert!(errno == 0 || one_of(errno, &[EINTR]));
    world.abort();
    server.join();
    drop(device);
    world.check();
}

fn ring_signal() {
    let (world, device, ring) = ready();
    let caller = caller(&world, Call::by(1));
    let task = caller.task();
    let signaller = spawn("signaller", move || task.signal(Signal::Any));
    let request = ring.next().unwrap();
    // It answers only when it is told that nobody wants the answer any more.
    assert_eq!(device.read_interrupt(), Ok(request.1));
    ring.commit(request, EINTR.to_errno());
    assert_eq!(caller.join(), EINTR.to_errno());
    signaller.join();
    assert!(!device.has_work());
    ring.close();
    drop(device);
    world.check();
}

fn ring_close() {
    let (world, device, ring) = ready();
    let told = crate::world::Told::default();
    world.call_background(&Call::by(2), &told);
    let caller = caller(&world, Call::by(1));
    let closer = spawn("server", move || ring.close());
    device.close();
    assert!(one_of(caller.join(), &[ENOTCONN, ECONNABORTED]));
    closer.join();
    assert!(one_of(told.errno(), &[ENOTCONN, ECONNABORTED, ECANCELED]));
    world.check();
}
