/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The module's parameters, as fs/glue/params.rs reads them.
 */
#ifndef FERROFUSE_PARAMS_H
#define FERROFUSE_PARAMS_H

#include <linux/types.h>

extern bool fuse_param_allow_sys_admin_access;
extern bool fuse_param_cache_no_caps;
extern bool fuse_param_enable_uring;
extern unsigned int fuse_param_inval_period;
extern unsigned int fuse_param_max_folio_order;

void fuse_param_watch_inval_period(void (*changed)(void));

unsigned int fuse_param_max_user_bgreq(void);
unsigned int fuse_param_max_user_congthresh(void);

#endif
