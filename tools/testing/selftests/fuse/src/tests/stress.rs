// SPDX-License-Identifier: GPL-2.0

//! Many callers, many readers, and ends of every kind in the middle of it all, by dice.

use super::clone::clone_of;
use super::control::Control;
use crate::mockd::*;
use std::time::Duration;
use std::time::Instant;

crate::tests![many_callers_and_ends];

/// Processes that use the file system.
const CALLERS: usize = 64;
/// Threads that serve it.
const READERS: u64 = 8;

use crate::mockd::notice::INC_EPOCH;
use crate::mockd::notice::INVAL_INODE;
use crate::mockd::notice::RESEND;

/// How the life of a mount ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Abort,
    ForcedUnmount,
    DeadServer,
    DeadServerUnseen,
    Unmount,
}

/// One thread of the server: answers until the connection has ended.
fn read_and_answer(fd: i32, mut dice: Dice, model: Model) {
    loop {
        let message = match read(fd, 1 << 17) {
            Ok(message) => message,
            Err(EAGAIN | EINTR | ENOENT) => continue,
            Err(_) => return,
        };
        if dice.once_in(64) {
            sleep_ms(dice.below(4));
        }
        if let Some(reply) = model.reply_to(&message) {
            let _ = write(fd, &reply);
        }
    }
}

/// A thread that says what nobody has asked; nothing that waits for a lock which some caller may hold, because a server
/// that is killed there never closes its device.
fn notify(fd: i32, mut dice: Dice) {
    loop {
        sleep_ms(1 + dice.below(20));
        let (code, body) = match dice.below(3) {
            0 => (RESEND, Vec::new()),
            1 => (INC_EPOCH, Vec::new()),
            _ => {
                let words = [(1 << 32) + dice.below(6), u64::MAX, 0];
                (INVAL_INODE, words.map(u64::to_ne_bytes).concat())
            }
        };
        let mut message = OutHeader {
            len: (OUT_HEADER + body.len()) as u32,
            error: code,
            unique: 0,
        }
        .bytes();
        message.extend(body);
        if write(fd, &message) == Err(EINVAL) {
            return;
        }
    }
}

/// A process with all the threads of a server, some of which have a device of their own.
fn server(fs: &Fs, number: u64, model: Model) -> Caller<()> {
    let fd = fs.dev().fd();
    Caller::start_with_devices(&fs.dir, |_| {
        set_nonblock(fd, false);
        let fds: Vec<_> = (0..READERS)
            .map(|i| match i % 2 {
                0 => fd,
                // A connection that has ended by now has no use for a clone.
                _ => clone_of(fd).map_or(fd, |clone| {
                    set_nonblock(clone.fd(), false);
                    dup(clone.fd()).expect("dup")
                }),
            })
            .collect();
        std::thread::scope(|s| {
            for (i, &fd) in fds.iter().enumerate() {
                let dice = Dice::new(10_000 + 100 * number + i as u64);
                s.spawn(move || read_and_answer(fd, dice, model));
            }
            s.spawn(move || notify(fd, Dice::new(10_099 + 100 * number)));
        });
    })
}

fn caller(dir: &str, number: u64) -> Caller<()> {
    Caller::start(dir, |m| {
        catch(libc::SIGUSR1);
        let mut dice = Dice::new(number);
        while access(STOP, libc::F_OK).is_err() {
            crowd::act(m, &mut dice);
        }
    })
}

const STOP: &str = "/mnt/stop";

/// Interrupts and kills callers for a while; for each that dies another comes.
fn harass(callers: &mut [Caller<()>], dying: &mut Vec<Caller<()>>, dir: &str, dice: &mut Dice) {
    let until = Instant::now() + Duration::from_millis(500 + dice.below(3000));
    while Instant::now() < until {
        sleep_ms(dice.below(20));
        let at = dice.index(callers.len());
        if dice.once_in(3) {
            callers[at].signal(libc::SIGKILL);
            dying.push(std::mem::replace(&mut callers[at], caller(dir, dice.any())));
        } else {
            callers[at].signal(libc::SIGUSR1);
        }
        dying.retain_mut(|c| !c.is_gone());
    }
}

/// One mount from its beginning to its end.
fn life(
    ctl: &Control,
    dir: &str,
    number: u64,
    end: End,
    mut while_it_lives: impl FnMut(),
    mut at_its_end: impl FnMut(),
) {
    let mut dice = Dice::new(1000 + number);
    let mut fs = Setup::new()
        .flags(
            dice.any()
                & (init::PARALLEL_DIROPS | init::ASYNC_READ | init::BIG_WRITES | init::ASYNC_DIO),
        )
        .init(|i| {
            i.max_readahead = 1 << 17;
            i.max_background = dice.one_of(&[0, 1, 2]);
            i.congestion_threshold = i.max_background;
        })
        .mount_at(dir);
    fs.expect(INIT).ok(fs.setup.init_out());
    let model = Model {
        entry_valid: dice.one_of(&[0, 1, 3600]),
        attr_valid: dice.one_of(&[0, 3600]),
        open_flags: dice.one_of(&[0, FOPEN_DIRECT_IO]),
    };
    let mut server = server(&fs, number, model);
    fs.die();
    while_it_lives();

    match end {
        End::Abort => assert_eq!(ctl.set(&fs, "abort", "1"), Ok(1)),
        End::ForcedUnmount => drop(umount(dir, libc::MNT_FORCE)),
        End::DeadServer => server.signal(libc::SIGKILL),
        End::DeadServerUnseen => {
            umount(dir, libc::MNT_DETACH).unwrap();
            server.signal(libc::SIGKILL);
        }
        End::Unmount => (),
    }
    at_its_end();
    if matches!(end, End::Abort | End::DeadServer | End::Unmount) {
        soon(2 * patience(), "requests are left", || {
            ctl.get(&fs, "waiting") == Ok("0\n".into())
        });
    }
    match end {
        End::DeadServerUnseen => (),
        End::Unmount => soon(2 * patience(), "the mount stays busy", || {
            match umount(dir, 0) {
                Err(EBUSY) => false,
                other => {
                    assert_eq!(other, Ok(()));
                    true
                }
            }
        }),
        // By force it may be gone already.
        _ => drop(umount(dir, libc::MNT_DETACH)),
    }
    fs.unmounted();
    soon(2 * patience(), "the server does not end", || {
        server.is_gone()
    });
}

/// However callers are interrupted and killed, and connections end, all callers come back and no request is left.
fn many_callers_and_ends() {
    let ctl = Control::new();
    let dir = mount_point();
    let mut dice = Dice::new(0);
    let mut callers: Vec<_> = (0..CALLERS).map(|_| caller(&dir, dice.any())).collect();
    let mut dying = Vec::new();
    let ends = [
        End::Abort,
        End::DeadServer,
        End::ForcedUnmount,
        End::DeadServerUnseen,
    ];
    let until = Instant::now() + Duration::from_secs(stress());
    let mut number = 0;
    while Instant::now() < until {
        let end = ends[number as usize % ends.len()];
        life(
            &ctl,
            &dir,
            number,
            end,
            || harass(&mut callers, &mut dying, &dir, &mut dice),
            || (),
        );
        number += 1;
    }
    callers.append(&mut dying);
    // The last one sees its callers go, and is unmounted in peace.
    life(
        &ctl,
        &dir,
        number,
        End::Unmount,
        || sleep_ms(500),
        || {
            std::fs::write(STOP, "").unwrap();
            all_end(&mut callers, 2 * patience());
        },
    );
    soon(2 * patience(), "a connection is left", || {
        std::fs::read_dir(ctl.path()).unwrap().count() == 0
    });
}
