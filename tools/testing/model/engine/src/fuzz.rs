// SPDX-License-Identifier: GPL-2.0

//! Whatever a server may send, given to what decodes it.
//!
//! The first byte of an input says what it is: a reply, which goes to a request of one row of the
//! table of operations by the device; the records of a directory; all of a message to the device; the
//! body of a notification; or the steps of a server that has several requests on several devices.
//! libFuzzer chooses the inputs, by what of the code they reach.

use crate::{
    fuse::{
        abi::{
            file::{
                IoctlIn,
                ReadIn, //
            },
            header::{
                InHeader,
                OutHeader, //
            },
            node::GetxattrIn,
            notify::{
                NotifyCode,
                NotifyDeleteOut,
                NotifyInvalEntryOut,
                NotifyInvalInodeOut,
                NotifyPollWakeupOut,
                NotifyPruneOut,
                NotifyRetrieveOut,
                NotifyStoreOut, //
            },
            NodeId,
            Unique, //
        },
        channel::{
            transport::Wake,
            Limits, //
        },
        dir::{
            names,
            plus_names, //
        },
        op::{
            self,
            data::{
                Exchange,
                OpData as _, //
            },
            walk,
            Operation,
            OutSpace,
            Reply,
            Visitor, //
        },
        request::{
            make::Parts,
            wait::Patience,
            Request, //
        },
        transport::dev::Device, //
    },
    vfs::{
        io::miscdev::Device as _,
        mm::segment::FolioSegments,
        sync::entry::Registration, //
    },
    witness,
    world::{
        Call,
        Message,
        Server,
        Told,
        World,
        ANSWER,
        MINOR, //
    },
};
use kernel::{
    iov::{
        IovIterDest,
        IovIterSource,
        Presence, //
    },
    prelude::*,
    rt, //
};
use std::{
    path::Path,
    sync::Once, //
};
use zerocopy::{
    FromBytes as _,
    IntoBytes as _, //
};

/// What an input is.
const REPLY: u8 = 0;
const RECORDS: u8 = 1;
const PLUS_RECORDS: u8 = 2;
const MESSAGE: u8 = 3;
const LIVES: u8 = 4;
const NOTIFICATION: u8 = 5;

/// Minor versions before which replies are shorter, and the present one.
const MINORS: [u32; 3] = [MINOR, 8, 4];

/// Bytes that operations with data ask for here.
const ASKED: usize = 300;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    static FIRST: Once = Once::new();
    FIRST.call_once(|| {
        // SAFETY: It lives as long as the process.
        std::mem::forget(unsafe { Registration::<Request>::new() });
        if let Some(folder) = std::env::var_os("SEEDS") {
            seed(Path::new(&folder));
        }
    });
    rt::begin();
    witness::begin();
    rt::adopt("main");
    one(input);
    rt::end();
});

fn one(input: &[u8]) {
    match *input {
        [REPLY, row, minor, ref rest @ ..] if rest.len() >= 4 => {
            let (error, payload) = rest.split_at(4);
            let mut answer = Answer {
                row: row.into(),
                at: 0,
                minor: MINORS[usize::from(minor) % MINORS.len()],
                error: i32::from_ne_bytes(error.try_into().unwrap_or_default()),
                payload,
            };
            every(&mut answer);
        }
        [RECORDS, ref records @ ..] => check_names(records, 24, &names),
        [PLUS_RECORDS, ref records @ ..] => {
            // As memory from the allocator is aligned.
            let mut aligned = vec![0u64; records.len().div_ceil(8)];
            aligned.as_mut_bytes()[..records.len()].copy_from_slice(records);
            check_names(&aligned.as_bytes()[..records.len()], 152, &plus_names);
        }
        [MESSAGE, ref message @ ..] => send(message),
        [NOTIFICATION, code, ref body @ ..] => {
            let mut message = OutHeader {
                len: (size_of::<OutHeader>() + body.len()) as u32,
                error: code.into(),
                unique: Unique::new(0),
            }
            .as_bytes()
            .to_vec();
            message.extend_from_slice(body);
            send(&message);
        }
        [LIVES, ref steps @ ..] => lives(steps),
        _ => (),
    }
}

/// A server writes a message that is no reply to anything.
fn send(message: &[u8]) {
    let (world, server) = World::new();
    let mut from = IovIterSource::new(message, Presence::ALL, None);
    let _ = Device::write_iter(server.device.as_arc_borrow(), &server.file, &mut from);
    end(&world, server);
}

/// Requests of background callers, and what a server with several devices does with them: a byte is a
/// step, and what it is done with. In the end each caller was told once, and no request is left.
fn lives(steps: &[u8]) {
    let (world, server) = World::new();
    let mut servers = vec![server];
    let (mut ids, mut callers) = (Vec::new(), Vec::new());
    for step in steps.iter().take(200) {
        let which = usize::from(step >> 4);
        let id = ids.get(which % ids.len().max(1)).copied().unwrap_or(7);
        let Some(server) = servers.get(which % servers.len().max(1)) else {
            break;
        };
        match step & 15 {
            0 | 1 if callers.len() < 10 => {
                let (call, told) = (Call::by(callers.len() as u32 + 1), Told::default());
                world.call_background(&call, &told);
                callers.push(told);
            }
            2..=4 if server.has_work() => match server.read() {
                Ok(Message::Request { unique, .. }) if !ids.contains(&unique) => ids.push(unique),
                _ => (),
            },
            5 | 6 => drop(server.answer(id)),
            7 => drop(server.write(id, -1 - which as i32, &[])),
            8 => drop(server.write(id, 0, &[0; 15][..which.min(15)])),
            9 => drop(server.write(id, which as i32, ANSWER)),
            10 => world.channel.resend(),
            11 => world.forget(which as u64),
            12 if servers.len() < 4 => servers.push(server.cloned()),
            13 => servers.swap_remove(which % servers.len()).close(),
            14 if which == 0 => world.abort(),
            _ => (),
        }
    }
    servers.into_iter().for_each(Server::close);
    world.abort();
    for told in callers {
        assert!(told.times() == 1, "a caller is told {} times", told.times());
    }
    world.check();
}

/// Names are good, lie in the buffer, and those of a shorter buffer are the first of a longer one.
fn check_names(
    records: &[u8],
    head: usize,
    names: &dyn for<'a> Fn(&'a [u8]) -> Vec<Result<&'a [u8]>>,
) {
    let all = names(records);
    let mut used = 0;
    for (at, name) in all.iter().enumerate() {
        let Ok(name) = name else {
            assert!(at + 1 == all.len() || names(records).len() == all.len());
            break;
        };
        assert!(!name.is_empty() && name.len() <= 4095 && !name.contains(&b'/'));
        used += (head + name.len()).next_multiple_of(8);
        assert!(used <= records.len());
    }
    let cut = names(&records[..records.len() / 2 / 8 * 8]);
    for (short, long) in cut.iter().zip(&all) {
        assert!(short == long || short.is_err());
    }
}

/// Every row of the table, then those whose data have a length that the caller chooses.
fn every(visitor: &mut impl Visitor) {
    walk(visitor);
    let node = NodeId::ROOT;
    let size = ASKED as u32;
    let read = || ReadIn {
        size,
        ..ReadIn::default()
    };
    let getxattr = || GetxattrIn {
        size,
        ..GetxattrIn::default()
    };
    let folios = || FolioSegments(vec![0; ASKED]);
    visitor.visit(op::Getxattr {
        node,
        args: getxattr(),
        name: b"n",
    });
    visitor.visit(op::Listxattr {
        node,
        args: getxattr(),
    });
    visitor.visit(op::Readdir { node, args: read() });
    visitor.visit(op::Readdirplus { node, args: read() });
    visitor.visit(op::Read {
        node,
        args: read(),
        data: folios(),
        zero_copy: false,
    });
    visitor.visit(op::Ioctl {
        node,
        args: IoctlIn {
            out_size: size,
            ..IoctlIn::default()
        },
        data: Exchange {
            sent: folios(),
            filled: FolioSegments(vec![0; 4096]),
        },
    });
}

/// A reply to the request of one row.
struct Answer<'a> {
    row: usize,
    /// The row that comes next.
    at: usize,
    minor: u32,
    error: i32,
    payload: &'a [u8],
}

impl Visitor for Answer<'_> {
    fn visit<O: Operation>(&mut self, op: O) {
        if self.row == self.at {
            self.answer(op);
        }
        self.at += 1;
    }
}

impl Answer<'_> {
    fn answer<O: Operation>(&self, op: O) {
        let (world, server) = World::uninitialized();
        world.channel.set_initialized(Limits {
            minor: self.minor,
            max_write: 4096,
        });
        let parts = Parts {
            header: InHeader {
                opcode: O::OPCODE as u32,
                nodeid: op.node(),
                ..InHeader::default()
            },
            connection: 1,
            expects_reply: O::REPLY == Reply::Expected,
            opcode: O::OPCODE,
            shares_pages: false,
            output: OutSpace::new(op.out_spec(self.minor)).unwrap(),
        };
        let made = Request::reserve().unwrap().make(parts, |args| {
            op.encode(self.minor, args)?;
            Ok::<_, Error>(op.into_data().store())
        });
        let request = made.unwrap();
        let waiter = request.waiter();
        world.channel.send(request, Wake::Sync);
        let unique = read(&server);
        let answers = O::REPLY == Reply::Expected;
        if answers && server.write(unique, self.error, self.payload).is_err() {
            // It may be that the request waits on: the message was none.
            let _ = server.write(unique, EIO.to_errno(), &[]);
        }
        let Ok(done) = waiter.wait(&*world.channel, Patience::Forced) else {
            unreachable!("nobody is killed");
        };
        let (decoded, data) = done.read::<O::Data, _>(|outcome, out| {
            (outcome.errno() == 0).then(|| O::decode(self.minor, out))
        });
        drop(data);
        assert!(
            !matches!(decoded, Some(Err(_))) || O::REPLY == Reply::None,
            "a reply was taken that cannot be decoded"
        );
        end(&world, server);
    }
}

/// The server closes its device, and nothing is left of the connection.
fn end(world: &World, server: Server) {
    server.close();
    world.check();
}

/// Reads a request: its id.
fn read(server: &Server) -> u64 {
    let mut buffer = [0; 8192];
    let mut to = IovIterDest::new(&mut buffer, Presence::ALL, None);
    let read = Device::read_iter(server.device.as_arc_borrow(), &server.file, &mut to);
    let len = read.unwrap();
    let (header, _) = InHeader::read_from_prefix(&buffer[..len]).unwrap();
    header.unique.get()
}

/// Writes inputs to begin with: a reply of each length to each row, directories, notifications.
fn seed(folder: &Path) {
    struct Seeds<'a>(&'a Path, u8);
    impl Visitor for Seeds<'_> {
        fn visit<O: Operation>(&mut self, op: O) {
            for (at, minor) in MINORS.into_iter().enumerate() {
                let spec = op.out_spec(minor);
                for len in [spec.fixed, spec.fixed + spec.var.min(ASKED)] {
                    let head = [REPLY, self.1, at as u8, 0, 0, 0, 0];
                    let input = [&head[..], &vec![0; len]].concat();
                    let name = format!("{}-{minor}-{len}", O::OPCODE.name());
                    std::fs::write(self.0.join(name), input).unwrap();
                }
            }
            self.1 += 1;
        }
    }
    every(&mut Seeds(folder, 0));
    let mut record = vec![0; 24];
    record[16] = 4;
    record.extend_from_slice(b"name\0\0\0\0");
    let names = [&[RECORDS][..], &record, &record].concat();
    std::fs::write(folder.join("names"), names).unwrap();
    let plus = [&[0; 128][..], &record].concat();
    let names = [&[PLUS_RECORDS][..], &plus, &plus].concat();
    std::fs::write(folder.join("plus-names"), names).unwrap();
    for (code, body) in notifications() {
        let input = [&[NOTIFICATION, code as u8][..], &body].concat();
        std::fs::write(folder.join(format!("notify-{}", code as i32)), input).unwrap();
    }
    // Sent, read, cloned, sent again, read by the other device, answered there, and closed.
    let steps = [
        LIVES, 0, 0, 2, 2, 12, 10, 0x13, 0x13, 0x15, 5, 11, 2, 13, 13,
    ];
    std::fs::write(folder.join("lives"), steps).unwrap();
}

/// A good notification of each kind.
fn notifications() -> Vec<(NotifyCode, Vec<u8>)> {
    let entry = NotifyInvalEntryOut {
        namelen: 4,
        ..NotifyInvalEntryOut::default()
    };
    let gone = NotifyDeleteOut {
        namelen: 4,
        ..NotifyDeleteOut::default()
    };
    let store = NotifyStoreOut {
        size: 20,
        ..NotifyStoreOut::default()
    };
    let prune = NotifyPruneOut {
        count: 2,
        ..NotifyPruneOut::default()
    };
    vec![
        (
            NotifyCode::Poll,
            NotifyPollWakeupOut::default().as_bytes().into(),
        ),
        (
            NotifyCode::InvalInode,
            NotifyInvalInodeOut::default().as_bytes().into(),
        ),
        (
            NotifyCode::InvalEntry,
            [entry.as_bytes(), b"name\0"].concat(),
        ),
        (NotifyCode::Delete, [gone.as_bytes(), b"name\0"].concat()),
        (NotifyCode::Store, [store.as_bytes(), &[1; 20]].concat()),
        (
            NotifyCode::Retrieve,
            NotifyRetrieveOut::default().as_bytes().into(),
        ),
        (NotifyCode::Resend, Vec::new()),
        (NotifyCode::IncEpoch, Vec::new()),
        (NotifyCode::Prune, [prune.as_bytes(), &[1; 16]].concat()),
    ]
}
