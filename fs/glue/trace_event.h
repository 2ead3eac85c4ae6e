/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The data of one request for the tracepoints of trace.h. A header of its own, so that bindgen
 * sees it without the tracepoints.
 */
#ifndef _VFS_TRACE_EVENT_H
#define _VFS_TRACE_EVENT_H

#include <linux/types.h>

struct vfs_trace_request {
	u64 unique;
	u64 nodeid;
	/* Distinguishes requests without id; never dereferenced. */
	unsigned long address;
	u32 connection;
	u32 opcode;
	/* Calling thread, as the server sees it. */
	u32 pid;
	/* Length of the message to the server, header included. */
	u32 len;
};

#endif /* _VFS_TRACE_EVENT_H */
