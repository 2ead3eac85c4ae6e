// SPDX-License-Identifier: GPL-2.0
/*
 * The module's parameters that `module!` of the Rust crate cannot express: the administrator may
 * change them, and they check new values.
 */
#include <linux/kernel.h>
#include <linux/kstrtox.h>
#include <linux/limits.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/moduleparam.h>

#include "params.h"

/* Assumed memory of one background request, in bytes. */
#define REQUEST_BYTES 392

/* Their maximum share of all memory is one in two to this. */
#define MEMORY_SHARE_BITS 13

static unsigned int max_user_bgreq;
static unsigned int max_user_congthresh;

bool fuse_param_allow_sys_admin_access;

/* Minimum seconds between two scans for expired dentries, unless they are off. */
#define INVAL_PERIOD_MIN 5

unsigned int fuse_param_inval_period;
static void (*inval_period_changed)(void);

/* Has @changed called after each change; waits for a call that is running. */
void fuse_param_watch_inval_period(void (*changed)(void))
{
	kernel_param_lock(THIS_MODULE);
	inval_period_changed = changed;
	kernel_param_unlock(THIS_MODULE);
}

/* Called with the lock of the module's parameters held, or before the module is initialised. */
static int inval_period_set(const char *text, const struct kernel_param *param)
{
	unsigned int period;
	int err;

	if (!text)
		return -EINVAL;
	err = kstrtouint(text, 0, &period);
	if (err)
		return err;
	if (period && (period < INVAL_PERIOD_MIN || period > USHRT_MAX))
		return -EINVAL;
	WRITE_ONCE(fuse_param_inval_period, period);
	if (inval_period_changed)
		inval_period_changed();
	return 0;
}

static const struct kernel_param_ops inval_period_ops = {
	.set = inval_period_set,
	.get = param_get_uint,
};

module_param_cb(inval_wq, &inval_period_ops, &fuse_param_inval_period, 0644);
__MODULE_PARM_TYPE(inval_wq, "uint");
MODULE_PARM_DESC(inval_wq,
		 "Seconds between two scans for expired dentries, minimum 5; 0: never scan");

/* A limit of 0 is computed from the size of memory; INIT has 16 bits for limits. */
static unsigned int user_limit(unsigned int *value)
{
	unsigned int limit = READ_ONCE(*value);

	if (!limit) {
		u64 share = ((u64)totalram_pages() << PAGE_SHIFT) >> MEMORY_SHARE_BITS;

		limit = min_t(u64, div_u64(share, REQUEST_BYTES), USHRT_MAX);
	}
	limit = min(limit, USHRT_MAX);
	WRITE_ONCE(*value, limit);
	return limit;
}

unsigned int fuse_param_max_user_bgreq(void)
{
	return user_limit(&max_user_bgreq);
}

unsigned int fuse_param_max_user_congthresh(void)
{
	return user_limit(&max_user_congthresh);
}

static int user_limit_set(const char *text, const struct kernel_param *param)
{
	int err = param_set_uint(text, param);

	if (!err)
		user_limit(param->arg);
	return err;
}

static int user_limit_get(char *buffer, const struct kernel_param *param)
{
	user_limit(param->arg);
	return param_get_uint(buffer, param);
}

static const struct kernel_param_ops user_limit_ops = {
	.set = user_limit_set,
	.get = user_limit_get,
};

module_param_cb(max_user_bgreq, &user_limit_ops, &max_user_bgreq, 0644);
__MODULE_PARM_TYPE(max_user_bgreq, "uint");
MODULE_PARM_DESC(max_user_bgreq,
		 "Maximum background requests of an unprivileged server; 0: by the size of memory");

module_param_cb(max_user_congthresh, &user_limit_ops, &max_user_congthresh, 0644);
__MODULE_PARM_TYPE(max_user_congthresh, "uint");
MODULE_PARM_DESC(max_user_congthresh,
		 "Maximum congestion threshold of an unprivileged server; 0: by the size of memory");

module_param_named(allow_sys_admin_access, fuse_param_allow_sys_admin_access, bool, 0644);
MODULE_PARM_DESC(allow_sys_admin_access,
		 "Let users with CAP_SYS_ADMIN in the initial user namespace into every mount");

bool fuse_param_cache_no_caps = true;
module_param_named(cache_no_caps, fuse_param_cache_no_caps, bool, 0644);
MODULE_PARM_DESC(cache_no_caps,
		 "Ask for the capability of a file before a write only if there may be one");

/* The largest order of page cache folios, where a mount allows them. */
#define LARGEST_FOLIO_ORDER 9

unsigned int fuse_param_max_folio_order = 5;

static int max_folio_order_set(const char *text, const struct kernel_param *param)
{
	return param_set_uint_minmax(text, param, 0, LARGEST_FOLIO_ORDER);
}

static const struct kernel_param_ops max_folio_order_ops = {
	.set = max_folio_order_set,
	.get = param_get_uint,
};

module_param_cb(max_folio_order, &max_folio_order_ops, &fuse_param_max_folio_order, 0644);
__MODULE_PARM_TYPE(max_folio_order, "uint");
MODULE_PARM_DESC(max_folio_order,
		 "Maximum order of page cache folios of files, up to 9; 0: single pages");

/* Servers may take requests by io_uring: INIT offers it. */
bool fuse_param_enable_uring;
module_param_named(enable_uring, fuse_param_enable_uring, bool, 0644);
MODULE_PARM_DESC(enable_uring, "Let servers take requests by io_uring");
