/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tracepoints of the life of a request, under the system "fuse".
 *
 * Tools know the first three from the C module: their names, fields and text must not change. The
 * others show the other transitions; each event of a request has the caller and the operation, so
 * that it can be filtered by itself. The arguments are plain values, so that C need not know the
 * caller's structures. Documentation/observing.rst has the table.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM fuse

#if !defined(_VFS_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _VFS_TRACE_H

#include <linux/fuse.h>
#include <linux/pid.h>
#include <linux/sched.h>
#include <linux/tracepoint.h>

#include "trace_event.h"

/*
 * The operations that have a name in the trace; others show as their number. Used once to define
 * the numbers for user space, and then as pairs of number and name.
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

/* The notifications that have a name in the trace. */
#define VFS_TRACE_CODES(one, last)		\
	one(FUSE_NOTIFY_POLL)			\
	one(FUSE_NOTIFY_INVAL_INODE)		\
	one(FUSE_NOTIFY_INVAL_ENTRY)		\
	one(FUSE_NOTIFY_STORE)			\
	one(FUSE_NOTIFY_RETRIEVE)		\
	one(FUSE_NOTIFY_DELETE)			\
	one(FUSE_NOTIFY_RESEND)			\
	one(FUSE_NOTIFY_INC_EPOCH)		\
	last(FUSE_NOTIFY_PRUNE)

VFS_TRACE_CODES(VFS_TRACE_DEFINE, VFS_TRACE_DEFINE)

/* The fields of every event of one request; tgid is that of the thread in which it fires. */
#define VFS_TRACE_REQUEST_FIELDS				\
		__field(dev_t,			connection)	\
		__field(uint64_t,		unique)		\
		__field(enum fuse_opcode,	opcode)		\
		__field(uint64_t,		nodeid)		\
		__field(uint32_t,		pid)		\
		__field(pid_t,			tgid)		\
		__field(uint32_t,		len)

#define VFS_TRACE_REQUEST_ASSIGN				\
		__entry->connection = r->connection;		\
		__entry->unique = r->unique;			\
		__entry->opcode = r->opcode;			\
		__entry->nodeid = r->nodeid;			\
		__entry->pid = r->pid;				\
		__entry->tgid = task_tgid_nr(current);		\
		__entry->len = r->len;

#define VFS_TRACE_REQUEST_TEXT	\
	"connection %u req %llu opcode %u (%s) nodeid %llu pid %u tgid %d len %u"

#define VFS_TRACE_REQUEST_VALUES						\
	__entry->connection, __entry->unique, __entry->opcode,			\
	__print_symbolic(__entry->opcode,					\
			 VFS_TRACE_OPCODES(VFS_TRACE_PAIR, VFS_TRACE_LAST)),	\
	__entry->nodeid, __entry->pid, __entry->tgid, __entry->len

DECLARE_EVENT_CLASS(fuse_request,
	TP_PROTO(const struct vfs_trace_request *r),

	TP_ARGS(r),

	TP_STRUCT__entry(
		VFS_TRACE_REQUEST_FIELDS
	),

	TP_fast_assign(
		VFS_TRACE_REQUEST_ASSIGN
	),

	TP_printk(VFS_TRACE_REQUEST_TEXT, VFS_TRACE_REQUEST_VALUES)
);

#define VFS_TRACE_REQUEST(name)					\
DEFINE_EVENT(fuse_request, name,				\
	TP_PROTO(const struct vfs_trace_request *r),		\
	TP_ARGS(r))

VFS_TRACE_REQUEST(fuse_request_interrupt);
VFS_TRACE_REQUEST(fuse_interrupt_queue);
VFS_TRACE_REQUEST(fuse_request_kill);
VFS_TRACE_REQUEST(fuse_request_cancel);
VFS_TRACE_REQUEST(fuse_request_abandon);
VFS_TRACE_REQUEST(fuse_request_resend);

/* Before it has an id, a request is identified by its address. */
DECLARE_EVENT_CLASS(fuse_request_queued,
	TP_PROTO(const struct vfs_trace_request *r),

	TP_ARGS(r),

	TP_STRUCT__entry(
		VFS_TRACE_REQUEST_FIELDS
		__field(const void *,		request)
	),

	TP_fast_assign(
		VFS_TRACE_REQUEST_ASSIGN
		__entry->request = (const void *)r->address;
	),

	TP_printk(VFS_TRACE_REQUEST_TEXT " request %p",
		  VFS_TRACE_REQUEST_VALUES, __entry->request)
);

DEFINE_EVENT(fuse_request_queued, fuse_request_background,
	TP_PROTO(const struct vfs_trace_request *r),
	TP_ARGS(r));

DEFINE_EVENT(fuse_request_queued, fuse_request_queue,
	TP_PROTO(const struct vfs_trace_request *r),
	TP_ARGS(r));

/* A thread that serves one of the connection's devices takes the request, or its answer. */
DECLARE_EVENT_CLASS(fuse_request_device,
	TP_PROTO(const struct vfs_trace_request *r, u32 device),

	TP_ARGS(r, device),

	TP_STRUCT__entry(
		VFS_TRACE_REQUEST_FIELDS
		__field(uint32_t,		device)
	),

	TP_fast_assign(
		VFS_TRACE_REQUEST_ASSIGN
		__entry->device = device;
	),

	TP_printk(VFS_TRACE_REQUEST_TEXT " device %u",
		  VFS_TRACE_REQUEST_VALUES, __entry->device)
);

DEFINE_EVENT(fuse_request_device, fuse_request_start,
	TP_PROTO(const struct vfs_trace_request *r, u32 device),
	TP_ARGS(r, device));

DEFINE_EVENT(fuse_request_device, fuse_request_reply,
	TP_PROTO(const struct vfs_trace_request *r, u32 device),
	TP_ARGS(r, device));

TRACE_EVENT(fuse_request_copy,
	TP_PROTO(const struct vfs_trace_request *r, bool out, u32 bytes, s32 error),

	TP_ARGS(r, out, bytes, error),

	TP_STRUCT__entry(
		VFS_TRACE_REQUEST_FIELDS
		__field(uint8_t,		out)
		__field(uint32_t,		bytes)
		__field(int32_t,		error)
	),

	TP_fast_assign(
		VFS_TRACE_REQUEST_ASSIGN
		__entry->out = out;
		__entry->bytes = bytes;
		__entry->error = error;
	),

	TP_printk(VFS_TRACE_REQUEST_TEXT " direction %s bytes %u error %d",
		  VFS_TRACE_REQUEST_VALUES,
		  __print_symbolic(__entry->out, {0, "in"}, {1, "out"}),
		  __entry->bytes, __entry->error)
);

TRACE_EVENT(fuse_request_wake,
	TP_PROTO(const struct vfs_trace_request *r, s32 error),

	TP_ARGS(r, error),

	TP_STRUCT__entry(
		VFS_TRACE_REQUEST_FIELDS
		__field(int32_t,		error)
	),

	TP_fast_assign(
		VFS_TRACE_REQUEST_ASSIGN
		__entry->error = error;
	),

	TP_printk(VFS_TRACE_REQUEST_TEXT " error %d",
		  VFS_TRACE_REQUEST_VALUES, __entry->error)
);

TRACE_EVENT(fuse_request_timeout,
	TP_PROTO(const struct vfs_trace_request *r, u64 age),

	TP_ARGS(r, age),

	TP_STRUCT__entry(
		VFS_TRACE_REQUEST_FIELDS
		__field(uint64_t,		age)
	),

	TP_fast_assign(
		VFS_TRACE_REQUEST_ASSIGN
		__entry->age = age;
	),

	TP_printk(VFS_TRACE_REQUEST_TEXT " age %llu",
		  VFS_TRACE_REQUEST_VALUES, __entry->age)
);

TRACE_EVENT(fuse_interrupt_sent,
	TP_PROTO(dev_t connection, u64 unique),

	TP_ARGS(connection, unique),

	TP_STRUCT__entry(
		__field(dev_t,		connection)
		__field(uint64_t,	unique)
		__field(pid_t,		tgid)
	),

	TP_fast_assign(
		__entry->connection = connection;
		__entry->unique = unique;
		__entry->tgid = task_tgid_nr(current);
	),

	TP_printk("connection %u req %llu tgid %d", __entry->connection, __entry->unique,
		  __entry->tgid)
);

TRACE_EVENT(fuse_gate_wait,
	TP_PROTO(dev_t connection, bool background, bool initialized),

	TP_ARGS(connection, background, initialized),

	TP_STRUCT__entry(
		__field(dev_t,		connection)
		__field(pid_t,		tgid)
		__field(uint8_t,	background)
		__field(uint8_t,	initialized)
	),

	TP_fast_assign(
		__entry->connection = connection;
		__entry->tgid = task_tgid_nr(current);
		__entry->background = background;
		__entry->initialized = initialized;
	),

	TP_printk("connection %u tgid %d background %u initialized %u", __entry->connection,
		  __entry->tgid, __entry->background, __entry->initialized)
);

TRACE_EVENT(fuse_gate_pass,
	TP_PROTO(dev_t connection, bool background, s32 error),

	TP_ARGS(connection, background, error),

	TP_STRUCT__entry(
		__field(dev_t,		connection)
		__field(pid_t,		tgid)
		__field(uint8_t,	background)
		__field(int32_t,	error)
	),

	TP_fast_assign(
		__entry->connection = connection;
		__entry->tgid = task_tgid_nr(current);
		__entry->background = background;
		__entry->error = error;
	),

	TP_printk("connection %u tgid %d background %u error %d", __entry->connection,
		  __entry->tgid, __entry->background, __entry->error)
);

TRACE_EVENT(fuse_connection_abort,
	TP_PROTO(dev_t connection, u32 waiting),

	TP_ARGS(connection, waiting),

	TP_STRUCT__entry(
		__field(dev_t,		connection)
		__field(pid_t,		tgid)
		__field(uint32_t,	waiting)
	),

	TP_fast_assign(
		__entry->connection = connection;
		__entry->tgid = task_tgid_nr(current);
		__entry->waiting = waiting;
	),

	TP_printk("connection %u tgid %d waiting %u", __entry->connection, __entry->tgid,
		  __entry->waiting)
);

TRACE_EVENT(fuse_forget_queue,
	TP_PROTO(dev_t connection, u64 nodeid, u64 nlookup),

	TP_ARGS(connection, nodeid, nlookup),

	TP_STRUCT__entry(
		__field(dev_t,		connection)
		__field(uint64_t,	nodeid)
		__field(uint64_t,	nlookup)
		__field(pid_t,		tgid)
	),

	TP_fast_assign(
		__entry->connection = connection;
		__entry->nodeid = nodeid;
		__entry->nlookup = nlookup;
		__entry->tgid = task_tgid_nr(current);
	),

	TP_printk("connection %u nodeid %llu nlookup %llu tgid %d", __entry->connection,
		  __entry->nodeid, __entry->nlookup, __entry->tgid)
);

TRACE_EVENT(fuse_forget_sent,
	TP_PROTO(dev_t connection, u64 unique, u32 count),

	TP_ARGS(connection, unique, count),

	TP_STRUCT__entry(
		__field(dev_t,		connection)
		__field(uint64_t,	unique)
		__field(uint32_t,	count)
		__field(pid_t,		tgid)
	),

	TP_fast_assign(
		__entry->connection = connection;
		__entry->unique = unique;
		__entry->count = count;
		__entry->tgid = task_tgid_nr(current);
	),

	TP_printk("connection %u req %llu count %u tgid %d", __entry->connection,
		  __entry->unique, __entry->count, __entry->tgid)
);

TRACE_EVENT(fuse_notify,
	TP_PROTO(dev_t connection, s32 code, u32 len),

	TP_ARGS(connection, code, len),

	TP_STRUCT__entry(
		__field(dev_t,		connection)
		__field(int32_t,	code)
		__field(uint32_t,	len)
		__field(pid_t,		tgid)
	),

	TP_fast_assign(
		__entry->connection = connection;
		__entry->code = code;
		__entry->len = len;
		__entry->tgid = task_tgid_nr(current);
	),

	TP_printk("connection %u code %d (%s) len %u tgid %d",
		  __entry->connection, __entry->code,
		  __print_symbolic(__entry->code, VFS_TRACE_CODES(VFS_TRACE_PAIR, VFS_TRACE_LAST)),
		  __entry->len, __entry->tgid)
);

TRACE_EVENT(fuse_notify_end,
	TP_PROTO(dev_t connection, s32 code, s32 error),

	TP_ARGS(connection, code, error),

	TP_STRUCT__entry(
		__field(dev_t,		connection)
		__field(int32_t,	code)
		__field(int32_t,	error)
		__field(pid_t,		tgid)
	),

	TP_fast_assign(
		__entry->connection = connection;
		__entry->code = code;
		__entry->error = error;
		__entry->tgid = task_tgid_nr(current);
	),

	TP_printk("connection %u code %d (%s) error %d tgid %d",
		  __entry->connection, __entry->code,
		  __print_symbolic(__entry->code, VFS_TRACE_CODES(VFS_TRACE_PAIR, VFS_TRACE_LAST)),
		  __entry->error, __entry->tgid)
);

#endif /* _VFS_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
