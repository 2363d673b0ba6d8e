package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

const (
	// awaitLimit is how long a replica may take to get what it lacks before that counts as never.
	awaitLimit = 3 * time.Minute
	// soonLimit is how long it may take when it seemed to have everything already.
	soonLimit = 30 * time.Second
	awaitPoll = 2 * time.Millisecond
)

// longAgo is what is not now: rsync holds a directory's time of the same second for the right one.
var longAgo = time.Unix(1_700_000_000, 123_456_789)

// A place is somewhere to push to: what the programs are told, and where it is.
type place struct {
	kind   string // local or daemon
	target string
	dir    string
}

func kinds() []string { return []string{"local", "daemon"} }

// place makes an empty one.
func (b *bench) place(kind string) (place, error) {
	b.places++
	name := fmt.Sprintf("p%d", b.places)
	p := place{kind: kind, dir: filepath.Join(b.dir, "local", name)}
	p.target = p.dir + "/"
	if kind == "daemon" {
		p.dir = filepath.Join(b.dir, "module", name)
		p.target = b.daemon.URL("m") + name + "/"
	}
	return p, os.Mkdir(p.dir, 0o755)
}

// replicaKey is what the replicas that can be used again go by.
type replicaKey struct{ src, kind string }

// replica is a place that mostly has the tree already, for what does not measure a first push.
func (b *bench) replica(t tree, kind string) (place, error) {
	key := replicaKey{t.dir, kind}
	if p, ok := b.replicas[key]; ok {
		return p, nil
	}
	p, err := b.place(kind)
	b.replicas[key] = p
	return p, err
}

// tree is a source. Measurements may change its files, but keep their names and their number.
type tree struct {
	dir  string
	spec syncertest.TreeSpec
}

// tree makes a tree of small files, or gives the one that was made before.
func (b *bench) tree(files int) (tree, error) {
	if t, ok := b.trees[files]; ok {
		return t, nil
	}
	t := tree{
		dir: filepath.Join(b.dir, fmt.Sprintf("tree-%d", files)),
		spec: syncertest.TreeSpec{
			Files: files, Dirs: files / filesPerDir, MinSize: 256, MaxSize: 2048, Seed: uint64(files),
			ModTime: longAgo,
		},
	}
	if _, err := syncertest.MakeTree(t.dir, t.spec); err != nil {
		return tree{}, err
	}
	b.trees[files] = t
	return t, nil
}

// emptyTree makes a tree of files without content, a hundred in each directory.
func (b *bench) emptyTree(files int) (string, error) {
	dir := filepath.Join(b.dir, fmt.Sprintf("empty-%d", files))
	spec := syncertest.TreeSpec{Files: files, Dirs: max(files/100, 1), Seed: 7, ModTime: longAgo}
	_, err := syncertest.MakeTree(dir, spec)
	return dir, err
}

// file is the path of a file relative to the tree.
func (t tree) file(i int) string { return t.spec.File(i % t.spec.Files) }

// quiesce writes back what runs before have left dirty, so that nobody pays for another's.
func (b *bench) quiesce() error {
	dir, err := os.Open(b.dir)
	if err != nil {
		return err
	}
	defer dir.Close()
	return unix.Syncfs(int(dir.Fd()))
}

// equal is the judge of a push that ended.
func (b *bench) equal(src, replica string) error {
	diffs, err := syncertest.Compare(src, replica, b.compare)
	if err == nil && len(diffs) > 0 {
		err = fmt.Errorf("%q does not equal %q:\n%s", replica, src, syncertest.Format(diffs))
	}
	return err
}

// soonEqual is the judge of a replica that is kept in step: what await saw may just be touched again.
func (b *bench) soonEqual(ctx context.Context, src, replica string) error {
	ctx, cancel := context.WithTimeout(ctx, soonLimit)
	defer cancel()
	return syncertest.WaitEqual(ctx, src, replica, b.compare)
}

// entry is a path and what lstat is to tell of it.
type entry struct {
	path  string
	mode  fs.FileMode
	size  int64 // of a file
	mtime time.Time
}

// snapshot lists a tree, directories last, for their times are the last thing to be right.
func snapshot(dir string) ([]entry, error) {
	var files, dirs []entry
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		e := entry{path: rel, mode: info.Mode(), mtime: info.ModTime()}
		if d.IsDir() {
			dirs = append(dirs, e)
			return nil
		}
		e.size = info.Size()
		files = append(files, e)
		return nil
	})
	return append(files, dirs...), err
}

// arrived says whether the replica has the entry. It sees no content: the replica gets a file by a
// rename, with its time set before.
func (e *entry) arrived(replica string) bool {
	info, err := os.Lstat(filepath.Join(replica, e.path))
	return err == nil && info.Mode() == e.mode && info.ModTime().Equal(e.mtime) && (info.IsDir() || info.Size() == e.size)
}

// await waits until the replica has all entries, and returns when that was. It looks at what is
// outstanding only, so that it takes little from the programs; then once more at everything, for
// what had arrived may have been disturbed since.
func await(ctx context.Context, entries []entry, replica string) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, awaitLimit)
	defer cancel()
	for {
		for i := range entries {
			for !entries[i].arrived(replica) {
				if ctx.Err() != nil {
					return time.Time{}, fmt.Errorf("wait for %q in %q: %w", entries[i].path, replica, context.Cause(ctx))
				}
				nap(awaitPoll)
			}
		}
		at := time.Now()
		steady := true
		for i := range entries {
			steady = steady && entries[i].arrived(replica)
		}
		if steady {
			return at, nil
		}
	}
}

// nap sleeps in the kernel: an idle Go program rounds a time.Sleep up to a millisecond, the unit
// of epoll_wait(2).
func nap(d time.Duration) {
	ts := unix.NsecToTimespec(d.Nanoseconds())
	_ = unix.Nanosleep(&ts, nil) // interrupted: shorter
}
