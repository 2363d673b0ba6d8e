package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/filter"
	"github.com/lockstep-sync/lockstep/syncer/internal/beneath"
	"github.com/lockstep-sync/lockstep/syncer/internal/flist"
	"github.com/lockstep-sync/lockstep/syncer/internal/option"
	"github.com/lockstep-sync/lockstep/syncer/internal/report"
)

// ErrNoRoot says that the source's root is not there, or is no directory.
var ErrNoRoot = errors.New("the source is not there")

// ErrUnmounted says that a file system was mounted at a directory before and is not now.
var ErrUnmounted = errors.New("a file system was unmounted here: what was on it stays on the target until it is back, or until a restart with --delete-unmounted")

// Options are rsync's, and what else must be known to read a tree.
type Options struct {
	option.Set
	ListAll bool // names of types that are left out are listed: a peer that prunes must know them
	// Prefix is what the names of the transfer begin with where the source was given
	// without a trailing slash: "abc" for /srv/abc, whose files are abc/… . The tree's
	// root is then the parent, and only Prefix of it takes part.
	Prefix string
	// Scope is what takes part; nil: Prefix with all that is below it.
	Scope *Scope
	// Linked, if not nil, is told of each entry that shares its inode, whenever it is looked at.
	// Calls may come from several goroutines at once.
	Linked func(e *flist.Entry)
	// Found, if not nil, is told what ReadDir found, before it returns. Calls may come from several goroutines at once.
	Found func(dir string, entries []flist.Entry)
	// Unmounted are directories on which a file system was mounted and is not any more.
	// Nothing at or below them is looked at: it would seem deleted.
	Unmounted map[string]bool
	// Mounted are the devices of what is mounted below the root: it may go away while the
	// tree is read, and then what is found there is not what was meant.
	Mounted map[string]uint64
}

// Tree is a source that is open for one push. It is not safe for concurrent use of
// Close with anything else; the rest may run in parallel.
type Tree struct {
	opts  Options
	scope *Scope
	rules *filter.Tree
	fd    int
	top   int    // the directory Prefix, pinned: what is renamed into its place is not read; -1: none
	dev   uint64 // of the directory that is pushed: where -x stays
	id    Identity
}

// Open opens root, an absolute path; ErrNoRoot says that there is no such directory.
func Open(root string, opts Options) (*Tree, error) {
	fd, err := unix.Open(root, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open source %q: %w", root, notThere(err))
	}
	t := &Tree{opts: opts, scope: opts.Scope, fd: fd, top: -1}
	if t.scope == nil {
		t.scope = PrefixScope(opts.Prefix, false, false)
	}
	t.rules = filter.NewTree(opts.Filter, filter.Sender, filter.TreeConfig{Open: t.openRules, Top: t.scope.begins})
	if err := t.identify(); err != nil {
		t.Close()
		return nil, fmt.Errorf("look at source %q: %w", path.Join(root, opts.Prefix), notThere(err))
	}
	return t, nil
}

func notThere(err error) error {
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
		return fmt.Errorf("%w: %w", ErrNoRoot, err)
	}
	return err
}

// identify looks at the directory that is pushed. A source that is a single file is
// identified by its directory: programs replace a file when they save it.
func (t *Tree) identify() error {
	fd := t.fd
	if t.opts.Prefix != "" {
		top, err := t.openPath(t.opts.Prefix, unix.O_PATH|unix.O_DIRECTORY)
		switch {
		case err == nil:
			t.top, fd = top, top
		case !errors.Is(err, unix.ENOTDIR) && !errors.Is(err, unix.ELOOP):
			return err
		default:
			if _, err := t.Lstat(t.opts.Prefix); err != nil {
				return err
			}
		}
	}
	var err error
	t.id, err = identity(fd)
	t.dev = t.id.Dev
	return err
}

// at is where name is looked up from.
func (t *Tree) at(name string) (fd int, rel string) {
	if t.top >= 0 {
		if name == t.opts.Prefix {
			return t.top, "."
		}
		if rest, ok := strings.CutPrefix(name, t.opts.Prefix+"/"); ok {
			return t.top, rest
		}
	}
	return t.fd, name
}

// Identity is who the pushed directory is.
func (t *Tree) Identity() Identity { return t.id }

// Close ends the use of t.
func (t *Tree) Close() error {
	if t.top >= 0 {
		unix.Close(t.top)
	}
	return unix.Close(t.fd)
}

// Top is the name of the pushed directory within the transfer: "." or the prefix.
func (t *Tree) Top() string {
	if t.opts.Prefix != "" {
		return t.opts.Prefix
	}
	return "."
}

// Empty says whether the pushed directory has no entry at all, filtered ones counted.
func (t *Tree) Empty() (bool, error) {
	fd, err := t.openPath(t.Top(), unix.O_RDONLY|unix.O_DIRECTORY)
	if errors.Is(err, unix.ENOTDIR) {
		return false, nil // a single file
	}
	if err != nil {
		return false, err
	}
	f := os.NewFile(uintptr(fd), t.Top())
	defer f.Close()
	names, err := f.Readdirnames(1)
	if len(names) > 0 {
		return false, nil
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	return true, nil
}

// Lstat looks at one path; of a symlink the target is read too. A missing path gives
// an error that is fs.ErrNotExist.
func (t *Tree) Lstat(name string) (flist.Entry, error) {
	dir, base, done, err := t.openParent(name)
	if err != nil {
		return flist.Entry{}, pathError("lstat", err)
	}
	defer done()
	e, err := t.lookAt(dir, base, name)
	if err == nil {
		t.linked(&e)
	}
	return e, err
}

// linked tells of an entry that shares its inode.
func (t *Tree) linked(e *flist.Entry) {
	if e.Flags&flist.Linked != 0 && t.opts.Linked != nil {
		t.opts.Linked(e)
	}
}

// Open opens a regular file for reading and says what it is now, but for Extra; whatever else
// stands there is an error that is fs.ErrNotExist, since the file that was listed is gone.
func (t *Tree) Open(name string) (*beneath.File, flist.Entry, error) {
	fd, err := t.openToRead(name)
	if err != nil {
		return nil, flist.Entry{}, pathError("open", err)
	}
	f := beneath.NewFile(fd)
	e, err := t.Fstat(f, name)
	if err == nil && !e.IsRegular() {
		err = pathError("open", unix.ENOENT)
	}
	if err != nil {
		f.Close()
		return nil, flist.Entry{}, err
	}
	return f, e, nil
}

// openToRead opens without leaving a trace where times of access are kept: a file of which another
// name is listed later would seem to have been read. Only its owner may (open(2), O_NOATIME).
func (t *Tree) openToRead(name string) (int, error) {
	// O_NONBLOCK: a FIFO swapped in must not hold us up. To a regular file it means nothing.
	const flags = unix.O_RDONLY | unix.O_NONBLOCK | unix.O_NOCTTY
	if t.opts.Atimes {
		if fd, err := t.openPath(name, flags|unix.O_NOATIME); !errors.Is(err, unix.EPERM) {
			return fd, err
		}
	}
	return t.openPath(name, flags)
}

// Fstat is Lstat of an open file, but for Extra.
func (t *Tree) Fstat(f *beneath.File, name string) (flist.Entry, error) {
	st, err := f.Stat()
	if err != nil {
		return flist.Entry{}, pathError("fstat", err)
	}
	e := t.entry(name, &st)
	if t.opts.FakeSuper {
		err = t.fake(&e, func(attr string) ([]byte, error) {
			b := make([]byte, 256) // ample for five numbers
			n, err := unix.Fgetxattr(f.Fd(), attr, b)
			return b[:max(n, 0)], err
		})
	}
	return e, err
}

// ReadDir lists the directory dir: what takes part, in the protocol's order. Entries
// that vanished meanwhile are left out; entries that could not be looked at come as
// problems, and the listing is then not complete. An error says that dir itself could
// not be listed, or not to its end.
func (t *Tree) ReadDir(dir string) ([]flist.Entry, []report.Problem, error) {
	if t.opts.Unmounted[dir] {
		return nil, nil, ErrUnmounted
	}
	fd, err := t.openPath(dir, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return nil, nil, pathError("open directory", err)
	}
	defer unix.Close(fd)
	if !t.isMounted(dir, fd) {
		return nil, nil, ErrUnmounted
	}
	names, err := readNames(fd)
	if err != nil {
		return nil, nil, pathError("read directory", err)
	}
	rules, err := t.rules.In(dir)
	if err != nil {
		return nil, nil, rulesError(err)
	}
	entries := make([]flist.Entry, 0, len(names))
	problems := t.unmountedIn(dir, fd)
	whole := t.scope.whole(dir)
	for _, n := range names {
		name := Join(dir, n.name)
		asked := t.tells(n.kind)
		if !whole && t.scope.Of(name) == Outside || asked && rules.Excluded(name, n.kind == unix.DT_DIR) {
			continue
		}
		e, err := t.lookAt(fd, n.name, name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case errors.Is(err, ErrNoReferent) && rules.Excluded(name, false):
			continue
		case err != nil:
			problems = append(problems, report.Problem{Path: name, Err: err})
			continue
		}
		if (!asked || e.IsDir() != (n.kind == unix.DT_DIR)) && rules.Excluded(name, e.IsDir()) || !t.takesPart(&e) {
			continue
		}
		t.linked(&e)
		entries = append(entries, e)
	}
	slices.SortFunc(entries, func(a, b flist.Entry) int {
		return flist.Compare(path.Base(a.Name), a.IsDir(), path.Base(b.Name), b.IsDir())
	})
	if t.opts.Found != nil && len(entries) > 0 {
		t.opts.Found(dir, entries)
	}
	return entries, problems, nil
}

// tells says whether a name of that kind, as the directory has it, is surely a directory or surely
// none: then the rules are asked before the disk.
func (t *Tree) tells(kind uint8) bool {
	return kind != unix.DT_UNKNOWN && (kind != unix.DT_LNK || !t.follows())
}

// isMounted says whether fd, opened at dir, is on what was mounted there at the beginning, if
// anything was. An open descriptor keeps it mounted.
func (t *Tree) isMounted(dir string, fd int) bool {
	dev, ok := t.opts.Mounted[dir]
	if !ok {
		return true
	}
	var st unix.Stat_t
	return unix.Fstat(fd, &st) == nil && st.Dev == dev
}

// stillMounted is isMounted for a directory that is not open.
func (t *Tree) stillMounted(dir string) bool {
	fd, err := t.openPath(dir, unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	return t.isMounted(dir, fd)
}

// Has says whether name is there and no rule hides it: it may be of a type that the
// options leave out, but it is not gone. It is the last look before a deletion.
func (t *Tree) Has(name string) (bool, error) {
	e, err := t.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, err
	}
	out, err := t.excluded(name, e.IsDir())
	return !out, err
}

// unmountedIn are the problems of mount points in dir that went away with what was
// mounted on them: dir's listing is not complete without them.
func (t *Tree) unmountedIn(dir string, fd int) []report.Problem {
	var problems []report.Problem
	for name := range t.opts.Unmounted {
		if path.Dir(name) != dir {
			continue
		}
		if _, err := t.lookAt(fd, path.Base(name), name); errors.Is(err, fs.ErrNotExist) {
			problems = append(problems, report.Problem{Path: name, Err: ErrUnmounted})
		}
	}
	return problems
}

// takesPart says whether the options want entries of e's type.
func (t *Tree) takesPart(e *flist.Entry) bool {
	switch {
	case e.IsDir():
		return t.opts.Recurse || t.scope.files != nil
	case t.opts.ListAll:
		return true
	case e.IsSymlink():
		return t.opts.Links
	case e.IsDevice():
		return t.opts.Devices
	case e.IsSpecial():
		return t.opts.Specials
	}
	return true
}

// Crosses says whether the directory dir takes part alone, without its content: --files-from
// named only itself, or it is on another file system and -x stays away from what is mounted on it.
func (t *Tree) Crosses(dir string) bool {
	return t.scope.Of(dir) == Alone || t.otherMount(dir)
}

func (t *Tree) otherMount(dir string) bool {
	if !t.opts.OneFileSystem {
		return false
	}
	fd, err := t.openPath(dir, unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return false // listing it will tell
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	return unix.Fstat(fd, &st) == nil && st.Dev != t.dev
}

// Visit is called by Walk with a directory and what is in it that is no directory, or
// with nothing where it could not be listed. partial says that the content must not be
// taken as complete: an error, an entry that could not be looked at, a mount that -x keeps out.
type Visit func(dir flist.Entry, others []flist.Entry, partial bool) error

// Walk lists top, a directory, and every directory below it, in the order of the file
// list. What cannot be read is handed to problem and goes on.
func (t *Tree) Walk(ctx context.Context, top flist.Entry, visit Visit, problem func(report.Problem)) error {
	return t.Descend(ctx, top, func(dir flist.Entry, entries []flist.Entry, partial bool) error {
		return visit(dir, entries[:firstDir(entries)], partial)
	}, problem)
}

// Descend is Walk, but visit gets the directories in a directory too, last. With fs.SkipDir it says
// that the directory, with all that is below it and its problems, is left to another walk.
func (t *Tree) Descend(ctx context.Context, top flist.Entry, visit Visit, problem func(report.Problem)) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	if t.Crosses(top.Name) {
		if err := visit(top, nil, true); !errors.Is(err, fs.SkipDir) {
			return err
		}
		return nil
	}
	entries, problems, err := t.ReadDir(top.Name)
	gone := err != nil && errors.Is(err, fs.ErrNotExist)
	if err != nil && !gone {
		problems = append(problems, report.Problem{Path: top.Name, Err: err})
	}
	// A copy: what is not a directory need not be held while the directories are listed.
	dirs := slices.Clone(entries[firstDir(entries):])
	if err := visit(top, entries, gone || len(problems) > 0); err != nil {
		if errors.Is(err, fs.SkipDir) {
			return nil
		}
		return err
	}
	for _, p := range problems {
		problem(p)
	}
	for _, e := range dirs {
		if err := t.Descend(ctx, e, visit, problem); err != nil {
			return err
		}
	}
	return nil
}

// firstDir is where in a listing the directories begin: they come last.
func firstDir(entries []flist.Entry) int {
	n, _ := slices.BinarySearchFunc(entries, true, func(e flist.Entry, _ bool) int {
		if e.IsDir() {
			return 1
		}
		return -1
	})
	return n
}

// Join is dir/base, without the "." of the root.
func Join(dir, base string) string {
	if dir == "." {
		return base
	}
	return dir + "/" + base
}
