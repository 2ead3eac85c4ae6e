// SPDX-License-Identifier: GPL-2.0
/*
 * The helpers of fs/vfs, and the tracepoints as functions: one file, as one object or one piece of
 * bitcode (see fs/vfs/helpers.c).
 */
#include "trace.h"

#include "../vfs/helpers.c"

/* tracepoints: whether each is enabled, which is one patched branch, and the call */

#define VFS_TRACE_HELPERS(name, proto, args)					\
	__vfs_helper bool vfs_helper_trace_##name##_enabled(void)		\
	{									\
		return trace_fuse_##name##_enabled();				\
	}									\
	__vfs_helper void vfs_helper_trace_##name(proto)			\
	{									\
		trace_call__fuse_##name(args);					\
	}

#define VFS_TRACE_REQUEST_HELPERS(name)						\
	VFS_TRACE_HELPERS(name, TP_PROTO(const struct vfs_trace_request *r), TP_ARGS(r))

VFS_TRACE_HELPERS(request_send, TP_PROTO(dev_t connection, u64 unique, u32 opcode, u32 len),
		  TP_ARGS(connection, unique, opcode, len))
VFS_TRACE_HELPERS(request_sent, TP_PROTO(dev_t connection, u64 unique, u32 opcode),
		  TP_ARGS(connection, unique, opcode))
VFS_TRACE_HELPERS(request_end, TP_PROTO(dev_t connection, u64 unique, u32 len, s32 error),
		  TP_ARGS(connection, unique, len, error))

VFS_TRACE_REQUEST_HELPERS(request_background)
VFS_TRACE_REQUEST_HELPERS(request_queue)
VFS_TRACE_REQUEST_HELPERS(request_interrupt)
VFS_TRACE_REQUEST_HELPERS(interrupt_queue)
VFS_TRACE_REQUEST_HELPERS(request_kill)
VFS_TRACE_REQUEST_HELPERS(request_cancel)
VFS_TRACE_REQUEST_HELPERS(request_abandon)
VFS_TRACE_REQUEST_HELPERS(request_resend)
VFS_TRACE_HELPERS(request_start, TP_PROTO(const struct vfs_trace_request *r, u32 device),
		  TP_ARGS(r, device))
VFS_TRACE_HELPERS(request_reply, TP_PROTO(const struct vfs_trace_request *r, u32 device),
		  TP_ARGS(r, device))
VFS_TRACE_HELPERS(request_copy,
		  TP_PROTO(const struct vfs_trace_request *r, bool out, u32 bytes, s32 error),
		  TP_ARGS(r, out, bytes, error))
VFS_TRACE_HELPERS(request_wake, TP_PROTO(const struct vfs_trace_request *r, s32 error),
		  TP_ARGS(r, error))
VFS_TRACE_HELPERS(request_timeout, TP_PROTO(const struct vfs_trace_request *r, u64 age),
		  TP_ARGS(r, age))
VFS_TRACE_HELPERS(interrupt_sent, TP_PROTO(dev_t connection, u64 unique),
		  TP_ARGS(connection, unique))
VFS_TRACE_HELPERS(gate_wait, TP_PROTO(dev_t connection, bool background, bool initialized),
		  TP_ARGS(connection, background, initialized))
VFS_TRACE_HELPERS(gate_pass, TP_PROTO(dev_t connection, bool background, s32 error),
		  TP_ARGS(connection, background, error))
VFS_TRACE_HELPERS(connection_abort, TP_PROTO(dev_t connection, u32 waiting),
		  TP_ARGS(connection, waiting))
VFS_TRACE_HELPERS(forget_queue, TP_PROTO(dev_t connection, u64 nodeid, u64 nlookup),
		  TP_ARGS(connection, nodeid, nlookup))
VFS_TRACE_HELPERS(forget_sent, TP_PROTO(dev_t connection, u64 unique, u32 count),
		  TP_ARGS(connection, unique, count))
VFS_TRACE_HELPERS(notify, TP_PROTO(dev_t connection, s32 code, u32 len),
		  TP_ARGS(connection, code, len))
VFS_TRACE_HELPERS(notify_end, TP_PROTO(dev_t connection, s32 code, s32 error),
		  TP_ARGS(connection, code, error))
