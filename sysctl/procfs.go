package sysctl

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

var errNoMemTotal = errors.New("no MemTotal line")

// MemTotal returns the usable memory of the machine in bytes. The limit of a container is not looked
// at: those of inotify are the machine's too.
func MemTotal() (int64, error) {
	const name = "/proc/meminfo"
	text, err := os.ReadFile(name)
	if err != nil {
		return 0, fmt.Errorf("read memory size: %w", err)
	}
	n, err := parseMemTotal(text)
	if err != nil {
		return 0, fmt.Errorf("read memory size in %s: %w", name, err)
	}
	return n, nil
}

// parseMemTotal reads "MemTotal:       24011234 kB", proc_meminfo(5); the kernel's kB are KiB.
func parseMemTotal(text []byte) (int64, error) {
	for line := range bytes.Lines(text) {
		rest, ok := bytes.CutPrefix(line, []byte("MemTotal:"))
		if !ok {
			continue
		}
		number, ok := strings.CutSuffix(string(bytes.TrimSpace(rest)), " kB")
		if !ok {
			return 0, fmt.Errorf("unit of %.80q is not kB", line)
		}
		kib, err := strconv.ParseUint(strings.TrimSpace(number), 10, 64)
		if err != nil {
			return 0, err
		}
		if kib > math.MaxInt64/1024 {
			return 0, fmt.Errorf("size %d KiB is out of range", kib)
		}
		return int64(kib) * 1024, nil
	}
	return 0, errNoMemTotal
}

// inUserNamespace reports that uid 0 here is not root of the machine. Where that cannot be told it is
// taken for granted that there is no such thing.
func inUserNamespace(proc string) bool {
	text, err := os.ReadFile(filepath.Join(proc, "self/uid_map"))
	return err == nil && !mapsAllUIDs(text)
}

// mapsAllUIDs recognises the uid map of the initial user namespace: "0 0 4294967295", one line;
// user_namespaces(7), "User and group ID mappings".
func mapsAllUIDs(uidMap []byte) bool {
	f := strings.Fields(string(uidMap))
	return len(f) == 3 && f[0] == "0" && f[1] == "0" && f[2] == "4294967295"
}
