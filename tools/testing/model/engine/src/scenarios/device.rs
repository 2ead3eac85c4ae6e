// SPDX-License-Identifier: GPL-2.0

//! Files of `/dev/fuse` that come and go while others mount, or end the connection.

use super::{
    caller,
    one_of,
    server, //
};
use crate::world::{
    Call,
    Server,
    World, //
};
use kernel::{
    error::code::*,
    rt::spawn, //
};

super::scenarios! {
    2 sync_init: "a server whose reads wait for the mount is woken by it";
    2 install_and_close: "a device that closes while it is mounted takes the connection with it";
    2 clone_and_abort: "an abort ends what a device has read that was cloned meanwhile";
}

fn sync_init() {
    let (world, device) = (World::unmounted(), Server::open());
    device.wait_for_mount();
    let reader = device.share();
    let reader = spawn("server", move || {
        let unique = reader.read_request().unwrap();
        reader.answer(unique).unwrap();
    });
    world.mount(&device).unwrap();
    world.initialize();
    let caller = caller(&world, Call::by(1));
    assert_eq!(caller.join(), 0);
    reader.join();
    world.check();
}

fn install_and_close() {
    let (world, device) = (World::unmounted(), Server::open());
    let closes = device.share();
    let closer = spawn("server", move || closes.close());
    let mounted = world.mount(&device);
    closer.join();
    assert!(mounted.is_ok() || mounted == Err(ENOTCONN));
    // A mount that failed does not make a connection; one that did not is lost with its server.
    if mounted.is_ok() {
        assert!(
            !world.channel.is_connected(),
            "nobody serves the connection, and it is up"
        );
    }
    world.abort();
    world.check();
}

fn clone_and_abort() {
    let (world, device) = World::new();
    let caller = caller(&world, Call::by(1));
    let second = spawn("server 2", move || {
        let clone = device.cloned();
        // It reads, and is in no hurry to answer.
        let _ = clone.read_request();
        clone
    });
    world.abort();
    let errno = caller.join();
    assert!(one_of(errno, &[ENOTCONN, ECONNABORTED]));
    drop(second.join());
    world.check();
}
