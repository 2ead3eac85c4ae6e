// SPDX-License-Identifier: GPL-2.0

//! What scenarios are made of: a connection, its servers, and callers.
//!
//! Callers do what `conn/call.rs` does with the channel; servers do what programs do with
//! `/dev/fuse`. All that knows how the engine is called is here.

use crate::{
    fuse::{
        abi::{
            device::{
                BackingMap,
                IOC_CLONE,
                IOC_SYNC_INIT, //
            },
            header::{
                InHeader,
                OutHeader, //
            },
            node::InterruptIn,
            NodeId,
            Unique, //
        },
        channel::{
            forget::{
                Forget,
                ForgetTicket, //
            },
            owner::{
                ChannelOwner,
                Payload, //
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
        notify,
        op::{
            data::{
                BothWays,
                Data,
                Exchange,
                OpData as _,
                Typed, //
            },
            Opcode,
            OutSpace,
            OutSpec, //
        },
        request::{
            completion::{
                Completion,
                Ended, //
            },
            make::Parts,
            state::Pending,
            wait::{
                Canceller as _,
                Patience, //
            },
            Handle,
            Request, //
        },
        transport::dev::{
            DevTransport,
            Device, //
        },
    },
    vfs::{
        io::miscdev::Device as _,
        mm::segment::FolioSegments, //
    },
    witness,
};
use kernel::{
    fs::{
        set_descriptor,
        File, //
    },
    iov::{
        IovIterDest,
        IovIterSource,
        Presence, //
    },
    prelude::*,
    rt,
    sync::Arc,
};
use std::sync::atomic::{
    AtomicI32,
    AtomicUsize,
    Ordering::SeqCst, //
};
use zerocopy::{
    FromBytes as _,
    IntoBytes as _, //
};

/// Least that a server reads with.
const BUFFER: usize = 8192;
/// What every request sends behind its header.
pub(crate) const MESSAGE: &[u8] = b"message!";
/// What a server answers.
pub(crate) const ANSWER: &[u8] = b"answer!!";

/// What INIT settles.
pub(crate) const MINOR: u32 = 46;

/// Takes what the server says, and does nothing about it.
struct Listener;

impl ChannelOwner for Listener {
    fn notify(&self, code: i32, payload: &mut dyn Payload) -> Result {
        notify::take(code, payload)
    }
    fn backing_open(&self, _: BackingMap) -> Result<i32> {
        Err(EINVAL)
    }
    fn backing_close(&self, _: i32) -> Result {
        Err(EINVAL)
    }
}

/// A connection.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) channel: Arc<Channel>,
    transport: Arc<DevTransport>,
}

impl Reaches for World {
    fn channel(&self) -> &Channel {
        &self.channel
    }
}

impl World {
    /// A connection whose INIT is answered, and a server.
    pub(crate) fn new() -> (Self, Server) {
        let (world, server) = Self::uninitialized();
        world.initialize();
        (world, server)
    }

    /// A connection whose INIT is not answered.
    pub(crate) fn uninitialized() -> (Self, Server) {
        let (world, server) = (Self::unmounted(), Server::open());
        world.mount(&server).unwrap();
        (world, server)
    }

    /// A connection without a server.
    pub(crate) fn unmounted() -> Self {
        let transport = Arc::pin_init(DevTransport::new(), GFP_KERNEL).unwrap();
        let channel = Arc::pin_init(Channel::new(transport.clone()), GFP_KERNEL).unwrap();
        channel.set_connection(1);
        Self { channel, transport }
    }

    /// The server gets the connection, as by a mount.
    pub(crate) fn mount(&self, server: &Server) -> Result {
        rt::step(|| "mounts".into());
        let owner = Arc::new(Listener, GFP_KERNEL).unwrap();
        let (channel, transport) = (self.channel.clone(), self.transport.clone());
        server.device.install(channel, transport, owner, 1)
    }

    /// INIT is answered.
    pub(crate) fn initialize(&self) {
        self.channel.set_initialized(Limits {
            minor: MINOR,
            max_write: 4096,
        });
    }

    /// Ends the connection, as an unmount or a user does.
    pub(crate) fn abort(&self) {
        self.channel.abort(false);
    }

    /// What must hold when all threads have gone.
    pub(crate) fn check(&self) {
        let left = rt::requests();
        assert!(left == 0, "{left} requests are kept that have ended");
        self.check_counts();
    }

    /// What must hold when no request is in flight.
    pub(crate) fn check_counts(&self) {
        assert!(
            self.channel.num_waiting() == 0,
            "requests are counted that are not there"
        );
        assert!(
            self.channel.num_background() == 0,
            "slots are taken by nobody"
        );
    }

    fn make(&self, call: &Call) -> Result<Pending> {
        let vacant = Request::reserve()?;
        vacant.make(
            Parts {
                header: InHeader {
                    opcode: call.opcode as u32,
                    pid: call.pid,
                    nodeid: NodeId::ROOT,
                    ..InHeader::default()
                },
                connection: 1,
                expects_reply: !call.no_reply,
                opcode: call.opcode,
                shares_pages: false,
                output: OutSpace::new(OutSpec {
                    fixed: ANSWER.len(),
                    var: call.data_out,
                    data: call.data_out != 0,
                })?,
            },
            |args| args.push_bytes(MESSAGE).map(|()| call.data()),
        )
    }

    /// Sends a request and waits for its end, as `Mount::call()` does: 0 or a negative errno.
    pub(crate) fn call(&self, call: &Call) -> i32 {
        let forced = !matches!(call.patience, Patience::Killable | Patience::Again);
        let pass = match Pass::enter(self, forced) {
            Ok(pass) => pass,
            Err(error) => return error.to_errno(),
        };
        if !forced {
            assert!(
                pass.limits().minor == MINOR,
                "who passes the gate does not see what INIT settled"
            );
        }
        let request = self.make(call).unwrap();
        let waiter = request.waiter();
        let channel = &*self.channel;
        channel.send(request, Wake::Sync);
        let done = match (waiter.wait(channel, call.patience), &call.abandoned) {
            (Ok(done), _) => done,
            (Err(killed), None) => killed.wait(channel),
            (Err(killed), Some(told)) => {
                let memory = KBox::new_uninit(GFP_KERNEL).unwrap();
                let gone = killed.abandon(|request| {
                    memory.write(AbandonedCall {
                        pass: pass.into_owned(),
                        request,
                        told: told.clone(),
                    })
                });
                match gone {
                    Ok(()) => return EINTR.to_errno(),
                    Err(killed) => killed.wait(channel),
                }
            }
        };
        let (seen, data) = done.read::<Typed<Exchange, BothWays>, _>(|outcome, output| {
            // The answer is there, whole, if there was one.
            if outcome.errno() == 0 && !call.no_reply {
                let answer: [u8; 8] = output.read().unwrap();
                assert!(
                    answer == *ANSWER,
                    "the answer that is seen is not the server's"
                );
            }
            (outcome.errno(), output.var_len())
        });
        let (errno, written) = seen;
        let (_, Exchange { filled, .. }) = data.with(Ok(()));
        if errno == 0 && call.data_out != 0 {
            let FolioSegments(bytes) = filled;
            assert!(bytes.len() == call.data_out, "the data are gone");
            let (filled, rest) = bytes.split_at(written);
            assert!(filled.iter().all(|byte| *byte == b'd'), "data are wrong");
            assert!(rest.iter().all(|byte| *byte == 0), "old data are seen");
        }
        errno
    }

    /// Sends a background request, as `Mount::call_background()` does.
    pub(crate) fn call_background(&self, call: &Call, told: &Told) {
        match self.turn() {
            Ok(turn) => self.send_background(turn, call, told),
            Err(error) => told.tell(error.to_errno()),
        }
    }

    /// Passes the gate for a background request.
    pub(crate) fn turn(&self) -> Result<Turn<&Self>> {
        Turn::enter(self, false)
    }

    /// Sends a background request that has passed the gate.
    pub(crate) fn send_background(&self, turn: Turn<&Self>, call: &Call, told: &Told) {
        if call.cannot_be_made {
            drop(turn);
            return told.tell(ENOMEM.to_errno());
        }
        let request = self.make(call).unwrap();
        let memory = KBox::new_uninit(GFP_KERNEL).unwrap();
        turn.send(request, |slot| {
            memory.write(Background {
                slot,
                told: told.clone(),
            })
        });
    }

    /// Gives a lookup back.
    pub(crate) fn forget(&self, node: u64) {
        let ticket = ForgetTicket::new().unwrap();
        let node = NodeId::new(node);
        self.channel.forget(ticket, Forget { node, nlookup: 1 });
    }
}

/// A call that is to be made.
#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) pid: u32,
    pub(crate) opcode: Opcode,
    pub(crate) patience: Patience,
    /// A killed caller abandons it; this is told of the end then.
    pub(crate) abandoned: Option<Told>,
    pub(crate) no_reply: bool,
    /// Bytes of data that the answer may fill.
    pub(crate) data_out: usize,
    /// Bytes of data behind the message.
    pub(crate) data_in: usize,
    /// There is no memory for it.
    pub(crate) cannot_be_made: bool,
}

impl Call {
    /// A plain one, of this thread.
    pub(crate) const fn by(pid: u32) -> Self {
        Self {
            pid,
            opcode: Opcode::Getattr,
            patience: Patience::Killable,
            abandoned: None,
            no_reply: false,
            data_out: 0,
            data_in: 0,
            cannot_be_made: false,
        }
    }

    /// One that a killed caller abandons, which is told to `told`.
    pub(crate) fn left_to(told: &Told) -> Self {
        Self {
            abandoned: Some(told.clone()),
            ..Self::by(1)
        }
    }

    fn data(&self) -> Option<Data> {
        if self.data_in == 0 && self.data_out == 0 {
            return None;
        }
        let bytes = |len: usize| FolioSegments(vec![b'x'; len]);
        Some(Data::Exchanged(Exchange {
            sent: bytes(self.data_in),
            filled: bytes(self.data_out),
        }))
    }
}

/// What was told of the end of a request that nobody waits for.
#[derive(Clone, Default)]
pub(crate) struct Told(std::sync::Arc<(AtomicUsize, AtomicI32)>);

impl Told {
    fn tell(&self, error: i32) {
        self.0 .0.fetch_add(1, SeqCst);
        self.0 .1.store(error, SeqCst);
    }

    /// How often it was told.
    pub(crate) fn times(&self) -> usize {
        self.0 .0.load(SeqCst)
    }

    /// The errno that it was told once.
    pub(crate) fn errno(&self) -> i32 {
        assert!(self.times() == 1, "it was told {} times", self.times());
        self.0 .1.load(SeqCst)
    }
}

fn no_spinlock() {
    let held = rt::spin_locks();
    assert!(held.is_empty(), "a completion runs under {held:?}");
}

/// The completion of a request that its caller has abandoned.
struct AbandonedCall {
    pass: Pass<World>,
    request: Handle,
    told: Told,
}

impl Completion for AbandonedCall {
    fn complete(self: KBox<Self>, ended: Ended<'_>) {
        no_spinlock();
        let Self {
            pass,
            request,
            told,
        } = KBox::into_inner(self);
        pass.via().channel.forget_interrupt(&request);
        let (errno, ()) = ended.read(|outcome, _| outcome.errno());
        witness::seen(request.unique().get(), errno);
        told.tell(errno);
        drop(pass);
    }
}

/// The completion of a background request.
struct Background {
    slot: Slot<World>,
    told: Told,
}

impl Completion for Background {
    fn complete(self: KBox<Self>, ended: Ended<'_>) {
        no_spinlock();
        let Self { slot, told } = KBox::into_inner(self);
        let pass = slot.free();
        let (errno, ()) = ended.read(|outcome, _| outcome.errno());
        told.tell(errno);
        drop(pass);
    }
}

/// What a server reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    /// A request.
    Request { unique: u64, pid: u32 },
    /// An INTERRUPT for this one.
    Interrupt(u64),
    /// FORGETs.
    Forgets(u32),
}

/// An open `/dev/fuse`.
pub(crate) struct Server {
    pub(crate) device: Arc<Device>,
    pub(crate) file: std::sync::Arc<File>,
}

impl Server {
    /// One that serves nothing yet.
    pub(crate) fn open() -> Self {
        let device = Device::new().unwrap();
        let file = File::new(Device::table().address(), device.clone(), 0);
        Self {
            device,
            file: std::sync::Arc::new(file),
        }
    }

    /// Another of the same connection (`FUSE_DEV_IOC_CLONE`).
    pub(crate) fn cloned(&self) -> Self {
        let other = Self::open();
        let fd = 7u32;
        set_descriptor(fd, Some(self.file.clone()));
        let argument = core::ptr::from_ref(&fd).expose_provenance();
        let cloned = Device::ioctl(
            other.device.as_arc_borrow(),
            &other.file,
            IOC_CLONE,
            argument,
        );
        set_descriptor(fd, None);
        cloned.unwrap();
        other
    }

    /// From now on its reads wait for the mount.
    pub(crate) fn wait_for_mount(&self) {
        let device = self.device.as_arc_borrow();
        Device::ioctl(device, &self.file, IOC_SYNC_INIT, 0).unwrap();
    }

    /// The same open file, for another thread of the server.
    pub(crate) fn share(&self) -> Self {
        Self {
            device: self.device.clone(),
            file: self.file.clone(),
        }
    }

    /// Reads a message.
    pub(crate) fn read(&self) -> Result<Message> {
        self.read_faulting(Presence::ALL)
    }

    /// Reads a message into a buffer that is not all there.
    pub(crate) fn read_faulting(&self, presence: Presence<'_>) -> Result<Message> {
        let mut buffer = [0u8; BUFFER];
        let len = {
            let mut to = IovIterDest::new(&mut buffer, presence, Some(witness::copied));
            Device::read_iter(self.device.as_arc_borrow(), &self.file, &mut to)
        };
        witness::copied_all();
        let len = len.inspect_err(|error| {
            let error = error.to_errno();
            rt::step(|| format!("its read fails: {}", kernel::error::code::name(error)));
        })?;
        let (header, rest) = InHeader::read_from_prefix(&buffer[..len]).unwrap();
        assert!(
            header.len as usize == len,
            "a message says that it is longer than it is"
        );
        Ok(match header.opcode {
            opcode if opcode == Opcode::Interrupt as u32 => {
                let InterruptIn { unique } = InterruptIn::read_from_bytes(rest).unwrap();
                witness::interrupted(unique.get());
                Message::Interrupt(unique.get())
            }
            opcode if opcode == Opcode::Forget as u32 => Message::Forgets(1),
            opcode if opcode == Opcode::BatchForget as u32 => {
                Message::Forgets(u32::read_from_prefix(rest).unwrap().0)
            }
            _ => {
                assert!(rest.starts_with(MESSAGE), "a message is not what was sent");
                Message::Request {
                    unique: header.unique.get(),
                    pid: header.pid,
                }
            }
        })
    }

    /// Writes an answer.
    pub(crate) fn write(&self, unique: u64, error: i32, payload: &[u8]) -> Result {
        self.write_faulting(unique, error, payload, Presence::ALL)
    }

    /// Writes an answer out of a buffer that is not all there.
    pub(crate) fn write_faulting(
        &self,
        unique: u64,
        error: i32,
        payload: &[u8],
        presence: Presence<'_>,
    ) -> Result {
        let header = OutHeader {
            len: (size_of::<OutHeader>() + payload.len()) as u32,
            error,
            unique: Unique::new(unique),
        };
        let message = [header.as_bytes(), payload].concat();
        let written = {
            let mut from = IovIterSource::new(&message, presence, Some(witness::copied));
            Device::write_iter(self.device.as_arc_borrow(), &self.file, &mut from)
        };
        witness::copied_all();
        if written.is_ok() && unique & Unique::INTERRUPT == 0 {
            witness::answered(unique);
        }
        written.map(|_| ()).inspect_err(|error| {
            let error = error.to_errno();
            rt::step(|| format!("its write fails: {}", kernel::error::code::name(error)));
        })
    }

    /// Answers a request well.
    pub(crate) fn answer(&self, unique: u64) -> Result {
        self.write(unique, 0, ANSWER)
    }

    /// Reads requests, whatever comes between, until there is one: its id.
    pub(crate) fn read_request(&self) -> Result<u64> {
        loop {
            if let Message::Request { unique, .. } = self.read()? {
                return Ok(unique);
            }
        }
    }

    /// Reads until there is an INTERRUPT: what it names.
    pub(crate) fn read_interrupt(&self) -> Result<u64> {
        loop {
            if let Message::Interrupt(unique) = self.read()? {
                return Ok(unique);
            }
        }
    }

    /// Answers what it reads, until the connection ends.
    pub(crate) fn serve(&self) {
        while let Ok(message) = self.read() {
            if let Message::Request { unique, .. } = message {
                let _ = self.answer(unique);
            }
        }
    }

    /// Whether a read would find something.
    pub(crate) fn has_work(&self) -> bool {
        use crate::vfs::file::poll::PollEvents;
        self.device.poll() == PollEvents::WRITABLE | PollEvents::READABLE
    }

    /// The last descriptor of it is closed.
    pub(crate) fn close(self) {
        rt::step(|| "closes its device".into());
        Device::release(self.device.clone(), 0);
    }
}
