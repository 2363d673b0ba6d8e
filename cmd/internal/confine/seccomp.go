package confine

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// denied are the system calls that no pusher makes, on every architecture: they look into other
// processes, load code into the kernel, change what is mounted, or who is in which namespace.
var denied = []uint32{
	unix.SYS_PTRACE, unix.SYS_PROCESS_VM_READV, unix.SYS_PROCESS_VM_WRITEV, unix.SYS_PIDFD_GETFD, unix.SYS_PROCESS_MADVISE, unix.SYS_KCMP,
	unix.SYS_KEXEC_LOAD, unix.SYS_KEXEC_FILE_LOAD, unix.SYS_INIT_MODULE, unix.SYS_FINIT_MODULE, unix.SYS_DELETE_MODULE, unix.SYS_REBOOT,
	unix.SYS_BPF, unix.SYS_PERF_EVENT_OPEN, unix.SYS_USERFAULTFD, unix.SYS_IO_URING_SETUP, unix.SYS_IO_URING_ENTER, unix.SYS_IO_URING_REGISTER,
	unix.SYS_KEYCTL, unix.SYS_ADD_KEY, unix.SYS_REQUEST_KEY,
	unix.SYS_MOUNT, unix.SYS_UMOUNT2, unix.SYS_PIVOT_ROOT, unix.SYS_CHROOT, unix.SYS_MOVE_MOUNT, unix.SYS_OPEN_TREE, unix.SYS_MOUNT_SETATTR,
	unix.SYS_FSOPEN, unix.SYS_FSCONFIG, unix.SYS_FSMOUNT, unix.SYS_FSPICK,
	unix.SYS_SETNS, unix.SYS_UNSHARE,
	unix.SYS_SWAPON, unix.SYS_SWAPOFF, unix.SYS_ACCT, unix.SYS_QUOTACTL, unix.SYS_QUOTACTL_FD, unix.SYS_SYSLOG, unix.SYS_VHANGUP,
	unix.SYS_SETTIMEOFDAY, unix.SYS_CLOCK_SETTIME, unix.SYS_CLOCK_ADJTIME, unix.SYS_ADJTIMEX, unix.SYS_SETHOSTNAME, unix.SYS_SETDOMAINNAME,
	unix.SYS_PERSONALITY, unix.SYS_LOOKUP_DCOOKIE, unix.SYS_NFSSERVCTL,
}

// deniedCalls are those of the plan on this architecture.
func (p *Plan) deniedCalls() []uint32 {
	calls := append(append([]uint32(nil), denied...), deniedHere...)
	if !p.needs.Exec {
		calls = append(calls, unix.SYS_EXECVE, unix.SYS_EXECVEAT)
	}
	if !p.needs.fanotify() {
		calls = append(calls, unix.SYS_OPEN_BY_HANDLE_AT, unix.SYS_FANOTIFY_INIT, unix.SYS_FANOTIFY_MARK)
	}
	return calls
}

// restrictCalls installs the filter on all threads, and tells of it.
func (p *Plan) restrictCalls() (string, error) {
	if !p.Seccomp {
		return "off", nil
	}
	err := errNoSeccomp
	if auditArch != 0 {
		err = installFilter(filterProgram(p.deniedCalls()))
	}
	switch {
	case err == nil:
		return fmt.Sprintf("on: %d system calls are denied", len(p.deniedCalls())), nil
	case p.needs.Level == Strict:
		return "", fmt.Errorf("seccomp: %w: --confine=auto does without", err)
	case errors.Is(err, errNoSeccomp):
		return "off: " + err.Error(), nil
	}
	return "", fmt.Errorf("seccomp: %w", err)
}

var errNoSeccomp = errors.New("the kernel has none, or not for this architecture")

// filterProgram answers EPERM to what is denied, and to all calls by another architecture's numbers:
// on x86-64 the 32-bit ones would be a way around the list. (A reason to write it down here:
// the libraries let those pass.)
func filterProgram(calls []uint32) []bpf.Instruction {
	const nr, arch, word = 0, 4, 4 // struct seccomp_data, seccomp(2)
	deny := bpf.RetConstant{Val: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)}
	program := []bpf.Instruction{
		bpf.LoadAbsolute{Off: arch, Size: word},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: auditArch, SkipTrue: 1}, deny,
		bpf.LoadAbsolute{Off: nr, Size: word},
	}
	if otherABI != 0 {
		program = append(program, bpf.JumpIf{Cond: bpf.JumpLessThan, Val: otherABI, SkipTrue: 1}, deny)
	}
	for _, call := range calls {
		program = append(program, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: call, SkipTrue: 1}, deny)
	}
	return append(program, bpf.RetConstant{Val: unix.SECCOMP_RET_ALLOW})
}

func installFilter(program []bpf.Instruction) error {
	raw, err := bpf.Assemble(program)
	if err != nil {
		return err
	}
	filter := make([]unix.SockFilter, len(raw))
	for i, r := range raw {
		filter[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	thread, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&prog)))
	switch {
	case errno == unix.ENOSYS, errno == unix.EINVAL:
		return errNoSeccomp
	case errno != 0:
		return errno
	case thread != 0:
		return fmt.Errorf("thread %d has a filter of its own", thread)
	}
	return nil
}
