package sysctl

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var persistent = []Setting{
	{"fs.inotify.max_user_watches", 192536, 1048576},
	{"fs.inotify.max_queued_events", 16384, 32768},
	{"user.max_inotify_watches", 5, 1048576}, // of a namespace: never in a file
}

func TestMerge(t *testing.T) {
	const watches, queue = "fs.inotify.max_user_watches = 1048576\n", "fs.inotify.max_queued_events = 32768\n"
	all := []Setting{{"fs.inotify.max_user_watches", 0, 1048576}, {"fs.inotify.max_queued_events", 0, 32768}}
	for _, tt := range []struct {
		name, in, want string
		changes        []Setting
	}{
		{"new", "", confHead + watches + queue, all},
		{"empty", "\n", confHead + watches + queue, all},
		{"as it should be", watches + queue, watches + queue, nil},
		{"higher", "fs.inotify.max_user_watches=2000000\n" + queue, "fs.inotify.max_user_watches=2000000\n" + queue, nil},
		{"lower", "# mine\nfs.inotify.max_user_watches=5\nvm.swappiness = 1\n" + queue, "# mine\n" + watches + "vm.swappiness = 1\n" + queue,
			[]Setting{{"fs.inotify.max_user_watches", 5, 1048576}}},
		{"with slashes and a dash", "- fs/inotify/max_user_watches = 9999999\n" + queue, "- fs/inotify/max_user_watches = 9999999\n" + queue, nil},
		{"the last one counts", "fs.inotify.max_user_watches=9999999\nfs.inotify.max_user_watches=5\n" + queue,
			"fs.inotify.max_user_watches=9999999\n" + watches + queue, []Setting{{"fs.inotify.max_user_watches", 5, 1048576}}},
		{"commented out", "#fs.inotify.max_user_watches = 9999999\n;" + watches + queue, "#fs.inotify.max_user_watches = 9999999\n;" + watches + queue + watches,
			all[:1]},
		{"no number", "fs.inotify.max_user_watches = many\n" + queue, watches + queue, all[:1]},
		{"no newline at the end", "vm.swappiness = 1", "vm.swappiness = 1\n" + watches + queue, all},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, changes := merge([]byte(tt.in), persistent)
			if diff := cmp.Diff(tt.want, string(got)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.changes, changes); diff != "" {
				t.Errorf("changes (-want +got):\n%s", diff)
			}
		})
	}
	if got := Config(persistent); got != confHead+watches+queue {
		t.Errorf("Config = %q", got)
	}
}

func FuzzMerge(f *testing.F) {
	f.Add([]byte("# x\nfs.inotify.max_user_watches=5\n-fs/inotify/max_queued_events\t=\t99999\nvm.x = 1"))
	f.Add([]byte("=\n-=1\n\x00=\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		once, _ := merge(text, persistent)
		twice, changes := merge(once, persistent)
		if string(once) != string(twice) || changes != nil {
			t.Errorf("%q: a second merge changes %v", once, changes)
		}
		for line := range strings.Lines(string(text)) {
			key, _, ok := parseLine([]byte(line))
			if foreign := !ok || !strings.HasPrefix(key, "fs."); foreign && strings.TrimSpace(string(text)) != "" &&
				!strings.Contains(string(once), line) {
				t.Errorf("line %q is lost from %q", line, once)
			}
		}
	})
}

func TestPersist(t *testing.T) {
	dir := t.TempDir() + "/sysctl.d"
	file := dir + "/60-lockstep.conf"
	changes, err := Persist(file, persistent)
	if len(changes) != 2 || err != nil {
		t.Fatalf("Persist = %v, %v", changes, err)
	}
	checkFile(t, file, Config(persistent), 0o644)
	before, err := os.Stat(file)
	must(t, err)
	if changes, err := Persist(file, persistent); changes != nil || err != nil {
		t.Errorf("again: %v, %v", changes, err)
	}
	if after, err := os.Stat(file); err != nil || !os.SameFile(before, after) {
		t.Errorf("a file that is good was replaced: %v", err)
	}

	// Behind a symlink, with a mode of its own.
	target := dir + "/real"
	must(t, os.WriteFile(target, []byte("# mine\n"), 0o600))
	must(t, os.Symlink("real", dir+"/link.conf"))
	if _, err := Persist(dir+"/link.conf", persistent); err != nil {
		t.Error(err)
	}
	checkFile(t, target, "# mine\n"+strings.TrimPrefix(Config(persistent), confHead), 0o600)
	if entries, err := os.ReadDir(dir); len(entries) != 3 || err != nil {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func checkFile(t *testing.T, file, want string, mode fs.FileMode) {
	t.Helper()
	text, err := os.ReadFile(file)
	if diff := cmp.Diff(want, string(text)); diff != "" || err != nil {
		t.Errorf("%s: %v (-want +got):\n%s", file, err, diff)
	}
	if st, err := os.Stat(file); err != nil || st.Mode() != mode {
		t.Errorf("%s: %v, %v", file, st.Mode(), err)
	}
}

func TestPersistErrors(t *testing.T) {
	dir := t.TempDir()
	masked := filepath.Join(dir, "masked.conf")
	must(t, os.Symlink("/dev/null", masked))
	if _, err := Persist(masked, persistent); err == nil || !strings.Contains(err.Error(), "no regular file") {
		t.Errorf("/dev/null: %v", err)
	}
	if _, err := Persist(dir+"/no/such/file", persistent); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "write "+dir) {
		t.Errorf("no directory: %v", err)
	}
	if _, err := Persist(dir, persistent); err == nil {
		t.Error("a directory was written")
	}
}
