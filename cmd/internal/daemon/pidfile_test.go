package daemon

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

func TestLockPIDFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pid")
	for _, stale := range []string{"", "1\n", "not a number", strings.Repeat("9", 100)} {
		if err := os.WriteFile(path, []byte(stale), 0o644); err != nil {
			t.Fatal(err)
		}
		release, err := LockPIDFile(path)
		if err != nil {
			t.Fatalf("%q is in the way: %v", stale, err)
		}
		if text, _ := os.ReadFile(path); string(text) != fmt.Sprintln(os.Getpid()) {
			t.Errorf("it holds %q", text)
		}
		if _, err := LockPIDFile(path); !errors.Is(err, ErrRunning) || !strings.Contains(err.Error(), fmt.Sprint("process ", os.Getpid())) {
			t.Errorf("a second one: %v", err)
		}
		release()
		if left, _ := filepath.Glob(path + "*"); left != nil {
			t.Errorf("left: %q", left)
		}
	}
}

// What somebody put into its place is not removed.
func TestReleaseIsForItsOwn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pid")
	release, err := LockPIDFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Remove(path), os.WriteFile(path, []byte("7\n"), 0o644)); err != nil {
		t.Fatal(err)
	}
	release()
	if text, err := os.ReadFile(path); string(text) != "7\n" {
		t.Errorf("%q, %v", text, err)
	}
}

func TestPIDFileIsAFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "pid")
	if err := os.Symlink("target", path); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{path, dir, "/dev/null", filepath.Join(dir, "none", "pid")} {
		if release, err := LockPIDFile(bad); err == nil {
			release()
			t.Errorf("%s is fine", bad)
		}
	}
	if _, err := os.Lstat(filepath.Join(dir, "target")); err == nil {
		t.Error("it was written through a symlink")
	}
}

// Of many that start at once, over and over, one holds it at a time, and who reads it sees a whole number.
func TestLockPIDFileRaces(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pid")
	var holders, held atomic.Int32
	var trying sync.WaitGroup
	stop := make(chan struct{})
	var reading sync.WaitGroup
	reading.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if text, err := os.ReadFile(path); err == nil && string(text) != fmt.Sprintln(os.Getpid()) {
				t.Errorf("a reader sees %q", text)
				return
			}
		}
	})
	var temp sync.Mutex // one process has one temporary name
	for range 4 {
		trying.Go(func() {
			for range 300 {
				temp.Lock()
				release, err := LockPIDFile(path)
				temp.Unlock()
				if err != nil {
					if !errors.Is(err, ErrRunning) {
						t.Error(err)
					}
					continue
				}
				held.Add(1)
				if n := holders.Add(1); n != 1 {
					t.Errorf("%d hold it", n)
				}
				holders.Add(-1)
				release()
			}
		})
	}
	trying.Wait()
	close(stop)
	reading.Wait()
	if held.Load() == 0 {
		t.Error("nobody ever held it")
	}
}
