//go:build !amd64 && !arm64 && !riscv64

package dirent

import "golang.org/x/sys/unix"

func statAt(fd int, name []byte, st *unix.Stat_t) error { return statCopy(fd, name, st) }
