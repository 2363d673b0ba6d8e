package sender_test

import (
	"net"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/internal/beneath"
	"github.com/lockstep-sync/lockstep/syncer/internal/flist"
	"github.com/lockstep-sync/lockstep/syncer/internal/option"
	"github.com/lockstep-sync/lockstep/syncer/internal/sender"
	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

// slowDisk is a source that takes its time to open the first file.
type slowDisk struct {
	files
	wait time.Duration
	once sync.Once
}

func (s *slowDisk) Open(name string) (*beneath.File, flist.Entry, error) {
	s.once.Do(func() { time.Sleep(s.wait) })
	return s.files.Open(name)
}

// A source that is slower than --timeout is no reason to give up: both sides keep one another awake,
// while the list is made (-c reads every file for it) and while a file is sent.
func TestInteropSlowSource(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for 7 s")
	}
	for _, tt := range []struct {
		name     string
		checksum bool
		protocol int
	}{{"data", false, 32}, {"list", true, 32}, {"data, protocol 30", false, 30}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := syncertest.StartDaemon(t, syncertest.DaemonConfig{Modules: []syncertest.Module{{Name: "m", Path: t.TempDir()}}})
			conn, err := net.Dial("tcp", d.Addr())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			var list sender.Entries
			list.Add(flist.Entry{Name: ".", Mode: unix.S_IFDIR | 0o755, Flags: flist.Partial})
			list.Add(flist.Entry{Name: "f", Mode: unix.S_IFREG | 0o644, Size: 1000})
			o := sender.Options{Set: option.Defaults(), Protocol: tt.protocol}
			o.Recurse, o.Checksum, o.Timeout = true, tt.checksum, 3*time.Second
			src := &slowDisk{files: hostileSource(t, 1000), wait: 7 * time.Second}
			res, err := sender.Push(t.Context(), conn, o, &sender.Module{Name: "m"}, &sender.Job{List: sender.NewList(list)}, src)
			if err != nil || res.Stats.Transferred != 1 {
				t.Errorf("%d files sent: %v", res.Stats.Transferred, err)
			}
		})
	}
}
