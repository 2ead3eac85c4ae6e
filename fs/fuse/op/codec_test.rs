// SPDX-License-Identifier: GPL-2.0

//! The codec with variable input of callers and servers: names long and short, replies long and
//! short, old servers.

use kernel::prelude::*;

#[kunit_tests(ferrofuse_codec)]
mod tests {
    use crate::fuse::abi::attr::*;
    use crate::fuse::abi::file::*;
    use crate::fuse::abi::init::{
        InitFlag,
        InitFlags,
        InitIn,
        InitOut, //
    };
    use crate::fuse::abi::node::*;
    use crate::fuse::abi::notify::NotifyRetrieveIn;
    use crate::fuse::abi::NodeId;
    use crate::fuse::op::codec::*;
    use crate::fuse::op::data::Exchange;
    use crate::fuse::op::{
        self,
        Operation, //
    };
    use crate::vfs::mm::cached::CachedRanges;
    use crate::vfs::mm::segment::FolioSegments;
    use kernel::prelude::*;

    /// Writes a reply as a transport does: the length is accepted, then the bytes are copied.
    fn reply(out: &mut OutArgs, bytes: &[u8]) -> Result {
        out.accept(bytes.len())?;

        let [fixed, var] = out.parts_mut();
        let (head, rest) = bytes.split_at_checked(fixed.len()).ok_or(EINVAL)?;

        fixed.copy_from_slice(head);
        // The part for pages of the caller has no space here.
        if !var.is_empty() {
            var.copy_from_slice(rest);
        }
        Ok(())
    }

    /// `n` bytes, no two neighbours of which are equal.
    fn pattern(n: usize) -> Result<KVVec<u8>> {
        let mut bytes = KVVec::new();

        for i in 0..n {
            bytes.push((i % 251) as u8, GFP_KERNEL)?;
        }
        Ok(bytes)
    }

    #[test]
    fn names_end_with_nul() -> Result {
        let args = InArgs::encode(
            &op::Rename {
                dir: NodeId::ROOT,
                args: RenameIn {
                    newdir: NodeId::new(7),
                },
                old_name: b"a",
                new_name: b"bc",
            },
            46,
        )?;

        assert_eq!(args.head_len(), size_of::<RenameIn>());
        assert_eq!(args.parts()[0], &b"\x07\0\0\0\0\0\0\0a\0bc\0"[..]);
        assert!(args.parts()[1].is_empty());
        assert_eq!(args.len(), 13);
        Ok(())
    }

    #[test]
    fn without_structure_there_is_no_head() -> Result {
        let dir = NodeId::ROOT;
        let lookup = InArgs::encode(&op::Lookup { dir, name: b"n" }, 46)?;
        let statfs = InArgs::encode(&op::Statfs { node: dir }, 46)?;
        let reply = InArgs::encode(
            &op::NotifyReply {
                node: dir,
                args: Unsplit(NotifyRetrieveIn::default()),
                data: CachedRanges::default(),
            },
            46,
        )?;

        assert_eq!(lookup.head_len(), 0);
        assert_eq!(lookup.parts()[0], &b"n\0"[..]);
        assert!(statfs.is_empty());
        assert_eq!(statfs.len(), 0);
        assert_eq!(reply.head_len(), 0);
        assert_eq!(reply.len(), 40);
        Ok(())
    }

    #[test]
    fn long_names_spill_whole_and_in_order() -> Result {
        let long = pattern(300)?;
        let args = InArgs::encode(
            &op::Rename {
                dir: NodeId::ROOT,
                args: RenameIn::default(),
                old_name: &long,
                new_name: b"n",
            },
            46,
        )?;
        let [inline, spill] = args.parts();

        assert_eq!(inline.len(), args.head_len());
        assert_eq!(spill.get(..300), Some(long.as_slice()));
        assert_eq!(spill.get(300..), Some(&b"\0n\0"[..]));
        assert_eq!(args.len(), 8 + 301 + 2);
        Ok(())
    }

    #[test]
    fn a_name_that_just_fits_stays_inline() -> Result {
        let name = pattern(IN_INLINE)?;
        let mut fits = InArgs::new();
        let mut spills = InArgs::new();

        fits.push_name(name.get(..IN_INLINE - 1).ok_or(EINVAL)?)?;
        spills.push_name(&name)?;
        assert_eq!(fits.parts()[0].len(), IN_INLINE);
        assert!(fits.parts()[1].is_empty());
        assert!(spills.parts()[0].is_empty());
        assert_eq!(spills.parts()[1].len(), IN_INLINE + 1);
        assert_eq!(spills.parts()[1].last(), Some(&0));
        Ok(())
    }

    #[test]
    fn extensions_are_counted_in_units_of_eight() -> Result {
        let mkdir = |ext| op::Mkdir {
            dir: NodeId::ROOT,
            args: MkdirIn::default(),
            name: b"d",
            ext,
        };
        let none = InArgs::encode(&mkdir(b""), 46)?;
        let some = InArgs::encode(&mkdir(&[1; 24]), 46)?;

        assert_eq!(none.total_extlen(), 0);
        assert_eq!(none.len(), 10);
        assert_eq!(some.total_extlen(), 3);
        assert_eq!(some.len(), 34);
        assert!(InArgs::encode(&mkdir(&[1; 7]), 46).err() == Some(EINVAL));
        Ok(())
    }

    #[test]
    fn setxattr_has_two_forms() -> Result {
        let setxattr = |args| op::Setxattr {
            node: NodeId::ROOT,
            args,
            name: b"user.a",
            value: b"12\x003",
        };
        let compat = InArgs::encode(
            &setxattr(SetxattrHead::Compat(CompatSetxattrIn { size: 4, flags: 1 })),
            46,
        )?;
        let ext = InArgs::encode(
            &setxattr(SetxattrHead::Ext(SetxattrIn {
                size: 4,
                flags: 1,
                ..SetxattrIn::default()
            })),
            46,
        )?;

        assert_eq!(compat.head_len(), 8);
        assert_eq!(compat.parts()[0].get(8..), Some(&b"user.a\x0012\x003"[..]));
        assert_eq!(ext.head_len(), 16);
        assert_eq!(ext.parts()[0].get(16..), Some(&b"user.a\x0012\x003"[..]));
        assert_eq!(compat.parts()[0].get(..8), ext.parts()[0].get(..8));
        Ok(())
    }

    #[test]
    fn fixed_replies_have_one_length() -> Result {
        let op = op::Getattr {
            node: NodeId::ROOT,
            args: GetattrIn::default(),
        };
        let bytes = pattern(105)?;

        for len in 0..=bytes.len() {
            let mut out = OutArgs::new(op.out_spec(46))?;
            let result = reply(&mut out, bytes.get(..len).ok_or(EINVAL)?);

            if len == 104 {
                let attr = op::Getattr::decode(46, &mut out)?;

                assert_eq!(Some(attr.as_bytes()), bytes.get(..104));
            } else {
                assert_eq!(result, Err(EINVAL));
            }
        }
        Ok(())
    }

    #[test]
    fn variable_replies_may_be_short() -> Result {
        let op = op::Readdir {
            node: NodeId::ROOT,
            args: ReadIn {
                size: 4096,
                ..ReadIn::default()
            },
        };
        let bytes = pattern(4097)?;

        for len in [0, 1, 24, 4095, 4096] {
            let mut out = OutArgs::new(op.out_spec(46))?;
            let bytes = bytes.get(..len).ok_or(EINVAL)?;

            reply(&mut out, bytes)?;
            assert_eq!(out.var_len(), len);
            assert_eq!(op::Readdir::decode(46, &mut out)?.as_slice(), bytes);
        }
        assert_eq!(
            reply(&mut OutArgs::new(op.out_spec(46))?, &bytes),
            Err(EINVAL)
        );
        Ok(())
    }

    #[test]
    fn pages_are_bounded_but_not_stored() -> Result {
        let op = op::Ioctl {
            node: NodeId::ROOT,
            args: IoctlIn {
                out_size: 4096,
                ..IoctlIn::default()
            },
            data: Exchange {
                sent: FolioSegments::default(),
                filled: FolioSegments::default(),
            },
        };
        let mut out = OutArgs::new(op.out_spec(46))?;

        assert_eq!(out.accept(15), Err(EINVAL));
        assert_eq!(out.accept(16 + 4097), Err(EINVAL));
        reply(&mut out, &pattern(16 + 100)?)?;
        assert_eq!(out.data_len(), 100);
        assert!(out.var().is_empty());

        let (fixed, written) = op::Ioctl::decode(46, &mut out)?;

        assert_eq!(Some(fixed.as_bytes()), pattern(16)?.get(..));
        assert_eq!(written, 100);
        Ok(())
    }

    #[test]
    fn an_ioctl_of_our_own_is_answered_exactly() -> Result {
        let op = op::OwnIoctl::<u32>::new(NodeId::ROOT, IoctlIn::default(), b"12345")?;
        let sent = InArgs::encode(&op, 46)?;
        let [inline, _] = sent.parts();

        // The lengths, then the data.
        assert_eq!(inline.get(24..), Some(&b"\x05\0\0\0\x04\0\0\x0012345"[..]));

        let mut out = OutArgs::new(op.out_spec(46))?;

        assert_eq!(out.accept(16 + 3), Err(EINVAL));
        assert_eq!(out.accept(16 + 5), Err(EINVAL));
        reply(&mut out, &pattern(16 + 4)?)?;

        let (_, value) = op::OwnIoctl::<u32>::decode(46, &mut out)?;

        assert_eq!(Some(value.as_bytes()), pattern(16 + 4)?.get(16..));
        Ok(())
    }

    #[test]
    fn a_large_structure_needs_an_allocation() -> Result {
        let op = op::Statx {
            node: NodeId::ROOT,
            args: StatxIn::default(),
        };
        let mut out = OutArgs::new(op.out_spec(46))?;
        let bytes = pattern(288)?;

        reply(&mut out, &bytes)?;

        let statx = op::Statx::decode(46, &mut out)?.ok_or(EINVAL)?;

        assert_eq!(statx.as_bytes(), bytes.as_slice());
        Ok(())
    }

    #[test]
    fn old_servers_send_less_of_an_entry() -> Result {
        let create = op::Create {
            dir: NodeId::ROOT,
            args: CreateIn::default(),
            name: b"n",
            ext: b"",
        };
        let bytes = pattern(120 + 16)?;
        let mut out = OutArgs::new(create.out_spec(8))?;

        reply(&mut out, &bytes)?;

        let (entry, open) = op::Create::decode(8, &mut out)?.ok_or(EINVAL)?;

        // The part that they do not send reads as zero, and the next structure is found.
        assert_eq!(entry.as_bytes().get(..120), bytes.get(..120));
        assert_eq!(entry.attr.blksize, 0);
        assert_eq!(entry.attr.flags, AttrFlags::empty());
        assert_eq!(Some(open.as_bytes()), bytes.get(120..));
        Ok(())
    }

    #[test]
    fn old_servers_are_sent_less() -> Result {
        let create = op::Create {
            dir: NodeId::ROOT,
            args: CreateIn {
                flags: 0x11,
                mode: 0x22,
                umask: 0x33,
                open_flags: OpenFlags::empty(),
            },
            name: b"n",
            ext: b"",
        };
        let old = InArgs::encode(&create, 11)?;
        let new = InArgs::encode(&create, 12)?;

        assert_eq!(old.head_len(), 8);
        assert_eq!(new.head_len(), 16);
        assert_eq!(old.parts()[0].get(..8), new.parts()[0].get(..8));
        assert_eq!(old.parts()[0].get(8..), Some(&b"n\0"[..]));
        Ok(())
    }

    #[test]
    fn init_replies_are_zero_extended() -> Result {
        let op = op::Init {
            args: InitIn::new(0, InitFlags::empty()),
        };
        let mut full = InitOut::accepting(46, InitFlag::AsyncRead | InitFlag::InitExt);

        full.max_write = 4096;
        full.max_pages = 3;

        for (len, max_write, max_pages) in [(8, 0, 0), (24, 4096, 0), (64, 4096, 3)] {
            let mut out = OutArgs::new(op.out_spec(46))?;

            reply(&mut out, full.as_bytes().get(..len).ok_or(EINVAL)?)?;

            let init = op::Init::decode(46, &mut out)?;

            assert_eq!(init.minor, 46);
            assert_eq!(init.max_write, max_write);
            assert_eq!(init.max_pages, max_pages);
            assert_eq!(init.flags().contains(InitFlag::AsyncRead), len > 8);
        }
        assert_eq!(
            reply(&mut OutArgs::new(op.out_spec(46))?, &pattern(65)?),
            Err(EINVAL)
        );
        Ok(())
    }

    #[test]
    fn xattrs_are_asked_for_twice() -> Result {
        let getxattr = |size| op::Getxattr {
            node: NodeId::ROOT,
            args: GetxattrIn { size, padding: 0 },
            name: b"user.a",
        };
        let mut out = OutArgs::new(getxattr(0).out_spec(46))?;

        assert_eq!(out.accept(0), Err(EINVAL));
        reply(
            &mut out,
            GetxattrOut {
                size: 5,
                padding: 0,
            }
            .as_bytes(),
        )?;
        assert!(matches!(
            op::Getxattr::decode(46, &mut out)?,
            Xattr::Size(5)
        ));

        let mut out = OutArgs::new(getxattr(10).out_spec(46))?;

        reply(&mut out, b"12345")?;
        match op::Getxattr::decode(46, &mut out)? {
            Xattr::Value(value) => assert_eq!(value.as_slice(), &b"12345"[..]),
            Xattr::Size(_) => return Err(EINVAL),
        }
        Ok(())
    }

    #[test]
    fn nothing_is_read_beyond_the_reply() -> Result {
        let mut out = OutArgs::new(OutSpec {
            fixed: 16,
            ..OutSpec::default()
        })?;

        reply(&mut out, &pattern(16)?)?;
        assert!(out.read::<OpenOut>().is_ok());
        assert!(out.is_read());
        assert!(out.read::<LseekOut>().err() == Some(EIO));
        assert!(out.take_var().is_empty());
        Ok(())
    }
}
