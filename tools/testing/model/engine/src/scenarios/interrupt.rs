// SPDX-License-Identifier: GPL-2.0

//! Signals: the server is told, once, of a request that it has.

use super::{
    caller,
    one_of,
    server, //
};
use crate::world::{
    Call,
    Message,
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
    2 signal: "a signal before or after the request is read does not lose the answer";
    2 signal_told: "a server that has the request of a caller with a signal gets an INTERRUPT, \
        whenever the signal comes";
    1 signal_two_readers: "an INTERRUPT is read only while its request is with a server";
    2 signal_two_devices: "an INTERRUPT may come by another device than the request did";
    2 signal_and_end: "no INTERRUPT is left behind by a request that has ended";
    2 signal_and_abort: "an abort ends a request whose INTERRUPT is on its way";
    2 interrupt_again: "an INTERRUPT that is answered with EAGAIN comes once more";
    2 interrupt_unknown: "after ENOSYS to an INTERRUPT no other is queued for a new request";
    2 abandon_and_interrupt: "the INTERRUPT of an abandoned request is read, or forgotten with its end";
}

fn signal() {
    let (world, device) = World::new();
    let caller = caller(&world, Call::by(1));
    let task = caller.task();
    let signaller = spawn("signaller", move || task.signal(Signal::Any));
    let unique = device.read_request().unwrap();
    device.answer(unique).unwrap();
    assert_eq!(caller.join(), 0);
    signaller.join();
    assert!(!device.has_work());
    world.check();
}

fn signal_told() {
    let (world, device) = World::new();
    let caller = caller(&world, Call::by(1));
    let task = caller.task();
    let signaller = spawn("signaller", move || task.signal(Signal::Any));
    let unique = device.read_request().unwrap();
    // It answers only when it is told that nobody wants the answer any more.
    assert_eq!(device.read_interrupt(), Ok(unique));
    device.write(unique, EINTR.to_errno(), &[]).unwrap();
    assert_eq!(caller.join(), EINTR.to_errno());
    signaller.join();
    assert!(!device.has_work());
    world.check();
}

fn signal_two_readers() {
    let (world, device) = World::new();
    let caller = caller(&world, Call::by(1));
    let second = server(device.share());
    caller.task().signal(Signal::Any);
    let first = spawn("server 2", move || device.serve());
    assert_eq!(caller.join(), 0);
    world.abort();
    first.join();
    second.join();
    world.check();
}

fn signal_two_devices() {
    let (world, device) = World::new();
    let other = device.cloned();
    let caller = caller(&world, Call::by(1));
    let reader = spawn("server 2", move || {
        let mut interrupts = 0;
        while let Ok(message) = other.read() {
            match message {
                Message::Interrupt(_) => interrupts += 1,
                Message::Request { unique, .. } => {
                    let _ = other.answer(unique);
                }
                Message::Forgets(_) => (),
            }
        }
        interrupts
    });
    let first = server(device);
    caller.task().signal(Signal::Any);
    assert_eq!(caller.join(), 0);
    world.abort();
    first.join();
    // One for the waiter and one for the reader of the request, at the most.
    assert!(reader.join() <= 2);
    world.check();
}

fn signal_and_end() {
    let (world, device) = World::new();
    let caller = caller(&world, Call::by(1));
    let unique = device.read_request().unwrap();
    let task = caller.task();
    let signaller = spawn("signaller", move || task.signal(Signal::Any));
    device.answer(unique).unwrap();
    assert_eq!(caller.join(), 0);
    signaller.join();
    // Neither is an INTERRUPT there, nor is the memory of the request kept by one.
    assert!(!device.has_work());
    world.check();
}

fn signal_and_abort() {
    let (world, device) = World::new();
    let caller = caller(&world, Call::by(1));
    let server = server(device);
    caller.task().signal(Signal::Any);
    world.abort();
    let errno = caller.join();
    assert!(errno == 0 || one_of(errno, &[ENOTCONN, ECONNABORTED]));
    server.join();
    world.check();
}

fn interrupt_again() {
    let (world, device) = World::new();
    let caller = caller(&world, Call::by(1));
    let task = caller.task();
    let signaller = spawn("signaller", move || task.signal(Signal::Any));
    let unique = device.read_request().unwrap();
    assert_eq!(device.read_interrupt(), Ok(unique));
    device.write(unique | 1, EAGAIN.to_errno(), &[]).unwrap();
    assert_eq!(device.read_interrupt(), Ok(unique));
    device.write(unique, EINTR.to_errno(), &[]).unwrap();
    assert_eq!(
        device.write(unique | 1, EAGAIN.to_errno(), &[]),
        Err(ENOENT)
    );
    assert_eq!(caller.join(), EINTR.to_errno());
    signaller.join();
    assert!(!device.has_work());
    world.check();
}

fn interrupt_unknown() {
    let (world, device) = World::new();
    let first = caller(&world, Call::by(1));
    first.task().signal(Signal::Any);
    let unique = device.read_request().unwrap();
    assert_eq!(device.read_interrupt(), Ok(unique));
    device.write(unique | 1, ENOSYS.to_errno(), &[]).unwrap();
    device.answer(unique).unwrap();
    assert_eq!(first.join(), 0);
    let second = caller(&world, Call::by(2));
    second.task().signal(Signal::Any);
    let unique = device.read_request().unwrap();
    assert!(!device.has_work());
    device.answer(unique).unwrap();
    assert_eq!(second.join(), 0);
    world.check();
}

fn abandon_and_interrupt() {
    use crate::world::Told;
    let (world, device) = World::new();
    let told = Told::default();
    let caller = caller(&world, Call::left_to(&told));
    let unique = device.read_request().unwrap();
    caller.task().signal(Signal::Fatal);
    let reader = device.share();
    let reader = spawn("server 2", move || reader.read_interrupt().is_ok());
    assert_eq!(caller.join(), EINTR.to_errno());
    device.answer(unique).unwrap();
    assert_eq!(told.errno(), 0);
    assert!(!device.has_work());
    world.abort();
    reader.join();
    world.check();
}
