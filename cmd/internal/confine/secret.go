package confine

import (
	"bytes"
	"os"
	"strconv"
)

// WipeEnv takes a variable out of the environment: children do not inherit it, and /proc/PID/environ
// no longer shows its value. That file is the kernel's view of our memory, where the value is
// overwritten; where that cannot be done (an old kernel, /proc not mounted) it stays in view of
// root and of the processes of the same user.
func WipeEnv(key string) {
	os.Unsetenv(key)
	env, err := os.ReadFile("/proc/self/environ")
	if err != nil {
		return
	}
	at, length, ok := findEnv(env, key)
	if !ok {
		return
	}
	start, ok := envStart()
	if !ok {
		return
	}
	mem, err := os.OpenFile("/proc/self/mem", os.O_WRONLY, 0)
	if err != nil {
		return
	}
	defer mem.Close()
	mem.WriteAt(bytes.Repeat([]byte{'*'}, length), start+int64(at))
}

// findEnv tells where in an environment the value of key is.
func findEnv(env []byte, key string) (at, length int, ok bool) {
	for at < len(env) {
		entry := env[at:]
		if end := bytes.IndexByte(entry, 0); end >= 0 {
			entry = entry[:end]
		}
		if value, ok := bytes.CutPrefix(entry, []byte(key+"=")); ok {
			return at + len(key) + 1, len(value), true
		}
		at += len(entry) + 1
	}
	return 0, 0, false
}

// envStart is where in memory the environment begins: field 50 of /proc/self/stat (proc_pid_stat(5)).
func envStart() (int64, bool) {
	stat, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return 0, false
	}
	// The second field is the program's name in parentheses, which may hold anything.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	const envStartField, firstField = 50, 3
	if len(fields) <= envStartField-firstField {
		return 0, false
	}
	start, err := strconv.ParseInt(string(fields[envStartField-firstField]), 10, 64)
	return start, err == nil && start > 0
}
