package sysctl

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"syscall"
)

// CountDirectories counts the directories at and below root: the watches that it needs. It looks at
// names and their types only, so it costs little beside the watching itself.
//
// A symlink given as root is followed, none below. A root that is not there or is no directory counts
// 0. A directory that cannot be read counts 1, whatever it holds: it may be gone, or out of reach for
// the watching as well. What excluded says yes to is left out with all below; it is asked for
// directories only, by their slash-separated path below root, and may be nil. The error is about root,
// or ctx.Err() with what was counted until then.
func CountDirectories(ctx context.Context, root string, excluded func(path string, isDir bool) bool) (int, error) {
	w := dirWalk{below: len(root) + 1, excluded: excluded, buf: make([]byte, 64<<10)}
	switch err := w.list(root, 0); {
	case errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ENOTDIR):
		return 0, nil
	case err != nil:
		return 0, fmt.Errorf("count directories below %q: %w", root, err)
	}
	count := 1
	for ; len(w.todo) > 0; count++ {
		if err := ctx.Err(); err != nil {
			return count, err
		}
		next := w.todo[len(w.todo)-1]
		w.todo = w.todo[:len(w.todo)-1]
		_ = w.list(next, syscall.O_NOFOLLOW) // counted, and that is all there is to do about it
	}
	return count, nil
}

// dirWalk visits directories one by one. They are opened by their whole path: that keeps no descriptor
// open, and one whose path is too long for that cannot be watched either.
type dirWalk struct {
	below    int // where in a path the part below root begins
	excluded func(path string, isDir bool) bool
	todo     []string // still to be listed
	buf      []byte
}

// list puts the directories in dir on the list of those to visit.
func (w *dirWalk) list(dir string, flags int) error {
	flags |= syscall.O_RDONLY | syscall.O_DIRECTORY | syscall.O_CLOEXEC
	fd, err := retryInt(func() (int, error) { return syscall.Open(dir, flags, 0) })
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	for {
		n, err := retryInt(func() (int, error) { return syscall.ReadDirent(fd, w.buf) })
		if err != nil || n <= 0 {
			return err
		}
		eachEntry(w.buf[:n], func(name []byte, kind byte) { w.visit(dir, name, kind) })
	}
}

func (w *dirWalk) visit(dir string, name []byte, kind byte) {
	if kind != syscall.DT_DIR && kind != syscall.DT_UNKNOWN {
		return
	}
	path := dir + "/" + string(name)
	if kind == syscall.DT_UNKNOWN && !isDirectory(path) {
		return
	}
	if w.excluded == nil || !w.excluded(path[w.below:], true) {
		w.todo = append(w.todo, path)
	}
}

// isDirectory asks for what some file systems do not tell in a listing; getdents64(2), DT_UNKNOWN.
func isDirectory(absPath string) bool {
	var st syscall.Stat_t
	return syscall.Lstat(absPath, &st) == nil && st.Mode&syscall.S_IFMT == syscall.S_IFDIR
}

// eachEntry parses what getdents64(2) returned: for each entry inode 8 bytes, offset 8, length 2, type
// 1, name to NUL. syscall.ParseDirent leaves the type out, which would cost a stat for each name.
func eachEntry(buf []byte, f func(name []byte, kind byte)) {
	const header = 19
	for len(buf) >= header {
		size := int(binary.NativeEndian.Uint16(buf[16:]))
		if size < header || size > len(buf) {
			return
		}
		name, _, _ := bytes.Cut(buf[header:size], []byte{0})
		if string(name) != "." && string(name) != ".." && len(name) > 0 {
			f(name, buf[18])
		}
		buf = buf[size:]
	}
}

// retryInt goes on after a signal, as file systems in user space or far away let calls be interrupted.
func retryInt(call func() (int, error)) (int, error) {
	for {
		if n, err := call(); err != syscall.EINTR {
			return n, err
		}
	}
}
