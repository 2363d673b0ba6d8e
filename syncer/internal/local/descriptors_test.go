package local

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/lockstep-sync/lockstep/syncer/internal/option"
	"github.com/lockstep-sync/lockstep/syncer/internal/source"
)

// TestDescriptors: whatever goes wrong, a push leaves no descriptor open.
func TestDescriptors(t *testing.T) {
	requireRoot(t)
	backups := t.TempDir()
	for name, test := range map[string]struct {
		set  func(o *Options)
		spot func(t *testing.T, dst string) // makes trouble
	}{
		"full":               {set: func(*Options) {}},
		"full, in place":     {set: func(o *Options) { o.Inplace = true }},
		"full, append":       {set: func(o *Options) { o.AppendVerify = true }},
		"full, delayed":      {set: func(o *Options) { o.DelayUpdates, o.HardLinks = true, true }},
		"full, partial":      {set: func(o *Options) { o.PartialDir = ".part" }},
		"full, temp":         {set: func(o *Options) { o.TempDir = backups }},
		"full, backups":      {set: func(o *Options) { o.BackupDir = filepath.Join(backups, "b") }},
		"backups in a file":  {set: func(o *Options) { o.BackupDir = "d/0" }},
		"no temp":            {set: func(o *Options) { o.TempDir = "none" }},
		"keep dirlinks, out": {set: func(o *Options) { o.KeepDirlinks = true }, spot: linkOut},
		"no way, no force":   {set: func(o *Options) { o.Delete = false }, spot: inTheWay},
		"mounted in the way": {set: func(*Options) {}, spot: mountInTheWay},
		"deleted before":     {set: func(o *Options) { o.DeleteWhen, o.Backup = option.Before, true }, spot: inTheWay},
	} {
		t.Run(name, func(t *testing.T) {
			src, dst := dirs(t)
			mount(t, "none", dst, "tmpfs", 0, "size=256k")
			for i := range 20 {
				write(t, filepath.Join(src, "d", fmt.Sprint(i)), string(bytes.Repeat([]byte{byte(i)}, 30000)))
			}
			must(t, os.Link(filepath.Join(src, "d/0"), filepath.Join(src, "d/link")))
			write(t, filepath.Join(src, "e"), "x")
			for _, name := range []string{"d/0", "d/1", "gone/f"} {
				write(t, filepath.Join(dst, name), "old")
			}
			if test.spot != nil {
				test.spot(t, dst)
			}
			o := archive
			test.set(&o)
			before := descriptors(t)
			push := func(ctx context.Context) {
				s, err := source.Open(src, sourceOptions(o))
				must(t, err)
				target, err := Open(dst, o)
				if err == nil {
					_, _ = target.Full(ctx, s, time.Time{})
					target.Close()
				}
				s.Close()
			}
			push(t.Context())
			ended, end := context.WithCancel(t.Context())
			end()
			push(ended)
			if after := descriptors(t); after != before {
				t.Errorf("%d descriptors, %d before", after, before)
			}
		})
	}
}

func linkOut(t *testing.T, dst string) {
	must(t, os.RemoveAll(filepath.Join(dst, "d")))
	must(t, os.Symlink("/", filepath.Join(dst, "d")))
}

func inTheWay(t *testing.T, dst string) { write(t, filepath.Join(dst, "e", "f"), "x") }

func mountInTheWay(t *testing.T, dst string) {
	mount(t, "none", mkdir(t, dst, "e"), "tmpfs", 0, "")
}

func descriptors(t *testing.T) int {
	list, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	return len(list)
}
