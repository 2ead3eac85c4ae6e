/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the tracepoints of trace.h are told of one request. A header of its own, so that bindgen
 * sees it without the tracepoints.
 */
#ifndef _VFS_TRACE_EVENT_H
#define _VFS_TRACE_EVENT_H

#include <linux/types.h>

struct vfs_trace_request {
	u64 unique;
	u64 nodeid;
	/* Tells requests apart that have no id yet; never followed. */
	unsigned long address;
	u32 connection;
	u32 opcode;
	/* Thread that asks, as the server sees it. */
	u32 pid;
	/* Of the message to the server, header included. */
	u32 len;
};

#endif /* _VFS_TRACE_EVENT_H */
