package config

import (
	"io/fs"
	"os"
	"syscall"
)

// owner is who owns a file, -1 where that is not known.
func owner(st fs.FileInfo) int {
	if sys, ok := st.Sys().(*syscall.Stat_t); ok {
		return int(sys.Uid)
	}
	return -1
}

// private says that nobody but its owner, who is root or ourselves, can read the file.
func (f *file) private() bool {
	return f.mode.Perm()&0o077 == 0 && (f.uid == 0 || f.uid == os.Geteuid())
}
