// Package meta reads and writes what a name has beside stat(2): extended attributes
// (xattr(7)) and POSIX access control lists (acl(5)). Paths are those of the kernel: callers
// pass /proc/self/fd/N/name, whose last component is never followed.
//
// What a file system does not know, its files do not have: there reading finds nothing and
// is no error. The facts are those of rsync 3.5.0 xattrs.c (rsync_xal_get) and acls.c, and of
// Linux' uapi/linux/posix_acl_xattr.h.
package meta
