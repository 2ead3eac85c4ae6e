// SPDX-License-Identifier: GPL-2.0

//! Killing callers: at once while the server has not read their request, and after its answer when it has.

use super::control::Control;
use super::lookup::next_but_lookup;
use crate::mockd::*;

crate::tests![
    before_the_request_is_read,
    any_fatal_signal_before_the_request_is_read,
    interrupted_then_killed_before_the_request_is_read,
    among_other_pending_requests,
    after_the_request_is_read,
    after_an_interrupt,
    who_only_asks_leaves,
    what_is_lacking_is_learnt_without_the_caller,
    what_a_killed_caller_opened_is_released,
    what_a_killed_caller_used_stays_until_the_answer,
    who_changes_something_waits,
    lookup_left_behind_keeps_its_directory,
    lookup_left_behind_keeps_its_directory_from_its_users,
    lookup_left_behind_keeps_its_directory_from_its_removal,
    lookup_left_behind_is_passed_by_those_who_may,
    who_waits_for_a_lookup_left_behind_asks_again,
    who_waits_for_a_directory_can_be_killed,
    who_waits_for_a_directory_is_freed_by_the_end,
    requests_left_behind_are_counted,
    requests_left_behind_end_with_the_connection,
    before_init_is_answered,
    handled_signal_before_init_is_answered,
    close_is_not_cut_short,
    files_of_a_killed_process_are_released,
    waiting_for_the_answer_of_another,
    reader_of_the_page_cache,
];

/// A killed caller whose request nobody has read dies at once, and the request is never seen.
fn before_the_request_is_read() {
    let fs = Fs::new();
    let mut c = fs.call(|m| m.stat("f").map(drop));
    c.until_interruptible();
    assert!(fs.dev().readable());
    c.signal(libc::SIGKILL);
    assert_eq!(c.death(), Death::Signal(libc::SIGKILL));
    fs.quiet();
    // The mount goes on.
    let c = fs.call(|m| m.stat("g").map(drop));
    fs.expect_lookup(ROOT, "g").err(ENOENT);
    assert_eq!(c.wait(), Err(ENOENT));
}

/// A signal that ends the process because it is not caught is as good as SIGKILL.
fn any_fatal_signal_before_the_request_is_read() {
    let fs = Fs::new();
    for sig in [libc::SIGINT, libc::SIGTERM, libc::SIGUSR1] {
        let mut c = fs.call(|m| m.stat("f").map(drop));
        c.until_interruptible();
        assert!(fs.dev().readable());
        c.signal(sig);
        assert_eq!(c.death(), Death::Signal(sig));
        fs.quiet();
    }
}

/// A caller that has taken a harmless signal first can still be killed.
fn interrupted_then_killed_before_the_request_is_read() {
    let fs = Fs::new();
    let mut c = fs.call(|m| {
        catch(libc::SIGUSR1);
        m.stat("f").map(drop)
    });
    c.until_interruptible();
    assert!(fs.dev().readable());
    c.signal(libc::SIGUSR1);
    c.until_uninterruptible();
    assert!(fs.dev().readable());
    c.signal(libc::SIGKILL);
    assert_eq!(c.death(), Death::Signal(libc::SIGKILL));
    fs.quiet();
}

/// Only the killed caller's request is withdrawn; those before and after it stay in order.
fn among_other_pending_requests() {
    let fs = Setup::new().flags(init::PARALLEL_DIROPS).start();
    let mut callers: Vec<_> = (0..3)
        .map(|i| {
            let c = fs.call(|m| m.stat(&i.to_string()).map(drop));
            c.until_interruptible();
            c
        })
        .collect();
    let mut victim = callers.remove(1);
    victim.signal(libc::SIGKILL);
    assert_eq!(victim.death(), Death::Signal(libc::SIGKILL));
    for (c, name) in callers.iter().zip(["0", "2"]) {
        fs.expect_lookup(ROOT, name).err(ENOENT);
        assert_eq!(c.wait(), Err(ENOENT));
    }
}

/// Kills `c`, which only asks, while the server has its request. It dies at once; with the C module, which has no
/// request without its caller, only after `answer`.
fn kill_who_asks<T: Ship>(c: &mut Caller<T>, answer: impl FnOnce()) {
    c.signal(libc::SIGKILL);
    if is_rust() {
        assert_eq!(c.death(), Death::Signal(libc::SIGKILL));
        answer();
    } else {
        c.until_uninterruptible();
        c.stays_asleep();
        answer();
        assert_eq!(c.death(), Death::Signal(libc::SIGKILL));
    }
}

/// The server sees the same whether a killed caller waits or not: INTERRUPT, its answer is taken, whatever it is, and
/// what it found is forgotten.
fn after_the_request_is_read() {
    for answer in [Err(EINTR), Err(EIO), Ok(file(2))] {
        let fs = Fs::new();
        let mut c = fs.call(|m| m.stat("f").map(drop));
        let r = fs.expect_lookup(ROOT, "f");
        c.until_interruptible();
        kill_who_asks(&mut c, || {
            assert_eq!(fs.expect(INTERRUPT).arg::<InterruptIn>().unique, r.unique());
            match answer {
                Ok(node) => r.ok(node.entry()),
                Err(e) => r.err(e),
            }
        });
        // In C the caller put the node into the cache before it died.
        if answer.is_ok() && is_rust() {
            assert_eq!(forgotten(&fs.dev().next()), [(2, 1)]);
        }
    }
}

/// A killed caller that only asks is gone at once, although the server has its request, and the mount goes on.
fn who_only_asks_leaves() {
    let fs = Fs::new();
    type Ask = (u32, fn(&Side) -> Result<()>);
    let asks: [Ask; 7] = [
        (GETATTR, |m| m.stat("f").map(drop)),
        (STATX, |m| statx_btime(&m.path("f")).map(drop)),
        (ACCESS, |m| m.access("f", libc::R_OK)),
        (GETXATTR, |m| getxattr(&m.path("f"), "user.x").map(drop)),
        (LISTXATTR, |m| listxattr(&m.path("f")).map(drop)),
        (READLINK, |m| m.readlink("l").map(drop)),
        (STATFS, |m| m.statfs("f").map(drop)),
    ];
    let c = fs.call(|m| m.lstat("f").and(m.lstat("l")).map(drop));
    fs.lookup(ROOT, "f", file(2).attr_valid(0, 0));
    fs.getattr(file(2).attr_valid(0, 0));
    fs.lookup(ROOT, "l", symlink_node(3));
    assert_eq!(c.wait(), Ok(()));
    for (opcode, ask) in asks {
        let mut c = fs.call(ask);
        let r = fs.expect(opcode);
        c.until_interruptible();
        kill_who_asks(&mut c, || {
            assert_eq!(fs.expect(INTERRUPT).arg::<InterruptIn>().unique, r.unique());
            r.err(EINTR);
        });
        fs.quiet();
    }
}

/// What a server does not know is learnt from its answer to a killed caller, too: it is not asked again.
fn what_is_lacking_is_learnt_without_the_caller() {
    type Ask = (u32, fn(&Side) -> Result<()>, Result<()>);
    let asks: [Ask; 4] = [
        (STATX, |m| statx_btime(&m.path("f")).map(drop), Ok(())),
        (ACCESS, |m| m.access("f", libc::R_OK), Ok(())),
        (
            GETXATTR,
            |m| getxattr(&m.path("f"), "user.x").map(drop),
            Err(EOPNOTSUPP),
        ),
        (
            LISTXATTR,
            |m| listxattr(&m.path("f")).map(drop),
            Err(EOPNOTSUPP),
        ),
    ];
    let fs = Fs::new();
    let c = fs.call(|m| m.stat("f").map(drop));
    fs.lookup(ROOT, "f", file(2));
    assert_eq!(c.wait(), Ok(()));
    for (opcode, ask, later) in asks {
        let mut c = fs.call(ask);
        let r = fs.expect(opcode);
        c.until_interruptible();
        kill_who_asks(&mut c, || {
            let _ = fs.expect(INTERRUPT);
            r.err(ENOSYS);
        });
        assert_eq!(fs.call_quietly(ask), later);
    }
}

/// What the server opens for a caller that was killed meanwhile is released.
fn what_a_killed_caller_opened_is_released() {
    let fs = Fs::new();
    let mut c = fs.call(|m| m.open("f").map(drop));
    fs.lookup(ROOT, "f", file(2));
    let r = fs.expect(OPEN).node(2);
    c.until_interruptible();
    kill_who_asks(&mut c, || {
        let _ = fs.expect(INTERRUPT);
        r.ok(OpenOut {
            fh: 5,
            ..Default::default()
        });
        if is_rust() {
            fs.release(2, 5);
        } else {
            // The file was open when its owner died.
            fs.flush_and_release(2, 5);
        }
    });

    let mut c = fs.call(|m| m.opendir("d").map(drop));
    fs.lookup(ROOT, "d", dir(3));
    let r = fs.expect(OPENDIR).node(3);
    c.until_interruptible();
    kill_who_asks(&mut c, || {
        let _ = fs.expect(INTERRUPT);
        r.ok(OpenOut {
            fh: 6,
            ..Default::default()
        });
        fs.releasedir(3, 6);
    });
}

/// The node that a killed caller asked about is not forgotten before the server has answered.
fn what_a_killed_caller_used_stays_until_the_answer() {
    let fs = Fs::new();
    let mut c = fs.call(|m| m.stat("f").map(drop));
    fs.lookup(ROOT, "f", file(2).attr_valid(0, 0).entry_valid(0, 0));
    let r = fs.expect(GETATTR).node(2);
    c.until_interruptible();
    kill_who_asks(&mut c, || {
        let _ = fs.expect(INTERRUPT);
        drop_caches();
        fs.quiet();
        r.err(EINTR);
    });
    drop_caches();
    assert_eq!(forgotten(&fs.dev().next()), [(2, 1)]);
}

/// A killed caller that changes something waits for the answer: nobody else may change the directory meanwhile.
fn who_changes_something_waits() {
    let fs = Fs::new();
    let mut c = fs.call(|m| mkdir(&m.path("d")));
    fs.expect_lookup(ROOT, "d").ok(absent(0, 0));
    let r = fs.expect(MKDIR);
    c.until_interruptible();
    c.signal(libc::SIGKILL);
    let _ = fs.expect(INTERRUPT);
    c.until_uninterruptible();
    c.stays_asleep();
    r.err(EINTR);
    assert_eq!(c.death(), Death::Signal(libc::SIGKILL));
}

/// Kills the caller of LOOKUP "a" in `path`, which is `node`, while the server has it; answers that after `meanwhile`.
fn leave_lookup(fs: &Fs, node: u64, path: &str, meanwhile: impl FnOnce()) {
    let name = format!("{path}a");
    let mut a = fs.call(|m| m.stat(&name).map(drop));
    let r = fs.expect_lookup(node, "a");
    a.until_interruptible();
    kill_who_asks(&mut a, || {
        let _ = fs.expect(INTERRUPT);
        meanwhile();
        r.err(ENOENT);
    });
}

/// A server that takes one operation in a directory at a time gets no other there before it has answered a LOOKUP,
/// whether the caller of that lives or not.
fn lookup_left_behind_keeps_its_directory() {
    type Next = (&'static [u32], fn(&Side) -> Result<()>);
    let all: [Next; 12] = [
        (&[LOOKUP], |m| m.stat("b").map(drop)),
        (&[LOOKUP, MKDIR], |m| mkdir(&m.path("n"))),
        (&[LOOKUP, MKNOD], |m| mknod(&m.path("n"), libc::S_IFIFO)),
        (&[LOOKUP, SYMLINK], |m| symlink("x", &m.path("n"))),
        (&[LOOKUP, LINK], |m| link(&m.path("f"), &m.path("n"))),
        (&[CREATE], |m| {
            open(&m.path("n"), libc::O_CREAT | libc::O_WRONLY).map(drop)
        }),
        (&[UNLINK], |m| unlink(&m.path("f"))),
        (&[RMDIR], |m| rmdir(&m.path("d"))),
        (&[LOOKUP, RENAME], |m| rename(&m.path("f"), &m.path("n"))),
        (&[SETATTR], |m| chmod(&m.path(""), 0o700)),
        (&[SETXATTR], |m| setxattr(&m.path(""), "user.x", b"x")),
        (&[REMOVEXATTR], |m| removexattr(&m.path(""), "user.x")),
    ];
    for (requests, next) in all {
        let fs = Fs::new();
        let c = fs.call(|m| {
            (
                m.stat("f").map(drop),
                m.stat("d").map(drop),
                m.stat("n").err(),
            )
        });
        fs.lookup(ROOT, "f", file(2));
        fs.lookup(ROOT, "d", dir(3));
        fs.expect_lookup(ROOT, "n").ok(absent(1000, 0));
        assert_eq!(c.wait(), (Ok(()), Ok(()), Some(ENOENT)));

        let mut b = None;
        leave_lookup(&fs, ROOT, "", || {
            let c = fs.call(next);
            c.until_asleep();
            fs.quiet();
            b = Some(c);
        });
        let (last, before) = requests.split_last().unwrap();
        for opcode in before {
            fs.expect(*opcode).err(ENOENT);
        }
        fs.expect(*last).err(EIO);
        assert_eq!(b.map(|b| b.wait()), Some(Err(EIO)));
    }
}

/// So it is for who has the directory open, to read it or to make it durable.
fn lookup_left_behind_keeps_its_directory_from_its_users() {
    type Use = (u32, fn(i32) -> Result<()>);
    let uses: [Use; 2] = [
        (READDIR, |d| getdents(d, 4096).map(drop)),
        (FSYNCDIR, fsync),
    ];
    for (opcode, use_it) in uses {
        let fs = Fs::new();
        let user = fs.call(|m| {
            let d = m.opendir("")?;
            m.pause();
            let used = use_it(d);
            close(d)?;
            used
        });
        fs.opendir(ROOT, 5);
        user.paused();
        leave_lookup(&fs, ROOT, "", || {
            user.go();
            user.until_asleep();
            fs.quiet();
        });
        fs.expect(opcode).err(EIO);
        fs.releasedir(ROOT, 5);
        assert_eq!(user.wait(), Err(EIO));
    }
}

/// And for who removes it.
fn lookup_left_behind_keeps_its_directory_from_its_removal() {
    let fs = Fs::new();
    let c = fs.call(|m| m.stat("d").map(drop));
    fs.lookup(ROOT, "d", dir(3));
    assert_eq!(c.wait(), Ok(()));
    let mut b = None;
    leave_lookup(&fs, 3, "d/", || {
        let c = fs.call(|m| rmdir(&m.path("d")));
        c.until_uninterruptible();
        fs.quiet();
        b = Some(c);
    });
    fs.expect(RMDIR).err(EIO);
    assert_eq!(b.map(|b| b.wait()), Some(Err(EIO)));
}

/// A LOOKUP keeps its directory only, and only from servers that want that.
fn lookup_left_behind_is_passed_by_those_who_may() {
    let fs = Setup::new().flags(init::PARALLEL_DIROPS).start();
    leave_lookup(&fs, ROOT, "", || {
        let b = fs.call(|m| m.stat("b").map(drop));
        fs.expect_lookup(ROOT, "b").err(ENOENT);
        assert_eq!(b.wait(), Err(ENOENT));
    });

    let fs = Fs::new();
    let c = fs.call(|m| m.stat("d").map(drop));
    fs.lookup(ROOT, "d", dir(3));
    assert_eq!(c.wait(), Ok(()));
    leave_lookup(&fs, ROOT, "", || {
        let b = fs.call(|m| m.stat("d/b").map(drop));
        fs.expect_lookup(3, "b").err(ENOENT);
        assert_eq!(b.wait(), Err(ENOENT));
    });
}

/// One who waits for a LOOKUP that another has sent, and whose caller has left, sends its own: at once, or when the
/// server that takes one at a time has answered.
fn who_waits_for_a_lookup_left_behind_asks_again() {
    for flags in [0, init::PARALLEL_DIROPS] {
        let fs = Setup::new().flags(flags).start();
        let mut a = fs.call(|m| m.stat("f").map(drop));
        let r = fs.expect_lookup(ROOT, "f");
        a.until_interruptible();
        let b = fs.call(|m| m.stat("f").map(drop));
        b.until_uninterruptible();
        kill_who_asks(&mut a, || {
            let _ = fs.expect(INTERRUPT);
            if is_rust() && flags != 0 {
                fs.lookup(ROOT, "f", file(2));
                assert_eq!(b.wait(), Ok(()));
            } else {
                b.stays_asleep();
                fs.quiet();
            }
            r.ok(file(2).entry());
        });
        if is_rust() {
            // One that had to wait asks now; whether the device gives that or the FORGET first is left open.
            let forget = if flags == 0 {
                next_but_lookup(&fs, "f", file(2))
            } else {
                fs.dev().next()
            };
            assert_eq!(forgotten(&forget), [(2, 1)]);
        }
        if !is_rust() || flags == 0 {
            assert_eq!(b.wait(), Ok(()));
        }
    }
}

/// A caller that waits until others are done with a directory can be killed.
fn who_waits_for_a_directory_can_be_killed() {
    let fs = Fs::new();
    let a = fs.call(|m| m.stat("a").map(drop));
    let r = fs.expect_lookup(ROOT, "a");
    let mut b = fs.call(|m| m.stat("b").map(drop));
    b.until_asleep();
    kill_who_asks(&mut b, || {
        fs.quiet();
        r.err(ENOENT);
    });
    assert_eq!(a.wait(), Err(ENOENT));
    fs.quiet();
}

/// The end of the connection frees those who wait for a directory that was left behind.
fn who_waits_for_a_directory_is_freed_by_the_end() {
    type End = (fn(&mut Fs), &'static [Errno]);
    let ends: [End; 2] = [
        // In C what the device had ends before the connection does, so the next LOOKUP may be queued between the two.
        (Fs::die, &[ENOTCONN, ECONNABORTED]),
        (Fs::force_unmount, &[ENOTCONN]),
    ];
    for (end, errors) in ends {
        let mut fs = Fs::new();
        let mut a = fs.call(|m| m.stat("a").map(drop));
        drop(fs.expect_lookup(ROOT, "a"));
        a.until_interruptible();
        let b = fs.call(|m| m.stat("b").map(drop));
        b.until_asleep();
        kill_who_asks(&mut a, || end(&mut fs));
        let error = b.wait().unwrap_err();
        assert!(errors.contains(&error), "{error:?}");
    }
}

/// A request counts as waiting until the server has answered, whether its caller lives or not.
fn requests_left_behind_are_counted() {
    let ctl = Control::new();
    let fs = Fs::new();
    let mut c = fs.call(|m| m.stat("f").map(drop));
    let r = fs.expect_lookup(ROOT, "f");
    c.until_interruptible();
    kill_who_asks(&mut c, || {
        let _ = fs.expect(INTERRUPT);
        assert_eq!(ctl.get(&fs, "waiting"), Ok("1\n".into()));
        r.err(ENOENT);
    });
    assert_eq!(ctl.get(&fs, "waiting"), Ok("0\n".into()));
}

/// The connection ends the requests of killed callers like all others: by abort, when its server dies, by unmount.
fn requests_left_behind_end_with_the_connection() {
    type End = fn(&mut Fs);
    let ends: [End; 3] = [
        |fs| {
            let ctl = Control::new();
            ctl.set(fs, "abort", "1").unwrap();
            assert_eq!(fs.dev().read(1 << 17), Err(ENODEV));
        },
        Fs::die,
        Fs::force_unmount,
    ];
    for end in ends {
        let mut fs = Fs::new();
        let mut c = fs.call(|m| m.stat("f").map(drop));
        drop(fs.expect_lookup(ROOT, "f"));
        c.until_interruptible();
        kill_who_asks(&mut c, || end(&mut fs));
    }
}

/// SIGKILL after INTERRUPT sends nothing more.
fn after_an_interrupt() {
    let fs = Fs::new();
    let mut c = fs.call(|m| {
        catch(libc::SIGUSR1);
        m.stat("f").map(drop)
    });
    let r = fs.expect_lookup(ROOT, "f");
    c.until_interruptible();
    c.signal(libc::SIGUSR1);
    let _ = fs.expect(INTERRUPT);
    c.until_uninterruptible();
    kill_who_asks(&mut c, || {
        fs.quiet();
        r.err(EINTR);
    });
}

/// A caller that waits for INIT can be killed, and its request is never sent.
fn before_init_is_answered() {
    let fs = Setup::new().mount();
    let init = fs.expect(INIT);
    let mut c = fs.call(|m| m.stat("f").map(drop));
    c.until_uninterruptible();
    c.signal(libc::SIGKILL);
    assert_eq!(c.death(), Death::Signal(libc::SIGKILL));
    init.ok(fs.setup.init_out());
    fs.quiet();
}

/// A signal that the caller handles does not end its waiting for INIT.
fn handled_signal_before_init_is_answered() {
    let fs = Setup::new().mount();
    let init = fs.expect(INIT);
    let c = fs.call(|m| {
        catch(libc::SIGUSR1);
        m.stat("f").map(drop)
    });
    c.until_uninterruptible();
    c.signal(libc::SIGUSR1);
    c.stays_asleep();
    init.ok(fs.setup.init_out());
    // The signal is still pending, and interrupts the request as it is sent.
    let r = fs.expect_lookup(ROOT, "f");
    assert_eq!(fs.expect(INTERRUPT).arg::<InterruptIn>().unique, r.unique());
    r.err(EINTR);
    assert_eq!(c.wait(), Err(EINTR));
}

/// FLUSH is not withdrawn when its caller is killed, even if nobody has read it; RELEASE follows.
fn close_is_not_cut_short() {
    let fs = Fs::new();
    let mut c = fs.call(|m| {
        let f = m.open("f")?;
        m.pause();
        close(f)
    });
    fs.lookup(ROOT, "f", file(2));
    fs.open(2, 5, 0);
    c.paused();
    c.go();
    assert!(poll(fs.dev().fd(), libc::POLLIN, patience()) != 0);
    c.until_interruptible();
    c.signal(libc::SIGKILL);
    if is_rust() {
        assert_eq!(c.death(), Death::Signal(libc::SIGKILL));
    } else {
        c.until_uninterruptible();
        c.stays_asleep();
    }
    let r = fs.expect(FLUSH).node(2);
    let _ = fs.expect(INTERRUPT);
    r.reply(&[]);
    assert_eq!(c.death(), Death::Signal(libc::SIGKILL));
    fs.release(2, 5);
}

/// A killed process closes its files: FLUSH and RELEASE come. In C it is dead when FLUSH is answered.
fn files_of_a_killed_process_are_released() {
    let fs = Fs::new();
    let mut c = fs.call(|m| {
        let _f = m.open("f")?;
        m.pause();
        Ok(())
    });
    fs.lookup(ROOT, "f", file(2));
    fs.open(2, 5, 0);
    c.paused();
    c.signal(libc::SIGKILL);
    let flush = fs.expect(FLUSH);
    flush.reply(&[]);
    let r = fs.dev().next();
    // The dying process may have its signal still pending, and so interrupt its own FLUSH.
    let r = if r.head.opcode == INTERRUPT {
        fs.expect(RELEASE)
    } else {
        r
    };
    assert_eq!(r.head.opcode, RELEASE);
    r.reply(&[]);
    assert_eq!(c.death(), Death::Signal(libc::SIGKILL));
}

/// One who waits for a LOOKUP that another has sent dies only after the answer to it.
fn waiting_for_the_answer_of_another() {
    let fs = Setup::new().flags(init::PARALLEL_DIROPS).start();
    let a = fs.call(|m| m.stat("f").map(drop));
    let r = fs.expect_lookup(ROOT, "f");
    let mut b = fs.call(|m| m.stat("f").map(drop));
    b.until_uninterruptible();
    b.signal(libc::SIGKILL);
    b.stays_asleep();
    r.ok(file(2).entry());
    assert_eq!(a.wait(), Ok(()));
    assert_eq!(b.death(), Death::Signal(libc::SIGKILL));
}

/// A killed reader of a page whose READ nobody has read is gone at once, and leaves a page that can be read.
fn reader_of_the_page_cache() {
    let fs = Fs::new();
    let mut c = fs.call(|m| {
        let f = m.open("f")?;
        m.pause();
        read(f, 5)
    });
    fs.lookup(ROOT, "f", file(2).size(5));
    fs.open(2, 5, 0);
    c.paused();
    c.go();
    assert!(poll(fs.dev().fd(), libc::POLLIN, patience()) != 0);
    c.until_interruptible();
    c.signal(libc::SIGKILL);
    // With the C module it waits for FLUSH now, like any dying process that has a file open.
    if is_rust() {
        soon(patience(), "it waits", || c.is_gone());
    } else {
        c.until_uninterruptible();
    }
    fs.flush(2, 5);
    let r = fs.dev().next();
    let r = if r.head.opcode == INTERRUPT {
        fs.dev().next()
    } else {
        r
    };
    assert_eq!(r.head.opcode, RELEASE);
    r.reply(&[]);
    assert_eq!(c.death(), Death::Signal(libc::SIGKILL));

    let c = fs.call(|m| {
        let f = m.open("f")?;
        let data = read(f, 5);
        close(f)?;
        data
    });
    fs.open(2, 6, 0);
    fs.expect_read(6, 0, 4096).reply(b"hello");
    fs.flush_and_release(2, 6);
    assert_eq!(c.wait(), Ok(b"hello".to_vec()));
}
