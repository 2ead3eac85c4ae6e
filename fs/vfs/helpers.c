// SPDX-License-Identifier: GPL-2.0
/*
 * Inline functions and macros of the kernel as functions, for fs/vfs. No logic lives here.
 *
 * With CONFIG_RUST_INLINE_HELPERS this file is compiled to bitcode and its functions are inlined
 * into the crate; otherwise it is an ordinary object of the module.
 */
#include <linux/backing-dev.h>
#include <linux/cred.h>
#include <linux/device.h>
#include <linux/fs.h>
#include <linux/fs_context.h>
#include <linux/fs_parser.h>
#include <linux/fs_struct.h>
#include <linux/io_uring/cmd.h>
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
#include <linux/posix_acl_xattr.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/splice.h>
#include <linux/task_io_accounting_ops.h>
#include <linux/uaccess.h>
#include <linux/uio.h>
#include <linux/virtio.h>
#include <linux/virtio_config.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <linux/xattr.h>

#ifdef VFS_HELPERS_INLINE
#define __vfs_helper __always_inline
#else
#define __vfs_helper
#endif

/* tasks */

/* The low bits of an exit code are the signal; see do_exit(). */
__vfs_helper bool vfs_helper_current_is_killed(void)
{
	return current->flags & PF_EXITING && current->exit_code & 0x7f;
}

/*
 * Woken by signal_wake_up(), while no signal is there to be dequeued. What io_uring calls fails
 * with EINTR where a system call would begin again.
 */
__vfs_helper bool vfs_helper_current_is_to_stop(void)
{
	sigset_t pending;

	if (!test_thread_flag(TIF_SIGPENDING) || current->flags & (PF_USER_WORKER | PF_EXITING))
		return false;
#ifdef CONFIG_IO_URING
	if (current->io_uring)
		return false;
#endif
	sigorsets(&pending, &current->pending.signal, &current->signal->shared_pending.signal);
	sigandnsets(&pending, &pending, &current->blocked);
	return sigisemptyset(&pending);
}

__vfs_helper int vfs_helper_restart_syscall(void)
{
	return restart_syscall();
}

/* clock */

__vfs_helper u64 vfs_helper_get_jiffies_64(void)
{
	return get_jiffies_64();
}

/* wait queues */

__vfs_helper bool vfs_helper_wq_has_sleeper(struct wait_queue_head *head)
{
	return wq_has_sleeper(head);
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

/* Both return the number of bytes left; the caller has disabled page faults. */
__vfs_helper size_t vfs_helper_copy_to_user_present(void __user *to, const void *from, size_t len)
{
	if (should_fail_usercopy() || !access_ok(to, len))
		return len;
	instrument_copy_to_user(to, from, len);
	return raw_copy_to_user(to, from, len);
}

__vfs_helper size_t vfs_helper_copy_from_user_present(void *to, const void __user *from, size_t len)
{
	size_t left;

	if (should_fail_usercopy())
		return len;
	/* What a processor speculates beyond the check must not read the kernel's memory. */
	if (can_do_masked_user_access()) {
		from = mask_user_address(from);
	} else {
		if (!access_ok(from, len))
			return len;
		barrier_nospec();
	}
	instrument_copy_from_user_before(to, from, len);
	left = raw_copy_from_user(to, from, len);
	instrument_copy_from_user_after(to, from, len, left);
	return left;
}

/* Pages of a bvec may be those of kmalloc(), which are not counted: their owner frees them. */
__vfs_helper bool vfs_helper_iov_iter_has_counted_pages(const struct iov_iter *i)
{
	size_t left = i->iov_offset + i->count;
	unsigned long seg;

	if (!iov_iter_is_bvec(i))
		return user_backed_iter(i);
	for (seg = 0; seg < i->nr_segs && left; seg++) {
		const struct bio_vec *bv = &i->bvec[seg];
		size_t len = min_t(size_t, bv->bv_len, left);
		size_t at;

		for (at = bv->bv_offset & PAGE_MASK; at < bv->bv_offset + len; at += PAGE_SIZE) {
			if (!folio_ref_count(page_folio(bv->bv_page + (at >> PAGE_SHIFT))))
				return false;
		}
		left -= len;
	}
	return true;
}

__vfs_helper bool vfs_helper_iov_iter_extract_will_pin(const struct iov_iter *i)
{
	return iov_iter_extract_will_pin(i);
}

/* Whether one mapping of the first of these pages has the second one behind it. */
__vfs_helper bool vfs_helper_pages_map_together(struct page *page, struct page *next)
{
	if (IS_ENABLED(CONFIG_DEBUG_KMAP_LOCAL_FORCE_MAP) || PageHighMem(page) || PageHighMem(next))
		return false;
	return next == page + 1 && page_to_pfn(next) == page_to_pfn(page) + 1;
}

__vfs_helper void vfs_helper_page_folio_get(struct page *page)
{
	folio_get(page_folio(page));
}

__vfs_helper void vfs_helper_page_folio_put(struct page *page)
{
	folio_put(page_folio(page));
}

__vfs_helper void vfs_helper_flush_dcache_page(struct page *page)
{
	flush_dcache_page(page);
}

/* For tests. */
__vfs_helper struct page *vfs_helper_virt_to_page(const void *address)
{
	return virt_to_page(address);
}

/* memory */

__vfs_helper bool vfs_helper_is_vmalloc_addr(const void *address)
{
	return is_vmalloc_addr(address);
}

/* NULL for memory that is neither of the direct mapping nor of vmalloc(). */
__vfs_helper struct page *vfs_helper_page_of_memory(const void *address)
{
	if (is_vmalloc_addr(address))
		return vmalloc_to_page(address);
	return virt_addr_valid(address) ? virt_to_page(address) : NULL;
}

/* false for a page that is not counted on its own: one of the slab. */
__vfs_helper bool vfs_helper_hold_page(struct page *page)
{
	struct folio *folio = page_folio(page);

	if (folio_test_slab(folio))
		return false;
	folio_get(folio);
	return true;
}

__vfs_helper void vfs_helper_put_held_page(struct page *page)
{
	folio_put(page_folio(page));
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

__vfs_helper bool vfs_helper_folio_test_uptodate(struct folio *folio)
{
	return folio_test_uptodate(folio);
}

__vfs_helper void vfs_helper_folio_mark_uptodate(struct folio *folio)
{
	folio_mark_uptodate(folio);
}

__vfs_helper struct folio *vfs_helper_find_lock_folio(struct address_space *mapping, pgoff_t index)
{
	struct folio *folio = __filemap_get_folio(mapping, index, FGP_LOCK | FGP_ACCESSED, 0);

	return IS_ERR(folio) ? NULL : folio;
}

__vfs_helper struct folio *vfs_helper_grab_folio(struct address_space *mapping, pgoff_t index)
{
	struct folio *folio = filemap_grab_folio(mapping, index);

	return IS_ERR(folio) ? NULL : folio;
}

__vfs_helper struct folio *vfs_helper_write_begin_folio(struct address_space *mapping, loff_t pos,
						       size_t len)
{
	return __filemap_get_folio(mapping, pos >> PAGE_SHIFT,
				   FGP_WRITEBEGIN | fgf_set_order(len),
				   mapping_gfp_mask(mapping));
}

__vfs_helper bool vfs_helper_folio_test_partial_kmap(const struct folio *folio)
{
	return folio_test_partial_kmap(folio);
}

__vfs_helper struct folio *vfs_helper_page_folio(struct page *page)
{
	return page_folio(page);
}

__vfs_helper unsigned long vfs_helper_folio_flags_of(const struct folio *folio)
{
	return READ_ONCE(folio->flags.f);
}

/* The flags of a new folio, less those that it may have when it comes from a pipe. */
__vfs_helper unsigned long vfs_helper_folio_flags_unfit(void)
{
	return PAGE_FLAGS_CHECK_AT_PREP &
	       ~(1UL << PG_locked | 1UL << PG_referenced | 1UL << PG_lru | 1UL << PG_active |
		 1UL << PG_workingset | 1UL << PG_reclaim | 1UL << PG_waiters | LRU_GEN_MASK |
		 LRU_REFS_MASK);
}

__vfs_helper bool vfs_helper_folio_is_in_mapping(const struct folio *folio)
{
	return READ_ONCE(folio->mapping);
}

__vfs_helper bool vfs_helper_folio_mapped(struct folio *folio)
{
	return folio_mapped(folio);
}

__vfs_helper bool vfs_helper_folio_has_private(struct folio *folio)
{
	return folio_has_private(folio);
}

__vfs_helper bool vfs_helper_folio_test_dirty(struct folio *folio)
{
	return folio_test_dirty(folio);
}

__vfs_helper bool vfs_helper_folio_test_writeback(struct folio *folio)
{
	return folio_test_writeback(folio);
}

__vfs_helper bool vfs_helper_folio_trylock(struct folio *folio)
{
	return folio_trylock(folio);
}

__vfs_helper int vfs_helper_folio_lock_killable(struct folio *folio)
{
	return folio_lock_killable(folio);
}

__vfs_helper int vfs_helper_folio_wait_locked_killable(struct folio *folio)
{
	return folio_wait_locked_killable(folio);
}

/* Unlocks the area, if the fault can begin again: then its file is returned, referenced. */
__vfs_helper struct file *vfs_helper_unlock_fault(struct vm_fault *vmf)
{
	struct file *file;

	if (!fault_flag_allow_retry_first(vmf->flags) || vmf->flags & FAULT_FLAG_RETRY_NOWAIT)
		return NULL;
	file = get_file(vmf->vma->vm_file);
	release_fault_lock(vmf);
	return file;
}

__vfs_helper void vfs_helper_might_resched(void)
{
	cond_resched();
}

__vfs_helper bool vfs_helper_folio_test_mlocked(struct folio *folio)
{
	return folio_test_mlocked(folio);
}

__vfs_helper void vfs_helper_folio_clear_uptodate(struct folio *folio)
{
	folio_clear_uptodate(folio);
}

__vfs_helper void vfs_helper_folio_clear_mappedtodisk(struct folio *folio)
{
	folio_clear_mappedtodisk(folio);
}

__vfs_helper struct page *vfs_helper_folio_page_at(struct folio *folio, size_t offset)
{
	return folio_page(folio, offset >> PAGE_SHIFT);
}

__vfs_helper struct folio *vfs_helper_filemap_get_folio(struct address_space *mapping,
							pgoff_t index)
{
	return filemap_get_folio(mapping, index);
}

/* Not locked: an existing one may be locked by another task. */
__vfs_helper struct folio *vfs_helper_filemap_make_folio(struct address_space *mapping,
							 pgoff_t index)
{
	return __filemap_get_folio(mapping, index, FGP_ACCESSED | FGP_CREAT | FGP_FOR_MMAP,
				   mapping_gfp_mask(mapping));
}

__vfs_helper void vfs_helper_memcpy_to_folio(struct folio *folio, size_t offset, const char *from,
					     size_t len)
{
	memcpy_to_folio(folio, offset, from, len);
}

__vfs_helper void vfs_helper_folio_zero_segment(struct folio *folio, size_t start, size_t end)
{
	folio_zero_segment(folio, start, end);
}

__vfs_helper bool vfs_helper_mapping_writably_mapped(const struct address_space *mapping)
{
	return mapping_writably_mapped((struct address_space *)mapping);
}

__vfs_helper void vfs_helper_folio_lock(struct folio *folio)
{
	folio_lock(folio);
}

__vfs_helper void vfs_helper_mapping_set_error(struct address_space *mapping, int error)
{
	mapping_set_error(mapping, error);
}

__vfs_helper void vfs_helper_mapping_set_folio_order_range(struct address_space *mapping,
							  unsigned int min, unsigned int max)
{
	mapping_set_folio_order_range(mapping, min, max);
}

__vfs_helper void
vfs_helper_mapping_set_writeback_may_deadlock_on_reclaim(struct address_space *mapping)
{
	mapping_set_writeback_may_deadlock_on_reclaim(mapping);
}

__vfs_helper unsigned int vfs_helper_memalloc_nofs_save(void)
{
	return memalloc_nofs_save();
}

__vfs_helper void vfs_helper_memalloc_nofs_restore(unsigned int flags)
{
	memalloc_nofs_restore(flags);
}

__vfs_helper void vfs_helper_file_accessed(struct file *file)
{
	file_accessed(file);
}

__vfs_helper void vfs_helper_mark_inode_dirty_sync(struct inode *inode)
{
	mark_inode_dirty_sync(inode);
}

/* poll */

__vfs_helper __poll_t vfs_helper_poll_requested_events(const struct poll_table_struct *table)
{
	return poll_requested_events(table);
}

__vfs_helper u16 vfs_helper_mangle_poll(__poll_t events)
{
	return mangle_poll(events);
}

__vfs_helper __poll_t vfs_helper_demangle_poll(u16 events)
{
	return demangle_poll(events);
}

__vfs_helper bool vfs_helper_waitqueue_active(struct wait_queue_head *queue)
{
	/* Only a hint: a new waiter checks the state again before it sleeps. */
	return waitqueue_active(queue);
}

/* writing */

__vfs_helper bool vfs_helper_iocb_is_dsync(const struct kiocb *iocb)
{
	return iocb_is_dsync(iocb);
}

__vfs_helper ssize_t vfs_helper_generic_write_sync(struct kiocb *iocb, ssize_t count)
{
	return generic_write_sync(iocb, count);
}

__vfs_helper void vfs_helper_task_io_account_write(size_t bytes)
{
	task_io_account_write(bytes);
}

/* ioctls */

__vfs_helper bool vfs_helper_is_x32_syscall(void)
{
#ifdef CONFIG_X86_X32_ABI
	return in_x32_syscall();
#else
	return false;
#endif
}

/* directories */

__vfs_helper bool vfs_helper_dir_emit(struct dir_context *ctx, const char *name, int namelen,
				      u64 ino, unsigned int type)
{
	return dir_emit(ctx, name, namelen, ino, type);
}

/* callers and ids */

__vfs_helper struct mnt_idmap *vfs_helper_file_mnt_idmap(const struct file *file)
{
	return file_mnt_idmap(file);
}

__vfs_helper const struct cred *vfs_helper_current_cred(void)
{
	return current_cred();
}

__vfs_helper bool vfs_helper_capable(int cap)
{
	return capable(cap);
}

__vfs_helper int vfs_helper_current_umask(void)
{
	return current_umask();
}

__vfs_helper bool vfs_helper_current_in_userns(const struct user_namespace *ns)
{
	return current_in_userns(ns);
}

__vfs_helper struct user_namespace *vfs_helper_get_user_ns(struct user_namespace *ns)
{
	return get_user_ns(ns);
}

__vfs_helper void vfs_helper_put_user_ns(struct user_namespace *ns)
{
	put_user_ns(ns);
}

__vfs_helper kuid_t vfs_helper_make_kuid(struct user_namespace *ns, uid_t uid)
{
	return make_kuid(ns, uid);
}

__vfs_helper kgid_t vfs_helper_make_kgid(struct user_namespace *ns, gid_t gid)
{
	return make_kgid(ns, gid);
}

__vfs_helper uid_t vfs_helper_from_kuid(struct user_namespace *ns, kuid_t uid)
{
	return from_kuid(ns, uid);
}

__vfs_helper gid_t vfs_helper_from_kgid(struct user_namespace *ns, kgid_t gid)
{
	return from_kgid(ns, gid);
}

__vfs_helper uid_t vfs_helper_from_kuid_munged(struct user_namespace *ns, kuid_t uid)
{
	return from_kuid_munged(ns, uid);
}

__vfs_helper gid_t vfs_helper_from_kgid_munged(struct user_namespace *ns, kgid_t gid)
{
	return from_kgid_munged(ns, gid);
}

__vfs_helper bool vfs_helper_kuid_has_mapping(struct user_namespace *ns, kuid_t uid)
{
	return kuid_has_mapping(ns, uid);
}

__vfs_helper bool vfs_helper_kgid_has_mapping(struct user_namespace *ns, kgid_t gid)
{
	return kgid_has_mapping(ns, gid);
}

__vfs_helper kuid_t vfs_helper_mapped_fsuid(struct mnt_idmap *idmap, struct user_namespace *ns)
{
	return mapped_fsuid(idmap, ns);
}

__vfs_helper kgid_t vfs_helper_mapped_fsgid(struct mnt_idmap *idmap, struct user_namespace *ns)
{
	return mapped_fsgid(idmap, ns);
}

__vfs_helper pid_t vfs_helper_current_pid_nr_ns(struct pid_namespace *ns)
{
	return pid_nr_ns(task_pid(current), ns);
}

__vfs_helper pid_t vfs_helper_current_tgid_nr_ns(struct pid_namespace *ns)
{
	return pid_nr_ns(task_tgid(current), ns);
}

/* backing files */

__vfs_helper bool vfs_helper_d_is_reg(const struct dentry *dentry)
{
	return d_is_reg(dentry);
}

__vfs_helper bool vfs_helper_d_is_dir(const struct dentry *dentry)
{
	return d_is_dir(dentry);
}

__vfs_helper void vfs_helper_init_sync_kiocb(struct kiocb *iocb, struct file *file)
{
	init_sync_kiocb(iocb, file);
}

/* super blocks */

__vfs_helper char *vfs_helper_kstrdup_kernel(const char *s)
{
	return kstrdup(s, GFP_KERNEL);
}

__vfs_helper struct backing_dev_info *vfs_helper_bdi_get(struct backing_dev_info *bdi)
{
	return bdi_get(bdi);
}

__vfs_helper void vfs_helper_init_rwsem(struct rw_semaphore *sem, const char *name,
					struct lock_class_key *key)
{
	__init_rwsem(sem, name, key);
}

__vfs_helper void vfs_helper_lockdep_name_rwsem(struct rw_semaphore *sem, const char *name,
						struct lock_class_key *key)
{
	lockdep_set_class_and_name(sem, key, name);
}

__vfs_helper void vfs_helper_lockdep_name_percpu_rwsem(struct percpu_rw_semaphore *sem,
						       const char *name,
						       struct lock_class_key *key)
{
	lockdep_set_class_and_name(sem, key, name);
}

__vfs_helper void vfs_helper_init_rcu_work(struct rcu_work *rwork, work_func_t func)
{
	INIT_RCU_WORK(rwork, func);
}

__vfs_helper unsigned int vfs_helper_major(dev_t dev)
{
	return MAJOR(dev);
}

__vfs_helper unsigned int vfs_helper_minor(dev_t dev)
{
	return MINOR(dev);
}

/* slabs */

__vfs_helper struct kmem_cache *vfs_helper_slab_create(const char *name, unsigned int size,
						       unsigned int align, unsigned int at_hand)
{
	struct kmem_cache_args args = { .align = align, .sheaf_capacity = at_hand };

	return kmem_cache_create(name, size, &args, 0);
}

/* inodes */

__vfs_helper struct kmem_cache *vfs_helper_inode_cache_create(const char *name, unsigned int size,
							      unsigned int align,
							      void (*ctor)(void *))
{
	return kmem_cache_create(name, size, align,
				 SLAB_HWCACHE_ALIGN | SLAB_ACCOUNT | SLAB_RECLAIM_ACCOUNT, ctor);
}

__vfs_helper void *vfs_helper_alloc_inode_sb(struct super_block *sb, struct kmem_cache *cache)
{
	return alloc_inode_sb(sb, cache, GFP_KERNEL);
}

__vfs_helper loff_t vfs_helper_i_size_read(const struct inode *inode)
{
	return i_size_read(inode);
}

__vfs_helper void vfs_helper_i_size_write(struct inode *inode, loff_t size)
{
	i_size_write(inode, size);
}

__vfs_helper struct timespec64 vfs_helper_inode_get_atime(const struct inode *inode)
{
	return inode_get_atime(inode);
}

__vfs_helper struct timespec64 vfs_helper_inode_get_mtime(const struct inode *inode)
{
	return inode_get_mtime(inode);
}

__vfs_helper struct timespec64 vfs_helper_inode_get_ctime(const struct inode *inode)
{
	return inode_get_ctime(inode);
}

__vfs_helper void vfs_helper_inode_set_atime(struct inode *inode, time64_t sec, long nsec)
{
	inode_set_atime(inode, sec, nsec);
}

__vfs_helper void vfs_helper_inode_set_mtime(struct inode *inode, time64_t sec, long nsec)
{
	inode_set_mtime(inode, sec, nsec);
}

__vfs_helper void vfs_helper_inode_set_ctime(struct inode *inode, time64_t sec, long nsec)
{
	inode_set_ctime(inode, sec, nsec);
}

__vfs_helper bool vfs_helper_inode_is_new(struct inode *inode)
{
	return inode_state_read_once(inode) & I_NEW;
}

__vfs_helper bool vfs_helper_inode_times_clean(struct inode *inode)
{
	return !IS_NOCMTIME(inode) &&
	       !(inode_state_read_once(inode) & (I_DIRTY_SYNC | I_DIRTY_TIME));
}

__vfs_helper bool vfs_helper_is_rdonly(const struct inode *inode)
{
	return IS_RDONLY(inode);
}

__vfs_helper void vfs_helper_remove_inode_hash(struct inode *inode)
{
	remove_inode_hash(inode);
}

__vfs_helper void vfs_helper_inode_dont_cache_acls(struct inode *inode)
{
	/* forget_cached_acls() in inode.rs relies on these two values. */
	BUILD_BUG_ON((unsigned long)ACL_NOT_CACHED != ULONG_MAX);
	BUILD_BUG_ON((unsigned long)ACL_DONT_CACHE != (ULONG_MAX & ~2ul));
#ifdef CONFIG_FS_POSIX_ACL
	inode->i_acl = inode->i_default_acl = ACL_DONT_CACHE;
#endif
}

__vfs_helper struct posix_acl *vfs_helper_posix_acl_dup(struct posix_acl *acl)
{
	return posix_acl_dup(acl);
}

__vfs_helper void vfs_helper_posix_acl_release(struct posix_acl *acl)
{
	posix_acl_release(acl);
}

__vfs_helper void *vfs_helper_posix_acl_to_xattr_gfp(struct user_namespace *ns,
						     const struct posix_acl *acl, size_t *size)
{
	return posix_acl_to_xattr(ns, acl, size, GFP_KERNEL);
}

__vfs_helper bool vfs_helper_inode_in_group_or_capable(struct mnt_idmap *idmap,
						       struct inode *inode)
{
	return in_group_or_capable(idmap, inode, i_gid_into_vfsgid(idmap, inode));
}

__vfs_helper dev_t vfs_helper_new_decode_dev(u32 dev)
{
	return new_decode_dev(dev);
}

__vfs_helper u32 vfs_helper_new_encode_dev(dev_t dev)
{
	return new_encode_dev(dev);
}

__vfs_helper void vfs_helper_inode_lock(struct inode *inode)
{
	inode_lock(inode);
}

__vfs_helper bool vfs_helper_inode_trylock(struct inode *inode)
{
	return inode_trylock(inode);
}

__vfs_helper void vfs_helper_inode_unlock(struct inode *inode)
{
	inode_unlock(inode);
}

__vfs_helper void vfs_helper_inode_lock_shared(struct inode *inode)
{
	inode_lock_shared(inode);
}

__vfs_helper void vfs_helper_inode_unlock_shared(struct inode *inode)
{
	inode_unlock_shared(inode);
}

/* dentries */

__vfs_helper struct dentry *vfs_helper_dget(struct dentry *dentry)
{
	return dget(dentry);
}

__vfs_helper void vfs_helper_d_lookup_done(struct dentry *dentry)
{
	d_lookup_done(dentry);
}

__vfs_helper void vfs_helper_d_expire(struct dentry *dentry, struct list_head *dispose)
{
	spin_lock(&dentry->d_lock);
	/* If it is in use, its last user throws it out. */
	dentry->d_flags |= DCACHE_OP_DELETE;
	__move_to_shrink_list(dentry, dispose);
	spin_unlock(&dentry->d_lock);
}

__vfs_helper struct rb_node *vfs_helper_rb_first(const struct rb_root *root)
{
	return rb_first(root);
}

__vfs_helper void vfs_helper_rb_link_node(struct rb_node *node, struct rb_node *parent,
					  struct rb_node **link)
{
	rb_link_node(node, parent, link);
}

__vfs_helper unsigned long vfs_helper_secs_to_jiffies(unsigned int secs)
{
	return secs_to_jiffies(secs);
}

__vfs_helper void vfs_helper_d_set_op_delete(struct dentry *dentry, bool on)
{
	spin_lock(&dentry->d_lock);
	if (on)
		dentry->d_flags |= DCACHE_OP_DELETE;
	else
		dentry->d_flags &= ~DCACHE_OP_DELETE;
	spin_unlock(&dentry->d_lock);
}

__vfs_helper void *vfs_helper_kzalloc_dentry_data(size_t size)
{
	return kzalloc(size, GFP_KERNEL_ACCOUNT | __GFP_RECLAIMABLE);
}

__vfs_helper void vfs_helper_kfree_rcu(struct rcu_head *head, void *ptr)
{
	kvfree_call_rcu((struct kvfree_rcu_head *)head, ptr);
}

__vfs_helper void vfs_helper_inode_lock_nested(struct inode *inode, unsigned int subclass)
{
	inode_lock_nested(inode, subclass);
}

__vfs_helper bool vfs_helper_d_mountpoint(const struct dentry *dentry)
{
	return d_mountpoint(dentry);
}

__vfs_helper void vfs_helper_dont_mount(struct dentry *dentry)
{
	dont_mount(dentry);
}

/* pipes */

__vfs_helper unsigned int vfs_helper_pipe_buf_usage(const struct pipe_inode_info *pipe)
{
	return pipe_buf_usage(pipe);
}

__vfs_helper struct pipe_buffer *vfs_helper_pipe_tail_buf(const struct pipe_inode_info *pipe,
							  unsigned int nth)
{
	return pipe_buf(pipe, pipe->tail + nth);
}

__vfs_helper void vfs_helper_pipe_tail_advance(struct pipe_inode_info *pipe)
{
	pipe->tail++;
}

__vfs_helper bool vfs_helper_pipe_buf_get(struct pipe_inode_info *pipe, struct pipe_buffer *buf)
{
	return pipe_buf_get(pipe, buf);
}

__vfs_helper void vfs_helper_pipe_buf_release(struct pipe_inode_info *pipe,
					      struct pipe_buffer *buf)
{
	pipe_buf_release(pipe, buf);
}

__vfs_helper int vfs_helper_pipe_buf_confirm(struct pipe_inode_info *pipe, struct pipe_buffer *buf)
{
	return pipe_buf_confirm(pipe, buf);
}

__vfs_helper bool vfs_helper_pipe_buf_try_steal(struct pipe_inode_info *pipe,
						struct pipe_buffer *buf)
{
	return pipe_buf_try_steal(pipe, buf);
}

/* The page of the next byte: a buffer may begin, and end, in later pages of its folio. */
__vfs_helper struct page *vfs_helper_pipe_buf_page(const struct pipe_buffer *buf)
{
	return buf->page + (buf->offset >> PAGE_SHIFT);
}

__vfs_helper void vfs_helper_memcpy_from_page(char *to, struct page *page, size_t offset,
					      size_t len)
{
	memcpy_from_page(to, page, offset, len);
}

__vfs_helper void vfs_helper_memcpy_to_page(struct page *page, size_t offset, const char *from,
					    size_t len)
{
	memcpy_to_page(page, offset, from, len);
}

/* attributes of devices */

__vfs_helper void vfs_helper_device_attr_init(struct device_attribute *attr, const char *name,
					      umode_t mode,
					      ssize_t (*show)(struct device *,
							      struct device_attribute *, char *),
					      ssize_t (*store)(struct device *,
							       struct device_attribute *,
							       const char *, size_t))
{
	sysfs_attr_init(&attr->attr);
	attr->attr.name = name;
	attr->attr.mode = mode;
	attr->show = show;
	attr->store = store;
}

__vfs_helper void vfs_helper_attribute_init(struct attribute *attr, const char *name, umode_t mode)
{
	sysfs_attr_init(attr);
	attr->name = name;
	attr->mode = mode;
}

/* Also for one that could not be added. */
__vfs_helper void vfs_helper_kobject_unlink(struct kobject *kobj)
{
	if (kobj->state_in_sysfs)
		kobject_del(kobj);
}

__vfs_helper void vfs_helper_attribute_group_init(struct attribute_group *group,
						  struct attribute **attrs)
{
	group->attrs = attrs;
}

/* virtio */

#if IS_ENABLED(CONFIG_VIRTIO)

__vfs_helper int vfs_helper_virtio_index(const struct virtio_device *vdev)
{
	return vdev->index;
}

__vfs_helper struct kobject *vfs_helper_virtio_kobj(struct virtio_device *vdev)
{
	return &vdev->dev.kobj;
}

__vfs_helper void *vfs_helper_virtio_private(const struct virtio_device *vdev)
{
	return vdev->priv;
}

__vfs_helper void vfs_helper_virtio_set_private(struct virtio_device *vdev, void *priv)
{
	vdev->priv = priv;
}

__vfs_helper void vfs_helper_virtio_read_bytes(struct virtio_device *vdev, unsigned int offset,
					       void *buf, size_t len)
{
	virtio_cread_bytes(vdev, offset, buf, len);
}

__vfs_helper u32 vfs_helper_virtio_read_le32(struct virtio_device *vdev, unsigned int offset)
{
	__le32 value;

	might_sleep();
	vdev->config->get(vdev, offset, &value, sizeof(value));
	return le32_to_cpu(value);
}

/* The first `spare` of them have no interrupt that is bound to a processor. */
__vfs_helper int vfs_helper_virtio_find_queues(struct virtio_device *vdev, unsigned int count,
					       struct virtqueue **queues,
					       struct virtqueue_info *infos, unsigned int spare)
{
	struct irq_affinity desc = { .pre_vectors = spare };

	return virtio_find_vqs(vdev, count, queues, infos, &desc);
}

__vfs_helper void vfs_helper_virtio_delete_queues(struct virtio_device *vdev)
{
	vdev->config->del_vqs(vdev);
}

__vfs_helper void vfs_helper_virtio_ready(struct virtio_device *vdev)
{
	virtio_device_ready(vdev);
}

/* NULL if the device does not tell. */
__vfs_helper const struct cpumask *vfs_helper_virtio_queue_cpus(struct virtio_device *vdev, int queue)
{
	return vdev->config->get_vq_affinity ? vdev->config->get_vq_affinity(vdev, queue) : NULL;
}

__vfs_helper bool vfs_helper_cpumask_at_has(const struct cpumask *masks, unsigned int at,
					    unsigned int cpu)
{
	return cpumask_test_cpu(cpu, &masks[at]);
}

__vfs_helper unsigned int vfs_helper_virtqueue_index(const struct virtqueue *vq)
{
	return vq->index;
}

__vfs_helper void *vfs_helper_virtqueue_device_private(const struct virtqueue *vq)
{
	return vq->vdev->priv;
}

/* An entry of a list that does not end with it. */
__vfs_helper void vfs_helper_sg_fill(struct scatterlist *sg, struct page *page, unsigned int len,
				     unsigned int offset)
{
	sg_init_table(sg, 1);
	sg_unmark_end(sg);
	sg_set_page(sg, page, len, offset);
}

/* The first `out` entries are read by the device, the next `in` written. */
__vfs_helper int vfs_helper_virtqueue_add(struct virtqueue *vq, struct scatterlist *sg,
					  unsigned int out, unsigned int in, void *token)
{
	struct scatterlist *lists[2];
	unsigned int count = 0;

	if (out) {
		sg_mark_end(&sg[out - 1]);
		lists[count++] = sg;
	}
	if (in) {
		sg_mark_end(&sg[out + in - 1]);
		lists[count++] = &sg[out];
	}
	return virtqueue_add_sgs(vq, lists, !!out, !!in, token, GFP_ATOMIC | __GFP_NOWARN);
}

#endif /* CONFIG_VIRTIO */

/* io_uring */

__vfs_helper void *vfs_helper_io_uring_cmd_ring(struct io_uring_cmd *cmd)
{
	return io_uring_cmd_ctx_handle(cmd);
}

__vfs_helper void vfs_helper_io_uring_cmd_bytes(const struct io_uring_cmd *cmd, u64 *to)
{
	const u64 *from = (const u64 *)cmd->sqe->cmd;
	int i;

	for (i = 0; i < 10; i++)
		to[i] = READ_ONCE(from[i]);
}

__vfs_helper int vfs_helper_io_uring_cmd_fixed_index(const struct io_uring_cmd *cmd)
{
	return cmd->flags & IORING_URING_CMD_FIXED ? READ_ONCE(cmd->sqe->buf_index) : -1;
}

/* The two vectors whose address the entry has. They are copied, so none is allocated. */
__vfs_helper int vfs_helper_io_uring_cmd_two_vectors(const struct io_uring_cmd *cmd,
						     struct iovec *vectors)
{
	struct iov_iter iter;
	ssize_t ret;

	if (READ_ONCE(cmd->sqe->len) != 2)
		return -EINVAL;
	ret = import_iovec(WRITE, u64_to_user_ptr(READ_ONCE(cmd->sqe->addr)), 2, 2, &vectors, &iter);
	return ret < 0 ? ret : 0;
}

__vfs_helper int vfs_helper_io_uring_cmd_import(struct io_uring_cmd *cmd, u64 address, size_t len,
						int direction, struct iov_iter *iter,
						unsigned int flags)
{
	if (!(cmd->flags & IORING_URING_CMD_FIXED))
		return -EINVAL;
	return io_uring_cmd_import_fixed(address, len, direction, iter, cmd, flags);
}

__vfs_helper struct io_uring_cmd *vfs_helper_io_uring_cmd_of_work(struct io_tw_req req)
{
	return io_uring_cmd_from_tw(req);
}

__vfs_helper unsigned int vfs_helper_num_possible_cpus(void)
{
	return num_possible_cpus();
}
