// SPDX-License-Identifier: GPL-2.0

//! A server that has lost what it had asks for it once more.

use super::{
    caller,
    one_of,
    server, //
};
use crate::{
    fuse::abi::Unique,
    world::{
        Call,
        Told,
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
    2 resend: "a request that is sent again has its old id, marked, and can be answered by that \
        alone";
    2 resend_and_answer: "an answer that comes while all is sent again is taken, or the request \
        comes again";
    2 resend_and_abort: "an abort ends a request that is being sent again";
    2 resend_and_signal: "no INTERRUPT names a request that is to be sent again, before a server \
        has got it again";
    1 resend_and_kill: "a killed caller takes a request back that is to be sent again";
    2 resend_two: "what is sent again is read by as many readers as wait";
    2 resend_and_interrupt_again: "an EAGAIN to an INTERRUPT that meets a RESEND queues none for a \
        request that is not with a server";
}

fn resend() {
    let (world, device) = World::new();
    let caller = caller(&world, Call::by(1));
    let unique = device.read_request().unwrap();
    let asks = world.clone();
    let asks = spawn("server 2", move || asks.channel.resend());
    let again = device.read_request().unwrap();
    assert_eq!(again, unique | Unique::RESEND);
    assert_eq!(device.answer(unique), Err(ENOENT));
    device.answer(again).unwrap();
    asks.join();
    assert_eq!(caller.join(), 0);
    world.check();
}

fn resend_and_answer() {
    let (world, device) = World::new();
    let caller = caller(&world, Call::by(1));
    let unique = device.read_request().unwrap();
    let asks = world.clone();
    let asks = spawn("server 2", move || asks.channel.resend());
    if device.answer(unique).is_err() {
        let again = device.read_request().unwrap();
        device.answer(again).unwrap();
    }
    assert_eq!(caller.join(), 0);
    asks.join();
    assert!(!device.has_work());
    world.check();
}

fn resend_and_abort() {
    let (world, device) = World::new();
    let caller = caller(&world, Call::by(1));
    device.read_request().unwrap();
    let asks = world.clone();
    let asks = spawn("server 2", move || asks.channel.resend());
    world.abort();
    assert_eq!(caller.join(), ECONNABORTED.to_errno());
    asks.join();
    world.check();
}

fn resend_and_signal() {
    let (world, device) = World::new();
    let caller = caller(&world, Call::by(1));
    device.read_request().unwrap();
    caller.task().signal(Signal::Any);
    let asks = world.clone();
    let asks = spawn("server 2", move || asks.channel.resend());
    let again = device.read_request().unwrap();
    device.answer(again).unwrap();
    asks.join();
    assert_eq!(caller.join(), 0);
    assert!(!device.has_work());
    world.check();
}

fn resend_and_kill() {
    let (world, device) = World::new();
    let caller = caller(&world, Call::by(1));
    let unique = device.read_request().unwrap();
    let asks = world.clone();
    let asks = spawn("server 2", move || asks.channel.resend());
    caller.task().signal(Signal::Fatal);
    asks.join();
    // No server has it now, and it is not read again: only the caller can end it.
    assert_eq!(device.answer(unique), Err(ENOENT));
    world.abort();
    assert!(one_of(caller.join(), &[EINTR, ECONNABORTED]));
    world.check();
}

fn resend_two() {
    let (world, device) = World::new();
    let told = [Told::default(), Told::default()];
    for told in &told {
        world.call_background(&Call::by(1), told);
        device.read_request().unwrap();
    }
    let readers = ["server 1", "server 2"].map(|name| {
        let device = device.share();
        spawn(name, move || device.read_request().unwrap())
    });
    world.channel.resend();
    // Neither answers before the other one has been read.
    let again = readers.map(|reader| reader.join());
    for unique in again {
        device.answer(unique).unwrap();
    }
    for told in told {
        assert_eq!(told.errno(), 0);
    }
    world.check();
}

fn resend_and_interrupt_again() {
    let (world, device) = World::new();
    let caller = caller(&world, Call::by(1));
    let unique = device.read_request().unwrap();
    caller.task().signal(Signal::Any);
    assert_eq!(device.read_interrupt(), Ok(unique));
    let other = device.share();
    let other = spawn("server 2", move || {
        let _ = other.write(unique | 1, EAGAIN.to_errno(), &[]);
    });
    let asks = world.clone();
    let asks = spawn("server 3", move || asks.channel.resend());
    let again = device.read_request().unwrap();
    device.answer(again).unwrap();
    assert_eq!(caller.join(), 0);
    other.join();
    asks.join();
    assert!(!device.has_work());
    world.check();
}
