package confine

import (
	"encoding/binary"
	"slices"
	"testing"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// answer runs the filter as the kernel would. This machine reads words big-endian, the kernel as
// the processor does: the input is made accordingly.
func answer(t *testing.T, program []bpf.Instruction, arch, nr uint32) int {
	t.Helper()
	vm, err := bpf.NewVM(program)
	if err != nil {
		t.Fatal(err)
	}
	data := make([]byte, 64) // struct seccomp_data
	binary.BigEndian.PutUint32(data[0:], nr)
	binary.BigEndian.PutUint32(data[4:], arch)
	out, err := vm.Run(data)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestFilterProgram(t *testing.T) {
	if auditArch == 0 {
		t.Skip("no filter for this architecture")
	}
	const allow, deny = unix.SECCOMP_RET_ALLOW, unix.SECCOMP_RET_ERRNO | int(unix.EPERM)
	plan := Decide(Needs{Level: Auto, Watch: true, Inotify: true})
	calls := plan.deniedCalls()
	program := filterProgram(calls)
	for nr := range uint32(600) {
		want := allow
		if slices.Contains(calls, nr) {
			want = deny
		}
		if got := answer(t, program, auditArch, nr); got != want {
			t.Errorf("call %d: %#x, want %#x", nr, got, want)
		}
		if got := answer(t, program, auditArch^1, nr); got != deny {
			t.Errorf("call %d of another architecture: %#x, want %#x", nr, got, deny)
		}
		if otherABI != 0 {
			if got := answer(t, program, auditArch, otherABI|nr); got != deny {
				t.Errorf("call %d of another ABI: %#x, want %#x", nr, got, deny)
			}
		}
	}
}

func TestDeniedCalls(t *testing.T) {
	for _, test := range []struct {
		name  string
		needs Needs
		call  uint32
		want  bool
	}{
		{"no program is run", Needs{}, unix.SYS_EXECVE, true},
		{"a remote shell is", Needs{Exec: true}, unix.SYS_EXECVE, false},
		{"a remote shell is", Needs{Exec: true}, unix.SYS_EXECVEAT, false},
		{"inotify", Needs{Watch: true, Inotify: true}, unix.SYS_OPEN_BY_HANDLE_AT, true},
		{"fanotify", Needs{Watch: true}, unix.SYS_OPEN_BY_HANDLE_AT, false},
		{"fanotify", Needs{Watch: true}, unix.SYS_FANOTIFY_MARK, false},
		{"once", Needs{}, unix.SYS_FANOTIFY_INIT, true},
		{"a shell all the same", Needs{Exec: true}, unix.SYS_PTRACE, true},
	} {
		plan := Decide(test.needs)
		if got := slices.Contains(plan.deniedCalls(), test.call); got != test.want {
			t.Errorf("%s: call %d is denied: %v, want %v", test.name, test.call, got, test.want)
		}
	}
}
