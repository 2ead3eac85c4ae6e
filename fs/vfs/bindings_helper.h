/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What bindgen reads for fs/vfs: the headers whose types and functions `kernel::bindings` does not
 * have, and the macro constants that bindgen cannot see (each as RUST_CONST_HELPER_<name>).
 */
#include <linux/anon_inodes.h>
#include <linux/backing-dev.h>
#include <linux/backing-file.h>
#include <linux/exportfs.h>
#include <linux/falloc.h>
#include <linux/fileattr.h>
#include <linux/filelock.h>
#include <linux/fs.h>
#include <linux/fs_context.h>
#include <linux/fs_parser.h>
#include <linux/group_cpus.h>
#include <linux/io_uring/cmd.h>
#include <linux/iomap.h>
#include <linux/iversion.h>
#include <linux/miscdevice.h>
#include <linux/mount.h>
#include <linux/namei.h>
#include <linux/pagemap.h>
#include <linux/pipe_fs_i.h>
#include <linux/poll.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <linux/sched.h>
#include <linux/splice.h>
#include <linux/statfs.h>
#include <linux/uio.h>
#include <linux/virtio.h>
#include <linux/virtio_config.h>
#include <linux/vmalloc.h>
#include <linux/xattr.h>

static const unsigned int RUST_CONST_HELPER_IO_URING_F_CANCEL = IO_URING_F_CANCEL;
static const unsigned int RUST_CONST_HELPER_IO_URING_F_SQE128 = IO_URING_F_SQE128;
static const unsigned int RUST_CONST_HELPER_IO_URING_F_COMPLETE_DEFER = IO_URING_F_COMPLETE_DEFER;
static const unsigned long RUST_CONST_HELPER_SB_RDONLY = SB_RDONLY;
static const unsigned long RUST_CONST_HELPER_SB_NOSUID = SB_NOSUID;
static const unsigned long RUST_CONST_HELPER_SB_NODEV = SB_NODEV;
static const unsigned long RUST_CONST_HELPER_SB_SYNCHRONOUS = SB_SYNCHRONOUS;
static const unsigned long RUST_CONST_HELPER_SB_MANDLOCK = SB_MANDLOCK;
static const unsigned long RUST_CONST_HELPER_SB_NOSEC = SB_NOSEC;
static const unsigned long RUST_CONST_HELPER_SB_POSIXACL = SB_POSIXACL;
static const unsigned long RUST_CONST_HELPER_SB_ACTIVE = SB_ACTIVE;
static const unsigned long long RUST_CONST_HELPER_MAX_LFS_FILESIZE = MAX_LFS_FILESIZE;
static const unsigned int RUST_CONST_HELPER_FMODE_READ = (__force unsigned int)FMODE_READ;
static const unsigned int RUST_CONST_HELPER_FMODE_WRITE = (__force unsigned int)FMODE_WRITE;
static const unsigned int RUST_CONST_HELPER_FMODE_EXEC = (__force unsigned int)FMODE_EXEC;
static const unsigned int RUST_CONST_HELPER_FMODE_OPENED = (__force unsigned int)FMODE_OPENED;
static const unsigned int RUST_CONST_HELPER_FMODE_CREATED = (__force unsigned int)FMODE_CREATED;
static const unsigned long RUST_CONST_HELPER_SB_NOEXEC = SB_NOEXEC;
static const unsigned long RUST_CONST_HELPER_SB_DIRSYNC = SB_DIRSYNC;
static const unsigned long RUST_CONST_HELPER_SB_NOATIME = SB_NOATIME;
static const unsigned long RUST_CONST_HELPER_SB_NODIRATIME = SB_NODIRATIME;
static const unsigned long RUST_CONST_HELPER_SB_LAZYTIME = SB_LAZYTIME;
static const unsigned long RUST_CONST_HELPER_SB_I_VERSION = SB_I_VERSION;
static const unsigned int RUST_CONST_HELPER_VFS_ACL_TYPE_ACCESS = ACL_TYPE_ACCESS;
static const unsigned int RUST_CONST_HELPER_VFS_ACL_TYPE_DEFAULT = ACL_TYPE_DEFAULT;
static const unsigned int RUST_CONST_HELPER_LOOKUP_REVAL = LOOKUP_REVAL;
static const unsigned int RUST_CONST_HELPER_LOOKUP_RCU = LOOKUP_RCU;
static const unsigned int RUST_CONST_HELPER_LOOKUP_OPEN = LOOKUP_OPEN;
static const unsigned int RUST_CONST_HELPER_LOOKUP_CREATE = LOOKUP_CREATE;
static const unsigned int RUST_CONST_HELPER_LOOKUP_EXCL = LOOKUP_EXCL;
static const unsigned int RUST_CONST_HELPER_LOOKUP_RENAME_TARGET = LOOKUP_RENAME_TARGET;
static const unsigned int RUST_CONST_HELPER_BDI_CAP_STRICTLIMIT = BDI_CAP_STRICTLIMIT;
static const unsigned int RUST_CONST_HELPER_VFS_PAGE_SHIFT = PAGE_SHIFT;
static const unsigned int RUST_CONST_HELPER_IOCB_DIRECT = IOCB_DIRECT;
static const unsigned int RUST_CONST_HELPER_IOCB_APPEND = (__force unsigned int)IOCB_APPEND;
static const unsigned int RUST_CONST_HELPER_IOCB_SYNC = (__force unsigned int)IOCB_SYNC;
static const unsigned int RUST_CONST_HELPER_FL_POSIX = FL_POSIX;
static const unsigned int RUST_CONST_HELPER_FL_FLOCK = FL_FLOCK;
static const unsigned int RUST_CONST_HELPER_FL_OFDLCK = FL_OFDLCK;
static const unsigned int RUST_CONST_HELPER_FL_SLEEP = FL_SLEEP;
static const unsigned int RUST_CONST_HELPER_FALLOC_FL_KEEP_SIZE = FALLOC_FL_KEEP_SIZE;
static const unsigned int RUST_CONST_HELPER_FALLOC_FL_PUNCH_HOLE = FALLOC_FL_PUNCH_HOLE;
static const unsigned int RUST_CONST_HELPER_FALLOC_FL_COLLAPSE_RANGE = FALLOC_FL_COLLAPSE_RANGE;
static const unsigned int RUST_CONST_HELPER_FALLOC_FL_ZERO_RANGE = FALLOC_FL_ZERO_RANGE;
static const unsigned int RUST_CONST_HELPER_FALLOC_FL_INSERT_RANGE = FALLOC_FL_INSERT_RANGE;
static const unsigned int RUST_CONST_HELPER_FALLOC_FL_UNSHARE_RANGE = FALLOC_FL_UNSHARE_RANGE;
static const unsigned int RUST_CONST_HELPER_FALLOC_FL_WRITE_ZEROES = FALLOC_FL_WRITE_ZEROES;
