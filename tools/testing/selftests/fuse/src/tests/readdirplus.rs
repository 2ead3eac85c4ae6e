// SPDX-License-Identifier: GPL-2.0

//! READDIRPLUS: when it is sent, what its entries make known, and that each of them is given back.

use super::forget::vanish;
use super::notify::INC_EPOCH;
use crate::mockd::*;

crate::tests![
    request,
    always_if_not_adaptive,
    adaptive_at_the_start,
    adaptive_after_a_lookup,
    adaptive_after_use_of_what_it_brought,
    not_without_its_flag,
    entries_need_no_lookup,
    entries_without_node_are_only_listed,
    dot_entries_are_only_listed,
    entries_beyond_the_callers_room_count,
    counts_like_lookups,
    unusable_entries_are_given_back,
    another_node_takes_the_name,
    node_number_used_again,
    name_of_a_negative_entry,
    newer_attributes_stay,
    epoch_is_that_of_the_question,
    expired_entries,
    during_a_lookup_of_the_name,
    directory_in_itself,
    bad_names,
    incomplete_entries,
];

const AUTO: u64 = init::DO_READDIRPLUS | init::READDIRPLUS_AUTO;

fn with(flags: u64) -> Fs {
    Setup::new().flags(flags).start()
}

/// Opens the root with handle 5, runs `with` on the descriptor, and closes.
fn with_dir<T: Ship>(fs: &Fs, with: impl FnOnce(&Side, i32) -> T) -> Caller<T> {
    let c = fs.call(|m| {
        let d = m.opendir("").unwrap();
        let t = with(m, d);
        close(d).unwrap();
        t
    });
    fs.opendir(ROOT, 5);
    c
}

fn names(d: i32) -> Result<Vec<String>> {
    getdents(d, 4096).map(|e| e.into_iter().map(|e| e.name).collect())
}

fn none() -> EntryOut {
    EntryOut::default()
}

/// Lists the root by one READDIRPLUS, and returns what was listed. What is given back meanwhile is left in `back`.
fn list(fs: &Fs, reply: &Dirents, back: &mut Vec<(u64, u64)>) -> Result<Vec<String>> {
    let c = with_dir(fs, |_, d| names(d));
    fs.expect_readdirplus(5, 0).reply(&reply.0);
    until_releasedir(fs, back);
    let listed = c.wait();
    drain(fs, back);
    listed
}

/// What is given back already.
fn drain(fs: &Fs, back: &mut Vec<(u64, u64)>) {
    while fs.dev().readable() {
        back.extend(forgotten(&fs.dev().next()));
    }
}

fn until_releasedir(fs: &Fs, back: &mut Vec<(u64, u64)>) {
    loop {
        let r = fs.dev().next();
        if r.head.opcode == RELEASEDIR {
            r.reply(&[]);
            return;
        }
        back.extend(forgotten(&r));
    }
}

/// READDIRPLUS carries what READDIR does.
fn request() {
    let fs = with(init::DO_READDIRPLUS);
    let c = with_dir(&fs, |_, d| getdents(d, 8192).map(drop));
    let r = fs.expect(READDIRPLUS).node(ROOT);
    let a: ReadIn = r.arg();
    assert_eq!((a.fh, a.offset, a.size), (5, 0, 8192));
    assert_eq!((a.read_flags, a.lock_owner, a.padding), (0, 0, 0));
    r.reply(&[]);
    fs.releasedir(ROOT, 5);
    assert_eq!(c.wait(), Ok(()));
}

/// Without READDIRPLUS_AUTO every request for names is READDIRPLUS.
fn always_if_not_adaptive() {
    let fs = with(init::DO_READDIRPLUS);
    let c = with_dir(&fs, |_, d| (names(d), names(d)));
    let reply = Dirents::new().plus(none(), 2, 10, "a");
    fs.expect_readdirplus(5, 0).reply(&reply.0);
    fs.expect_readdirplus(5, 10).reply(&[]);
    fs.releasedir(ROOT, 5);
    assert_eq!(c.wait(), (Ok(vec!["a".into()]), Ok(vec![])));
}

/// With READDIRPLUS_AUTO it is sent for the start of a directory, and READDIR for the rest.
fn adaptive_at_the_start() {
    let fs = with(AUTO);
    let c = with_dir(&fs, |_, d| {
        let n = (names(d), names(d));
        lseek(d, 0, libc::SEEK_SET).unwrap();
        (n, names(d))
    });
    let reply = Dirents::new().plus(none(), 2, 10, "a");
    fs.expect_readdirplus(5, 0).reply(&reply.0);
    fs.expect_readdir(5, 10).reply(&[]);
    fs.expect_readdirplus(5, 0).reply(&[]);
    fs.releasedir(ROOT, 5);
    assert_eq!(c.wait(), ((Ok(vec!["a".into()]), Ok(vec![])), Ok(vec![])));
}

/// With READDIRPLUS_AUTO it is sent once more after a LOOKUP in the directory has found something.
fn adaptive_after_a_lookup() {
    let fs = with(AUTO);
    let c = with_dir(&fs, |m, d| {
        names(d).unwrap();
        let missing = m.stat("missing").map(drop);
        names(d).unwrap();
        m.stat("f").unwrap();
        names(d).unwrap();
        names(d).unwrap();
        missing
    });
    let reply = |off| Dirents::new().plus(none(), 2, off, "a").0;
    fs.expect_readdirplus(5, 0).reply(&reply(10));
    fs.expect_lookup(ROOT, "missing").ok(absent(0, 0));
    fs.expect_readdir(5, 10)
        .reply(&Dirents::new().add(2, 20, 8, "b").0);
    fs.lookup(ROOT, "f", file(3));
    fs.expect_readdirplus(5, 20).reply(&reply(30));
    fs.expect_readdir(5, 30).reply(&[]);
    fs.releasedir(ROOT, 5);
    assert_eq!(c.wait(), Err(ENOENT));
}

/// With READDIRPLUS_AUTO it is sent once more after a name that it brought was used without asking.
fn adaptive_after_use_of_what_it_brought() {
    let fs = with(AUTO);
    let c = with_dir(&fs, |m, d| {
        names(d).unwrap();
        m.stat("a").unwrap();
        names(d).unwrap();
        m.stat("a").unwrap();
        names(d).unwrap();
    });
    let reply = |off| Dirents::new().plus(none(), 3, off, "b").0;
    fs.expect_readdirplus(5, 0)
        .reply(&Dirents::new().plus(file(2).entry(), 2, 10, "a").0);
    fs.expect_readdirplus(5, 10).reply(&reply(20));
    fs.expect_readdir(5, 20).reply(&[]);
    fs.releasedir(ROOT, 5);
    c.wait();
}

/// READDIRPLUS_AUTO alone changes nothing.
fn not_without_its_flag() {
    let fs = with(init::READDIRPLUS_AUTO);
    let c = with_dir(&fs, |_, d| names(d));
    fs.expect_readdir(5, 0).reply(&[]);
    fs.releasedir(ROOT, 5);
    assert_eq!(c.wait(), Ok(vec![]));
}

/// What an entry says of its node is known after it: stat(2) asks neither for the name nor for the attributes.
fn entries_need_no_lookup() {
    let fs = with(init::DO_READDIRPLUS);
    let c = with_dir(&fs, |m, d| {
        (
            names(d).unwrap(),
            m.stat("a").unwrap().size,
            m.stat("sub").unwrap().ino,
        )
    });
    let reply = Dirents::new()
        .plus(file(2).size(7).entry(), 2, 10, "a")
        .plus(dir(3).entry(), 3, 20, "sub");
    fs.expect_readdirplus(5, 0).reply(&reply.0);
    fs.releasedir(ROOT, 5);
    assert_eq!(c.wait(), (vec!["a".into(), "sub".into()], 7, 3));
}

/// An entry with node 0 says nothing of its name: it is looked up when it is used, and nothing is given back.
fn entries_without_node_are_only_listed() {
    let fs = with(init::DO_READDIRPLUS);
    let mut back = vec![];
    let reply = Dirents::new().plus(none(), 2, 10, "a");
    assert_eq!(list(&fs, &reply, &mut back), Ok(vec!["a".into()]));
    assert_eq!(back, []);
    let c = fs.call(|m| m.stat("a").unwrap().ino);
    fs.lookup(ROOT, "a", file(2));
    assert_eq!(c.wait(), 2);
}

/// "." and ".." are listed, and their nodes neither known nor given back.
fn dot_entries_are_only_listed() {
    let fs = with(init::DO_READDIRPLUS);
    let mut back = vec![];
    let reply = Dirents::new()
        .plus(dir(7).entry(), 7, 10, ".")
        .plus(dir(8).entry(), 8, 20, "..")
        .plus(file(2).entry_valid(0, 0).entry(), 2, 30, "..a");
    let expected = [".", "..", "..a"].map(String::from);
    assert_eq!(list(&fs, &reply, &mut back), Ok(expected.to_vec()));
    assert_eq!(back, []);
    assert_eq!(vanish(&fs, "..a"), [(2, 1)]);
}

/// Entries that the caller has no room for are known too, and asked for again from where the caller is.
fn entries_beyond_the_callers_room_count() {
    let fs = with(init::DO_READDIRPLUS);
    let c = with_dir(&fs, |m, d| {
        // Room for two.
        let first = getdents(d, 48).unwrap().len();
        let known = m.stat("c").unwrap().ino;
        (first, known, names(d))
    });
    let reply = Dirents::new()
        .plus(file(2).entry(), 2, 10, "a")
        .plus(file(3).entry(), 3, 20, "b")
        .plus(file(4).entry(), 4, 30, "c");
    fs.expect_readdirplus(5, 0).reply(&reply.0);
    fs.expect_readdirplus(5, 20).reply(
        &Dirents::new()
            .plus(file(4).entry_valid(0, 0).entry(), 4, 30, "c")
            .0,
    );
    fs.releasedir(ROOT, 5);
    assert_eq!(c.wait(), (2, 4, Ok(vec!["c".into()])));
    assert_eq!(vanish(&fs, "c"), [(4, 2)]);
}

/// Each entry is a lookup of its node: FORGET gives back as many as there were, with those by LOOKUP.
fn counts_like_lookups() {
    let fs = with(init::DO_READDIRPLUS);
    let mut back = vec![];
    let reply = Dirents::new().plus(file(2).entry_valid(0, 0).entry(), 2, 10, "a");
    for _ in 0..3 {
        list(&fs, &reply, &mut back).unwrap();
    }
    let c = fs.call(|m| m.stat("a").is_ok());
    fs.lookup(ROOT, "a", file(2).entry_valid(0, 0));
    assert!(c.wait());
    assert_eq!(back, []);
    assert_eq!(vanish(&fs, "a"), [(2, 4)]);
}

/// An entry with a node that cannot be is listed, its lookup is given back at once, and its name stays unknown.
fn unusable_entries_are_given_back() {
    let bad = [
        file(ROOT),
        file(2).with(|a| a.mode = 0o644),
        file(2).with(|a| a.size = 1 << 63),
    ];
    for node in bad {
        let fs = with(init::DO_READDIRPLUS);
        let mut back = vec![];
        let reply =
            Dirents::new()
                .plus(node.entry(), 2, 10, "bad")
                .plus(file(3).entry(), 3, 20, "good");
        let expected = ["bad", "good"].map(String::from);
        assert_eq!(list(&fs, &reply, &mut back), Ok(expected.to_vec()));
        assert_eq!(back, [(node.id, 1)]);
        assert!(fs.call_quietly(|m| m.stat("good").is_ok()));
        let c = fs.call(|m| m.stat("bad").unwrap().ino);
        fs.lookup(ROOT, "bad", file(9));
        assert_eq!(c.wait(), 9);
    }
}

/// An entry that names another node than the one that is known takes its place; the old node is given back.
fn another_node_takes_the_name() {
    let fs = with(init::DO_READDIRPLUS);
    let mut back = vec![];
    let c = fs.call(|m| m.stat("a").unwrap().ino);
    fs.lookup(ROOT, "a", file(2));
    assert_eq!(c.wait(), 2);
    let reply = Dirents::new().plus(file(3).entry_valid(3600, 0).entry(), 3, 10, "a");
    list(&fs, &reply, &mut back).unwrap();
    assert_eq!(back, [(2, 1)]);
    // Because a node went meanwhile, it could be that one that came back, and attributes are not believed.
    let c = fs.call(|m| m.stat("a").unwrap().ino);
    fs.getattr(file(3));
    assert_eq!(c.wait(), 3);
}

/// An entry with the number of a known node and another generation is another node: who uses the old one gets EIO.
fn node_number_used_again() {
    let fs = with(init::DO_READDIRPLUS);
    let c = fs.call(|m| {
        let f = m.open("a").unwrap();
        m.pause();
        let old = fstat(f).map(drop);
        let new = m.stat("a").unwrap().size;
        (old, new, close(f))
    });
    fs.lookup(ROOT, "a", file(2));
    fs.open(2, 6, 0);
    c.paused();
    let mut back = vec![];
    let reply = Dirents::new().plus(file(2).generation(1).size(7).entry(), 2, 10, "a");
    list(&fs, &reply, &mut back).unwrap();
    assert_eq!(back, [], "the old node is still open");
    c.go();
    // FLUSH of a node that is gone is left out; the handle is released all the same.
    assert_eq!(c.wait(), (Err(EIO), 7, Err(EIO)));
    fs.release(2, 6);
    assert_eq!(forgotten(&fs.dev().next()), [(2, 1)]);
}

/// An entry makes a name exist that was known not to.
fn name_of_a_negative_entry() {
    let fs = with(init::DO_READDIRPLUS);
    let mut back = vec![];
    let c = fs.call(|m| m.stat("a").map(drop));
    fs.expect_lookup(ROOT, "a").ok(absent(3600, 0));
    assert_eq!(c.wait(), Err(ENOENT));
    let reply = Dirents::new().plus(file(2).entry(), 2, 10, "a");
    list(&fs, &reply, &mut back).unwrap();
    assert_eq!(fs.call_quietly(|m| m.stat("a").unwrap().ino), 2);
}

/// Attributes of a reply that was asked for before newer ones came are not taken over.
fn newer_attributes_stay() {
    let fs = with(init::DO_READDIRPLUS);
    let c = fs.call(|m| m.stat("a").unwrap().size);
    fs.lookup(ROOT, "a", file(2).size(1));
    assert_eq!(c.wait(), 1);
    let lister = with_dir(&fs, |_, d| names(d).map(drop));
    let r = fs.expect_readdirplus(5, 0);
    let c = fs.call(|m| statx_size(&m.path("a"), libc::AT_STATX_FORCE_SYNC));
    fs.getattr(file(2).size(5));
    assert_eq!(c.wait(), Ok(5));
    r.reply(&Dirents::new().plus(file(2).size(1).entry(), 2, 10, "a").0);
    fs.releasedir(ROOT, 5);
    assert_eq!(lister.wait(), Ok(()));
    assert_eq!(fs.call_quietly(|m| m.stat("a").unwrap().size), 5);
}

/// A name of a reply that was asked for before a new epoch began is looked up anew.
fn epoch_is_that_of_the_question() {
    skip_on_c("the names of a reply that is older than the epoch count as of it");
    let fs = with(init::DO_READDIRPLUS);
    let c = with_dir(&fs, |_, d| names(d));
    let r = fs.expect_readdirplus(5, 0);
    assert_eq!(fs.dev().reply(0, INC_EPOCH, &[]), Ok(()));
    r.reply(&Dirents::new().plus(file(2).entry(), 2, 10, "a").0);
    fs.releasedir(ROOT, 5);
    assert_eq!(c.wait(), Ok(vec!["a".to_string()]));
    let d = fs.call(|m| m.stat("a").unwrap().ino);
    let mut back = Vec::new();
    loop {
        let r = fs.dev().next();
        if r.head.opcode == LOOKUP {
            break r.ok(file(3).entry());
        }
        back.extend(forgotten(&r));
    }
    assert_eq!(d.wait(), 3);
    if back.is_empty() {
        back = forgotten(&fs.dev().next());
    }
    assert_eq!(back, [(2, 1)]);
}

/// The times of an entry count: a name and attributes that may not be used again are asked for.
fn expired_entries() {
    let fs = with(init::DO_READDIRPLUS);
    let mut back = vec![];
    let reply = Dirents::new()
        .plus(file(2).entry_valid(0, 0).entry(), 2, 10, "a")
        .plus(file(3).attr_valid(0, 0).entry(), 3, 20, "b");
    list(&fs, &reply, &mut back).unwrap();
    let c = fs.call(|m| (m.stat("a").unwrap().size, m.stat("b").unwrap().size));
    fs.lookup(ROOT, "a", file(2).size(5));
    fs.getattr(file(3).size(6));
    assert_eq!(c.wait(), (5, 6));
}

/// A name that is being looked up is waited for; both count.
fn during_a_lookup_of_the_name() {
    let fs = with(init::DO_READDIRPLUS | init::PARALLEL_DIROPS);
    let looker = fs.call(|m| m.stat("a").unwrap().ino);
    let lookup = fs.expect_lookup(ROOT, "a");
    let lister = with_dir(&fs, |_, d| names(d));
    fs.expect_readdirplus(5, 0).reply(
        &Dirents::new()
            .plus(file(2).entry_valid(0, 0).entry(), 2, 10, "a")
            .0,
    );
    lister.stays_asleep();
    lookup.ok(file(2).entry_valid(0, 0).entry());
    fs.releasedir(ROOT, 5);
    assert_eq!(looker.wait(), 2);
    assert_eq!(lister.wait(), Ok(vec!["a".into()]));
    assert_eq!(vanish(&fs, "a"), [(2, 2)]);
}

/// A directory that lists itself under a name is listed, and its lookups are all given back in the end.
fn directory_in_itself() {
    let fs = with(init::DO_READDIRPLUS);
    let c = fs.call(|m| {
        let d = m.opendir("d").unwrap();
        let n = names(d);
        close(d).unwrap();
        n
    });
    fs.lookup(ROOT, "d", dir(2).entry_valid(0, 0));
    fs.opendir(2, 5);
    fs.expect_readdirplus(5, 0)
        .reply(&Dirents::new().plus(dir(2).entry(), 2, 10, "me").0);
    let mut back = vec![];
    until_releasedir(&fs, &mut back);
    assert_eq!(c.wait(), Ok(vec!["me".into()]));
    drain(&fs, &mut back);
    back.extend(vanish(&fs, "d"));
    assert!(back.iter().all(|(node, _)| *node == 2));
    assert_eq!(back.iter().map(|(_, n)| n).sum::<u64>(), 2);
}

/// A name that READDIR may not carry READDIRPLUS may not either: EIO.
fn bad_names() {
    for bad in ["", "/", "a/b", &"x".repeat(NAME_MAX + 1)] {
        let fs = with(init::DO_READDIRPLUS);
        let reply = Dirents::new().plus(file(2).entry(), 2, 10, bad);
        let c = with_dir(&fs, |_, d| getdents(d, 65536).map(drop));
        fs.expect_readdirplus(5, 0).reply(&reply.0);
        fs.releasedir(ROOT, 5);
        assert_eq!(c.wait(), Err(EIO), "{bad:.10}");
    }
}

/// An entry that the reply's end cuts off does not count.
fn incomplete_entries() {
    let whole = Dirents::new().plus(file(2).entry(), 2, 10, "a").plus(
        file(3).entry(),
        3,
        20,
        "bbbbbbbbbbbb",
    );
    for cut in [1, 8, 15, 16, 100, whole.0.len() - 160] {
        let fs = with(init::DO_READDIRPLUS);
        let mut back = vec![];
        let reply = Dirents(whole.0[..whole.0.len() - cut].to_vec());
        assert_eq!(list(&fs, &reply, &mut back), Ok(vec!["a".into()]), "{cut}");
        assert_eq!(back, []);
    }
}
