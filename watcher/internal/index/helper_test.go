package index

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// later is a clock by which all stamps are settled.
func later() time.Time { return time.Now().Add(time.Hour) }

// tempDir is on tmpfs where there is one: the disk is not what is tested.
func tempDir(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "index")
	if err != nil {
		return tb.TempDir()
	}
	tb.Cleanup(func() { must(tb, os.RemoveAll(dir)) })
	return dir
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func mkdir(tb testing.TB, path string) {
	tb.Helper()
	must(tb, os.MkdirAll(path, 0o755))
}

func write(tb testing.TB, path, text string) {
	tb.Helper()
	must(tb, os.WriteFile(path, []byte(text), 0o644))
}

// built returns an index of root as it is.
func built(tb testing.TB, cfg Config) *Index {
	tb.Helper()
	if cfg.Now == nil {
		cfg.Now = later
	}
	x := New(cfg)
	_, err := x.Compare(context.Background(), ".", nil, nil)
	must(tb, err)
	return x
}

// compare returns what a Compare reports, by path.
func compare(tb testing.TB, x *Index, path string) (map[string]Difference, Scan) {
	tb.Helper()
	got := make(map[string]Difference)
	scan, err := x.Compare(context.Background(), path, nil, collect(tb, got))
	must(tb, err)
	return got, scan
}

func collect(tb failer, into map[string]Difference) func(Difference) {
	return func(d Difference) {
		if old, ok := into[d.Path]; ok {
			tb.Errorf("reported twice: %+v, then %+v", old, d)
		}
		into[d.Path] = d
	}
}

// dump returns all that x holds, by path, the root as ".", and checks that it is well formed.
func dump(tb failer, x *Index) map[string]fingerprint {
	tb.Helper()
	all := make(map[string]fingerprint)
	if x.root == nil {
		return all
	}
	all["."] = x.rootFP
	bytes := 0
	dumpDir(tb, x.root, ".", all, &bytes)
	if n := len(all) - 1; n != x.Len() {
		tb.Errorf("Len is %d, entries %d", x.Len(), n)
	}
	if got := int(x.bytes.Load()); got != bytes {
		tb.Errorf("%d bytes accounted, %d kept", got, bytes)
	}
	return all
}

func dumpDir(tb failer, d *dir, path string, all map[string]fingerprint, bytes *int) {
	tb.Helper()
	*bytes += d.size()
	last := ""
	for _, c := range d.chunks {
		if len(c.recs) == 0 {
			tb.Errorf("%s: empty chunk", path)
		}
		subs := c.subs
		for off := 0; off < len(c.recs); {
			r := c.recs.at(off)
			off += r.size
			name := string(r.name)
			if name <= last {
				tb.Errorf("%s: %q after %q", path, name, last)
			}
			last = name
			all[joinPath(path, name)] = r.print
			if r.kind == directory {
				dumpDir(tb, subs[0], joinPath(path, name), all, bytes)
				subs = subs[1:]
			}
		}
		if len(subs) > 0 {
			tb.Errorf("%s: %d directories without record", path, len(subs))
		}
	}
}

// walkDisk returns what is on the disk, by path.
func walkDisk(tb testing.TB, root string) map[string]unix.Stat_t {
	tb.Helper()
	all := make(map[string]unix.Stat_t)
	must(tb, filepath.WalkDir(root, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		all[rel] = st
		return err
	}))
	return all
}

// equalsDisk fails unless x holds what is on the disk, all of it known.
func equalsDisk(tb testing.TB, x *Index, root string) {
	tb.Helper()
	held, disk := dump(tb, x), walkDisk(tb, root)
	var wrong []string
	for path, st := range disk {
		if p, ok := held[path]; !ok || !p.same(fingerprintOf(&st)) {
			wrong = append(wrong, fmt.Sprintf("%q: held %v, %x", path, ok, p))
		}
	}
	for path := range held {
		if _, ok := disk[path]; !ok {
			wrong = append(wrong, fmt.Sprintf("%q: held, not there", path))
		}
	}
	if len(wrong) > 0 {
		tb.Errorf("%d of %d differ from the disk:\n%s", len(wrong), len(disk), strings.Join(wrong[:min(20, len(wrong))], "\n"))
	}
}

// failer is what a test and a rapid test have in common.
type failer interface {
	Helper()
	Errorf(format string, args ...any)
}
