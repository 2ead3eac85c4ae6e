// SPDX-License-Identifier: GPL-2.0

//! One request, and all that may end it.

use super::{
    caller,
    one_of,
    server, //
};
use crate::{
    fuse::{
        channel::timeout,
        request::wait::Patience, //
    },
    world::{
        Call,
        Told,
        World,
        ANSWER, //
    },
};
use kernel::{
    error::code::*,
    iov::Presence,
    rt::{
        self,
        spawn,
        Signal, //
    },
};

super::scenarios! {
    2 answer: "a caller gets the answer of the server, whole";
    2 error_answer: "a caller gets the errno that the server answers";
    2 malformed_answer: "an answer that is too short ends the request with EIO, once";
    2 two_answers: "of two answers to one request one is taken, and the other is ENOENT";
    2 no_answer_expected: "a request without an answer ends well when it is read";
    2 abort: "an abort ends a request wherever it is, and nothing is copied after that";
    2 two_aborts: "who aborts second finds everything done or being done, and nothing ends twice";
    2 kill: "a killed caller leaves with EINTR if no server has read its request, else it gets \
        the answer";
    2 abandon: "a killed caller that may abandon its request does so at once, and the end is \
        told in its stead, once";
    2 abandon_and_answer: "a killed caller that leaves while the answer comes gets the answer, or the \
        end is told in its stead";
    1 abandon_and_abort: "an abort ends an abandoned request, too";
    1 abandon_unread: "a killed caller abandons what has to reach the server, and that reaches it, \
        before or after a reader takes it";
    2 freeze: "a caller that is to be frozen leaves a request that only asks, and takes it back if no \
        server has it";
    2 kill_forced: "a request that has to reach the server is not taken back";
    2 kill_init: "the killed caller of INIT aborts the connection";
    2 close_last: "the end of the last device ends what its server has read";
    1 close_clone: "the end of one of two devices ends what came by it, and nothing else";
    2 timeout: "a request that is not answered in time ends with its connection, once";
    1 unmount: "an unmount waits until the last request has ended";
    2 fault_in_read: "an abort ends a request whose message waits in a page fault, and no byte \
        of it goes out after that";
    2 fault_in_write: "an abort ends a request whose answer waits in a page fault, and no byte \
        of that comes in after that";
    2 abort_in_fault: "an abort ends a request whose copier sleeps in a page fault, and does not wait \
        for that";
    2 abort_in_answer: "an abort ends a request whose answer sleeps in a page fault, and does not wait \
        for that";
    2 bad_buffer: "a message that cannot be copied ends its request with EIO";
    2 short_data: "a short answer fills the data as far as it goes, and the rest is zero";
}

fn answer() {
    let (world, server) = World::new();
    let caller = caller(&world, Call::by(1));
    let unique = server.read_request().unwrap();
    server.answer(unique).unwrap();
    assert_eq!(caller.join(), 0);
    world.check();
}

fn error_answer() {
    let (world, server) = World::new();
    let caller = caller(&world, Call::by(1));
    let unique = server.read_request().unwrap();
    server.write(unique, ENOENT.to_errno(), &[]).unwrap();
    assert_eq!(caller.join(), ENOENT.to_errno());
    world.check();
}

fn malformed_answer() {
    let (world, server) = World::new();
    let caller = caller(&world, Call::by(1));
    let unique = server.read_request().unwrap();
    assert_eq!(server.write(unique, 0, &ANSWER[..4]), Err(EINVAL));
    assert_eq!(server.answer(unique), Err(ENOENT));
    assert_eq!(caller.join(), EIO.to_errno());
    world.check();
}

fn two_answers() {
    let (world, server) = World::new();
    let caller = caller(&world, Call::by(1));
    let unique = server.read_request().unwrap();
    let other = server.share();
    let other = spawn("server 2", move || other.answer(unique));
    let one = server.answer(unique);
    let two = other.join();
    assert!(one.is_ok() != two.is_ok());
    assert_eq!(one.err().or(two.err()), Some(ENOENT));
    assert_eq!(caller.join(), 0);
    world.check();
}

fn no_answer_expected() {
    let (world, server) = World::new();
    let call = Call {
        no_reply: true,
        ..Call::by(1)
    };
    let caller = caller(&world, call);
    let unique = server.read_request().unwrap();
    assert_eq!(server.answer(unique), Err(ENOENT));
    assert_eq!(caller.join(), 0);
    world.check();
}

fn abort() {
    let (world, device) = World::new();
    let caller = caller(&world, Call::by(1));
    let server = server(device);
    world.abort();
    let errno = caller.join();
    assert!(errno == 0 || one_of(errno, &[ENOTCONN, ECONNABORTED]));
    server.join();
    world.check();
}

fn two_aborts() {
    let (world, device) = World::new();
    let caller = caller(&world, Call::by(1));
    let server = server(device);
    let second = world.clone();
    let second = spawn("aborter", move || second.abort());
    world.abort();
    let errno = caller.join();
    assert!(errno == 0 || one_of(errno, &[ENOTCONN, ECONNABORTED]));
    second.join();
    server.join();
    world.check();
}

fn kill() {
    let (world, device) = World::new();
    let caller = caller(&world, Call::by(1));
    let server = server(device);
    caller.task().signal(Signal::Fatal);
    let errno = caller.join();
    assert!(errno == 0 || one_of(errno, &[EINTR]));
    world.abort();
    server.join();
    world.check();
}

fn abandon() {
    let (world, device) = World::new();
    let told = Told::default();
    let caller = caller(&world, Call::left_to(&told));
    // It answers nothing before the caller has gone.
    let first = device.share();
    let reader = spawn("server", move || first.read_request());
    caller.task().signal(Signal::Fatal);
    let errno = caller.join();
    assert_eq!(errno, EINTR.to_errno());
    // It has abandoned the request, or has taken it back.
    world.abort();
    let _ = reader.join();
    assert!(told.times() <= 1);
    if told.times() == 1 {
        assert_eq!(told.errno(), ECONNABORTED.to_errno());
    }
    world.check();
}

fn abandon_and_answer() {
    let (world, device) = World::new();
    let told = Told::default();
    let caller = caller(&world, Call::left_to(&told));
    let unique = device.read_request().unwrap();
    caller.task().signal(Signal::Fatal);
    device.answer(unique).unwrap();
    let errno = caller.join();
    assert_eq!(told.times(), usize::from(errno != 0));
    if errno != 0 {
        assert_eq!((errno, told.errno()), (EINTR.to_errno(), 0));
    }
    world.check();
}

fn abandon_and_abort() {
    let (world, device) = World::new();
    let told = Told::default();
    let caller = caller(&world, Call::left_to(&told));
    let server = server(device);
    let task = caller.task();
    let killer = spawn("killer", move || task.signal(Signal::Fatal));
    world.abort();
    let errno = caller.join();
    killer.join();
    server.join();
    assert!(errno == 0 || one_of(errno, &[EINTR, ENOTCONN, ECONNABORTED]));
    if told.times() != 0 {
        assert_eq!(errno, EINTR.to_errno());
        assert!(told.errno() == 0 || one_of(told.errno(), &[ECONNABORTED]));
    }
    world.check();
}

fn abandon_unread() {
    let (world, device) = World::new();
    let told = Told::default();
    let call = Call {
        patience: Patience::Leaves,
        ..Call::left_to(&told)
    };
    let caller = caller(&world, call);
    let task = caller.task();
    let killer = spawn("killer", move || task.signal(Signal::Fatal));
    // It has abandoned the request, or the answer has come before the signal.
    let unique = device.read_request().unwrap();
    device.answer(unique).unwrap();
    let errno = caller.join();
    killer.join();
    assert_eq!(told.times(), usize::from(errno != 0));
    if errno != 0 {
        assert_eq!((errno, told.errno()), (EINTR.to_errno(), 0));
    }
    assert!(!device.has_work());
    world.check();
}

fn freeze() {
    let (world, device) = World::new();
    let told = Told::default();
    let call = Call {
        patience: Patience::Again,
        ..Call::left_to(&told)
    };
    let caller = caller(&world, call);
    // It answers nothing before the caller has gone.
    let first = device.share();
    let reader = spawn("server", move || first.read_request());
    caller.task().signal(Signal::Freeze);
    assert_eq!(caller.join(), EINTR.to_errno());
    world.abort();
    let _ = reader.join();
    assert!(told.times() <= 1);
    world.check();
}

fn kill_forced() {
    let (world, device) = World::new();
    let call = Call {
        patience: Patience::Forced,
        ..Call::by(1)
    };
    let caller = caller(&world, call);
    caller.task().signal(Signal::Fatal);
    let unique = device.read_request().unwrap();
    device.answer(unique).unwrap();
    assert_eq!(caller.join(), 0);
    world.check();
}

fn kill_init() {
    let (world, device) = World::uninitialized();
    let call = Call {
        patience: Patience::AbortsConnection,
        ..Call::by(1)
    };
    let caller = caller(&world, call);
    let server = server(device);
    caller.task().signal(Signal::Fatal);
    let errno = caller.join();
    assert!(errno == 0 || one_of(errno, &[ENOTCONN, ECONNABORTED]));
    if errno == 0 {
        world.abort();
    }
    server.join();
    world.check();
}

fn close_last() {
    let (world, device) = World::new();
    let caller = caller(&world, Call::by(1));
    device.read_request().unwrap();
    let closer = spawn("server", move || device.close());
    assert_eq!(caller.join(), ECONNABORTED.to_errno());
    // The caller that is told so sends nothing more.
    assert!(!world.channel.is_connected());
    closer.join();
    world.check();
}

fn close_clone() {
    let (world, device) = World::new();
    let clone = device.cloned();
    let caller = caller(&world, Call::by(1));
    let second = spawn("server 2", move || {
        let read = clone.read_request();
        clone.close();
        read.is_ok()
    });
    let first = server(device.share());
    let errno = caller.join();
    // Who read the request decides: the clone was closed over it, and the other one answers.
    assert!(errno == 0 || one_of(errno, &[ECONNABORTED]));
    assert!(world.channel.is_connected());
    world.abort();
    let lost = second.join();
    assert_eq!(lost, errno != 0);
    first.join();
    device.close();
    world.check();
}

fn timeout() {
    let (world, device) = World::new();
    let watchdog = timeout::watch(world.channel.clone(), 20).unwrap();
    let caller = caller(&world, Call::by(1));
    let server = server(device);
    rt::advance(20_001);
    watchdog.look();
    let errno = caller.join();
    assert!(errno == 0 || one_of(errno, &[ENOTCONN, ECONNABORTED]));
    world.abort();
    server.join();
    drop(watchdog);
    world.check();
}

fn unmount() {
    let (world, device) = World::new();
    let caller = caller(&world, Call::by(1));
    let told = Told::default();
    let background = {
        let (world, told) = (world.clone(), told.clone());
        spawn("writer", move || world.call_background(&Call::by(2), &told))
    };
    world.abort();
    world.channel.wait_aborted();
    assert_ne!(caller.join(), 0);
    background.join();
    assert_ne!(told.errno(), 0);
    drop(device);
    world.check();
}

/// A buffer of which only the first bytes are there.
const HALF: Presence<'static> = Presence {
    at_first: 20,
    faults: &[24, 8192],
};

fn fault_in_read() {
    let (world, device) = World::new();
    let caller = caller(&world, Call::by(1));
    let reader = spawn("server", move || device.read_faulting(HALF).is_ok());
    world.abort();
    assert!(one_of(caller.join(), &[ENOTCONN, ECONNABORTED]));
    reader.join();
    world.check();
}

fn fault_in_write() {
    let (world, device) = World::new();
    let caller = caller(&world, Call::by(1));
    let unique = device.read_request().unwrap();
    let writer = spawn("server", move || {
        device.write_faulting(unique, 0, ANSWER, HALF).is_ok()
    });
    world.abort();
    let errno = caller.join();
    let taken = writer.join();
    assert_eq!(errno, if taken { 0 } else { ECONNABORTED.to_errno() });
    world.check();
}

fn abort_in_fault() {
    let (world, device) = World::new();
    rt::hold_faults();
    let caller = caller(&world, Call::by(1));
    let server = spawn("server", move || {
        let presence = Presence {
            at_first: 16,
            faults: &[1024],
        };
        device.read_faulting(presence).is_ok()
    });
    world.abort();
    // The page may be one that the caller brings, once it has its answer.
    let errno = caller.join();
    rt::release_faults();
    assert!(one_of(errno, &[ENOTCONN, ECONNABORTED]));
    assert!(!server.join());
    world.check();
}

fn abort_in_answer() {
    let (world, device) = World::new();
    let caller = caller(&world, Call::by(1));
    let unique = device.read_request().unwrap();
    rt::hold_faults();
    let server = spawn("server", move || {
        let presence = Presence {
            at_first: 16,
            faults: &[1024],
        };
        device.write_faulting(unique, 0, ANSWER, presence).is_ok()
    });
    world.abort();
    let errno = caller.join();
    rt::release_faults();
    assert_eq!(errno, ECONNABORTED.to_errno());
    assert!(!server.join());
    world.check();
}

fn bad_buffer() {
    let (world, device) = World::new();
    let caller = caller(&world, Call::by(1));
    let bad = Presence {
        at_first: 20,
        faults: &[],
    };
    assert_eq!(device.read_faulting(bad), Err(EFAULT));
    assert_eq!(caller.join(), EIO.to_errno());
    world.check();
}

fn short_data() {
    let (world, device) = World::new();
    let call = Call {
        data_in: 16,
        data_out: 32,
        ..Call::by(1)
    };
    let caller = caller(&world, call);
    let unique = device.read_request().unwrap();
    let payload = [ANSWER, b"dddddddddd"].concat();
    let presence = Presence {
        at_first: 16,
        faults: &[10, 100],
    };
    device
        .write_faulting(unique, 0, &payload, presence)
        .unwrap();
    assert_eq!(caller.join(), 0);
    world.check();
}
