// SPDX-License-Identifier: GPL-2.0

//! Background requests: slots, and who waits for one.

use super::{
    caller,
    one_of,
    server, //
};
use crate::world::{
    Call,
    Server,
    Told,
    World, //
};
use kernel::{
    error::code::*,
    rt::{
        spawn,
        Signal,
        Thread, //
    },
};

super::scenarios! {
    2 background: "the completion of a background request runs once, with the answer";
    2 background_limit: "who waits for a slot gets it when a request ends";
    1 background_two_wait: "a slot that becomes free is passed on until nobody waits";
    1 background_kill: "a killed caller that waits for a slot leaves the slot to the next";
    2 background_not_made: "a request that cannot be made leaves its slot to the next";
    2 background_abort: "an abort ends background requests, queued or not, and lets nobody wait";
    2 limit_after_abort: "a limit that is set after an abort holds nobody back";
    2 background_raised: "a higher limit lets those pass who wait for it";
    2 sync_writes: "who syncs waits for the writes that have begun before, and for no others";
}

fn writer(world: &World, name: &'static str, call: Call) -> (Thread<()>, Told) {
    let (world, told) = (world.clone(), Told::default());
    let tells = told.clone();
    let thread = spawn(name, move || world.call_background(&call, &tells));
    (thread, told)
}

/// A connection that takes so many at a time.
fn limited(max: u32) -> (World, Server) {
    let (world, server) = World::new();
    world.channel.set_max_background(max);
    (world, server)
}

fn background() {
    let (world, device) = World::new();
    let (writer, told) = writer(&world, "writer", Call::by(1));
    let unique = device.read_request().unwrap();
    device.answer(unique).unwrap();
    writer.join();
    assert_eq!(told.errno(), 0);
    world.check();
}

fn background_limit() {
    let (world, device) = limited(1);
    let first = Told::default();
    world.call_background(&Call::by(1), &first);
    let (second, told) = writer(&world, "writer", Call::by(2));
    for _ in 0..2 {
        let unique = device.read_request().unwrap();
        device.answer(unique).unwrap();
    }
    second.join();
    assert_eq!(first.errno(), 0);
    assert_eq!(told.errno(), 0);
    world.check();
}

fn background_two_wait() {
    let (world, device) = limited(1);
    let first = Told::default();
    world.call_background(&Call::by(1), &first);
    let (second, two) = writer(&world, "writer 2", Call::by(2));
    let (third, three) = writer(&world, "writer 3", Call::by(3));
    for _ in 0..3 {
        let unique = device.read_request().unwrap();
        device.answer(unique).unwrap();
    }
    second.join();
    third.join();
    for told in [first, two, three] {
        assert_eq!(told.errno(), 0);
    }
    world.check();
}

fn background_kill() {
    let (world, device) = limited(1);
    let first = Told::default();
    world.call_background(&Call::by(1), &first);
    let (second, two) = writer(&world, "writer 2", Call::by(2));
    let (third, three) = writer(&world, "writer 3", Call::by(3));
    let killed = second.task();
    let unique = device.read_request().unwrap();
    killed.signal(Signal::Fatal);
    device.answer(unique).unwrap();
    let server = server(device);
    third.join();
    second.join();
    world.abort();
    server.join();
    assert_eq!(first.errno(), 0);
    assert!(one_of(two.errno(), &[EINTR, ENOTCONN, ECONNABORTED]) || two.errno() == 0);
    assert_eq!(three.times(), 1);
    world.check();
}

fn background_not_made() {
    let (world, device) = limited(1);
    let first = Told::default();
    world.call_background(&Call::by(1), &first);
    let lost = Call {
        cannot_be_made: true,
        ..Call::by(2)
    };
    let (second, two) = writer(&world, "writer 2", lost);
    let (third, three) = writer(&world, "writer 3", Call::by(3));
    for _ in 0..2 {
        let unique = device.read_request().unwrap();
        device.answer(unique).unwrap();
    }
    second.join();
    third.join();
    assert_eq!(first.errno(), 0);
    assert_eq!(two.errno(), ENOMEM.to_errno());
    assert_eq!(three.errno(), 0);
    world.check();
}

fn background_abort() {
    let (world, device) = limited(1);
    // Both pass the gate before one has the slot: the second has to be queued.
    let (one, two) = (world.turn().unwrap(), world.turn().unwrap());
    let told = [Told::default(), Told::default()];
    world.send_background(one, &Call::by(1), &told[0]);
    world.send_background(two, &Call::by(2), &told[1]);
    // The third waits at the gate.
    let (third, three) = writer(&world, "writer", Call::by(3));
    world.abort();
    world.channel.wait_aborted();
    third.join();
    for told in told {
        assert_eq!(told.errno(), ECONNABORTED.to_errno());
    }
    assert!(one_of(three.errno(), &[ENOTCONN, ECONNABORTED]));
    drop(device);
    world.check();
}

fn limit_after_abort() {
    let (world, device) = limited(1);
    let first = Told::default();
    world.call_background(&Call::by(1), &first);
    let (second, told) = writer(&world, "writer", Call::by(2));
    let other = world.clone();
    // As a user may, who writes to a file of fusectl.
    let other = spawn("user", move || other.channel.set_max_background(0));
    world.abort();
    other.join();
    second.join();
    world.channel.wait_aborted();
    assert_eq!(first.errno(), ECONNABORTED.to_errno());
    assert!(one_of(told.errno(), &[ENOTCONN, ECONNABORTED]));
    drop(device);
    world.check();
}

fn background_raised() {
    let (world, device) = limited(1);
    let first = Told::default();
    world.call_background(&Call::by(1), &first);
    let (second, two) = writer(&world, "writer 2", Call::by(2));
    let (third, three) = writer(&world, "writer 3", Call::by(3));
    world.channel.set_max_background(3);
    second.join();
    third.join();
    for _ in 0..3 {
        let unique = device.read_request().unwrap();
        device.answer(unique).unwrap();
    }
    for told in [first, two, three] {
        assert_eq!(told.errno(), 0);
    }
    world.check();
}

fn sync_writes() {
    use crate::fuse::channel::sync_writes::Counted;
    use std::sync::atomic::{
        AtomicBool,
        Ordering::SeqCst, //
    };
    let (world, device) = World::new();
    let done = std::sync::Arc::new(AtomicBool::new(false));
    let before = Counted::new(&world.channel.sync_writes);
    let ends = done.clone();
    let other = world.clone();
    let writer = spawn("writer", move || {
        ends.store(true, SeqCst);
        drop(before);
        // One that begins later is not waited for.
        drop(Counted::new(&other.channel.sync_writes));
    });
    let after = spawn("syncer", {
        let (world, done) = (world.clone(), done.clone());
        move || {
            world.channel.sync_writes.wait();
            assert!(
                done.load(SeqCst),
                "a sync did not wait for a write before it"
            );
        }
    });
    writer.join();
    after.join();
    drop(device);
    world.check();
}
