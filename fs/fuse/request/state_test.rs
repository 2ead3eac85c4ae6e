// SPDX-License-Identifier: GPL-2.0

//! Every row of the token table, and every drop.

use super::{
    args::{
        LoanEnd,
        Progress, //
    },
    completion::{
        Completion,
        Ended, //
    },
    outcome::{
        Outcome,
        ServerErrno, //
    },
    state::{
        CopySet,
        Pending,
        PendingQueue,
        SentQueue,
        SentTable, //
    },
    Request, //
};
use crate::{
    fuse::{
        abi::{
            header::OutHeader,
            Unique, //
        },
        op::data::{
            Goes,
            ToServer,
            Typed, //
        },
    },
    vfs::mm::{
        iov::Room,
        segment::FolioSegments, //
    },
};
use kernel::{
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc, //
    },
    time::{
        delay::fsleep,
        Delta, //
    },
};

/// The fate of a request: how often it ended, and with which errno.
struct Fate {
    ends: Atomic<i32>,
    errno: Atomic<i32>,
}

impl Fate {
    fn new() -> Result<Arc<Self>> {
        Ok(Arc::new(
            Self {
                ends: Atomic::new(0),
                errno: Atomic::new(1),
            },
            GFP_KERNEL,
        )?)
    }

    /// The errno of its only end; 1 before the end, 2 after several.
    fn errno(&self) -> i32 {
        match self.ends.load(Relaxed) {
            0 => 1,
            1 => self.errno.load(Relaxed),
            _ => 2,
        }
    }
}

struct Tell(Arc<Fate>);

impl Completion for Tell {
    fn complete(self: KBox<Self>, ended: Ended<'_>) {
        self.0.ends.add(1, Relaxed);
        let (errno, ()) = ended.read(|outcome, _| outcome.errno());
        self.0.errno.store(errno, Relaxed);
    }
}

/// A number of folios whose list is too large for any slab.
const TOO_MANY: usize = 1 << 19;

/// Takes the lent data out of the request, and drops it.
struct Frees(Arc<Fate>);

impl Completion for Frees {
    fn complete(self: KBox<Self>, ended: Ended<'_>) {
        let (errno, data): (_, Typed<FolioSegments, ToServer>) =
            ended.read(|outcome, _| outcome.errno());
        drop(data);
        self.0.ends.add(1, Relaxed);
        self.0.errno.store(errno, Relaxed);
    }
}

/// A request that reports its end to `fate`.
fn request(fate: &Arc<Fate>) -> Result<Pending> {
    request_with(Some(KBox::new(Tell(fate.clone()), GFP_KERNEL)?))
}

fn request_with(completion: Option<KBox<dyn Completion>>) -> Result<Pending> {
    let pending = Request::sample()?;
    if let Some(completion) = completion {
        pending.tell(completion);
    }
    pending.request().assign_unique(Unique::new(2));
    Ok(pending)
}

fn answer(errno: i32) -> Result<Outcome> {
    Ok(Outcome::answered(
        ServerErrno::new(errno)?,
        &OutHeader::default(),
    ))
}

#[kernel::macros::kunit_tests(ferrofuse_request)]
mod tests {
    use super::*;

    /// A request that is dropped before it is read ends with ENOTCONN.
    #[test]
    fn pending_dropped() -> Result {
        let fate = Fate::new()?;
        drop(request(&fate)?);
        assert_eq!(fate.errno(), ENOTCONN.to_errno());
        Ok(())
    }

    /// The same when its queue is dropped.
    #[test]
    fn pending_queue_dropped() -> Result {
        let fate = Fate::new()?;
        let mut queue = PendingQueue::default();
        queue.push_back(request(&fate)?);
        assert_eq!(fate.errno(), 1);
        drop(queue);
        assert_eq!(fate.errno(), ENOTCONN.to_errno());
        Ok(())
    }

    /// A caller that is killed before the request is read cancels it: EINTR. Only the queue that
    /// has the request returns it, and only once.
    #[test]
    fn pending_cancelled() -> Result {
        let fate = Fate::new()?;
        let (mut queue, mut other) = (PendingQueue::default(), PendingQueue::default());
        let mut set = CopySet::default();
        let probe = request(&fate)?.start(7);
        let mut table = SentTable::new()?;
        probe.sent(&mut set, &mut table).map_err(|_| EINVAL)?;
        let handle = table.find(Unique::new(2)).ok_or(EINVAL)?;
        assert!(queue.remove(&handle).is_none());
        assert!(other.remove(&handle).is_none());
        drop(table);
        assert_eq!(fate.errno(), ECONNABORTED.to_errno());

        let fate = Fate::new()?;
        queue.push_back(request(&fate)?);
        other.push_back(request(&Fate::new()?)?);
        let pending = queue.pop_front().ok_or(EINVAL)?;
        assert!(queue.is_empty());
        pending.cancel();
        assert_eq!(fate.errno(), EINTR.to_errno());
        Ok(())
    }

    /// A reader that loses the request while it copies ends it with EIO.
    #[test]
    fn copying_dropped() -> Result {
        for is_shown in [false, true] {
            let fate = Fate::new()?;
            let mut set = CopySet::default();
            let mut copying = request(&fate)?.start(7);
            if is_shown {
                copying.show(&mut set);
            }
            drop(copying);
            assert_eq!(fate.errno(), EIO.to_errno());
            set.abort_all();
            assert_eq!(fate.errno(), EIO.to_errno());
        }
        Ok(())
    }

    /// A request that needs no reply ends with success when it is delivered.
    #[test]
    fn copying_delivered() -> Result {
        let fate = Fate::new()?;
        let mut set = CopySet::default();
        let mut copying = request(&fate)?.start(7);
        assert!(copying.detach(&mut set));
        copying.show(&mut set);
        copying.show(&mut set);
        assert!(copying.detach(&mut set));
        assert!(!copying.detach(&mut set));
        copying.delivered();
        assert_eq!(fate.errno(), 0);
        Ok(())
    }

    /// An abort does not find a request that its copier owns exclusively; the copier parks it as
    /// usual.
    #[test]
    fn copying_alone() -> Result {
        let fate = Fate::new()?;
        let mut set = CopySet::default();
        let mut table = SentTable::new()?;
        let copying = request(&fate)?.start(7);
        core::mem::take(&mut set).abort_all();
        assert_eq!(fate.errno(), 1);
        let lent = copying
            .request()
            .lend_input(&mut Progress::default(), |bytes| bytes.len());
        assert!(lent == Ok(LoanEnd::Complete));
        assert!(copying.sent(&mut set, &mut table).is_ok());
        table.abort_all();
        assert_eq!(fate.errno(), ECONNABORTED.to_errno());
        Ok(())
    }

    /// The copier reports a signal that comes while the request is copied.
    #[test]
    fn copying_interrupted() -> Result {
        for is_shown in [false, true] {
            let mut set = CopySet::default();
            let mut table = SentTable::new()?;
            let mut copying = request(&Fate::new()?)?.start(7);
            copying.request().mark_interrupted();
            if is_shown {
                copying.show(&mut set);
            }
            let told = copying.sent(&mut set, &mut table).map_err(|_| EINVAL)?;
            assert!(told.is_some_and(|request| request.is_sent()));
            table.abort_all();
        }
        Ok(())
    }

    /// An abort ends a request at once when its copier may sleep; the copier then can neither lend
    /// nor park it, and does not end it again.
    #[test]
    fn copying_aborted() -> Result {
        let fate = Fate::new()?;
        let mut set = CopySet::default();
        let mut table = SentTable::new()?;
        let mut copying = request(&fate)?.start(7);
        copying.show(&mut set);
        core::mem::take(&mut set).abort_all();
        assert_eq!(fate.errno(), ECONNABORTED.to_errno());

        let lent = copying
            .request()
            .lend_input(&mut Progress::default(), |bytes| bytes.len());
        assert!(lent == Err(ENOENT));
        let copying = match copying.sent(&mut set, &mut table) {
            Ok(_) => return Err(EINVAL),
            Err(copying) => copying,
        };
        copying.fail(Outcome::Io);
        assert_eq!(fate.errno(), ECONNABORTED.to_errno());
        Ok(())
    }

    /// A request whose server is gone ends with ECONNABORTED.
    #[test]
    fn sent_dropped() -> Result {
        let fate = Fate::new()?;
        let mut set = CopySet::default();
        let mut table = SentTable::new()?;
        let copying = request(&fate)?.start(7);
        copying.sent(&mut set, &mut table).map_err(|_| EINVAL)?;
        let handle = table.find(Unique::new(2)).ok_or(EINVAL)?;
        assert!(handle.is_sent());
        assert!(table.take(Unique::new(4)).is_none());
        drop(table.take(Unique::new(2)));
        assert!(handle.is_finished());
        assert_eq!(fate.errno(), ECONNABORTED.to_errno());
        Ok(())
    }

    /// A writer that loses the request while it copies ends it with EIO.
    #[test]
    fn replying_dropped() -> Result {
        let fate = Fate::new()?;
        let mut set = CopySet::default();
        let mut table = SentTable::new()?;
        let copying = request(&fate)?.start(7);
        copying.sent(&mut set, &mut table).map_err(|_| EINVAL)?;
        let sent = table.take(Unique::new(2)).ok_or(EINVAL)?;
        assert!(table.take(Unique::new(2)).is_none());
        drop(sent.reply(7));
        assert_eq!(fate.errno(), EIO.to_errno());
        Ok(())
    }

    /// The whole life: the reply's errno arrives once, and an abort that comes too late changes
    /// nothing.
    #[test]
    fn answered() -> Result {
        let fate = Fate::new()?;
        let mut set = CopySet::default();
        let mut table = SentTable::new()?;
        let copying = request(&fate)?.start(7);
        copying.sent(&mut set, &mut table).map_err(|_| EINVAL)?;
        let sent = table.take(Unique::new(2)).ok_or(EINVAL)?;
        let replying = sent.reply(7);
        assert!(!replying.is_shown());
        core::mem::take(&mut set).abort_all();
        assert_eq!(fate.errno(), 1);
        replying.finish(answer(ENOENT.to_errno())?);
        assert_eq!(fate.errno(), ENOENT.to_errno());
        set.abort_all();
        table.abort_all();
        assert_eq!(fate.errno(), ENOENT.to_errno());
        Ok(())
    }

    /// An abort ends a request whose reply is being copied by a thread that may sleep.
    #[test]
    fn replying_aborted() -> Result {
        for is_first in [false, true] {
            let fate = Fate::new()?;
            let mut set = CopySet::default();
            let mut table = SentTable::new()?;
            let copying = request(&fate)?.start(7);
            copying.sent(&mut set, &mut table).map_err(|_| EINVAL)?;
            let mut replying = table.take(Unique::new(2)).ok_or(EINVAL)?.reply(7);
            replying.show(&mut set);
            assert!(replying.is_shown());
            if is_first {
                core::mem::take(&mut set).abort_all();
                assert_eq!(fate.errno(), ECONNABORTED.to_errno());
            }
            assert_eq!(replying.detach(&mut set), !is_first);
            replying.finish(answer(0)?);
            let errno = if is_first { ECONNABORTED.to_errno() } else { 0 };
            assert_eq!(fate.errno(), errno);
        }
        Ok(())
    }

    /// A request that a server has lost is queued once more, marked in its id, and no longer counts
    /// as sent; its queue ends it like any other.
    #[test]
    fn sent_again() -> Result {
        let fate = Fate::new()?;
        let mut set = CopySet::default();
        let mut table = SentTable::new()?;
        let copying = request(&fate)?.start(7);
        copying.sent(&mut set, &mut table).map_err(|_| EINVAL)?;
        let handle = table.find(Unique::new(2)).ok_or(EINVAL)?;
        let mut lost = SentQueue::default();
        table.drain_into(&mut lost);
        assert!(!handle.is_sent());
        assert!(table.take(Unique::new(2)).is_none());
        let mut queue = lost.resend();
        assert_eq!(handle.unique().get(), 2 | Unique::RESEND);
        assert_eq!(fate.errno(), 1);
        drop(queue.pop_front());
        assert!(queue.is_empty());
        assert_eq!(fate.errno(), ENOTCONN.to_errno());
        Ok(())
    }

    /// A request that was made long ago is found behind younger ones, too.
    #[test]
    fn older_behind_newer() -> Result {
        let old = request(&Fate::new()?)?;
        fsleep(Delta::from_millis(100));
        let new = request(&Fate::new()?)?;
        let mut set = CopySet::default();
        let mut table = SentTable::new()?;
        let (mut new, mut old) = (new.start(7), old.start(7));
        new.show(&mut set);
        old.show(&mut set);
        assert!(set.has_older(5));
        new.sent(&mut set, &mut table).map_err(|_| EINVAL)?;
        old.sent(&mut set, &mut table).map_err(|_| EINVAL)?;
        assert!(!set.has_older(0));
        assert!(table.has_older(5));
        table.abort_all();
        Ok(())
    }

    /// An abandoned request runs its completion; a request that has ended is not abandoned.
    #[test]
    fn abandoned() -> Result {
        let fate = Fate::new()?;
        let mut set = CopySet::default();
        let mut table = SentTable::new()?;
        let copying = request_with(None)?.start(7);
        copying.sent(&mut set, &mut table).map_err(|_| EINVAL)?;
        let handle = table.find(Unique::new(2)).ok_or(EINVAL)?;
        let completion: KBox<dyn Completion> = KBox::new(Tell(fate.clone()), GFP_KERNEL)?;
        assert!(handle.abandon(|| completion));
        assert_eq!(fate.errno(), 1);
        table.abort_all();
        assert_eq!(fate.errno(), ECONNABORTED.to_errno());

        let completion: KBox<dyn Completion> = KBox::new(Tell(fate.clone()), GFP_KERNEL)?;
        assert!(!handle.abandon(|| completion));
        assert_eq!(fate.errno(), ECONNABORTED.to_errno());
        Ok(())
    }

    /// A request whose device was reset ends with ECONNABORTED.
    #[test]
    fn given_dropped() -> Result {
        let fate = Fate::new()?;
        let given = request(&fate)?.give().map_err(|_| EINVAL)?;
        assert_eq!(fate.errno(), 1);
        drop(given);
        assert_eq!(fate.errno(), ECONNABORTED.to_errno());
        Ok(())
    }

    /// A returned request is answered with the header that the device wrote.
    #[test]
    fn given_taken_back() -> Result {
        let fate = Fate::new()?;
        let mut given = request(&fate)?.give().map_err(|_| EINVAL)?;
        given.write_header(OutHeader {
            error: ENOENT.to_errno(),
            ..OutHeader::default()
        })?;
        let (replying, header) = given.take_back(0).ok_or(EINVAL)?;
        assert_eq!(fate.errno(), 1);
        replying.finish(answer(header.error)?);
        assert_eq!(fate.errno(), ENOENT.to_errno());
        Ok(())
    }

    /// While a device has the request, none of its memory is lent.
    #[test]
    fn given_is_not_lent() -> Result {
        let fate = Fate::new()?;
        let given = request(&fate)?.give().map_err(|_| EINVAL)?;
        let lend = |request: &Request| {
            let mut lent = 0;
            let result = request.lend_input(&mut Progress::default(), |bytes| {
                lent += bytes.len();
                bytes.len()
            });
            result.map(|_| lent)
        };
        assert_eq!(lend(given.request()), Err(ENOENT));
        assert_eq!(
            given.request().begin_output(
                0,
                &mut Progress::default(),
                None::<fn(Room<'_>) -> usize>
            ),
            Err(ENOENT)
        );
        let (replying, _header) = given.take_back(0).ok_or(EINVAL)?;
        assert!(lend(replying.request())? > 0);
        Ok(())
    }

    /// An end that comes while a device has the request takes effect when the device has returned
    /// it, and the first outcome counts.
    #[test]
    fn given_ends_when_it_is_back() -> Result {
        let fate = Fate::new()?;
        let given = request(&fate)?.give().map_err(|_| EINVAL)?;
        given.end_when_back(Outcome::Aborted);
        given.end_when_back(Outcome::Io);
        assert!(!given.request().is_finished());
        assert_eq!(fate.errno(), 1);
        assert!(given.take_back(0).is_none());
        assert_eq!(fate.errno(), ECONNABORTED.to_errno());

        let fate = Fate::new()?;
        let given = request(&fate)?.give().map_err(|_| EINVAL)?;
        given.end_when_back(Outcome::Io);
        drop(given);
        assert_eq!(fate.errno(), EIO.to_errno());
        Ok(())
    }

    /// A caller that is killed while a device has its request may abandon it, also when the outcome
    /// is already known.
    #[test]
    fn given_abandoned() -> Result {
        for known in [false, true] {
            let fate = Fate::new()?;
            let given = request_with(None)?.give().map_err(|_| EINVAL)?;
            if known {
                given.end_when_back(Outcome::Aborted);
            }
            let completion: KBox<dyn Completion> = KBox::new(Tell(fate.clone()), GFP_KERNEL)?;
            assert!(given.request().abandon(|| completion));
            assert_eq!(fate.errno(), 1);
            drop(given);
            assert_eq!(fate.errno(), ECONNABORTED.to_errno());
        }
        Ok(())
    }

    /// The lent data is freed without the lock of the body: the list of many folios is vmalloc
    /// memory, whose freeing sleeps (`DEBUG_ATOMIC_SLEEP` checks that).
    #[test]
    fn lent_memory_is_freed_without_the_lock() -> Result {
        let vacant = Request::reserve()?;
        let memory = FolioSegments::with_capacity(TOO_MANY)?;
        let pending = vacant.make(Request::sample_parts(), |_| {
            Ok::<_, Error>(Some(Goes::<ToServer>::store(memory)))
        })?;
        let ends = Fate::new()?;
        pending.tell(KBox::new(Frees(ends.clone()), GFP_KERNEL)?);
        drop(pending);
        assert_eq!(ends.errno(), ENOTCONN.to_errno());
        Ok(())
    }

    /// A server may answer errnos from -511 to 0.
    #[test]
    fn server_errnos() {
        assert!(ServerErrno::new(0).is_ok());
        assert!(ServerErrno::new(-511).is_ok());
        assert!(ServerErrno::new(-512).is_err());
        assert!(ServerErrno::new(1).is_err());
        assert!(ServerErrno::new(i32::MIN).is_err());
    }
}
