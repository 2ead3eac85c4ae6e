// SPDX-License-Identifier: GPL-2.0

//! The commands of a server: REGISTER, COMMIT_AND_FETCH, ADD_QUEUE.
//!
//! The order of the checks decides the errno of a bad command; it is the same as in C.

use super::{
    host::Host,
    memory::Area,
    pool::Pool,
    queue::{
        Entry,
        Queue, //
    },
    Ring,
    BUILDING,
    GIVEN_UP,
    READY, //
};
use crate::fuse::abi::{
    uring::{
        RingCmd,
        RingCmdReq,
        RingQueueFlag,
        RingQueueFlags,
        RingReqHeader, //
    },
    Unique, //
};
use crate::vfs::{
    cred::{
        capable,
        Capability, //
    },
    io::{
        uring::{
            Command,
            Verdict, //
        },
        uring_pages::Anchor, //
    },
};
use kernel::{
    prelude::*,
    sync::{
        atomic::{
            Full,
            Relaxed, //
        },
        barrier,
        Arc, //
    },
};

impl Ring {
    /// Executes the command with the bytes `req`.
    pub(crate) fn command<'a>(
        &self,
        command: Command<'a, Queue>,
        req: &RingCmdReq,
        host: impl FnOnce() -> Result<Arc<dyn Host>>,
    ) -> Verdict<'a> {
        match RingCmd::from_number(command.number()) {
            Some(RingCmd::Register) => match host() {
                Ok(host) => self.register(command, req, host),
                Err(error) => {
                    self.settle_as(GIVEN_UP);
                    command.done(Err(error))
                }
            },
            Some(RingCmd::CommitAndFetch) => self.commit(command, req),
            Some(RingCmd::AddQueue) => {
                let added = self.add_queue(req);
                command.done(added)
            }
            Some(RingCmd::AddBufpool) => {
                let added = self.add_pool(req, command.fixed_buffer());
                command.done(added)
            }
            None => command.done(Err(EINVAL)),
        }
    }

    /// The queue with this number.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the number is out of range.
    fn queue(&self, number: u16) -> Result<Option<&Arc<Queue>>> {
        let place = self.queues.get(usize::from(number)).ok_or(EINVAL)?;
        Ok(place.as_ref())
    }

    /// Makes the queue with this number, which gives pages away with `zero_copy`; `false` if it exists
    /// already.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the number is out of range, `ENOMEM`.
    fn add(&self, number: u16, zero_copy: bool) -> Result<bool> {
        let place = self.queues.get(usize::from(number)).ok_or(EINVAL)?;
        if place.as_ref().is_some() {
            return Ok(false);
        }
        let anchor = match zero_copy {
            true => Some(Anchor::new::<crate::LocalModule>()?),
            false => None,
        };
        let queue = Queue::new(number, anchor)?;
        let added = {
            let _adding = self.adding.lock();
            place.populate(queue)
        };
        // A full barrier: pairs with the one in `abort`.
        barrier::smp_mb(Full);
        if self.closed.load(Relaxed) {
            if let Some(queue) = place.as_ref() {
                queue.close();
            }
        }
        Ok(added)
    }

    /// ADD_QUEUE (`fuse_uring_add_queue()`).
    fn add_queue(&self, req: &RingCmdReq) -> Result {
        let number = req.qid;
        let unknown = req.flags.bits() & !RingQueueFlags::from(RingQueueFlag::ZeroCopy).bits();
        if usize::from(number) >= self.queues.len() || unknown != 0 {
            return Err(EINVAL);
        }
        let zero_copy = req.flags.contains(RingQueueFlag::ZeroCopy);
        if zero_copy && !capable(Capability::SysAdmin) {
            return Err(EPERM);
        }
        if self.add(number, zero_copy)? {
            Ok(())
        } else {
            Err(EEXIST)
        }
    }

    /// ADD_BUFPOOL (`fuse_uring_add_bufpool()`).
    fn add_pool(&self, req: &RingCmdReq, fixed: Option<u16>) -> Result {
        let pool = req.bufpool();
        let queue = self.queue(req.qid)?;
        if req.flags.bits() != 0 || pool.reserved != 0 {
            return Err(EINVAL);
        }
        let queue = queue.ok_or(EINVAL)?;
        let base = usize::try_from(pool.uaddr).map_err(|_| EINVAL)?;
        queue.add_pool(Pool::new(base, pool.len, self.max_payload, fixed)?)
    }

    /// REGISTER (`fuse_uring_register()`).
    fn register<'a>(
        &self,
        command: Command<'a, Queue>,
        req: &RingCmdReq,
        host: Arc<dyn Host>,
    ) -> Verdict<'a> {
        match self.entry(&command, req, host) {
            Ok((queue, entry)) => {
                let verdict = queue.register(entry, command);
                self.settle_as(READY);
                verdict
            }
            Err(error) => {
                self.settle_as(GIVEN_UP);
                command.done(Err(error))
            }
        }
    }

    /// The entry that a REGISTER describes, and its queue.
    fn entry(
        &self,
        command: &Command<'_, Queue>,
        req: &RingCmdReq,
        host: Arc<dyn Host>,
    ) -> Result<(&Arc<Queue>, KBox<Entry>)> {
        if self.queue(req.qid)?.is_none() {
            self.add(req.qid, false)?;
        }
        let queue = self.queue(req.qid)?.ok_or(EINVAL)?;
        let [headers, payload] = command.two_vectors()?;
        let index = req.ent_zero_copy_buf_index();
        let anchor = queue.zero_copy();
        if (index != 0 && anchor.is_none()) || headers.1 < size_of::<RingReqHeader>() {
            return Err(EINVAL);
        }
        let own = queue.settle(payload, self.max_payload, command.fixed_buffer())?;
        let pages = anchor.map(|anchor| (index, anchor.clone()));
        Ok((queue, Entry::new(Area::new(headers.0, own, pages), host)?))
    }

    /// COMMIT_AND_FETCH (`fuse_uring_commit_fetch()`).
    fn commit<'a>(&self, command: Command<'a, Queue>, req: &RingCmdReq) -> Verdict<'a> {
        let queue = match self.queue(req.qid) {
            Ok(queue) => queue,
            Err(error) => return command.done(Err(error)),
        };
        match queue {
            Some(queue) => queue.commit(Unique::new(req.commit_id), command),
            None => command.done(Err(ENOTCONN)),
        }
    }

    /// Settles which way requests go, unless that is settled. A server that could not register its
    /// first entry never gets a ring.
    fn settle_as(&self, state: i32) {
        // A full barrier: pairs with the one in `hold`.
        if self.state.cmpxchg(BUILDING, state, Full).is_ok() {
            self.let_go();
        }
    }
}
