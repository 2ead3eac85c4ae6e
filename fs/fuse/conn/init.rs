// SPDX-License-Identifier: GPL-2.0

//! INIT: what this kernel offers, and the processing of the answer.
//!
//! Sent when the mount is made, as the first request, past the gate. The server's own thread
//! processes the answer (`process_init_reply()`), so "the caller" of the capability check is the
//! server.

use super::{
    call::OnAnswer,
    features::{
        Features,
        DEFAULT_MAX_PAGES, //
    },
    limits,
    mount::Mount,
    Connection, //
};
use crate::fuse::{
    abi::{
        init::{
            InitFlag,
            InitFlags,
            InitIn,
            InitOut, //
        },
        KERNEL_VERSION, //
    },
    channel::{
        timeout,
        Limits, //
    },
    op,
    Fuse, //
};
use crate::{
    glue::params,
    vfs::{
        cred::{
            capable,
            Capability, //
        },
        mount::sb::{
            SbFlag,
            SbIFlag,
            SuperBlock,
            SuperHandle,
            MAX_STACK_DEPTH, //
        },
        sync::retry,
        tables::ExportOps, //
    },
};
use kernel::{
    page::PAGE_SIZE,
    prelude::*,
    sync::Arc, //
};

/// Minimum `max_write` in bytes, which is also that of servers older than 7.5.
const LEAST_MAX_WRITE: u32 = 4096;
/// Minimum payload of a ring's entries in bytes (`FUSE_MIN_READ_BUFFER`).
const MIN_RING_PAYLOAD: usize = 8192;
/// Maximum time granularity in nanoseconds: a second.
const MAX_TIME_GRAN: u32 = 1_000_000_000;

/// The flags that this module offers on `conn`: only what it implements.
fn offered(conn: &Connection) -> InitFlags {
    let submounts = match conn.options().auto_submounts {
        true => InitFlag::Submounts.into(),
        false => InitFlags::default(),
    };
    let ring = match conn.options().uring && params::enable_uring() {
        true => InitFlag::OverIoUring | InitFlag::HasIoUringBufpool,
        false => InitFlags::default(),
    };
    submounts
        | InitFlag::AsyncRead
        | InitFlag::PosixLocks
        | InitFlag::FlockLocks
        | InitFlag::AtomicOTrunc
        | InitFlag::ExportSupport
        | InitFlag::BigWrites
        | InitFlag::DontMask
        | InitFlag::SpliceWrite
        | InitFlag::SpliceMove
        | InitFlag::SpliceRead
        | InitFlag::HasIoctlDir
        | InitFlag::AutoInvalData
        | InitFlag::AsyncDio
        | InitFlag::WritebackCache
        | InitFlag::DoReaddirplus
        | InitFlag::ReaddirplusAuto
        | InitFlag::NoOpenSupport
        | InitFlag::ParallelDirops
        | InitFlag::PosixAcl
        | InitFlag::HandleKillpriv
        | InitFlag::HandleKillprivV2
        | InitFlag::SecurityCtx
        | InitFlag::CreateSuppGroup
        | InitFlag::HasExpireOnly
        | InitFlag::HasResend
        | InitFlag::AbortError
        | InitFlag::MaxPages
        | InitFlag::CacheSymlinks
        | InitFlag::NoOpendirSupport
        | InitFlag::ExplicitInvalData
        | InitFlag::SetxattrExt
        | InitFlag::InitExt
        | InitFlag::Passthrough
        | InitFlag::DirectIoAllowMmap
        | InitFlag::NoExportSupport
        | InitFlag::AllowIdmap
        | InitFlag::RequestTimeout
        | ring
}

/// Offers the protocol to the server; the mount is usable when it has answered. With `wait` this
/// returns only then, and a caller that is killed meanwhile ends the connection. `identify_only`
/// has the handle operations for a server that cannot find files by their handles.
///
/// # Errors
///
/// `ENOTCONN` if the server is gone already, or if this has waited and INIT has failed. An INIT
/// without wait fails for later callers only, whenever that happens.
pub(crate) fn send(sb: &SuperBlock<Fuse>, wait: bool, identify_only: ExportOps<Fuse>) -> Result {
    let mount: &Arc<Mount> = sb.data();
    if !mount.conn().channel().is_connected() {
        return Err(ENOTCONN);
    }
    let max_readahead = sb.ra_pages().saturating_mul(PAGE_SIZE);
    let offer = op::Init {
        args: InitIn::new(
            u32::try_from(max_readahead).unwrap_or(u32::MAX),
            offered(mount.conn()),
        ),
    };
    let done = InitDone {
        mount: mount.clone(),
        sb: sb.handle(),
        identify_only,
    };
    if wait {
        done.answered(mount.call(op::OfMount(offer)));
        if mount.conn().has_failed() {
            return Err(ENOTCONN);
        }
    } else {
        mount.call_background(offer, done);
    }
    Ok(())
}

/// Processes the answer. An unmount waits for it.
struct InitDone {
    mount: Arc<Mount>,
    sb: Arc<SuperHandle<Fuse>>,
    identify_only: ExportOps<Fuse>,
}

impl OnAnswer<op::Init> for InitDone {
    fn answered(self, result: Result<InitOut>) {
        let conn = self.mount.conn();
        match result.and_then(|out| accept(conn, &self.sb, &out)) {
            Ok(features) => {
                conn.set_features(features);
                // A task that sees the super block changed also sees the features.
                self.sb.with(|sb| {
                    if features.allow_idmap {
                        sb.clear_iflags(SbIFlag::NoIdmap.into());
                    }
                    if features.no_export_support {
                        sb.set_export_ops(self.identify_only);
                    }
                });
                let limits = Limits {
                    minor: features.minor,
                    max_write: features.max_write,
                };
                match features.ring {
                    Some(payload) => conn.channel().set_initialized_with_ring(limits, payload),
                    None => conn.channel().set_initialized(limits),
                }
            }
            Err(_) => {
                conn.set_failed();
                conn.channel().set_initialized(Limits::UNTIL_INIT);
            }
        }
    }
}

/// Checks the answer and applies it to the super block.
///
/// # Errors
///
/// `EPROTO` if the server speaks another major version, or lets mounts map ids without leaving
/// permission checks to the kernel: for the checks it would need the caller's ids.
fn accept(conn: &Connection, sb: &SuperHandle<Fuse>, out: &InitOut) -> Result<Features> {
    if out.major != KERNEL_VERSION {
        return Err(EPROTO);
    }
    if out.minor >= 13 {
        accept_background_limits(conn, out);
    }

    let flags = match out.minor {
        0..=5 => InitFlags::default(),
        _ => out.flags(),
    };
    let posix_acl = flags.contains(InitFlag::PosixAcl);
    let allow_idmap = flags.contains(InitFlag::AllowIdmap);
    if allow_idmap && !(conn.options().default_permissions || posix_acl) {
        return Err(EPROTO);
    }
    let readahead = match out.minor {
        0..=5 => conn.options().max_read,
        _ => out.max_readahead,
    };
    let max_pages = if flags.contains(InitFlag::MaxPages) {
        u32::from(out.max_pages).clamp(1, conn.max_pages_limit())
    } else {
        DEFAULT_MAX_PAGES.min(conn.max_pages_limit())
    };
    watch_requests(
        conn,
        match flags.contains(InitFlag::RequestTimeout) {
            true => out.request_timeout,
            false => 0,
        },
    );
    let max_write = match out.minor {
        0..=4 => LEAST_MAX_WRITE,
        _ => out.max_write.max(LEAST_MAX_WRITE),
    };
    let passthrough = accept_passthrough(flags, out);
    sb.with(|sb| {
        if let Some(depth) = passthrough {
            sb.set_stack_depth(depth);
        }
        if out.minor >= 6 && (1..=MAX_TIME_GRAN).contains(&out.time_gran) {
            sb.set_time_gran(out.time_gran);
        }
        if flags.contains(InitFlag::HandleKillprivV2) {
            // Writes need not check for privileges to remove, once a check has found none.
            sb.add_flags(SbFlag::NoSec.into());
        }
        sb.set_ra_pages(sb.ra_pages().min(readahead as usize / PAGE_SIZE));
        sb.set_io_pages(max_pages as usize);
    });
    Ok(Features {
        minor: out.minor,
        max_read: conn.options().max_read,
        max_write,
        max_pages,
        long_names: flags.contains(InitFlag::MaxPages) && max_pages > 1,
        async_read: flags.contains(InitFlag::AsyncRead),
        async_dio: flags.contains(InitFlag::AsyncDio),
        big_writes: flags.contains(InitFlag::BigWrites),
        atomic_o_trunc: flags.contains(InitFlag::AtomicOTrunc),
        dont_mask: flags.contains(InitFlag::DontMask),
        auto_inval_data: flags.contains(InitFlag::AutoInvalData),
        explicit_inval_data: flags.contains(InitFlag::ExplicitInvalData)
            && !flags.contains(InitFlag::AutoInvalData),
        cache_symlinks: flags.contains(InitFlag::CacheSymlinks),
        posix_locks: flags.contains(InitFlag::PosixLocks),
        // Before there was a flag for BSD locks, servers with POSIX locks kept them, too.
        flock_locks: flags.contains(match out.minor {
            0..=16 => InitFlag::PosixLocks,
            _ => InitFlag::FlockLocks,
        }),
        writeback_cache: flags.contains(InitFlag::WritebackCache),
        passthrough,
        direct_io_allow_mmap: flags.contains(InitFlag::DirectIoAllowMmap),
        readdirplus: flags.contains(InitFlag::DoReaddirplus),
        readdirplus_auto: flags.contains(InitFlag::DoReaddirplus)
            && flags.contains(InitFlag::ReaddirplusAuto),
        parallel_dirops: flags.contains(InitFlag::ParallelDirops),
        posix_acl,
        // The reply to LOOKUP has its full length only from then on.
        export_support: out.minor >= 9 && flags.contains(InitFlag::ExportSupport),
        no_export_support: flags.contains(InitFlag::NoExportSupport),
        allow_idmap,
        setxattr_ext: flags.contains(InitFlag::SetxattrExt),
        handle_killpriv: flags.contains(InitFlag::HandleKillpriv),
        handle_killpriv_v2: flags.contains(InitFlag::HandleKillprivV2),
        security_context: flags.contains(InitFlag::SecurityCtx),
        create_supp_group: flags.contains(InitFlag::CreateSuppGroup),
        abort_error: flags.contains(InitFlag::AbortError),
        unrestricted_ioctl: false,
        ring: accept_ring(conn, flags, max_write, max_pages),
    })
}

/// The payload size of each ring entry, in bytes, if a ring is agreed on.
fn accept_ring(
    conn: &Connection,
    flags: InitFlags,
    max_write: u32,
    max_pages: u32,
) -> Option<usize> {
    let agreed =
        conn.options().uring && flags.contains(InitFlag::OverIoUring) && params::enable_uring();
    let data = (max_pages as usize).saturating_mul(PAGE_SIZE);
    agreed.then(|| data.max(max_write as usize).max(MIN_RING_PAYLOAD))
}

/// The depth of the mount above the files that reads and writes are passed through to, if that is
/// agreed on: minimum 1. It cannot be combined with writes that stay in the page cache.
fn accept_passthrough(flags: InitFlags, out: &InitOut) -> Option<u32> {
    let agreed = flags.contains(InitFlag::Passthrough) && !flags.contains(InitFlag::WritebackCache);
    Some(out.max_stack_depth).filter(|depth| agreed && (1..=MAX_STACK_DEPTH).contains(depth))
}

/// Enables the timeout of requests; `asked` is the server's in seconds.
fn watch_requests(conn: &Connection, asked: u16) {
    let Some(seconds) = limits::request_timeout(asked, timeout::PERIOD) else {
        return;
    };
    // It fails for lack of memory only, so `retry` makes it succeed.
    if let Ok(watchdog) = retry(true, || timeout::watch(conn.channel().clone(), seconds)) {
        conn.set_watchdog(watchdog);
    }
}

/// Background limits: an unprivileged user's server gets no more than its share of memory.
fn accept_background_limits(conn: &Connection, out: &InitOut) {
    let privileged = capable(Capability::SysAdmin);
    let cap = |asked: u16, user_limit: u32| match privileged {
        true => u32::from(asked),
        false => u32::from(asked).min(user_limit),
    };
    if out.max_background != 0 {
        conn.channel()
            .set_max_background(cap(out.max_background, params::max_user_background()));
    }
    if out.congestion_threshold != 0 {
        conn.set_congestion_threshold(cap(
            out.congestion_threshold,
            params::max_user_congestion_threshold(),
        ));
    }
}
