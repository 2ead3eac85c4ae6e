// SPDX-License-Identifier: GPL-2.0

//! From an operation to a request and back: the last step that knows the operation's type.
//!
//! On the walk: called by the rooms of the file system. It asks what the server lacks and who is
//! asking, takes a pass through the channel's gate, makes the request, sends it, waits for its end,
//! and decodes the reply.

use super::{
    creds::Caller,
    mount::{
        Keeper,
        Mount, //
    },
    Connection, //
};
use crate::fuse::{
    abi::{
        header::InHeader,
        NodeId,
        Unique, //
    },
    channel::{
        forget::{
            Forget,
            ForgetTicket, //
        },
        pass::{
            Pass,
            Reaches,
            Slot,
            Turn, //
        },
        transport::Wake,
        Channel, //
    },
    op::{
        self,
        Enosys,
        Gate,
        Operation,
        OutArgs,
        OutSpace,
        Reply, //
    },
    request::{
        args::{
            Data,
            InData,
            OutData, //
        },
        completion::{
            self,
            Ended, //
        },
        outcome::Outcome,
        state::Pending,
        wait::{
            Canceller,
            Patience,
            Waiter, //
        },
        Handle,
        Parts,
        Request, //
    },
};
use crate::vfs::{
    cred::Idmap,
    sync::retry, //
};
use core::marker::PhantomData;
use kernel::{
    prelude::*,
    sync::Arc, //
};

/// What is done with the reply of a background request.
pub(crate) trait Completion<O: Operation>: Send + 'static {
    /// Runs exactly once, without any spinlock, in the context of whoever ended the request: a
    /// server's thread, an aborter, or the caller itself if the request could not be sent. `data`
    /// is what the request owned, and `written` how many bytes of its output the reply filled.
    fn complete(self, result: Result<O::Out>, data: Data, written: usize);
}

/// What becomes of a request that its caller has abandoned: the caller was killed while the server
/// had it.
///
/// It keeps alive what the server was told the caller uses (inode, handle), so that the server
/// sees FORGET and RELEASE after its answer as ever, and gives back what the answer brings.
pub(crate) trait Abandoned<Out>: Send + 'static {
    /// Runs once, as [`Completion::complete`] does, when the request ends.
    fn answered(self, result: Result<Out>);
}

impl Reaches for Arc<Connection> {
    #[inline]
    fn channel(&self) -> &Channel {
        Connection::channel(self)
    }
}

impl Mount {
    /// Sends the operation and waits for its answer.
    ///
    /// # Errors
    ///
    /// What the server answers; `ECONNREFUSED` if INIT failed; `ENOTCONN` or `ECONNABORTED` if the
    /// connection is, or goes, down; `EINTR` if the caller is killed before the server has read
    /// the request; `EOVERFLOW` if the caller's ids cannot be expressed; `EIO` if the reply is
    /// malformed; `ENOMEM`.
    pub(crate) fn call<O: Operation>(&self, op: O) -> Result<O::Out> {
        self.call_mapped(Idmap::invalid(), op)
    }

    /// Like [`Self::call`], for an operation that makes something through a mount with this map of
    /// ids: it belongs to the caller, as the mount has it.
    ///
    /// # Errors
    ///
    /// Those of [`Self::call`].
    pub(crate) fn call_mapped<O: Operation>(&self, idmap: &Idmap, op: O) -> Result<O::Out> {
        self.call_as(idmap, &op, patience::<O>(), None, |result, _, _| result)
    }

    /// Like [`Self::call`], but a caller that is killed does not wait for the answer: it abandons
    /// the request, and the server, which has got an INTERRUPT, need not answer ever.
    ///
    /// Only for operations that lend nothing of the caller's, and whose effects `abandoned` can undo.
    /// That is made under the lock of the request's body, and must not sleep.
    /// `Documentation/lifecycle.rst` lists the operations.
    ///
    /// # Errors
    ///
    /// Those of [`Self::call`]; `EINTR` if the caller is killed at any time.
    pub(crate) fn call_or_abandon<O, A>(
        &self,
        op: O,
        abandoned: impl FnOnce() -> A,
    ) -> Result<O::Out>
    where
        O: Operation,
        O::Out: 'static,
        A: Abandoned<O::Out>,
    {
        let conn = self.conn_arc();
        if conn.unimplemented().contains(O::OPCODE) {
            return O::lacking();
        }
        let (pass, waiter) = self.send(Idmap::invalid(), &op, patience::<O>(), &mut None)?;
        let (channel, minor) = (&**Connection::channel(conn), pass.limits().minor);
        let done = match waiter.wait(channel, patience::<O>()) {
            Ok(done) => done,
            Err(killed) => match KBox::<AbandonedCall<O::Out, A>>::new_uninit(GFP_KERNEL) {
                Ok(memory) => {
                    let gone = killed.abandon(|request| {
                        memory.write(AbandonedCall {
                            pass: pass.into_owned(),
                            request,
                            decode: Connection::decode::<O>,
                            abandoned: abandoned(),
                            kept: self.keep(),
                        })
                    });
                    match gone {
                        Ok(()) => return Err(EINTR),
                        Err(killed) => killed.wait(channel),
                    }
                }
                // The caller stays, as it would have before.
                Err(_) => killed.wait(channel),
            },
        };
        done.read(|outcome, output, _, _| conn.decode::<O>(minor, outcome, output))
    }

    /// Like [`Self::call`], for an operation whose reply goes into `data`; hands that back in any
    /// case, with the number of bytes that the reply filled.
    ///
    /// # Errors
    ///
    /// Those of [`Self::call`].
    pub(crate) fn call_out<O: Operation>(&self, op: O, data: OutData) -> (Result<usize>, OutData) {
        let mut back = OutData::None;
        let result = self.call_as(
            Idmap::invalid(),
            &op,
            patience::<O>(),
            data.into(),
            |result, data, written| {
                back = data.take().map(|data| data.output).unwrap_or_default();
                result.map(|_| written)
            },
        );
        (result, back)
    }

    /// Like [`Self::call`], for an operation that carries `data`; hands that back in any case.
    ///
    /// # Errors
    ///
    /// Those of [`Self::call`].
    pub(crate) fn call_in<O: Operation>(&self, op: O, data: InData) -> (Result<O::Out>, InData) {
        let mut back = InData::None;
        let result = self.call_as(
            Idmap::invalid(),
            &op,
            patience::<O>(),
            data.into(),
            |result, data, _| {
                back = data.take().map(|data| data.input).unwrap_or_default();
                result
            },
        );
        (result, back)
    }

    /// Like [`Self::call`], for an operation that carries `input`, and whose reply goes into
    /// `output`, too; hands that back in any case, and the number of bytes that the reply filled.
    ///
    /// # Errors
    ///
    /// Those of [`Self::call`].
    pub(crate) fn call_in_out<O: Operation>(
        &self,
        op: O,
        input: InData,
        output: OutData,
    ) -> (Result<(O::Out, usize)>, OutData) {
        let mut back = OutData::None;
        let data = Data { input, output };
        let result = self.call_as(
            Idmap::invalid(),
            &op,
            patience::<O>(),
            Some(data),
            |result, data, written| {
                back = data.take().map(|data| data.output).unwrap_or_default();
                result.map(|out| (out, written))
            },
        );
        (result, back)
    }

    /// Like [`Self::call`], but a caller that is killed ends the whole connection.
    ///
    /// # Errors
    ///
    /// Those of [`Self::call`].
    pub(super) fn call_or_abort<O: Operation>(&self, op: O) -> Result<O::Out> {
        self.call_as(
            Idmap::invalid(),
            &op,
            Patience::AbortsConnection,
            None,
            |result, _, _| result,
        )
    }

    /// Sends the operation without waiting; `done` runs when it ends, also if it cannot be sent, and
    /// gets `data` back.
    pub(crate) fn call_background<O, C>(&self, op: O, data: impl Into<Option<Data>>, done: C)
    where
        O: Operation + 'static,
        C: Completion<O>,
    {
        let conn = self.conn_arc();
        let mut data: Option<Data> = data.into();
        let forced = O::GATE != Gate::Normal;

        let entered = conn.admit::<O>(Idmap::invalid()).and_then(|caller| {
            let turn = Turn::enter(conn, forced)?;
            Ok((caller, turn))
        });
        let made = entered.and_then(|(caller, turn)| {
            let memory = retry(forced, || {
                Ok(KBox::<Background<O, C>>::new_uninit(GFP_KERNEL)?)
            })?;
            let minor = turn.pass().limits().minor;
            let request = conn.make(&op, Unique::new(0), minor, caller, forced, &mut data)?;
            Ok((turn, memory, request))
        });
        let (turn, memory, request) = match made {
            Ok(made) => made,
            Err(error) => return done.complete(Err(error), data.unwrap_or_default(), 0),
        };
        turn.send(request, |slot| {
            memory.write(Background {
                slot,
                done,
                kept: self.keep(),
                _operation: PhantomData::<fn() -> O>,
            })
        });
    }

    /// Answers a notification: sends `data` under the id that the server gave it. Nobody waits for
    /// the end.
    ///
    /// # Errors
    ///
    /// `ENOTCONN`; `ECONNREFUSED` if INIT failed; `EINTR`; `EOVERFLOW` if the caller's ids cannot be
    /// expressed; `ENOMEM`.
    pub(crate) fn post_reply(&self, unique: Unique, op: op::NotifyReply, data: InData) -> Result {
        let conn = self.conn_arc();
        let caller = conn.admit::<op::NotifyReply>(Idmap::invalid())?;
        let pass = Pass::enter(conn.clone(), false)?;
        let memory = KBox::<Posted>::new_uninit(GFP_KERNEL)?;
        let minor = pass.limits().minor;
        let request = conn.make(&op, unique, minor, caller, false, &mut data.into())?;
        request.tell(memory.write(Posted { pass }));
        conn.channel().send(request, Wake::Normal);
        Ok(())
    }

    /// Sends FORGET: gives `nlookup` lookups of `node` back. Never blocks, never fails.
    pub(crate) fn forget(&self, ticket: ForgetTicket, node: NodeId, nlookup: u64) {
        self.conn()
            .channel()
            .forget(ticket, Forget { node, nlookup });
    }

    /// Sends the operation, for a caller that will wait for its end. The pass counts it until then.
    ///
    /// # Errors
    ///
    /// Those of [`Self::call`] for what is not sent; `data` is left alone then.
    #[inline]
    fn send<O: Operation>(
        &self,
        idmap: &Idmap,
        op: &O,
        patience: Patience,
        data: &mut Option<Data>,
    ) -> Result<(Pass<&Arc<Connection>>, Waiter)> {
        let conn = self.conn_arc();
        let forced = patience != Patience::Killable;
        let caller = conn.admit::<O>(idmap)?;
        let pass = Pass::enter(conn, forced)?;
        let minor = pass.limits().minor;
        let request = conn.make(op, Unique::new(0), minor, caller, forced, data)?;
        let waiter = request.waiter();
        conn.channel().send(request, Wake::Sync);
        Ok((pass, waiter))
    }

    fn call_as<O: Operation, R>(
        &self,
        idmap: &Idmap,
        op: &O,
        patience: Patience,
        mut data: Option<Data>,
        finish: impl FnOnce(Result<O::Out>, &mut Option<Data>, usize) -> Result<R>,
    ) -> Result<R> {
        let conn = self.conn();
        if conn.unimplemented().contains(O::OPCODE) {
            return finish(O::lacking(), &mut data, 0);
        }
        let (pass, waiter) = match self.send(idmap, op, patience, &mut data) {
            Ok(sent) => sent,
            Err(error) => return finish(Err(error), &mut data, 0),
        };
        let channel = pass.via().channel();
        let done = match waiter.wait(channel, patience) {
            Ok(done) => done,
            Err(killed) => killed.wait(channel),
        };
        done.read(|outcome, output, data, written| {
            let minor = pass.limits().minor;
            finish(conn.decode::<O>(minor, outcome, output), data, written)
        })
    }
}

impl Connection {
    /// Whether, and as whom, the current task may send this operation.
    ///
    /// # Errors
    ///
    /// `ECONNREFUSED` if INIT failed, `EOVERFLOW`.
    fn admit<O: Operation>(&self, idmap: &Idmap) -> Result<Caller> {
        if O::GATE == Gate::Normal && self.has_failed() {
            return Err(ECONNREFUSED);
        }
        Caller::current(self, O::CREDS, O::GATE, idmap)
    }

    /// Makes the request for an operation, in the form of protocol 7.`minor`; `unique` is 0 unless
    /// the server has given it. It carries `data`, which is not touched if it cannot be made. With
    /// `forced`, it waits for memory as long as it takes.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `E2BIG` if the operation does not fit into a request.
    #[inline]
    fn make<O: Operation>(
        &self,
        op: &O,
        unique: Unique,
        minor: u32,
        caller: Caller,
        forced: bool,
        data: &mut Option<Data>,
    ) -> Result<Pending> {
        let (vacant, output) = retry(forced, || {
            Ok((Request::reserve()?, OutSpace::new(op.out_spec(minor))?))
        })?;
        let parts = Parts {
            header: InHeader {
                opcode: O::OPCODE as u32,
                unique,
                nodeid: op.node(),
                uid: caller.uid,
                gid: caller.gid,
                pid: caller.pid,
                ..InHeader::default()
            },
            connection: self.dev(),
            expects_reply: O::REPLY == Reply::Expected,
            opcode: O::OPCODE,
            output,
        };
        // Only long names need memory here, and what is forced has none.
        vacant.make(parts, data, |args| op.encode(minor, args))
    }

    /// What the end of a request means for its operation. Does not sleep.
    fn decode<O: Operation>(
        &self,
        minor: u32,
        outcome: Outcome,
        output: &mut OutArgs,
    ) -> Result<O::Out> {
        match Result::from(outcome) {
            Ok(()) => O::decode(minor, output),
            Err(ENOSYS) if O::ENOSYS != Enosys::Pass => {
                self.unimplemented().insert(O::OPCODE);
                O::lacking()
            }
            Err(error) => Err(error),
        }
    }
}

/// How the caller of an operation meets a fatal signal.
fn patience<O: Operation>() -> Patience {
    match O::GATE {
        Gate::Normal => Patience::Killable,
        Gate::Force | Gate::HighPriority => Patience::Forced,
    }
}

/// A request whose caller has abandoned it.
struct AbandonedCall<Out, A> {
    pass: Pass<Arc<Connection>>,
    /// Itself, to take its INTERRUPT off the queue; the end of the request ends the circle.
    request: Handle,
    /// That of its operation, which itself may borrow from the caller.
    decode: fn(&Connection, u32, Outcome, &mut OutArgs) -> Result<Out>,
    abandoned: A,
    /// Of the super block that `abandoned` holds something of.
    kept: Option<Keeper>,
}

impl<Out: 'static, A: Abandoned<Out>> completion::Completion for AbandonedCall<Out, A> {
    fn complete(self: KBox<Self>, ended: Ended<'_>) {
        let Self {
            pass,
            request,
            decode,
            abandoned,
            kept,
        } = KBox::into_inner(self);
        let (conn, minor) = (pass.via(), pass.limits().minor);
        conn.channel().forget_interrupt(&request);
        let answer = ended.read(|outcome, output, _, _| decode(conn, minor, outcome, output));
        abandoned.answered(answer);
        // Last: an unmount waits for these, and what it kept has to be gone by then.
        drop(kept);
        drop(pass);
    }
}

/// The completion of a request that was posted.
struct Posted {
    pass: Pass<Arc<Connection>>,
}

impl completion::Completion for Posted {
    fn complete(self: KBox<Self>, ended: Ended<'_>) {
        // What it carried goes first: an unmount waits for the count.
        drop(ended.read(|_, _, data, _| data.take()));
        drop(KBox::into_inner(self).pass);
    }
}

/// The completion of a background request: frees the slot, decodes, and runs the caller's.
struct Background<O, C> {
    slot: Slot<Arc<Connection>>,
    done: C,
    /// Of the super block that `done` holds something of.
    kept: Option<Keeper>,
    _operation: PhantomData<fn() -> O>,
}

impl<O: Operation + 'static, C: Completion<O>> completion::Completion for Background<O, C> {
    fn complete(self: KBox<Self>, ended: Ended<'_>) {
        let Self {
            slot, done, kept, ..
        } = KBox::into_inner(self);
        let pass = slot.free();
        let (result, data, written) = ended.read(|outcome, output, data, written| {
            let minor = pass.limits().minor;
            let result = pass.via().decode::<O>(minor, outcome, output);
            (result, data.take(), written)
        });
        done.complete(result, data.unwrap_or_default(), written);
        // Last: an unmount waits for these, and what `done` held has to be gone by then.
        drop(kept);
        drop(pass);
    }
}
