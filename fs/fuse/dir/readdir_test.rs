// SPDX-License-Identifier: GPL-2.0

//! Possible contents of a READDIR reply.

use super::records::Records;
use crate::fuse::abi::{
    header::rec_align,
    node::Dirent, //
};
use kernel::prelude::*;
use zerocopy::IntoBytes;

/// Adds a record in the server's format.
fn push(buffer: &mut KVec<u8>, off: u64, name: &[u8]) -> Result {
    let entry = Dirent {
        ino: 10 + off,
        off,
        namelen: name.len() as u32,
        kind: 8,
    };
    buffer.extend_from_slice(entry.as_bytes(), GFP_KERNEL)?;
    buffer.extend_from_slice(name, GFP_KERNEL)?;
    let end = rec_align(buffer.len()).ok_or(EINVAL)?;
    buffer.resize(end, 0, GFP_KERNEL)?;
    Ok(())
}

#[kunit_tests(ferrofuse_readdir)]
mod tests {
    use super::*;

    #[test]
    fn names_in_order() -> Result {
        let mut buffer = KVec::new();
        push(&mut buffer, 1, b".")?;
        push(&mut buffer, 2, b"eight by")?;
        push(&mut buffer, 7, b"last")?;

        let mut records = Records(&buffer);
        for (off, name) in [(1, &b"."[..]), (2, b"eight by"), (7, b"last")] {
            let record = records.next().ok_or(ENOENT)??;
            assert_eq!((record.entry.off, record.name), (off, name));
            assert_eq!((record.entry.ino, record.entry.kind), (10 + off, 8));
        }
        assert!(records.next().is_none());
        Ok(())
    }

    #[test]
    fn cut_off_anywhere() -> Result {
        let mut buffer = KVec::new();
        push(&mut buffer, 1, b"whole")?;
        let whole = buffer.len();
        push(&mut buffer, 2, b"half")?;

        for len in 0..=buffer.len() {
            let names = Records(buffer.get(..len).ok_or(EINVAL)?)
                .filter(Result::is_ok)
                .count();
            let expected = match len {
                len if len < whole => 0,
                len if len < buffer.len() => 1,
                _ => 2,
            };
            assert_eq!(names, expected);
        }
        Ok(())
    }

    #[test]
    fn names_that_are_none() -> Result {
        let mut long = KVec::new();
        long.resize(4096, b'x', GFP_KERNEL)?;
        for bad in [&b""[..], b"a/b", b"/", &long] {
            let mut buffer = KVec::new();
            push(&mut buffer, 1, b"good")?;
            push(&mut buffer, 2, bad)?;
            let mut records = Records(&buffer);
            assert!(records.next().is_some_and(|record| record.is_ok()));
            assert!(records
                .next()
                .is_some_and(|record| record.err() == Some(EIO)));
        }

        // A length that is impossible anywhere in the buffer is as bad as one that is too long.
        let mut buffer = KVec::new();
        let entry = Dirent {
            namelen: u32::MAX,
            ..Dirent::default()
        };
        buffer.extend_from_slice(entry.as_bytes(), GFP_KERNEL)?;
        assert!(Records(&buffer)
            .next()
            .is_some_and(|record| record.err() == Some(EIO)));
        Ok(())
    }

    #[test]
    fn longest_name() -> Result {
        let mut long = KVec::new();
        long.resize(4095, b'x', GFP_KERNEL)?;
        let mut buffer = KVec::new();
        push(&mut buffer, 1, &long)?;
        assert!(Records(&buffer)
            .next()
            .is_some_and(|record| record.is_ok_and(|record| record.name.len() == 4095)));
        Ok(())
    }
}
