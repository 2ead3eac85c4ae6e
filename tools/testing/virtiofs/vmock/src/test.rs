// SPDX-License-Identifier: GPL-2.0

//! A driver's side of one ring, in a memfd, against the device.

use std::os::fd::FromRawFd;

use super::*;

const GUEST: u64 = 0x10000;
const USER: u64 = 0x7000_0000;
const SIZE: u64 = 1 << 20;
const DESC: u64 = 0;
const AVAIL: u64 = 0x1000;
const USED: u64 = 0x2000;
const DATA: u64 = 0x4000;
const ANSWER: u64 = 0x20000;
const ROOM: u32 = 0x8000;

struct Driver {
    device: Device,
    asked: u16,
}

fn file(fd: i32) -> File {
    assert!(fd >= 0);
    // SAFETY: The caller has just made it, and nothing else knows its number.
    unsafe { File::from_raw_fd(fd) }
}

impl Driver {
    fn new() -> Self {
        let mut driver = Self {
            device: Device::new(),
            asked: 0,
        };
        // SAFETY: The name ends with a NUL and lives as long as the program.
        let memory = file(unsafe { libc::memfd_create(c"guest".as_ptr(), 0) });
        memory.set_len(SIZE).unwrap();
        let table = files::Build::default()
            .u32(1)
            .u32(0)
            .u64(GUEST)
            .u64(SIZE)
            .u64(USER)
            .u64(0)
            .0;
        driver
            .device
            .message(SET_MEM_TABLE, &table, vec![memory])
            .unwrap();
        driver.start();
        driver
    }

    fn start(&mut self) {
        self.asked = 0;
        self.write(AVAIL + 2, &[0; 2]);
        self.write(USED + 2, &[0; 2]);
        let mut say = |request, body: files::Build, fds| {
            self.device.message(request, &body.0, fds).unwrap();
        };
        let ring = || files::Build::default().u32(1);
        say(SET_VRING_NUM, ring().u32(8), vec![]);
        say(SET_VRING_BASE, ring().u32(0), vec![]);
        let places = ring()
            .u32(0)
            .u64(USER + DESC)
            .u64(USER + USED)
            .u64(USER + AVAIL)
            .u64(0);
        say(SET_VRING_ADDR, places, vec![]);
        // SAFETY: The call takes two numbers and touches no memory of this process.
        let kick = file(unsafe { libc::eventfd(0, libc::EFD_NONBLOCK) });
        say(SET_VRING_KICK, ring().u32(0), vec![kick]);
    }

    fn reset(&mut self) {
        let ring = files::Build::default().u32(1).u32(0).0;
        assert!(self
            .device
            .message(GET_VRING_BASE, &ring, vec![])
            .unwrap()
            .is_some());
        self.start();
    }

    fn write(&self, at: u64, data: &[u8]) {
        self.device.memory.write(GUEST + at, data).unwrap();
    }

    fn read<const N: usize>(&self, at: u64) -> [u8; N] {
        let mut data = [0; N];
        self.device.memory.read(GUEST + at, &mut data).unwrap();
        data
    }

    /// Asks with descriptor `head` and the one behind it; the unique number is 100 + `head`.
    fn ask(&mut self, head: u16, opcode: u32, id: u64, body: &[u8]) {
        let answer = ANSWER + u64::from(head) * u64::from(ROOM);
        let place = DATA + u64::from(head) * 0x1000;
        let header = files::Build::default()
            .u32(40 + body.len() as u32)
            .u32(opcode);
        let mut request = header.u64(100 + u64::from(head)).u64(id).u64(0).u64(0).0;
        request.extend(body);
        self.write(place, &request);
        self.write(answer, &[0xee; 200]);
        let first = files::Build::default()
            .u64(GUEST + place)
            .u32(request.len() as u32);
        self.write(
            DESC + 16 * u64::from(head),
            &first.u32(1 | u32::from(head + 1) << 16).0,
        );
        let second = files::Build::default()
            .u64(GUEST + answer)
            .u32(ROOM)
            .u32(2)
            .0;
        self.write(DESC + 16 * u64::from(head + 1), &second);
        self.write(
            AVAIL + 4 + 2 * u64::from(self.asked % 8),
            &head.to_le_bytes(),
        );
        self.asked += 1;
        self.write(AVAIL + 2, &self.asked.to_le_bytes());
        self.device.work();
    }

    /// All that was given back: descriptor and claimed length.
    fn given(&self) -> Vec<(u32, u32)> {
        let count = u16::from_le_bytes(self.read(USED + 2));
        let number = |at| u32::from_le_bytes(self.read(at));
        let entry = |at: u64| (number(USED + 4 + 8 * at), number(USED + 8 + 8 * at));
        (0..u64::from(count)).map(entry).collect()
    }

    /// Length, error and unique number of the answer to descriptor `head`.
    fn header(&self, head: u16) -> (u32, i32, u64) {
        let at = ANSWER + u64::from(head) * u64::from(ROOM);
        let number = |at| u32::from_le_bytes(self.read(at));
        (
            number(at),
            number(at + 4) as i32,
            u64::from_le_bytes(self.read(at + 8)),
        )
    }

    fn order(&mut self, line: &str) {
        self.device.obey(line).unwrap();
        self.device.work();
    }
}

#[test]
fn answers_are_true_without_an_order() {
    let mut driver = Driver::new();
    driver.ask(
        0,
        files::INIT,
        0,
        &files::Build::default().u32(7).u32(46).u64(0).0,
    );
    driver.ask(2, files::STATFS, 1, &[]);
    driver.ask(4, files::LOOKUP, 1, b"nothing\0");
    assert_eq!(driver.given(), [(0, 80), (2, 96), (4, 16)]);
    assert_eq!(driver.header(0), (80, 0, 100));
    assert_eq!(driver.header(2), (96, 0, 102));
    assert_eq!(driver.header(4), (16, -libc::ENOENT, 104));
}

#[test]
fn messages_have_the_sizes_of_the_protocol() {
    let mut driver = Driver::new();
    let create = [
        &files::Build::default().u32(0).u32(0o100644).u64(0).0[..],
        b"file\0",
    ]
    .concat();
    driver.ask(0, files::CREATE, 1, &create);
    driver.ask(2, files::GETATTR, 3, &[0; 16]);
    let write = [
        &[0; 8][..],
        &files::Build::default().u64(0).u32(5).0,
        &[0; 20],
        b"words",
    ]
    .concat();
    driver.ask(4, files::WRITE, 3, &write);
    let read = files::Build::default()
        .u64(0)
        .u64(1)
        .u32(100)
        .u32(0)
        .u64(0)
        .u64(0)
        .0;
    driver.ask(0, files::READ, 3, &read);
    assert_eq!(driver.given(), [(0, 160), (2, 120), (4, 24), (0, 20)]);
    assert_eq!(&driver.read::<4>(ANSWER + 16), b"ords");
}

#[test]
fn each_lie_is_told_once() {
    let lies = [
        ("used -1", (95, 96, 0, 102)),
        ("length 1", (96, 97, 0, 102)),
        ("both -80", (16, 16, 0, 102)),
        ("unique 1", (96, 96, 0, 103)),
        ("error -512", (16, 16, -512, 102)),
        ("long-error -5", (96, 96, -5, 102)),
    ];
    for (lie, (used, length, error, unique)) in lies {
        let mut driver = Driver::new();
        driver.order(&format!("lie 17 1 {lie}"));
        driver.ask(2, files::STATFS, 1, &[]);
        assert_eq!(driver.header(2), (length, error, unique), "{lie}");
        driver.ask(2, files::STATFS, 1, &[]);
        assert_eq!(driver.given(), [(2, used), (2, 96)], "{lie}");
        assert_eq!(driver.header(2), (96, 0, 102), "{lie}");
    }
}

#[test]
fn what_is_held_is_given_in_the_order_that_is_said() {
    for (order, wanted) in [
        ("release", [(0, 96), (2, 96)]),
        ("reverse", [(2, 96), (0, 96)]),
    ] {
        let mut driver = Driver::new();
        driver.order("lie 17 2 hold 0");
        driver.ask(0, files::STATFS, 1, &[]);
        driver.ask(2, files::STATFS, 1, &[]);
        assert_eq!(driver.given(), []);
        assert_eq!(driver.read(ANSWER), [0xee; 16]);
        driver.order(order);
        assert_eq!(driver.given(), wanted);
    }
}

#[test]
fn a_descriptor_is_given_twice_or_another_is() {
    let mut driver = Driver::new();
    driver.order("lie 17 1 twice 0");
    driver.order("lie 17 1 head 9");
    driver.ask(0, files::STATFS, 1, &[]);
    driver.ask(2, files::STATFS, 1, &[]);
    assert_eq!(driver.given(), [(0, 96), (0, 96), (11, 96)]);
}

#[test]
fn only_a_stale_descriptor_outlives_a_reset() {
    let mut driver = Driver::new();
    driver.order("lie 17 1 hold 0");
    driver.order("lie 17 1 stale 0");
    driver.ask(0, files::STATFS, 1, &[]);
    driver.ask(2, files::STATFS, 1, &[]);
    driver.reset();
    driver.write(ANSWER + 2 * u64::from(ROOM), &[0xaa; 16]);
    driver.ask(4, files::STATFS, 1, &[]);
    assert_eq!(driver.given(), [(2, 96), (4, 96)]);
    // The memory is the driver's again: only the descriptor's number is given.
    assert_eq!(driver.read(ANSWER + 2 * u64::from(ROOM)), [0xaa; 16]);
}

#[test]
fn a_ring_that_is_a_circle_is_no_request() {
    let mut driver = Driver::new();
    driver.write(DESC, &files::Build::default().u64(GUEST).u32(0).u32(1).0);
    driver.write(AVAIL + 2, &1u16.to_le_bytes());
    driver.device.work();
    assert_eq!(driver.given(), []);
}
