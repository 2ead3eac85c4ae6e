# SPDX-License-Identifier: GPL-2.0
# Where virtiofsd differs from tmpfs by itself: the work, and the line that is missing (-) or more (+).

# This is for the C module, whose super block of a submount does not say SB_POSIXACL as that of the
# mount does: so it refuses ACLs there before it looks at them.

# It gives up CAP_SYS_ADMIN, without which it cannot set trusted attributes.
xattrs -set f trusted.t -> ok
xattrs -get f trusted.t -> 76616c7565206f6620747275737465642e74
xattrs -list f -> ['trusted.t', 'user.a', 'user.b', 'user.nnnnnnnnnnnnnnn']
xattrs +set f trusted.t -> EPERM
xattrs +get f trusted.t -> ENODATA
xattrs +list f -> ['user.a', 'user.b', 'user.nnnnnnnnnnnnnnn']
xattrs -set d trusted.t -> ok
xattrs -get d trusted.t -> 76616c7565206f6620747275737465642e74
xattrs -list d -> ['trusted.t', 'user.a', 'user.b', 'user.nnnnnnnnnnnnnnn']
xattrs +set d trusted.t -> EPERM
xattrs +get d trusted.t -> ENODATA
xattrs +list d -> ['user.a', 'user.b', 'user.nnnnnnnnnnnnnnn']
xattrs -after a rename -> ['trusted.t', 'user.b', 'user.bin', 'user.c', 'user.empty', 'user.nnnnnnnnnnnnnnn']
xattrs +after a rename -> ['user.b', 'user.bin', 'user.c', 'user.empty', 'user.nnnnnnnnnnnnnnn']
xattrs -'./d' 040755 0:0 trusted.t=76616c7565206f6620747275737465642e74 user.a=76616c7565206f6620757365722e61 user.b=76616c7565206f6620757365722e62 user.nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn=214:8b421917c637eb79
xattrs -'./g' 100644 0:0 links=1 0:da39a3ee5e6b4b0d trusted.t=76616c7565206f6620747275737465642e74 user.b=76616c7565206f6620757365722e62 user.bin=256:4916d6bdb7f78e68 user.c=78 user.empty= user.nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn=214:8b421917c637eb79
xattrs +'./d' 040755 0:0 user.a=76616c7565206f6620757365722e61 user.b=76616c7565206f6620757365722e62 user.nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn=214:8b421917c637eb79
xattrs +'./g' 100644 0:0 links=1 0:da39a3ee5e6b4b0d user.b=76616c7565206f6620757365722e62 user.bin=256:4916d6bdb7f78e68 user.c=78 user.empty= user.nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn=214:8b421917c637eb79

# It is started without --posix-acl, and does not offer FUSE_POSIX_ACL.
acls -none -> ENODATA
acls -set -> ok
acls -get -> 0200000001000700ffffffff02000500e803000004000400ffffffff08000600d007000010000600ffffffff20000100ffffffff
acls -mode -> 100761
acls -after chmod -> 0200000001000700ffffffff02000500e803000004000400ffffffff08000600d007000010000500ffffffff20000100ffffffff
acls -default of a file -> EACCES
acls -minimal -> ok
acls -get minimal -> ENODATA
acls +none -> ENOTSUP
acls +set -> ENOTSUP
acls +get -> ENOTSUP
acls -set again -> ok
acls -remove -> ok
acls -get removed -> ENODATA
acls +after chmod -> ENOTSUP
acls +default of a file -> ENOTSUP
acls +minimal -> ENOTSUP
acls +get minimal -> ENOTSUP
acls +mode -> 100751
acls +set again -> ENOTSUP
acls +remove -> ENOTSUP
acls +get removed -> ENOTSUP
acls -without owner -> EINVAL
acls -without mask -> EINVAL
acls -default -> ok
acls -get default -> 0200000001000700ffffffff02000500e803000004000400ffffffff08000600d007000010000600ffffffff20000100ffffffff
acls -remove default -> ok
acls +without owner -> ENOTSUP
acls +without mask -> ENOTSUP
acls +default -> ENOTSUP
acls +get default -> ENOTSUP
acls +remove default -> ENOTSUP
acls -'./d/d22' 040761 0:0 system.posix_acl_access=0200000001000700ffffffff02000500e803000004000400ffffffff08000600d007000010000600ffffffff20000100ffffffff system.posix_acl_default=0200000001000700ffffffff02000500e803000004000400ffffffff08000600d007000010000600ffffffff20000100ffffffff
acls -'./d/d77' 040761 0:0 system.posix_acl_access=0200000001000700ffffffff02000500e803000004000400ffffffff08000600d007000010000600ffffffff20000100ffffffff system.posix_acl_default=0200000001000700ffffffff02000500e803000004000400ffffffff08000600d007000010000600ffffffff20000100ffffffff
acls -'./d/f22' 100660 0:0 links=1 0:da39a3ee5e6b4b0d system.posix_acl_access=0200000001000600ffffffff02000500e803000004000400ffffffff08000600d007000010000600ffffffff20000000ffffffff
acls -'./d/f77' 100660 0:0 links=1 0:da39a3ee5e6b4b0d system.posix_acl_access=0200000001000600ffffffff02000500e803000004000400ffffffff08000600d007000010000600ffffffff20000000ffffffff
acls -'./d/p22' 010660 0:0 links=1 system.posix_acl_access=0200000001000600ffffffff02000500e803000004000400ffffffff08000600d007000010000600ffffffff20000000ffffffff
acls -'./d/p77' 010660 0:0 links=1 system.posix_acl_access=0200000001000600ffffffff02000500e803000004000400ffffffff08000600d007000010000600ffffffff20000000ffffffff
acls +'./d/d22' 040755 0:0
acls +'./d/d77' 040700 0:0
acls +'./d/f22' 100644 0:0 links=1 0:da39a3ee5e6b4b0d
acls +'./d/f77' 100600 0:0 links=1 0:da39a3ee5e6b4b0d
acls +'./d/p22' 010644 0:0 links=1
acls +'./d/p77' 010600 0:0 links=1
acls -'./f' 100761 0:0 links=1 0:da39a3ee5e6b4b0d
acls +'./f' 100751 0:0 links=1 0:da39a3ee5e6b4b0d
permissions -an ACL -> ok
permissions +an ACL -> ENOTSUP
permissions -1000: read what an ACL lets -> ok
permissions +1000: read what an ACL lets -> EACCES
permissions -'./acl' 100640 0:0 links=1 0:da39a3ee5e6b4b0d system.posix_acl_access=0200000001000600ffffffff02000400e803000004000000ffffffff10000400ffffffff20000000ffffffff
permissions +'./acl' 100600 0:0 links=1 0:da39a3ee5e6b4b0d

# It answers ENOSYS to TMPFILE.
tmpfiles -O_TMPFILE -> ok
tmpfiles +O_TMPFILE -> ENOTSUP
tmpfiles -links -> 0
tmpfiles -nothing is listed -> []
tmpfiles -link -> EXDEV
