package local

import (
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/internal/flist"
	"github.com/lockstep-sync/lockstep/syncer/internal/option"
	"github.com/lockstep-sync/lockstep/syncer/internal/source"
)

func TestDecide(t *testing.T) {
	const size = 100
	file := func(change func(*flist.Entry)) *flist.Entry {
		e := &flist.Entry{Mode: unix.S_IFREG | 0o644, Size: size, Sec: 1000, Nsec: 5}
		if change != nil {
			change(e)
		}
		return e
	}
	stands := func(size, sec, nsec int64) *unix.Stat_t {
		return &unix.Stat_t{Mode: unix.S_IFREG | 0o600, Size: size, Mtim: unix.Timespec{Sec: sec, Nsec: nsec}}
	}
	link := file(func(e *flist.Entry) { e.Mode = unix.S_IFLNK | 0o777 })
	for _, tt := range []struct {
		name    string
		set     func(*option.Set)
		entry   *flist.Entry // nil: file
		have    *unix.Stat_t
		suspect bool
		want    verdict
	}{
		{name: "new", want: bring},
		{name: "same", have: stands(size, 1000, 5), want: keep},
		{name: "other time", have: stands(size, 1000, 6), want: bring},
		{name: "other size", have: stands(size+1, 1000, 5), want: bring},
		{name: "other type", have: &unix.Stat_t{Mode: unix.S_IFLNK | 0o777}, want: bring},
		{name: "suspect", have: stands(size, 1000, 5), suspect: true, want: compare},

		{name: "size only", set: func(s *option.Set) { s.SizeOnly = true }, have: stands(size, 1, 1), want: keep},
		{name: "size only, suspect", set: func(s *option.Set) { s.SizeOnly = true }, have: stands(size, 1, 1), suspect: true, want: keep},
		{name: "size only, other size", set: func(s *option.Set) { s.SizeOnly = true }, have: stands(1, 1000, 5), want: bring},
		{name: "ignore times", set: func(s *option.Set) { s.IgnoreTimes = true }, have: stands(size, 1000, 5), want: bring},
		{name: "ignore times and size only", set: func(s *option.Set) { s.IgnoreTimes, s.SizeOnly = true, true }, have: stands(size, 1, 1), want: keep},
		{name: "checksum", set: func(s *option.Set) { s.Checksum = true }, have: stands(size, 1000, 5), want: compare},
		{name: "checksum, other time", set: func(s *option.Set) { s.Checksum = true }, have: stands(size, 1, 1), want: compare},
		{name: "checksum, other size", set: func(s *option.Set) { s.Checksum = true }, have: stands(1, 1000, 5), want: bring},
		{name: "checksum and size only", set: func(s *option.Set) { s.Checksum, s.SizeOnly = true, true }, have: stands(size, 1, 1), want: compare},
		{name: "checksum and ignore times", set: func(s *option.Set) { s.Checksum, s.IgnoreTimes = true, true }, have: stands(size, 1000, 5), want: compare},

		{name: "whole seconds", set: func(s *option.Set) { s.ModifyWindow = 0 }, have: stands(size, 1000, 999), want: keep},
		{name: "within the window", set: func(s *option.Set) { s.ModifyWindow = 2 }, have: stands(size, 1002, 0), want: keep},
		{name: "before, within the window", set: func(s *option.Set) { s.ModifyWindow = 2 }, have: stands(size, 998, 0), want: keep},
		{name: "beyond the window", set: func(s *option.Set) { s.ModifyWindow = 2 }, have: stands(size, 1003, 0), want: bring},

		{name: "update, target newer", set: func(s *option.Set) { s.Update = true }, have: stands(1, 1000, 6), want: skip},
		{name: "update, target newer, suspect", set: func(s *option.Set) { s.Update = true }, have: stands(size, 1000, 6), suspect: true, want: skip},
		{name: "update, target newer, checksum", set: func(s *option.Set) { s.Update, s.Checksum = true, true }, have: stands(size, 1001, 0), want: skip},
		{name: "update, target as old", set: func(s *option.Set) { s.Update = true }, have: stands(1, 1000, 5), want: bring},
		{name: "update, target older", set: func(s *option.Set) { s.Update = true }, have: stands(size, 999, 0), want: bring},
		{name: "update, target of another type", set: func(s *option.Set) { s.Update = true }, have: &unix.Stat_t{Mode: unix.S_IFIFO, Mtim: unix.Timespec{Sec: 2000}}, want: bring},
		{name: "update, symlink", set: func(s *option.Set) { s.Update = true }, entry: link, have: &unix.Stat_t{Mode: unix.S_IFLNK, Mtim: unix.Timespec{Sec: 2000}}, want: bring},
		{name: "update in seconds, newer", set: func(s *option.Set) { s.Update, s.ModifyWindow = true, 0 }, have: stands(1, 1001, 0), want: skip},
		{name: "update in seconds, newer by less", set: func(s *option.Set) { s.Update, s.ModifyWindow = true, 0 }, have: stands(1, 1000, 999), want: bring},
		{name: "update with a window", set: func(s *option.Set) { s.Update, s.ModifyWindow = true, 2 }, have: stands(1, 999, 0), want: skip},

		{name: "existing, new", set: func(s *option.Set) { s.Existing = true }, want: skip},
		{name: "existing, new symlink", set: func(s *option.Set) { s.Existing = true }, entry: link, want: skip},
		{name: "existing, there", set: func(s *option.Set) { s.Existing = true }, have: stands(1, 1, 1), want: bring},
		{name: "existing, another type there", set: func(s *option.Set) { s.Existing = true }, have: &unix.Stat_t{Mode: unix.S_IFDIR}, want: bring},
		{name: "ignore existing, new", set: func(s *option.Set) { s.IgnoreExisting = true }, want: bring},
		{name: "ignore existing, there", set: func(s *option.Set) { s.IgnoreExisting = true }, have: stands(1, 1, 1), suspect: true, want: skip},
		{name: "ignore existing, directory there", set: func(s *option.Set) { s.IgnoreExisting = true }, have: &unix.Stat_t{Mode: unix.S_IFDIR}, want: skip},
		{name: "ignore existing, symlink", set: func(s *option.Set) { s.IgnoreExisting = true }, entry: link, have: stands(1, 1, 1), want: skip},

		{name: "over max size", set: func(s *option.Set) { s.MaxSize = size - 1 }, want: skip},
		{name: "at max size", set: func(s *option.Set) { s.MaxSize = size }, want: bring},
		{name: "over max size, there and suspect", set: func(s *option.Set) { s.MaxSize = 0 }, have: stands(size, 1000, 5), suspect: true, want: skip},
		{name: "max size means no symlink", set: func(s *option.Set) { s.MaxSize = 0 }, entry: link, want: bring},
		{name: "under min size", set: func(s *option.Set) { s.MinSize = size + 1 }, want: skip},
		{name: "at min size", set: func(s *option.Set) { s.MinSize = size }, want: bring},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := Options{Set: option.Defaults()}
			if tt.set != nil {
				tt.set(&o.Set)
			}
			target := Target{opts: o}
			q := question{entry: tt.entry, have: tt.have, suspect: tt.suspect}
			if q.entry == nil {
				q.entry = file(nil)
			}
			q.sameTime = tt.have != nil && target.sameTime(q.entry, tt.have)
			if got := decide(q, &o.Set); got != tt.want {
				t.Errorf("got %d, want %d", got, tt.want)
			}
		})
	}
}

// TestExistingPartial: in a directory that is not to be made nothing is looked for, and that is
// no problem of anybody's.
func TestExistingPartial(t *testing.T) {
	src, dst := dirs(t)
	layout(t, src, "new/sub/f=1 there/f=22 there/g=1")
	layout(t, dst, "there/f=1")
	o := archive
	o.Existing = true
	for _, paths := range [][]source.Path{
		{{Name: "new"}, {Name: "new/sub"}, {Name: "new/sub/f", Content: true}, {Name: "there/f", Content: true}, {Name: "there/g"}},
		{{Name: "new", Tree: true}, {Name: "there", Tree: true}},
	} {
		res, _ := partial(t, src, dst, o, paths...)
		requireClean(t, res)
		if exists(filepath.Join(dst, "new")) || exists(filepath.Join(dst, "there", "g")) || read(t, filepath.Join(dst, "there", "f")) != "22" {
			t.Error("not what --existing is")
		}
	}
}
