package sender

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/internal/flist"
)

func TestMarkTops(t *testing.T) {
	const dir = unix.S_IFDIR | 0o755
	var list Entries
	for _, e := range []flist.Entry{
		{Name: ".", Mode: dir, Flags: flist.Partial}, {Name: "f", Mode: unix.S_IFREG}, {Name: "a", Mode: dir, Flags: flist.Partial},
		{Name: "a/b", Mode: dir}, {Name: "a/b/c", Mode: dir}, {Name: "a/b/p", Mode: dir, Flags: flist.Partial}, {Name: "a/b/p/q", Mode: dir},
		{Name: "a/bb", Mode: dir}, {Name: "z", Mode: dir},
	} {
		list.Add(e)
	}
	j := Job{List: NewList(list), Prune: true}
	o := Options{}
	o.OneFileSystem = true
	j.markTops(&o)
	var tops []string
	for e := range j.List.All() {
		if e.Flags&flist.Top != 0 {
			tops = append(tops, e.Name)
		}
	}
	if diff := cmp.Diff([]string{"a/b", "a/bb", "z"}, tops); diff != "" {
		t.Error(diff)
	}
}
