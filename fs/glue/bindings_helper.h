/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What bindgen reads: the headers for fs/vfs, and what fs/glue calls.
 */
#include "../vfs/bindings_helper.h"

#include "params.h"
#include "trace_event.h"
