// SPDX-License-Identifier: GPL-2.0

//! From an operation to a request and back: the last step that knows the operation's type.
//!
//! The operations of the file system call this. It checks what the server lacks and what the caller
//! may do, takes a pass through the channel's gate, makes the request, sends it, waits for its end,
//! and decodes the reply.

use super::{
    creds::Caller,
    mount::Mount,
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
        Channel,
        Limits, //
    },
    op::{
        self,
        data::OpData,
        Answer,
        Enosys,
        Gate,
        Opcode,
        Operation,
        OutArgs,
        OutSpace,
        Reply, //
    },
    request::{
        completion::{
            Completion,
            Ended, //
        },
        make::Parts,
        outcome::Outcome,
        state::Pending,
        wait::{
            Canceller,
            Patience,
            Waiter, //
        },
        Handle,
        Request, //
    },
};
use crate::vfs::{
    cred::Idmap,
    sync::{
        insist,
        retry,
        signal::{
            again,
            is_current_to_stop, //
        }, //
    },
};
use core::marker::PhantomData;
use kernel::{
    prelude::*,
    sync::Arc, //
};

/// The handler of the answer to a background request.
pub(crate) trait OnAnswer<O: Operation>: Send + 'static {
    /// Runs exactly once, without any spinlock, in the context of the thread that ends the
    /// request: a server's, an aborter's, or the caller's own if the request could not be sent.
    fn answered(self, answer: Answer<O>);
}

/// The handler of a request that its caller has abandoned, because it was killed while the server
/// had the request.
///
/// It keeps the objects that the request names (inode, handle), so that the server gets FORGET and
/// RELEASE after its answer as usual, and releases what the answer returns.
pub(crate) trait Abandoned<A>: Send + 'static {
    /// Runs once, as [`OnAnswer::answered`] does, when the request ends, with an [`Answer`].
    fn answered(self, answer: A);
}

/// A request that has only asked, or whose effects are the server's: it keeps an open file, which
/// is not released before the server has answered.
impl<A, T: Send + Sync + 'static> Abandoned<A> for Arc<T> {
    fn answered(self, _answer: A) {}
}

impl Reaches for Arc<Connection> {
    #[inline]
    fn channel(&self) -> &Channel {
        Connection::channel(self)
    }
}

impl Mount {
    /// Sends the operation and waits for its answer. Data of the operation are returned with it in
    /// any case.
    ///
    /// # Errors
    ///
    /// The server's error; `ECONNREFUSED` if INIT failed; `ENOTCONN` or `ECONNABORTED` if the
    /// connection ends or has ended; `EINTR` if the caller is killed before the server has read the
    /// request; `EOVERFLOW` if the caller's ids cannot be expressed; `EIO` if the reply is
    /// malformed; `ENOMEM`.
    pub(crate) fn call<O: Operation>(&self, op: O) -> Answer<O> {
        self.call_mapped(Idmap::invalid(), op)
    }

    /// Like [`Self::call`], for an operation that makes a node through a mount with this id map:
    /// the node belongs to the caller, as mapped by the mount.
    ///
    /// # Errors
    ///
    /// Those of [`Self::call`].
    pub(crate) fn call_mapped<O: Operation>(&self, idmap: &Idmap, op: O) -> Answer<O> {
        let conn = self.conn_arc();
        if conn.unimplemented().contains(O::OPCODE) {
            return op.into_data().with(O::lacking());
        }
        let (pass, waiter) = match send(conn, idmap, op) {
            Ok(sent) => sent,
            Err((error, data)) => return data.with(Err(error)),
        };
        let channel = pass.via().channel();
        let done = match waiter.wait(channel, patience::<O>()) {
            Ok(done) => done,
            Err(killed) => killed.wait(channel),
        };
        let (result, data): (_, O::Data) =
            done.read(|outcome, output| conn.decode::<O>(pass.limits(), outcome, output));
        data.with(result)
    }

    /// Like [`Self::call`], but a caller that is killed does not wait for the answer: it abandons
    /// the request, and the server, which gets an INTERRUPT, need not answer ever. A request that
    /// has to reach the server is abandoned even if it is unread; any other is cancelled then.
    ///
    /// Only for operations whose effects `abandoned` can undo. It is called under the lock of the
    /// request's body, and must not sleep; its result gets the data, and the caller gets empty
    /// data. `Documentation/lifecycle.rst` lists the operations.
    ///
    /// # Errors
    ///
    /// Those of [`Self::call`]; `EINTR` if the caller is killed at any time; `ERESTARTNOINTR` if it
    /// is to be frozen or stopped, and may ask again ([`Opcode::only_asks`]).
    pub(crate) fn call_or_abandon<O, A>(&self, op: O, abandoned: impl FnOnce() -> A) -> Answer<O>
    where
        O: Operation,
        O::Out: 'static,
        O::Data: 'static,
        A: Abandoned<Answer<O>>,
    {
        let conn = self.conn_arc();
        if conn.unimplemented().contains(O::OPCODE) {
            return op.into_data().with(O::lacking());
        }
        let (pass, waiter) = match send(conn, Idmap::invalid(), op) {
            Ok(sent) => sent,
            Err((error, data)) => return data.with(Err(error)),
        };
        let (channel, limits) = (&**Connection::channel(conn), pass.limits());
        let patience = match patience::<O>() {
            Patience::Forced => Patience::Leaves,
            Patience::Killable if O::OPCODE.only_asks() => Patience::Again,
            other => other,
        };
        // The server may have been told of a signal that there was not, and have answered that.
        let begins_again = |error| match patience == Patience::Again && error == EINTR {
            true if is_current_to_stop() => again(),
            _ => error,
        };
        let done = match waiter.wait(channel, patience) {
            Ok(done) => done,
            // On the account of the caller, as the request is.
            Err(killed) => match KBox::new_uninit(GFP_KERNEL_ACCOUNT) {
                Ok(memory) => {
                    let gone = killed.abandon(|request| {
                        memory.write(AbandonedCall::<O::Out, O::Data, A> {
                            pass: pass.into_owned(),
                            request,
                            decode: Connection::decode::<O>,
                            abandoned: abandoned(),
                            _data: PhantomData,
                        })
                    });
                    match gone {
                        Ok(()) => return O::Data::restore(None).with(Err(begins_again(EINTR))),
                        Err(killed) => killed.wait(channel),
                    }
                }
                // The caller waits, as in `call`.
                Err(_) => killed.wait(channel),
            },
        };
        let (result, data): (_, O::Data) =
            done.read(|outcome, output| conn.decode::<O>(limits, outcome, output));
        data.with(result.map_err(begins_again))
    }

    /// Sends the operation without waiting; `then` gets the answer, even if it cannot be sent.
    pub(crate) fn call_background<O, T>(&self, op: O, then: T)
    where
        O: Operation + 'static,
        T: OnAnswer<O>,
    {
        let conn = self.conn_arc();
        let entered = conn.admit::<O>(Idmap::invalid()).and_then(|caller| {
            let turn = Turn::enter(conn, is_forced::<O>())?;
            let allocate = KBox::<Background<O, T>>::new_uninit;
            let memory = match O::OPCODE {
                // If the server leaves it unread, its memory is charged to the task that closes the
                // file.
                Opcode::Release | Opcode::Releasedir => insist(allocate),
                _ => retry(is_forced::<O>(), || Ok(allocate(GFP_KERNEL)?))?,
            };
            Ok((caller, turn, memory))
        });
        let (caller, turn, memory) = match entered {
            Ok(entered) => entered,
            Err(error) => return then.answered(op.into_data().with(Err(error))),
        };
        match conn.make(op, Unique::new(0), turn.pass().limits(), caller) {
            Ok(request) => turn.send(request, |slot| {
                memory.write(Background {
                    slot,
                    then,
                    _operation: PhantomData::<fn() -> O>,
                })
            }),
            Err((error, data)) => {
                drop(turn);
                then.answered(data.with(Err(error)));
            }
        }
    }

    /// Answers a notification under the id that the server gave it. No caller waits for the end.
    ///
    /// # Errors
    ///
    /// `ENOTCONN`; `ECONNREFUSED` if INIT failed; `EINTR`; `EOVERFLOW` if the caller's ids cannot
    /// be expressed; `ENOMEM`.
    pub(crate) fn post_reply(&self, unique: Unique, op: op::NotifyReply) -> Result {
        let conn = self.conn_arc();
        let caller = conn.admit::<op::NotifyReply>(Idmap::invalid())?;
        let pass = Pass::enter(conn.clone(), is_forced::<op::NotifyReply>())?;
        let memory = KBox::<Posted>::new_uninit(GFP_KERNEL)?;
        let request = conn
            .make(op, unique, pass.limits(), caller)
            .map_err(|(error, _data)| error)?;
        request.tell(memory.write(Posted { pass }));
        conn.channel().send(request, Wake::Normal);
        Ok(())
    }

    /// Sends FORGET: returns `nlookup` lookups of `node`. Never blocks, never fails.
    pub(crate) fn forget(&self, ticket: ForgetTicket, node: NodeId, nlookup: u64) {
        self.conn()
            .channel()
            .forget(ticket, Forget { node, nlookup });
    }
}

/// A request that its caller waits for: the pass that counts it, and the right to wait.
type OnItsWay<'a> = (Pass<&'a Arc<Connection>>, Waiter);

/// Sends the operation, for a caller that will wait for its end.
///
/// # Errors
///
/// Those of [`Mount::call`] for a request that is not sent; with the operation's data.
#[inline]
fn send<'a, O: Operation>(
    conn: &'a Arc<Connection>,
    idmap: &Idmap,
    op: O,
) -> Result<OnItsWay<'a>, (Error, O::Data)> {
    let entered = conn
        .admit::<O>(idmap)
        .and_then(|caller| Ok((caller, Pass::enter(conn, is_forced::<O>())?)));
    let (caller, pass) = match entered {
        Ok(entered) => entered,
        Err(error) => return Err((error, op.into_data())),
    };
    let request = conn.make(op, Unique::new(0), pass.limits(), caller)?;
    let waiter = request.waiter();
    conn.channel().send(request, Wake::Sync);
    Ok((pass, waiter))
}

impl Connection {
    /// The ids with which the current task may send this operation.
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

    /// Makes the request for an operation, in the form for these limits; `unique` is 0 unless the
    /// server has given it. A forced operation waits for memory as long as it takes.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `E2BIG` if the operation does not fit into a request; with the operation's data.
    #[inline]
    fn make<O: Operation>(
        &self,
        op: O,
        unique: Unique,
        limits: Limits,
        caller: Caller,
    ) -> Result<Pending, (Error, O::Data)> {
        let minor = limits.minor;
        let reserved = retry(is_forced::<O>(), || {
            Ok((Request::reserve()?, OutSpace::new(op.out_spec(minor))?))
        });
        let (reserved, output) = match reserved {
            Ok(reserved) => reserved,
            Err(error) => return Err((error, op.into_data())),
        };
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
            shares_pages: op.shares_pages(),
            output,
        };
        // Only long names need memory here, and forced operations have none.
        reserved.make(parts, |args| match op.encode(minor, args) {
            Ok(()) => Ok(op.into_data().store()),
            Err(error) => Err((error, op.into_data())),
        })
    }

    /// The result of an operation from the end of its request. Does not sleep.
    fn decode<O: Operation>(
        &self,
        limits: Limits,
        outcome: Outcome,
        output: &mut OutArgs,
    ) -> Result<O::Out> {
        match Result::from(outcome) {
            Ok(()) => O::decode(limits.minor, output),
            Err(ENOSYS) if O::ENOSYS != Enosys::Pass => {
                self.unimplemented().insert(O::OPCODE);
                O::lacking()
            }
            Err(error) => Err(error),
        }
    }
}

/// Whether the operation waits for nothing except memory.
fn is_forced<O: Operation>() -> bool {
    O::GATE != Gate::Normal
}

/// How the caller of an operation reacts to a fatal signal.
fn patience<O: Operation>() -> Patience {
    match O::GATE {
        Gate::Normal => Patience::Killable,
        Gate::Mount => Patience::AbortsConnection,
        Gate::Force | Gate::HighPriority => Patience::Forced,
    }
}

/// A request whose caller has abandoned it.
struct AbandonedCall<Out, D, A> {
    pass: Pass<Arc<Connection>>,
    /// A handle of the request itself, to take its INTERRUPT off the queue; the end of the request
    /// breaks this cycle.
    request: Handle,
    /// The decoder of its operation, which itself may borrow from the caller.
    decode: fn(&Connection, Limits, Outcome, &mut OutArgs) -> Result<Out>,
    abandoned: A,
    /// What it was lent.
    _data: PhantomData<fn() -> D>,
}

impl<Out, D, A> Completion for AbandonedCall<Out, D, A>
where
    Out: 'static,
    D: OpData + 'static,
    A: Abandoned<D::With<Out>>,
{
    fn complete(self: KBox<Self>, ended: Ended<'_>) {
        let Self {
            pass,
            request,
            decode,
            abandoned,
            ..
        } = KBox::into_inner(self);
        let conn = pass.via();
        conn.channel().forget_interrupt(&request);
        let (result, data): (_, D) =
            ended.read(|outcome, output| decode(conn, pass.limits(), outcome, output));
        abandoned.answered(data.with(result));
        // Last: the unmount waits for this, and the references of `abandoned` have to be dropped by
        // then.
        drop(pass);
    }
}

/// The completion of a request that was posted.
struct Posted {
    pass: Pass<Arc<Connection>>,
}

impl Completion for Posted {
    fn complete(self: KBox<Self>, ended: Ended<'_>) {
        // Its data is dropped first: an unmount waits for the count.
        let ((), data): (_, <op::NotifyReply as Operation>::Data) = ended.read(|_, _| ());
        drop(data);
        drop(KBox::into_inner(self).pass);
    }
}

/// The completion of a background request: frees the slot, decodes, and runs the caller's.
struct Background<O, T> {
    slot: Slot<Arc<Connection>>,
    then: T,
    _operation: PhantomData<fn() -> O>,
}

impl<O: Operation + 'static, T: OnAnswer<O>> Completion for Background<O, T> {
    fn complete(self: KBox<Self>, ended: Ended<'_>) {
        let Self { slot, then, .. } = KBox::into_inner(self);
        let pass = slot.free();
        let (result, data): (_, O::Data) =
            ended.read(|outcome, output| pass.via().decode::<O>(pass.limits(), outcome, output));
        then.answered(data.with(result));
        // Last: the unmount waits for this, and the references of `then` have to be dropped by
        // then.
        drop(pass);
    }
}
