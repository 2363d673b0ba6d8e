package sysctl

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	inotifyInfo = "pos:\t0\nflags:\t02004000\nmnt_id:\t15\nino:\t1057\n" +
		"inotify wd:2 ino:7 sdev:23 mask:fce ignored_mask:0 fhandle-bytes:8 fhandle-type:1 f_handle:0700000000000000\n" +
		"inotify wd:1 ino:2 sdev:800013 mask:800afce ignored_mask:0 fhandle-bytes:8 fhandle-type:1 f_handle:0200000000000000\n"
	fanotifyInfo = "pos:\t0\nflags:\t02\nmnt_id:\t9\nino:\t63\nfanotify flags:10 event-flags:0\n" +
		"fanotify sdev:800013 mflags:0 mask:3b ignored_mask:40000000\nfanotify mnt_id:12 mflags:40 mask:38 ignored_mask:40000000\n"
)

// fakeProcess makes PID below proc with descriptors, each by what it is and what its fdinfo holds.
func fakeProcess(t *testing.T, proc string, pid, uid int, comm string, fds ...[2]string) string {
	t.Helper()
	dir := fmt.Sprintf("%s/%d", proc, pid)
	must(t, os.MkdirAll(dir+"/fd", 0o755))
	must(t, os.MkdirAll(dir+"/fdinfo", 0o755))
	must(t, os.WriteFile(dir+"/comm", []byte(comm+"\n"), 0o644))
	must(t, os.WriteFile(dir+"/status", fmt.Appendf(nil, "Name:\t%s\nUid:\t4\t%d\t5\t6\nGid:\t1\t2\t3\t4\n", comm, uid), 0o644))
	for i, fd := range fds {
		must(t, os.Symlink(fd[0], fmt.Sprintf("%s/fd/%d", dir, i)))
		must(t, os.WriteFile(fmt.Sprintf("%s/fdinfo/%d", dir, i), []byte(fd[1]), 0o644))
	}
	return dir
}

func TestReadUsage(t *testing.T) {
	proc := t.TempDir()
	inotify, fanotify := [2]string{"anon_inode:inotify", inotifyInfo}, [2]string{"anon_inode:[fanotify]", fanotifyInfo}
	file := [2]string{"/tmp/inotify wd:", "inotify wd:1\n"}
	fakeProcess(t, proc, 10, 1000, "editor", file, inotify)
	fakeProcess(t, proc, 7, 0, "scanner", fanotify, inotify, inotify)
	fakeProcess(t, proc, 8, 1000, "idle", file)
	fakeProcess(t, proc, 9, 1000, "a\nb", [2]string{"anon_inode:inotify", "flags:\t0\n"})
	must(t, os.Mkdir(proc+"/11", 0o755)) // it ended
	vanished := fakeProcess(t, proc, 12, 1, "half", inotify)
	must(t, os.Remove(vanished+"/status"))
	closed := fakeProcess(t, proc, 13, 2, "closing", inotify, inotify)
	must(t, os.Remove(closed+"/fdinfo/0"))
	odd := fakeProcess(t, proc, 14, 2, "odd", inotify)
	must(t, os.WriteFile(odd+"/status", []byte("Uid:\tmany\n"), 0o644))
	must(t, os.WriteFile(proc+"/99999999999999999999", nil, 0o644))
	must(t, os.MkdirAll(proc+"/self/ns", 0o755))
	must(t, os.Symlink("pid:[4026532000]", proc+"/self/ns/pid"))

	got, err := ReadUsage(proc)
	want := Usage{
		Processes: []Process{
			{7, 0, "scanner", Holding{2, 4, 1, 2}},
			{10, 1000, "editor", Holding{Instances: 1, Watches: 2}},
			{13, 2, "closing", Holding{Instances: 1, Watches: 2}},
			{9, 1000, "a\nb", Holding{Instances: 1}},
		},
		Unreadable: 1, Vanished: 2, Partial: true,
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	users := []User{{0, Holding{2, 4, 1, 2}}, {1000, Holding{Instances: 2, Watches: 2}}, {2, Holding{Instances: 1, Watches: 2}}}
	if diff := cmp.Diff(users, got.Users()); diff != "" {
		t.Errorf("users (-want +got):\n%s", diff)
	}
	if _, err := ReadUsage(proc + "/none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no /proc at all: %v", err)
	}
}

// The kernel's own: what this process makes is found, and what is marked in it.
func TestReadUsageKernel(t *testing.T) {
	mine := func() Holding {
		u, err := ReadUsage("")
		must(t, err)
		i := slices.IndexFunc(u.Processes, func(p Process) bool { return p.PID == os.Getpid() })
		if i < 0 {
			return Holding{}
		}
		if p := u.Processes[i]; p.UID != uint32(os.Geteuid()) || !strings.HasPrefix(filepath.Base(os.Args[0]), p.Command[:5]) {
			t.Errorf("process %+v", p)
		}
		return u.Processes[i].Holding
	}
	before := mine()
	fd, err := syscall.InotifyInit1(syscall.IN_CLOEXEC)
	must(t, err)
	defer syscall.Close(fd)
	for range 3 {
		_, err := syscall.InotifyAddWatch(fd, t.TempDir(), syscall.IN_CREATE)
		must(t, err)
	}
	if got, want := mine(), before.plus(Holding{Instances: 1, Watches: 3}); got != want {
		t.Errorf("after three watches: %+v, want %+v", got, want)
	}
	fan, _, errno := syscall.Syscall(syscall.SYS_FANOTIFY_INIT, 1 /* FAN_CLOEXEC */, 0, 0)
	if errno != 0 {
		t.Skipf("no fanotify group: %v", errno)
	}
	defer syscall.Close(int(fan))
	if got, want := mine(), before.plus(Holding{Instances: 1, Watches: 3, Groups: 1}); got != want {
		t.Errorf("with a group: %+v, want %+v", got, want)
	}
}

func TestCountMarks(t *testing.T) {
	long := "inotify wd:1 " + strings.Repeat("x", 10_000)
	for _, tt := range []struct {
		in   string
		want int
	}{
		{"", 0},
		{inotifyInfo, 2},
		{fanotifyInfo, 2},
		{strings.TrimSuffix(inotifyInfo, "\n"), 2},
		{"fanotify flags:0 event-flags:0\n", 0},
		{" inotify wd:1\ninotify-wd:1\n", 0},
		{long + "\n" + long, 2},
		{strings.Repeat("x", 4096) + "inotify wd:1\n", 0}, // the rest of a long line
		{strings.Repeat("inotify wd:1\n", 100_000), 100_000},
	} {
		if got, err := countMarks(strings.NewReader(tt.in)); got != tt.want || err != nil {
			t.Errorf("countMarks(%.60q) = %d, %v, want %d", tt.in, got, err, tt.want)
		}
	}
	if _, err := countMarks(io.MultiReader(strings.NewReader("x"), broken{})); !errors.Is(err, syscall.EIO) {
		t.Errorf("an error is lost: %v", err)
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, syscall.EIO }

func FuzzCountMarks(f *testing.F) {
	f.Add([]byte(inotifyInfo))
	f.Add([]byte(fanotifyInfo))
	f.Add([]byte(strings.Repeat("inotify wd:", 500)))
	f.Fuzz(func(t *testing.T, text []byte) {
		want := 0
		for line := range strings.Lines(string(text)) { // simple, and all of it in memory
			if strings.HasPrefix(line, "inotify wd:") || strings.HasPrefix(line, "fanotify ") && !strings.HasPrefix(line, "fanotify flags:") {
				want++
			}
		}
		if got, err := countMarks(strings.NewReader(string(text))); got != want || err != nil {
			t.Errorf("countMarks = %d, %v, want %d", got, err, want)
		}
	})
}

func TestParseUID(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want uint32
		ok   bool
	}{
		{"Name:\tx\nUid:\t1\t2\t3\t4\n", 2, true},
		{"Uid: 0 4294967295 0 0", 4294967295, true},
		{"Uid:\t0\t4294967296\t0\t0\n", 0, false},
		{"Uid:\t0\n", 0, false},
		{"", 0, false},
	} {
		if got, err := parseUID([]byte(tt.in)); (err == nil) != tt.ok || tt.ok && got != tt.want {
			t.Errorf("parseUID(%q) = %d, %v", tt.in, got, err)
		}
	}
}
