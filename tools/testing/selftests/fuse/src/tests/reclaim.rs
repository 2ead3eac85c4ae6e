// SPDX-License-Identifier: GPL-2.0

//! Memory reclaim of a cgroup at its limit, while the server has its dirty pages.

use crate::mockd::*;

crate::tests![reader_at_its_limit_waits_for_no_write];

const MIB: usize = 1 << 20;
const PAGE: usize = 4096;

/// A process whose cgroup is at its limit reads on while the server has a WRITE of its dirty pages: pages that are
/// being written are passed over.
fn reader_at_its_limit_waits_for_no_write() {
    let group = Cgroup::new();
    group.limit(3 * MIB);
    let mut fs = Setup::new().flags(init::WRITEBACK_CACHE).start();
    let mut c = fs.call(|m| {
        std::fs::write(group.procs(), "0").unwrap();
        let f = sys::open(&m.path("f"), libc::O_RDWR).unwrap();
        write(f, &[1; 4 * PAGE]).unwrap();
        // SAFETY: no memory involved.
        unsafe { libc::sync_file_range(f, 0, 0, libc::SYNC_FILE_RANGE_WRITE) };
        m.pause();
        let g = m.open("g").unwrap();
        for at in (0..4 * MIB).step_by(16 * PAGE) {
            assert_eq!(pread(g, 16 * PAGE, at as i64).unwrap().len(), 16 * PAGE);
        }
        m.pause();
        close(g).unwrap();
        close(f).unwrap();
    });
    let mut writes = Vec::new();
    let last = std::cell::Cell::new(std::time::Instant::now());
    let mut answer = |r: Request| match r.head.opcode {
        LOOKUP if r.name() == "f" => r.ok(file(2).entry()),
        LOOKUP => r.ok(file(3).size(4 * MIB as u64).entry()),
        OPEN => r.ok(OpenOut {
            fh: 5,
            open_flags: 0,
            backing_id: 0,
        }),
        READ => {
            let size = r.arg::<ReadIn>().size as usize;
            last.set(std::time::Instant::now());
            r.reply(&vec![7; size]);
        }
        WRITE => writes.push(r),
        FLUSH | RELEASE => r.reply(&[]),
        SETATTR => r.ok(file(2).attr_out()),
        INTERRUPT | FORGET | BATCH_FORGET => (),
        _ => r.err(ENOSYS),
    };
    serve_until(fs.dev(), &mut answer, || !c.running());
    c.paused();
    c.go();
    last.set(std::time::Instant::now());
    serve_until(fs.dev(), &mut answer, || {
        assert!(
            (last.get().elapsed().as_millis() as i64) < patience(),
            "it waits: {}",
            c.whereabouts()
        );
        !c.running()
    });
    c.paused();
    for r in writes {
        let size = WriteIn::from_bytes(&r.body).size;
        r.ok(WriteOut { size, padding: 0 });
    }
    c.go();
    let answer = |r: Request| match r.head.opcode {
        SETATTR => r.ok(file(2).attr_out()),
        FORGET | BATCH_FORGET => (),
        _ => r.reply(&[]),
    };
    serve_until(fs.dev(), answer, || c.is_gone());
    fs.die();
}
