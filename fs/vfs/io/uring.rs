// SPDX-License-Identifier: GPL-2.0

//! Commands of io_uring to the files of a device (`IORING_OP_URING_CMD`).
//!
//! A command reaches the device as a [`Command`], in the task that submitted it or in a worker with
//! the memory of that task. The device completes it at once, or parks it: a [`Parked`] command
//! waits until the device has something for its task. Either is moved and not copied, so a command
//! is completed only once.
//!
//! A parked command is completed in one of three ways: by [`Parked::complete`], in a call from
//! io_uring; by [`Parked::dispatch`], which makes the command's task call back for that; and by
//! [`Parked::end`], from anywhere.
//!
//! Locks: io_uring holds the lock of its ring over most calls. Only [`Command::park`] takes it
//! here, unless the command's flags tell that the call holds it.
//!
//! C header: `include/linux/io_uring/cmd.h`.

use crate::vfs::{
    bindings,
    mm::iov::{
        copy_from_iter_nofault,
        copy_to_iter_nofault,
        Dest,
        Room,
        SharedBytes,
        Source,
        UserDest,
        UserSource, //
    }, //
};
use core::{
    cell::Cell,
    marker::PhantomData,
    mem::ManuallyDrop,
    ptr::NonNull, //
};
use kernel::{
    error::to_result,
    ffi,
    iov::{
        IovIterDest,
        IovIterSource, //
    },
    prelude::*,
    sync::Arc,
    types::ForeignOwnable, //
};

/// Bytes of a command in a submission entry of 128 bytes.
pub(crate) const COMMAND_LEN: usize = 80;

/// An object that parks commands: one queue of a device.
pub(crate) trait Commands: Send + Sync + Sized + 'static {
    /// The data for the command's task.
    type Filled: ForeignOwnable + Send;

    /// The ring of a parked command ends: returns the command, if it still waits. Called with the
    /// lock of the ring held; it must not wait for a task of the ring.
    fn cancel(&self, id: CommandId) -> Option<Parked<Self>>;

    /// Runs in the task of a command that [`Parked::dispatch`] sent there, which may access its
    /// memory; if `cancelled`, in any task, because that task is exiting.
    fn in_task(
        &self,
        command: Parked<Self>,
        filled: Self::Filled,
        issue: &Issue<'_>,
        cancelled: bool,
    );
}

/// Identifies a parked command.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct CommandId(usize);

/// A running call from io_uring, in which commands of its ring can be completed.
pub(crate) struct Issue<'a> {
    /// `IO_URING_F_*`.
    flags: u32,
    /// The ring (`io_uring_cmd_ctx_handle()`).
    ring: *mut ffi::c_void,
    /// The queue of the command that the call is about, as in [`Pdu`]; null if the call does not
    /// use it.
    queue: *const ffi::c_void,
    /// Whether the call has taken over a reference to it from a completed command, and has to drop
    /// it.
    keeps: Cell<bool>,
    _call: PhantomData<&'a mut &'a ()>,
}

impl Issue<'_> {
    /// # Safety
    ///
    /// `cmd` is valid, and io_uring makes a call about it with these flags, which lasts as long as
    /// the value.
    unsafe fn new(cmd: NonNull<bindings::io_uring_cmd>, flags: u32) -> Self {
        Self {
            flags,
            // SAFETY: By the safety requirement.
            ring: unsafe { bindings::io_uring_cmd_ring(cmd.as_ptr()) },
            queue: core::ptr::null(),
            keeps: Cell::new(false),
            _call: PhantomData,
        }
    }
}

/// The device's result for a command; only methods of the command return one.
pub(crate) struct Verdict<'a> {
    code: ffi::c_int,
    _call: PhantomData<&'a mut &'a ()>,
}

impl Verdict<'_> {
    /// The return value of `file_operations::uring_cmd`.
    pub(super) fn code(self) -> ffi::c_int {
        self.code
    }
}

/// A command that is being submitted to a device whose commands a `Q` parks.
///
/// # Invariants
///
/// `cmd` is valid for `'a`, and neither done nor parked. It is cancelled by [`cancel`] of this `Q`.
pub(crate) struct Command<'a, Q> {
    cmd: NonNull<bindings::io_uring_cmd>,
    issue: Issue<'a>,
    _queue: PhantomData<fn(Q)>,
}

impl<'a, Q: Commands> Command<'a, Q> {
    /// # Safety
    ///
    /// io_uring calls `file_operations::uring_cmd` with these arguments, not to cancel, and the
    /// call lasts for `'a`. Its return value is that of [`Verdict::code`]. To cancel, it calls
    /// [`cancel`] of this `Q`.
    pub(super) unsafe fn new(cmd: NonNull<bindings::io_uring_cmd>, flags: u32) -> Self {
        // INVARIANT: By the safety requirement.
        Self {
            cmd,
            // SAFETY: The call is about this command, which is valid.
            issue: unsafe { Issue::new(cmd, flags) },
            _queue: PhantomData,
        }
    }

    /// Its number (`cmd_op`).
    pub(crate) fn number(&self) -> u32 {
        // SAFETY: By the type invariant; it does not change.
        unsafe { (*self.cmd.as_ptr()).cmd_op }
    }

    /// Its bytes, read once, because the submitter may change them; `None` in an entry of 64 bytes,
    /// which has fewer.
    pub(crate) fn bytes(&self) -> Option<[u8; COMMAND_LEN]> {
        if self.issue.flags & bindings::IO_URING_F_SQE128 == 0 {
            return None;
        }
        let mut bytes = [0; COMMAND_LEN];
        // SAFETY: The command is valid, its entry has 128 bytes, and there is room for 80.
        unsafe { bindings::io_uring_cmd_bytes(self.cmd.as_ptr(), bytes.as_mut_ptr().cast()) };
        Some(bytes)
    }

    /// The registered buffer that it names (`IORING_URING_CMD_FIXED`).
    pub(crate) fn fixed_buffer(&self) -> Option<u16> {
        // SAFETY: The command is valid, and being submitted.
        let index = unsafe { bindings::io_uring_cmd_fixed_index(self.cmd.as_ptr()) };
        u16::try_from(index).ok()
    }

    /// The two areas of the submitter's memory that it names, as address and length.
    ///
    /// # Errors
    ///
    /// `EINVAL` if it does not name two, or one of them is too long; `EFAULT`.
    pub(crate) fn two_vectors(&self) -> Result<[(usize, usize); 2]> {
        let mut vectors = [bindings::iovec::default(), bindings::iovec::default()];
        // SAFETY: The command is valid, and being submitted in a task that has the submitter's
        // memory; there is room for two.
        to_result(unsafe {
            bindings::io_uring_cmd_two_vectors(self.cmd.as_ptr(), vectors.as_mut_ptr())
        })?;
        Ok(vectors.map(|vector| (vector.iov_base.addr(), vector.iov_len)))
    }

    /// Access to the registered buffer that it names.
    pub(crate) fn access(&self) -> Access<'_> {
        Access {
            cmd: Some(self.cmd),
            flags: self.issue.flags,
            _command: PhantomData,
        }
    }

    /// Completes it with `result`. `EAGAIN` has it submitted once more, by a worker.
    pub(crate) fn done(self, result: Result) -> Verdict<'a> {
        Verdict {
            code: code(result),
            _call: PhantomData,
        }
    }

    /// Parks it: it waits for `queue` to complete it, and `queue` may be called to cancel it from
    /// now on. Also returns the rest of the call, in which it can still be completed. Sleeps for
    /// the lock of the ring, unless the call holds it.
    pub(crate) fn park(self, queue: Arc<Q>) -> (Parked<Q>, Issue<'a>, Verdict<'a>) {
        let pdu = Pdu::of(self.cmd);
        // SAFETY: The command is valid; its private bytes are the device's.
        unsafe {
            (*pdu).queue = Arc::into_raw(queue).cast();
            (*pdu).word = 0;
        }
        // SAFETY: The command is valid, and these are the flags of its call.
        unsafe {
            bindings::io_uring_cmd_mark_cancelable(self.cmd.as_ptr(), self.issue.flags);
        }
        // INVARIANT: The command is not complete, and waits from now on, as the verdict tells. Its
        // private bytes have the queue.
        let parked = Parked {
            cmd: self.cmd,
            _queue: PhantomData,
        };
        let verdict = Verdict {
            code: EIOCBQUEUED.to_errno(),
            _call: PhantomData,
        };
        (parked, self.issue, verdict)
    }
}

/// A call of io_uring to cancel a command: passes it to its queue.
///
/// # Safety
///
/// io_uring calls `file_operations::uring_cmd` with these arguments, to cancel, and each command of
/// the file is parked by a `Q`.
pub(super) unsafe fn cancel<Q: Commands>(cmd: NonNull<bindings::io_uring_cmd>, flags: u32) {
    // SAFETY: Only a command that was parked can be cancelled, and it is not complete during this
    // call, because completing it takes it off the list that the caller walks under its lock.
    let queue = unsafe { (*Pdu::of(cmd)).queue.cast::<Q>() };
    // SAFETY: By the invariant of `Parked` it came from an `Arc`, which lives until the command is
    // complete.
    let parked = unsafe { &*queue }.cancel(CommandId(cmd.as_ptr().addr()));
    if let Some(parked) = parked {
        // SAFETY: The call is about this command, which is valid.
        let issue = unsafe { Issue::new(cmd, flags) };
        parked.complete(Err(ENOTCONN), &issue);
    }
}

/// The private bytes of a parked command.
#[repr(C)]
struct Pdu {
    /// From `Arc::into_raw`.
    queue: *const ffi::c_void,
    /// The word for the task: a `Filled`, or the result of the command.
    word: usize,
}

impl Pdu {
    fn of(cmd: NonNull<bindings::io_uring_cmd>) -> *mut Pdu {
        const {
            assert!(size_of::<Pdu>() <= 32 && align_of::<Pdu>() <= 8);
        }
        // SAFETY: Only computes an address within the command.
        unsafe { &raw mut (*cmd.as_ptr()).pdu }.cast()
    }
}

/// A command that waits for the device. If it is dropped, it is completed with `ECONNABORTED`.
///
/// # Invariants
///
/// `cmd` is a command that was parked by a `Q` and is not complete; this value owns it, and the
/// reference to the queue in its private bytes.
pub(crate) struct Parked<Q: Commands> {
    cmd: NonNull<bindings::io_uring_cmd>,
    _queue: PhantomData<Arc<Q>>,
}

// SAFETY: A command may be completed by any task, in the way that this does it.
unsafe impl<Q: Commands> Send for Parked<Q> {}

impl<Q: Commands> Parked<Q> {
    /// Its id.
    pub(crate) fn id(&self) -> CommandId {
        CommandId(self.cmd.as_ptr().addr())
    }

    /// Access to the registered buffer that it names, in a call of its ring.
    pub(crate) fn access<'i>(&'i self, issue: &'i Issue<'_>) -> Access<'i> {
        // SAFETY: By the type invariant.
        let ring = unsafe { bindings::io_uring_cmd_ring(self.cmd.as_ptr()) };
        Access {
            cmd: (ring == issue.ring).then_some(self.cmd),
            flags: issue.flags,
            _command: PhantomData,
        }
    }

    /// Completes it with `result`. Call it without a spinlock.
    pub(crate) fn complete(self, result: Result, issue: &Issue<'_>) {
        // SAFETY: By the type invariant.
        let ring = unsafe { bindings::io_uring_cmd_ring(self.cmd.as_ptr()) };
        if ring != issue.ring {
            // Its ring may be waiting for it.
            return self.end(result);
        }
        let this = ManuallyDrop::new(self);
        // SAFETY: This value owns the command and is not used again, and the call of `issue` is one
        // of its ring.
        unsafe { Self::finish(this.cmd, code(result), issue) };
    }

    /// Completes a command and drops its queue.
    ///
    /// # Safety
    ///
    /// The type invariant holds of `cmd` for the last time, and `issue` is a call of its ring.
    unsafe fn finish(cmd: NonNull<bindings::io_uring_cmd>, code: ffi::c_int, issue: &Issue<'_>) {
        // SAFETY: By the safety requirement.
        let queue = unsafe { (*Pdu::of(cmd)).queue };
        // SAFETY: By the safety requirement.
        unsafe { bindings::__io_uring_cmd_done(cmd.as_ptr(), code, 0, issue.flags, false) };
        if queue == issue.queue && !issue.keeps.replace(true) {
            return;
        }
        // SAFETY: It came from `Arc::into_raw`. The command is off the list of those that can be
        // cancelled, so nothing borrows it any more.
        drop(unsafe { Arc::from_raw(queue.cast::<Q>()) });
    }

    /// Makes the command's task call [`Commands::in_task`], with `filled`. Never sleeps.
    pub(crate) fn dispatch(self, filled: Q::Filled) {
        let word = filled.into_foreign().expose_provenance();
        self.send(word, Self::run);
    }

    /// Completes it with `result`, as soon as its task runs the callback. Never sleeps.
    pub(crate) fn end(self, result: Result) {
        self.send(code(result) as usize, Self::run_end);
    }

    fn send(
        self,
        word: usize,
        run: unsafe extern "C" fn(bindings::io_tw_req, bindings::io_tw_token_t),
    ) {
        let this = ManuallyDrop::new(self);
        // SAFETY: By the type invariant this value owns the command and its private bytes.
        unsafe { (*Pdu::of(this.cmd)).word = word };
        // SAFETY: The command is valid and was not sent yet. `run` takes it over.
        unsafe { bindings::__io_uring_cmd_do_in_task(this.cmd.as_ptr(), Some(run), 0) };
    }

    /// Takes over a command that [`Self::send`] sent.
    ///
    /// # Safety
    ///
    /// io_uring calls this once for each command that was sent, in its task or in place of it.
    unsafe fn arrived<'a>(req: bindings::io_tw_req) -> (Self, usize, Issue<'a>) {
        // SAFETY: The request is valid, and a command.
        let cmd = unsafe { NonNull::new_unchecked(bindings::io_uring_cmd_of_work(req)) };
        // SAFETY: `send` set it.
        let word = unsafe { (*Pdu::of(cmd)).word };
        // SAFETY: The call is about this command, which is valid.
        let issue = unsafe { Issue::new(cmd, bindings::IO_URING_F_COMPLETE_DEFER) };
        // INVARIANT: The value that sent it gave it up.
        let parked = Self {
            cmd,
            _queue: PhantomData,
        };
        (parked, word, issue)
    }

    /// # Safety
    ///
    /// As [`Self::arrived`]; [`Self::dispatch`] sent the command.
    unsafe extern "C" fn run(req: bindings::io_tw_req, token: bindings::io_tw_token_t) {
        // SAFETY: By this function's contract.
        let (parked, word, mut issue) = unsafe { Self::arrived(req) };
        // SAFETY: `park` set it.
        issue.queue = unsafe { (*Pdu::of(parked.cmd)).queue };
        // SAFETY: `dispatch` made it of a `Filled`, and this is the only place that takes it back.
        let filled =
            unsafe { Q::Filled::from_foreign(core::ptr::with_exposed_provenance_mut(word)) };
        // SAFETY: The command owns a reference to its queue until it is complete, and then `issue`
        // does. A command that waits again is completed by another call of its ring, which cannot
        // run before this one ends, as this one holds the lock of the ring.
        let queue = unsafe { &*issue.queue.cast::<Q>() };
        queue.in_task(parked, filled, &issue, token.cancel);
        if issue.keeps.get() {
            // SAFETY: `finish` left the reference to this call, which does not use it any more.
            drop(unsafe { Arc::from_raw(issue.queue.cast::<Q>()) });
        }
    }

    /// # Safety
    ///
    /// As [`Self::arrived`]; [`Self::end`] sent the command.
    unsafe extern "C" fn run_end(req: bindings::io_tw_req, _token: bindings::io_tw_token_t) {
        // SAFETY: By this function's contract.
        let (parked, word, issue) = unsafe { Self::arrived(req) };
        let this = ManuallyDrop::new(parked);
        // SAFETY: The value owns the command and is not used again; the call is one of its ring.
        unsafe { Self::finish(this.cmd, word as ffi::c_int, &issue) };
    }
}

/// Access to the registered buffer that a command names.
///
/// # Invariants
///
/// `cmd`, if there is one, is valid for `'a`, and not complete; `flags` are those of a call of its
/// ring that lasts for `'a`.
pub(crate) struct Access<'a> {
    cmd: Option<NonNull<bindings::io_uring_cmd>>,
    flags: u32,
    _command: PhantomData<&'a ()>,
}

impl<'a> Access<'a> {
    /// The command, whose ring has registered buffers; [`None`] in a call of another ring.
    pub(super) fn command(&self) -> Option<NonNull<bindings::io_uring_cmd>> {
        self.cmd
    }

    /// What io_uring said about the call (`IO_URING_F_*`).
    pub(super) fn flags(&self) -> u32 {
        self.flags
    }

    /// # Errors
    ///
    /// `EINVAL` if the command names none; `EFAULT` if the range is not in it.
    fn import(&self, direction: u32, address: usize, len: usize) -> Result<Stretch<'a>> {
        let cmd = self.cmd.ok_or(EINVAL)?;
        let mut iter = bindings::iov_iter::default();
        // SAFETY: By the type invariant; there is room for the iterator.
        to_result(unsafe {
            bindings::io_uring_cmd_import(
                cmd.as_ptr(),
                address as u64,
                len,
                direction as ffi::c_int,
                &mut iter,
                self.flags,
            )
        })?;
        // INVARIANT: The iterator is over the buffer's pages, which the command keeps for `'a`.
        Ok(Stretch {
            iter,
            left: len,
            _buffer: PhantomData,
        })
    }

    /// `len` bytes at `address` of the buffer, for a message.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the command names none; `EFAULT` if the range is not in it.
    pub(crate) fn dest(&self, address: usize, len: usize) -> Result<BufferDest<'a>> {
        self.import(bindings::ITER_DEST, address, len)
            .map(BufferDest)
    }

    /// `len` bytes at `address` of the buffer, which are a message.
    ///
    /// # Errors
    ///
    /// As [`Self::dest`].
    pub(crate) fn source(&self, address: usize, len: usize) -> Result<BufferSource<'a>> {
        self.import(bindings::ITER_SOURCE, address, len)
            .map(BufferSource)
    }
}

/// An area of a registered buffer, which is present.
///
/// # Invariants
///
/// `iter` is valid during `'a`.
struct Stretch<'a> {
    iter: bindings::iov_iter,
    /// Number of bytes left.
    left: usize,
    _buffer: PhantomData<&'a ()>,
}

/// Part of a registered buffer to which a message is copied.
pub(crate) struct BufferDest<'a>(Stretch<'a>);

impl BufferDest<'_> {
    fn iter(&mut self) -> &mut IovIterDest<'_> {
        // SAFETY: The iterator is valid by its type invariant, and a destination; it is borrowed
        // for as long as the value lives.
        unsafe { IovIterDest::from_raw(&raw mut self.0.iter) }
    }
}

impl Dest for BufferDest<'_> {
    fn len(&self) -> usize {
        self.0.left
    }

    fn copy_nofault(&mut self, bytes: SharedBytes<'_>) -> usize {
        let copied = copy_to_iter_nofault(self.iter(), bytes);
        self.0.left -= copied;
        copied
    }

    fn fault_in(&mut self, len: usize) -> Result {
        // A registered buffer that does not take the data now never will.
        let mut dest = UserDest::new(self.iter()).map_err(|_| EFAULT)?;
        dest.fault_in(len)
    }
}

/// Part of a registered buffer from which a message is copied.
pub(crate) struct BufferSource<'a>(Stretch<'a>);

impl BufferSource<'_> {
    fn iter(&mut self) -> &mut IovIterSource<'_> {
        // SAFETY: As for `BufferDest`, and it is a source.
        unsafe { IovIterSource::from_raw(&raw mut self.0.iter) }
    }
}

impl Source for BufferSource<'_> {
    fn len(&self) -> usize {
        self.0.left
    }

    fn copy_nofault(&mut self, room: Room<'_>) -> usize {
        let copied = copy_from_iter_nofault(self.iter(), room);
        self.0.left -= copied;
        copied
    }

    fn fault_in(&mut self, len: usize) -> Result {
        let mut source = UserSource::new(self.iter()).map_err(|_| EFAULT)?;
        source.fault_in(len)
    }
}

fn code(result: Result) -> ffi::c_int {
    result.map_or_else(|error| error.to_errno(), |()| 0)
}

impl<Q: Commands> Drop for Parked<Q> {
    fn drop(&mut self) {
        // INVARIANT: The new value replaces the one that is consumed.
        let this = Self {
            cmd: self.cmd,
            _queue: PhantomData,
        };
        this.end(Err(ECONNABORTED));
    }
}
