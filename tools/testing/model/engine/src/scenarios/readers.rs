// SPDX-License-Identifier: GPL-2.0

//! Several readers of the input queue: a wake-up is for one of them, and is not lost.

use super::{
    caller,
    one_of,
    server, //
};
use crate::world::{
    Call,
    Message,
    Told,
    World, //
};
use kernel::{
    error::code::*,
    rt::{
        self,
        spawn,
        Signal, //
    },
};

super::scenarios! {
    1 killed_reader: "a reader that is killed when it was to be woken leaves the request to \
        another";
    2 signalled_reader: "a reader that gets a signal with its wake-up takes the request, or another \
        does";
    1 two_requests: "two requests wake two readers";
    2 request_and_forget: "a request and a FORGET wake two readers";
    2 forget: "a FORGET is read once, whenever it comes";
    2 forget_and_abort: "a FORGET of an ended connection gives its memory back";
    2 look: "who looks at what is in flight stops nobody and sees nothing twice";
    2 close_and_read: "a reader of a device that closes ends, with the connection";
}

fn killed_reader() {
    let (world, device) = World::new();
    let first = device.share();
    let first = spawn("server 1", move || first.read_request());
    let second = device.share();
    let second = spawn("server 2", move || second.read_request());
    let task = first.task();
    let caller = caller(&world, Call::by(1));
    task.signal(Signal::Any);
    // One of them gets it: the first only if it was quicker than its signal.
    let read = first.join();
    let unique = match read {
        Ok(unique) => unique,
        Err(error) => {
            assert!(error == ERESTARTSYS);
            second.join().unwrap()
        }
    };
    device.answer(unique).unwrap();
    assert_eq!(caller.join(), 0);
    world.abort();
    world.check();
}

fn signalled_reader() {
    let (world, device) = World::new();
    let [first, second] = ["server 1", "server 2"].map(|name| {
        let device = device.share();
        spawn(name, move || device.read_request())
    });
    let told = Told::default();
    world.call_background(&Call::by(1), &told);
    first.task().signal(Signal::Any);
    let (read, other) = (first.join(), second);
    if let Err(error) = read {
        assert!(error == ERESTARTSYS);
        device.answer(other.join().unwrap()).unwrap();
    } else {
        device.answer(read.unwrap()).unwrap();
        world.abort();
        assert!(other.join().is_err());
    }
    assert_eq!(told.errno(), 0);
    world.abort();
    world.check();
}

fn two_requests() {
    let (world, device) = World::new();
    let told = [Told::default(), Told::default()];
    let readers = ["server 1", "server 2"].map(|name| {
        let device = device.share();
        spawn(name, move || device.read_request().unwrap())
    });
    for told in &told {
        world.call_background(&Call::by(1), told);
    }
    // Neither answers before the other one has been read.
    let [one, two] = readers.map(|reader| reader.join());
    assert_ne!(one, two);
    device.answer(two).unwrap();
    device.answer(one).unwrap();
    for told in told {
        assert_eq!(told.errno(), 0);
    }
    world.check();
}

fn request_and_forget() {
    let (world, device) = World::new();
    let reader = device.share();
    let reader = spawn("server 2", move || reader.read().unwrap());
    let caller = caller(&world, Call::by(1));
    world.forget(5);
    let mine = device.read().unwrap();
    let other = reader.join();
    let unique = match (mine, other) {
        (Message::Request { unique, .. }, Message::Forgets(1)) => unique,
        (Message::Forgets(1), Message::Request { unique, .. }) => unique,
        both => panic!("read {both:?}"),
    };
    device.answer(unique).unwrap();
    assert_eq!(caller.join(), 0);
    world.check();
}

fn forget() {
    let (world, device) = World::new();
    let other = world.clone();
    let other = spawn("evicter", move || other.forget(7));
    world.forget(8);
    let mut count = 0;
    while count < 2 {
        match device.read().unwrap() {
            Message::Forgets(some) => count += some,
            message => panic!("read {message:?}"),
        }
    }
    other.join();
    assert_eq!(count, 2);
    assert!(!device.has_work());
    world.check();
}

fn forget_and_abort() {
    let (world, device) = World::new();
    let before = rt::boxes();
    let other = world.clone();
    let other = spawn("evicter", move || other.forget(7));
    let reader = server(device);
    world.abort();
    other.join();
    reader.join();
    assert!(
        rt::boxes() <= before,
        "a FORGET is kept that nobody will read"
    );
    world.check();
}

fn look() {
    let (world, device) = World::new();
    let caller = caller(&world, Call::by(1));
    let server = server(device);
    let mut seen = world.channel.look().unwrap();
    assert!(seen.sorted().count() <= 1);
    assert!(!seen.is_incomplete());
    drop(seen);
    assert_eq!(caller.join(), 0);
    world.abort();
    server.join();
    world.check();
}

fn close_and_read() {
    let (world, device) = World::new();
    let clone = device.cloned();
    let caller = caller(&world, Call::by(1));
    let closer = spawn("server 2", move || clone.close());
    let unique = device.read_request().unwrap();
    device.answer(unique).unwrap();
    assert_eq!(caller.join(), 0);
    closer.join();
    assert!(world.channel.is_connected());
    device.close();
    assert!(!world.channel.is_connected());
    world.check();
}
