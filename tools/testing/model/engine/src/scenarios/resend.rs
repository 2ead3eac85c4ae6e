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
    1 resend_and_kill: "a killed caller takes a request back that is to be sent again";
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
