// SPDX-License-Identifier: GPL-2.0

//! The races of the engine, each with its property.
//!
//! What holds for all of them is asserted where it can be seen: `witness.rs` has the rules of one
//! request, `rt` and `bindings` of `kernel` those of memory and of locks, and `World::check()` what
//! is counted. A thread that is never woken is a deadlock, which the checker finds.

mod background;
mod device;
mod end;
mod gate;
mod interrupt;
mod lock_owner;
mod polled;
mod readers;
mod resend;
mod ring;

use crate::world::{
    Call,
    Server,
    World, //
};
use kernel::{
    error::code::*,
    rt::{
        spawn,
        Thread, //
    },
};

/// One of them.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// What holds, whatever the order.
    pub(crate) property: &'static str,
    /// How often a thread may be stopped where it could go on, for the exhaustive search.
    pub(crate) preemptions: usize,
    pub(crate) run: fn(),
}

/// Declares scenarios: how many preemptions, name, property, and what runs.
macro_rules! scenarios {
    ($( $preemptions:literal $name:ident: $property:literal; )+) => {
        pub(super) const ALL: &[super::Scenario] = &[$(
            super::Scenario {
                name: stringify!($name),
                property: $property,
                preemptions: $preemptions,
                run: $name,
            },
        )+];
    };
}
use scenarios;

/// All of them.
pub(crate) fn all() -> impl Iterator<Item = &'static Scenario> {
    [
        end::ALL,
        interrupt::ALL,
        resend::ALL,
        readers::ALL,
        gate::ALL,
        background::ALL,
        device::ALL,
        polled::ALL,
        lock_owner::ALL,
        ring::ALL,
    ]
    .into_iter()
    .flatten()
}

/// A thread that makes this call.
fn caller(world: &World, call: Call) -> Thread<i32> {
    let world = world.clone();
    spawn("caller", move || world.call(&call))
}

/// A thread that answers what it reads until the connection ends, then closes its device.
fn server(server: Server) -> Thread<()> {
    spawn("server", move || server.serve())
}

/// Whether it is one of these.
fn one_of(errno: i32, errors: &[kernel::error::Error]) -> bool {
    errors.iter().any(|error| error.to_errno() == errno)
}
