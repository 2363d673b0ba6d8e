package index

import (
	"math"
	"strings"
	"sync/atomic"
	"time"
	"unsafe"
)

// DefaultWorkers is how many goroutines walk. On two cores eight are no faster.
const DefaultWorkers = 4

// maxWorkers bounds what a configuration can ask for: each worker keeps buffers and descriptors.
const maxWorkers = 64

// Config says what is indexed. The zero value of all but Root works.
type Config struct {
	Root string // absolute path of a directory, itself no symbolic link

	// Excluded tells what is treated as if it were not there: path is relative to Root, slash
	// separated, maybe no UTF-8. Nil excludes nothing. It is called from several goroutines.
	Excluded func(path string, isDir bool) bool

	OneFileSystem bool             // do not list directories that are on another device than Root
	Workers       int              // 0: DefaultWorkers
	Now           func() time.Time // nil: time.Now; called from several goroutines
}

// Index is what was last known of a tree. One goroutine at a time uses it.
type Index struct {
	cfg     Config
	root    *dir // nil until the first Compare
	rootFP  fingerprint
	entries atomic.Int64 // records
	bytes   atomic.Int64 // memory of directories and chunks
}

// New makes an empty index; nothing is read before the first Compare.
func New(cfg Config) *Index {
	if cfg.Workers <= 0 {
		cfg.Workers = DefaultWorkers
	}
	cfg.Workers = min(cfg.Workers, maxWorkers)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Index{cfg: cfg}
}

// Len is the number of entries below the root.
func (x *Index) Len() int { return int(x.entries.Load()) }

// Bytes is the memory that the index keeps between calls.
func (x *Index) Bytes() int { return int(x.bytes.Load()) + int(unsafe.Sizeof(*x)) }

// Forget makes path unknown: if it is on the disk or in the index at the next Compare, it differs. With
// tree so does all below it, told by one Tree difference of path. It makes no system call.
func (x *Index) Forget(path string, tree bool) {
	if !validPath(path) || x.root == nil {
		return
	}
	d := x.root
	if path == "." {
		x.rootFP = unknown
	} else if d = x.forgetEntry(path); d == nil {
		return
	}
	d.changed = d.changed || tree
}

// forgetEntry makes the record of path unknown, and returns its directory if it is one.
func (x *Index) forgetEntry(path string) *dir {
	parent, name := splitPath(path)
	d := x.find(parent)
	if d == nil {
		return nil
	}
	c, at := d.lookup(name)
	if c == nil {
		return nil
	}
	c.recs.setFingerprint(at, unknown)
	return c.sub(at)
}

// find returns the directory that the index holds at path, or nil.
func (x *Index) find(path string) *dir {
	d := x.root
	for name := range elements(path) {
		if d == nil {
			return nil
		}
		d = d.child(name)
	}
	return d
}

func (x *Index) excluded(path string, isDir bool) bool {
	return x.cfg.Excluded != nil && x.cfg.Excluded(path, isDir)
}

// account notes that the index grew, or shrank.
func (x *Index) account(entries, bytes int) {
	x.entries.Add(int64(entries))
	x.bytes.Add(int64(bytes))
}

// drop takes d and all below it out of the account. It does not recurse: a tree can be deep.
func (x *Index) drop(d *dir) {
	entries, bytes := 0, 0
	for todo := []*dir{d}; len(todo) > 0; {
		d := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		bytes += d.size()
		for i := range d.chunks {
			entries += d.chunks[i].recs.count()
			todo = append(todo, d.chunks[i].subs...)
		}
	}
	x.account(-entries, -bytes)
}

// validPath reports whether path is relative and names what is below the root by names alone.
func validPath(path string) bool {
	if path == "." {
		return true
	}
	for name := range strings.SplitSeq(path, "/") {
		if name == "" || name == "." || name == ".." || len(name) > maxName || strings.IndexByte(name, 0) >= 0 {
			return false
		}
	}
	return len(path) < math.MaxInt32
}

// elements yields the names that path consists of, none for ".".
func elements(path string) func(func(string) bool) {
	return func(yield func(string) bool) {
		if path == "." {
			return
		}
		strings.SplitSeq(path, "/")(yield)
	}
}

func splitPath(path string) (parent, name string) {
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		return path[:i], path[i+1:]
	}
	return ".", path
}

func joinPath(parent, name string) string {
	if parent == "." {
		return name
	}
	return parent + "/" + name
}
