// SPDX-License-Identifier: GPL-2.0

//! The gate: INIT, and the end of a connection.

use super::{
    caller,
    one_of,
    server, //
};
use crate::world::{
    Call,
    Told,
    World, //
};
use kernel::{
    error::code::*,
    rt::{
        spawn,
        Signal, //
    },
};

super::scenarios! {
    2 init: "who passes the gate sees what INIT settled";
    1 init_two: "the answer to INIT lets everybody pass who waits";
    2 init_and_abort: "an abort before INIT is answered lets nobody pass, and nobody wait";
    2 init_and_kill: "a killed caller at the gate leaves with EINTR";
    2 last_one: "the unmount that waits is woken by the last request that ends";
}

fn init() {
    let (world, device) = World::uninitialized();
    let other = world.clone();
    let caller = spawn("caller", move || {
        let errno = other.call(&Call::by(1));
        assert_eq!(other.channel.limits().minor, 46);
        errno
    });
    world.initialize();
    let unique = device.read_request().unwrap();
    device.answer(unique).unwrap();
    assert_eq!(caller.join(), 0);
    world.check();
}

fn init_two() {
    let (world, device) = World::uninitialized();
    let one = caller(&world, Call::by(1));
    let two = caller(&world, Call::by(2));
    world.initialize();
    // Both have to come before one is answered.
    let first = device.read_request().unwrap();
    let second = device.read_request().unwrap();
    device.answer(second).unwrap();
    device.answer(first).unwrap();
    assert_eq!(one.join(), 0);
    assert_eq!(two.join(), 0);
    world.check();
}

fn init_and_abort() {
    let (world, device) = World::uninitialized();
    let one = caller(&world, Call::by(1));
    let two = caller(&world, Call::by(2));
    world.abort();
    world.channel.wait_aborted();
    assert_eq!(one.join(), ENOTCONN.to_errno());
    assert_eq!(two.join(), ENOTCONN.to_errno());
    drop(device);
    world.check();
}

fn init_and_kill() {
    let (world, device) = World::uninitialized();
    let caller = caller(&world, Call::by(1));
    caller.task().signal(Signal::Fatal);
    let other = world.clone();
    let other = spawn("mounter", move || other.initialize());
    let errno = caller.join();
    other.join();
    assert!(one_of(errno, &[EINTR]));
    assert!(!device.has_work());
    world.check();
}

fn last_one() {
    let (world, device) = World::new();
    let caller = caller(&world, Call::by(1));
    let unique = device.read_request().unwrap();
    let aborter = world.clone();
    let aborter = spawn("aborter", move || {
        aborter.abort();
        aborter.channel.wait_aborted();
        aborter.check_counts();
    });
    let answered = device.answer(unique).is_ok();
    aborter.join();
    let errno = caller.join();
    assert_eq!(errno, if answered { 0 } else { ECONNABORTED.to_errno() });
    world.check();
}
