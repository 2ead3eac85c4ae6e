// SPDX-License-Identifier: GPL-2.0

//! The cheapest way to have another process do something: two pipes, a message of a request's length one way, one of an
//! answer's the other. And what it costs to copy a page between a file and a process.

use crate::sys;
use crate::window::Bench;
use crate::window::Report;

/// Lengths of GETATTR and its answer.
const REQUEST: usize = 56;
const REPLY: usize = 120;
const ROUNDS: u64 = 500;

pub fn run(report: &mut Report) {
    report.line("run f");
    hand_off(&mut Bench::new("hand-off", String::new(), None, 3, report));
    copy(&mut Bench::new("copy-1", String::new(), None, 3, report), 1);
    copy(
        &mut Bench::new("copy-4k", String::new(), None, 3, report),
        sys::PAGE,
    );
}

/// A copy of `len` bytes from a file on tmpfs; a single byte's shows what the call itself costs.
fn copy(b: &mut Bench, len: usize) {
    sys::mount("tmpfs", "floor", "");
    {
        let file = sys::open(c"floor/f", libc::O_RDWR | libc::O_CREAT);
        sys::pwrite(file.0, &[1; sys::PAGE], 0);
        let mut buffer = vec![1; len];
        b.windows(ROUNDS, |_, _| {
            for _ in 0..ROUNDS {
                sys::pread(file.0, &mut buffer, 0);
            }
        });
    }
    sys::umount(c"floor");
}

fn hand_off(b: &mut Bench) {
    let (ask_in, ask_out) = sys::pipe();
    let (answer_in, answer_out) = sys::pipe();
    let server = sys::fork(|| {
        let mut request = [0; REQUEST];
        while sys::read(ask_in.0, &mut request) == REQUEST && request[0] != 0 {
            sys::write(answer_out.0, &[1; REPLY]);
        }
    });
    b.windows(ROUNDS, |_, _| {
        let mut reply = [0; REPLY];
        for _ in 0..ROUNDS {
            sys::write(ask_out.0, &[1; REQUEST]);
            sys::read(answer_in.0, &mut reply);
        }
    });
    sys::write(ask_out.0, &[0; REQUEST]);
    sys::wait(server);
}
