// SPDX-License-Identifier: GPL-2.0

//! Files that are polled, and what wakes their pollers.

use crate::{
    fuse::channel::polled::PollersSlot,
    world::{
        Server,
        World, //
    },
};
use kernel::{
    prelude::*,
    rt::{
        self,
        spawn,
        Thread, //
    },
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc, //
    },
};

super::scenarios! {
    2 polled: "who polls sees what has changed, or is woken";
    2 polled_and_abort: "who polls is woken when the connection ends";
    2 polled_twice: "of two who poll a file for the first time one gives it a number";
}

/// A file that is polled, and whether it is ready as its server sees it.
struct File {
    slot: PollersSlot,
    ready: Atomic<bool>,
}

fn file() -> Arc<File> {
    let (slot, ready) = (PollersSlot::new(), Atomic::new(false));
    Arc::new(File { slot, ready }, GFP_KERNEL).unwrap()
}

/// A thread that polls it until it is ready, or nothing can become so any more.
fn poller(world: &World, file: &Arc<File>) -> Thread<u64> {
    let (world, file) = (world.clone(), file.clone());
    spawn("poller", move || {
        let pollers = world.channel.polled().enter(&file.slot).unwrap();
        rt::step(|| "polls".into());
        pollers
            .queue()
            .wait(|| file.ready.load(Relaxed) || !world.channel.is_connected());
        pollers.kh().get()
    })
}

fn polled() {
    let (world, server) = World::new();
    let file = file();
    let kh = world.channel.polled().enter(&file.slot).unwrap().kh();
    let poller = poller(&world, &file);
    file.ready.store(true, Relaxed);
    rt::step(|| "the server says that the file is ready".into());
    world.channel.polled().wake(kh);
    poller.join();
    world.channel.polled().remove(&file.slot);
    drop(server);
    world.check();
}

fn polled_and_abort() {
    let (world, server) = World::new();
    let file = file();
    world.channel.polled().enter(&file.slot).unwrap();
    let poller = poller(&world, &file);
    world.abort();
    poller.join();
    world.channel.polled().remove(&file.slot);
    drop(server);
    world.check();
}

fn polled_twice() {
    let (world, server) = World::new();
    let file = file();
    let before = rt::boxes();
    let pollers = [poller(&world, &file), poller(&world, &file)];
    let kh = world.channel.polled().enter(&file.slot).unwrap().kh();
    file.ready.store(true, Relaxed);
    world.channel.polled().wake(kh);
    for poller in pollers {
        assert_eq!(poller.join(), kh.get());
    }
    world.channel.polled().remove(&file.slot);
    assert!(
        rt::boxes() == before,
        "a number is kept of a file that is released"
    );
    drop(server);
    world.check();
}
