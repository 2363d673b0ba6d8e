// Package meta reads and writes what a name has beside stat(2): extended attributes
// (xattr(7)) and POSIX access control lists (acl(5)). Paths are those of the kernel: callers
// pass /proc/self/fd/N/name, whose last component is never followed.
package meta
