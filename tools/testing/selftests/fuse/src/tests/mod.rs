// SPDX-License-Identifier: GPL-2.0

//! The tests, one file per operation or theme.

pub mod abort;
pub mod access;
pub mod acl;
pub mod background;
pub mod bad_server;
pub mod bmap;
pub mod buffers;
pub mod caps;
pub mod charge;
pub mod clone;
pub mod control;
pub mod copy_range;
pub mod create;
pub mod create_ext;
pub mod cuse;
pub mod death;
pub mod device;
pub mod direct;
pub mod ends;
pub mod enosys;
pub mod expiry;
pub mod export;
pub mod fallocate;
pub mod faults;
pub mod folios;
pub mod forget;
pub mod freeze;
pub mod fuseblk;
pub mod getattr;
pub mod hostile;
pub mod idmap;
pub mod init;
pub mod interrupt;
pub mod ioctl;
pub mod kill;
pub mod killpriv;
pub mod latency;
pub mod leave;
pub mod limits;
pub mod locks;
pub mod lookup;
pub mod lseek;
pub mod matrix;
pub mod mmap;
pub mod mount;
pub mod names;
pub mod notify;
pub mod notify_held;
pub mod open;
pub mod passthrough;
pub mod permissions;
pub mod pipe_buffers;
pub mod poll;
pub mod read;
pub mod readdir;
pub mod readdir_cache;
pub mod readdirplus;
pub mod readlink;
pub mod reclaim;
pub mod requests;
pub mod resend;
pub mod retrieve;
pub mod setattr;
pub mod splice;
pub mod statfs;
pub mod statx;
pub mod store;
pub mod stress;
pub mod submount;
pub mod tmpfile;
pub mod trace;
pub mod uring;
pub mod uring_hostile;
pub mod uring_pools;
pub mod uring_zero_copy;
pub mod userns;
pub mod write;
pub mod writeback;
pub mod xattr;

/// Every table, in reading order.
pub const ALL: &[&[crate::harness::Test]] = &[
    device::TESTS,
    mount::TESTS,
    init::TESTS,
    lookup::TESTS,
    folios::TESTS,
    forget::TESTS,
    expiry::TESTS,
    getattr::TESTS,
    statx::TESTS,
    readlink::TESTS,
    access::TESTS,
    statfs::TESTS,
    open::TESTS,
    read::TESTS,
    write::TESTS,
    fallocate::TESTS,
    lseek::TESTS,
    locks::TESTS,
    copy_range::TESTS,
    mmap::TESTS,
    writeback::TESTS,
    direct::TESTS,
    passthrough::TESTS,
    readdir::TESTS,
    ioctl::TESTS,
    readdirplus::TESTS,
    readdir_cache::TESTS,
    names::TESTS,
    create::TESTS,
    tmpfile::TESTS,
    create_ext::TESTS,
    setattr::TESTS,
    killpriv::TESTS,
    permissions::TESTS,
    xattr::TESTS,
    caps::TESTS,
    acl::TESTS,
    matrix::TESTS,
    userns::TESTS,
    idmap::TESTS,
    export::TESTS,
    submount::TESTS,
    interrupt::TESTS,
    kill::TESTS,
    leave::TESTS,
    freeze::TESTS,
    death::TESTS,
    abort::TESTS,
    ends::TESTS,
    buffers::TESTS,
    control::TESTS,
    requests::TESTS,
    latency::TESTS,
    limits::TESTS,
    charge::TESTS,
    reclaim::TESTS,
    background::TESTS,
    bad_server::TESTS,
    enosys::TESTS,
    trace::TESTS,
    clone::TESTS,
    splice::TESTS,
    pipe_buffers::TESTS,
    notify::TESTS,
    notify_held::TESTS,
    resend::TESTS,
    store::TESTS,
    retrieve::TESTS,
    poll::TESTS,
    fuseblk::TESTS,
    bmap::TESTS,
    cuse::TESTS,
    uring::TESTS,
    uring_pools::TESTS,
    uring_zero_copy::TESTS,
    uring_hostile::TESTS,
    stress::TESTS,
    hostile::TESTS,
    faults::TESTS,
];
