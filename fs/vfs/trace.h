/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tracepoints of requests, under the system "fuse": queued, handed to the server, ended.
 *
 * Names, fields and text are what tools know from the C module: they are not to be changed. The
 * arguments are plain values, so that the caller need not show its structures to C.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM fuse

#if !defined(_VFS_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _VFS_TRACE_H

#include <linux/fuse.h>
#include <linux/tracepoint.h>

/*
 * The operations that have a name in the trace; others show as their number. Used once to make the
 * numbers known to user space, and then as pairs of number and name.
 */
#define VFS_TRACE_OPCODES(one, last)		\
	one(FUSE_LOOKUP)			\
	one(FUSE_FORGET)			\
	one(FUSE_GETATTR)			\
	one(FUSE_SETATTR)			\
	one(FUSE_READLINK)			\
	one(FUSE_SYMLINK)			\
	one(FUSE_MKNOD)				\
	one(FUSE_MKDIR)				\
	one(FUSE_UNLINK)			\
	one(FUSE_RMDIR)				\
	one(FUSE_RENAME)			\
	one(FUSE_LINK)				\
	one(FUSE_OPEN)				\
	one(FUSE_READ)				\
	one(FUSE_WRITE)				\
	one(FUSE_STATFS)			\
	one(FUSE_RELEASE)			\
	one(FUSE_FSYNC)				\
	one(FUSE_SETXATTR)			\
	one(FUSE_GETXATTR)			\
	one(FUSE_LISTXATTR)			\
	one(FUSE_REMOVEXATTR)			\
	one(FUSE_FLUSH)				\
	one(FUSE_INIT)				\
	one(FUSE_OPENDIR)			\
	one(FUSE_READDIR)			\
	one(FUSE_RELEASEDIR)			\
	one(FUSE_FSYNCDIR)			\
	one(FUSE_GETLK)				\
	one(FUSE_SETLK)				\
	one(FUSE_SETLKW)			\
	one(FUSE_ACCESS)			\
	one(FUSE_CREATE)			\
	one(FUSE_INTERRUPT)			\
	one(FUSE_BMAP)				\
	one(FUSE_DESTROY)			\
	one(FUSE_IOCTL)				\
	one(FUSE_POLL)				\
	one(FUSE_NOTIFY_REPLY)			\
	one(FUSE_BATCH_FORGET)			\
	one(FUSE_FALLOCATE)			\
	one(FUSE_READDIRPLUS)			\
	one(FUSE_RENAME2)			\
	one(FUSE_LSEEK)				\
	one(FUSE_COPY_FILE_RANGE)		\
	one(FUSE_SETUPMAPPING)			\
	one(FUSE_REMOVEMAPPING)			\
	one(FUSE_SYNCFS)			\
	one(FUSE_TMPFILE)			\
	one(FUSE_STATX)				\
	last(CUSE_INIT)

#define VFS_TRACE_DEFINE(opcode) TRACE_DEFINE_ENUM(opcode);
VFS_TRACE_OPCODES(VFS_TRACE_DEFINE, VFS_TRACE_DEFINE)

#define VFS_TRACE_PAIR(opcode)	{opcode, #opcode},
#define VFS_TRACE_LAST(opcode)	{opcode, #opcode}

TRACE_EVENT(fuse_request_send,
	TP_PROTO(dev_t connection, u64 unique, u32 opcode, u32 len),

	TP_ARGS(connection, unique, opcode, len),

	TP_STRUCT__entry(
		__field(dev_t,			connection)
		__field(uint64_t,		unique)
		__field(enum fuse_opcode,	opcode)
		__field(uint32_t,		len)
	),

	TP_fast_assign(
		__entry->connection = connection;
		__entry->unique = unique;
		__entry->opcode = opcode;
		__entry->len = len;
	),

	TP_printk("connection %u req %llu opcode %u (%s) len %u ",
		  __entry->connection, __entry->unique, __entry->opcode,
		  __print_symbolic(__entry->opcode,
				   VFS_TRACE_OPCODES(VFS_TRACE_PAIR, VFS_TRACE_LAST)),
		  __entry->len)
);

TRACE_EVENT(fuse_request_sent,
	TP_PROTO(dev_t connection, u64 unique, u32 opcode),

	TP_ARGS(connection, unique, opcode),

	TP_STRUCT__entry(
		__field(dev_t,			connection)
		__field(uint64_t,		unique)
		__field(enum fuse_opcode,	opcode)
	),

	TP_fast_assign(
		__entry->connection = connection;
		__entry->unique = unique;
		__entry->opcode = opcode;
	),

	TP_printk("connection %u req %llu opcode %u (%s)",
		  __entry->connection, __entry->unique, __entry->opcode,
		  __print_symbolic(__entry->opcode,
				   VFS_TRACE_OPCODES(VFS_TRACE_PAIR, VFS_TRACE_LAST)))
);

TRACE_EVENT(fuse_request_end,
	TP_PROTO(dev_t connection, u64 unique, u32 len, s32 error),

	TP_ARGS(connection, unique, len, error),

	TP_STRUCT__entry(
		__field(dev_t,		connection)
		__field(uint64_t,	unique)
		__field(uint32_t,	len)
		__field(int32_t,	error)
	),

	TP_fast_assign(
		__entry->connection = connection;
		__entry->unique = unique;
		__entry->len = len;
		__entry->error = error;
	),

	TP_printk("connection %u req %llu len %u error %d", __entry->connection,
		  __entry->unique, __entry->len, __entry->error)
);

#endif /* _VFS_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
