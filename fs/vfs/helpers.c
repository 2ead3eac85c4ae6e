// SPDX-License-Identifier: GPL-2.0
/*
 * Inline functions and macros of the kernel as functions, for fs/vfs. No logic lives here.
 *
 * With CONFIG_RUST_INLINE_HELPERS this file is compiled to bitcode and its functions are inlined
 * into the crate; otherwise it is an ordinary object of the module.
 */
#include <linux/backing-dev.h>
#include <linux/cred.h>
#include <linux/fs.h>
#include <linux/fs_context.h>
#include <linux/fs_parser.h>
#include <linux/iomap.h>
#include <linux/iversion.h>
#include <linux/jiffies.h>
#include <linux/mnt_idmapping.h>
#include <linux/mount.h>
#include <linux/namei.h>
#include <linux/pagemap.h>
#include <linux/pipe_fs_i.h>
#include <linux/poll.h>
#include <linux/posix_acl.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/splice.h>
#include <linux/uaccess.h>
#include <linux/uio.h>
#include <linux/wait.h>
#include <linux/xattr.h>

#include "trace.h"

#ifdef VFS_HELPERS_INLINE
#define __vfs_helper __always_inline
#else
#define __vfs_helper
#endif

/* clock */

__vfs_helper u64 vfs_helper_get_jiffies_64(void)
{
	return get_jiffies_64();
}

/* user memory */

__vfs_helper bool vfs_helper_user_backed_iter(const struct iov_iter *i)
{
	return user_backed_iter(i);
}

__vfs_helper void vfs_helper_pagefault_disable(void)
{
	pagefault_disable();
}

__vfs_helper void vfs_helper_pagefault_enable(void)
{
	pagefault_enable();
}

/* folios */

__vfs_helper void vfs_helper_folio_get(struct folio *folio)
{
	folio_get(folio);
}

__vfs_helper void vfs_helper_folio_put(struct folio *folio)
{
	folio_put(folio);
}

__vfs_helper size_t vfs_helper_folio_size(const struct folio *folio)
{
	return folio_size(folio);
}

__vfs_helper struct folio *vfs_helper_folio_alloc(gfp_t gfp, unsigned int order)
{
	return folio_alloc(gfp, order);
}

__vfs_helper void *vfs_helper_kmap_local_folio(struct folio *folio, size_t offset)
{
	return kmap_local_folio(folio, offset);
}

__vfs_helper void vfs_helper_flush_dcache_folio(struct folio *folio)
{
	flush_dcache_folio(folio);
}

__vfs_helper unsigned int vfs_helper_readahead_count(const struct readahead_control *rac)
{
	return readahead_count((struct readahead_control *)rac);
}

/* directories */

__vfs_helper bool vfs_helper_dir_emit(struct dir_context *ctx, const char *name, int namelen,
				      u64 ino, unsigned int type)
{
	return dir_emit(ctx, name, namelen, ino, type);
}

<<<<<<< HEAD
/* tracepoints */

__vfs_helper void vfs_helper_trace_request_send(dev_t connection, u64 unique, u32 opcode, u32 len)
{
	trace_fuse_request_send(connection, unique, opcode, len);
}

__vfs_helper void vfs_helper_trace_request_sent(dev_t connection, u64 unique, u32 opcode)
{
	trace_fuse_request_sent(connection, unique, opcode);
}

__vfs_helper void vfs_helper_trace_request_end(dev_t connection, u64 unique, u32 len, s32 error)
{
	trace_fuse_request_end(connection, unique, len, error);
=======
/* memory in all */

__vfs_helper unsigned long vfs_helper_totalram_pages(void)
{
	return totalram_pages();
>>>>>>> 45bd9e6 (wip2)
}
