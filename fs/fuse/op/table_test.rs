// SPDX-License-Identifier: GPL-2.0

//! The table against the numbers and lengths of the uapi header, which are repeated here: for every
//! row and every minor version, the lengths of the request and of the reply.

use kernel::prelude::*;

#[kunit_tests(ferrofuse_op)]
mod tests {
    use crate::fuse::abi::NodeId;
    use crate::fuse::op::table::{
        walk,
        Destroy,
        Lookup,
        Opcode,
        Statfs, //
    };
    use crate::fuse::op::{
        Enosys,
        InArgs,
        Operation,
        OutArgs,
        Reply,
        Visitor, //
    };
    use kernel::page::PAGE_SIZE;
    use kernel::prelude::*;

    /// The operations of `include/uapi/linux/fuse.h`: name and number; the length of the sample of
    /// [`walk`] (structure, two bytes for each name, eight for other data); the length of the
    /// structures of its reply; and the maximum of additional bytes if the sample, whose structure
    /// is zero, requests nothing.
    const UAPI: [(&str, u32, usize, usize, usize); 52] = [
        ("LOOKUP", 1, 2, 128, 0),
        ("FORGET", 2, 8, 0, 0),
        ("GETATTR", 3, 16, 104, 0),
        ("SETATTR", 4, 88, 104, 0),
        ("READLINK", 5, 0, 0, PAGE_SIZE - 1),
        ("SYMLINK", 6, 12, 128, 0),
        ("MKNOD", 8, 26, 128, 0),
        ("MKDIR", 9, 18, 128, 0),
        ("UNLINK", 10, 2, 0, 0),
        ("RMDIR", 11, 2, 0, 0),
        ("RENAME", 12, 12, 0, 0),
        ("LINK", 13, 10, 128, 0),
        ("OPEN", 14, 8, 16, 0),
        ("READ", 15, 40, 0, 0),
        ("WRITE", 16, 40, 8, 0),
        ("STATFS", 17, 0, 80, 0),
        ("RELEASE", 18, 24, 0, 0),
        ("FSYNC", 20, 16, 0, 0),
        ("SETXATTR", 21, 26, 0, 0),
        ("GETXATTR", 22, 10, 8, 0),
        ("LISTXATTR", 23, 8, 8, 0),
        ("REMOVEXATTR", 24, 2, 0, 0),
        ("FLUSH", 25, 24, 0, 0),
        ("INIT", 26, 64, 0, 64),
        ("OPENDIR", 27, 8, 16, 0),
        ("READDIR", 28, 40, 0, 0),
        ("RELEASEDIR", 29, 24, 0, 0),
        ("FSYNCDIR", 30, 16, 0, 0),
        ("GETLK", 31, 48, 24, 0),
        ("SETLK", 32, 48, 0, 0),
        ("SETLKW", 33, 48, 0, 0),
        ("ACCESS", 34, 8, 0, 0),
        ("CREATE", 35, 26, 144, 0),
        ("INTERRUPT", 36, 8, 0, 0),
        ("BMAP", 37, 16, 8, 0),
        ("DESTROY", 38, 0, 0, 0),
        ("IOCTL", 39, 32, 16, PAGE_SIZE),
        ("POLL", 40, 24, 8, 0),
        ("NOTIFY_REPLY", 41, 40, 0, 0),
        ("BATCH_FORGET", 42, 16, 0, 0),
        ("FALLOCATE", 43, 32, 0, 0),
        ("READDIRPLUS", 44, 40, 0, 0),
        ("RENAME2", 45, 20, 0, 0),
        ("LSEEK", 46, 24, 8, 0),
        ("COPY_FILE_RANGE", 47, 56, 8, 0),
        ("SETUPMAPPING", 48, 40, 0, 0),
        ("REMOVEMAPPING", 49, 12, 0, 0),
        ("SYNCFS", 50, 8, 0, 0),
        ("TMPFILE", 51, 26, 144, 0),
        ("STATX", 52, 24, 288, 0),
        ("COPY_FILE_RANGE_64", 53, 56, 8, 0),
        ("CUSE_INIT", 4096, 16, 72, 4096),
    ];

    /// The shorter forms for old servers: name, the last minor version of the short form, and the
    /// lengths as above.
    const COMPAT: [(&str, u32, usize, usize); 13] = [
        ("STATFS", 3, 0, 48),
        ("LOOKUP", 8, 2, 120),
        ("GETATTR", 8, 16, 96),
        ("SETATTR", 8, 88, 96),
        ("SYMLINK", 8, 12, 120),
        ("MKNOD", 8, 18, 120),
        ("MKNOD", 11, 18, 128),
        ("MKDIR", 8, 18, 120),
        ("LINK", 8, 10, 120),
        ("WRITE", 8, 24, 8),
        ("CREATE", 8, 18, 136),
        ("CREATE", 11, 18, 144),
        // Such an old server does not know it, but would be sent the new form.
        ("TMPFILE", 8, 26, 144),
    ];

    /// Length of the sample and of the structures of its reply in protocol 7.`minor`.
    fn expected(name: &str, minor: u32) -> Option<(usize, usize)> {
        let compat = COMPAT
            .iter()
            .filter(|row| row.0 == name && minor <= row.1)
            .min_by_key(|row| row.1)
            .map(|row| (row.2, row.3));

        compat.or_else(|| {
            UAPI.iter()
                .find(|row| row.0 == name)
                .map(|row| (row.2, row.3))
        })
    }

    /// Checks rows, and keeps the first that failed.
    struct Checker {
        rows: usize,
        failed: Option<&'static str>,
    }

    impl Checker {
        fn check<O: Operation>(op: &O) -> Result {
            let ensure = |condition: bool| if condition { Ok(()) } else { Err(EINVAL) };
            let name = O::OPCODE.name();
            let row = UAPI.iter().find(|row| row.0 == name).ok_or(ENOENT)?;

            ensure(O::OPCODE as u32 == row.1)?;
            ensure(op.out_spec(46).var == row.4)?;
            // Without a reply, nothing can be received.
            ensure(O::REPLY == Reply::Expected || op.out_spec(46).max_len() == 0)?;

            for minor in 0..=46 {
                let (in_len, fixed) = expected(name, minor).ok_or(ENOENT)?;
                let args = InArgs::encode(op, minor)?;
                let [inline, spill] = args.parts();
                let spec = op.out_spec(minor);

                ensure(args.len() == in_len && inline.len() + spill.len() == in_len)?;
                ensure(args.head_len() <= in_len)?;
                ensure(spec.fixed == fixed)?;

                // The minimum and the maximum reply, each of which is read completely.
                let mut out = OutArgs::new(spec)?;

                ensure(out.accept(spec.max_len() + 1) == Err(EINVAL))?;
                ensure(fixed == 0 || out.accept(fixed - 1) == Err(EINVAL))?;
                out.accept(fixed)?;
                out.accept(spec.max_len())?;
                for part in out.parts_mut() {
                    part.fill(0xff);
                }
                O::decode(minor, &mut out)?;
                ensure(out.is_read())?;
            }

            match O::ENOSYS {
                Enosys::Pass => ensure(O::lacking().err() == Some(ENOSYS)),
                Enosys::Remember(error) => ensure(O::lacking().err() == Some(error)),
                Enosys::RememberOk | Enosys::Fallback => ensure(O::lacking().is_ok()),
            }
        }
    }

    impl Visitor for Checker {
        fn visit<O: Operation>(&mut self, op: O) {
            self.rows += 1;
            if let Err(error) = Self::check(&op) {
                pr_err!("row {}: {:?}\n", O::OPCODE.name(), error);
                self.failed.get_or_insert(O::OPCODE.name());
            }
        }
    }

    #[test]
    fn rows_are_as_the_protocol_says() {
        let mut checker = Checker {
            rows: 0,
            failed: None,
        };

        walk(&mut checker);
        assert_eq!(checker.failed, None);
        assert_eq!(checker.rows, UAPI.len());
    }

    #[test]
    fn every_opcode_has_one_row() {
        assert_eq!(Opcode::ALL.len(), UAPI.len());
        for (opcode, row) in Opcode::ALL.iter().zip(UAPI.iter()) {
            assert_eq!(opcode.name(), row.0);
            assert_eq!(*opcode as u32, row.1);
        }
    }

    #[test]
    fn the_node_is_the_field() {
        let dir = NodeId::new(7);

        assert_eq!(Lookup { dir, name: b"n" }.node(), dir);
        assert_eq!(Statfs { node: dir }.node(), dir);
        assert_eq!(Destroy {}.node(), NodeId::NONE);
    }
}
