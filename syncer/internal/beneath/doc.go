// Package beneath opens names below a directory without ever leaving it.
//
// In go a directory descriptor and a slash-separated relative path; out comes a
// descriptor of that very path, or an error. The guarantee: no component of the
// path, the last one included, is a symlink that was followed, and no ".." led
// out of the directory, whatever another process swaps in meanwhile. It is what
// os.Root promises and a little more: os.Root follows a symlink that stays
// inside, and a replicator that writes through such a link changes a file that
// nobody asked it to change.
//
//  1. openat2(2) with RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS does it in one call.
//  2. Where the kernel lacks openat2 (before Linux 5.6) or a sandbox forbids it,
//     the path is walked component by component with O_NOFOLLOW.
//
// The caller owns, and closes, the descriptor.
package beneath
