package syncer

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"strings"
	"time"

	"github.com/lockstep-sync/lockstep/syncer/internal/flist"
	"github.com/lockstep-sync/lockstep/syncer/internal/report"
	"github.com/lockstep-sync/lockstep/syncer/internal/source"
)

// moved is a name that was renamed, in the names of the transfer. from is gone from the source.
type moved struct {
	from string
	to   flist.Entry // what is at the new name: a directory or a regular file
	// sure says that the directory to was at from for certain, and that all that happened
	// there since job.since is among the paths of the push, or happened after.
	sure bool
}

// moves is what was renamed, each To once.
type moves struct {
	list []moved
	at   map[string]int // places in list by the new name
}

// believed is the files that the target has with their content, as they were when that was found out.
type believed map[string]version

func (b believed) add(e *flist.Entry) { b[e.Name] = versionOf(e, time.Time{}) }

// is says that there is no need to compare e by content.
func (b believed) is(e *flist.Entry) bool {
	v, ok := b[e.Name]
	return ok && v == versionOf(e, time.Time{})
}

// unmark takes from e the mark that its content may differ.
func (b believed) unmark(e *flist.Entry) {
	if e.Flags&flist.Content != 0 && b.is(e) {
		e.Flags &^= flist.Content
	}
}

// usesMoves says whether a move may be more than a deletion and a creation. Deletions must be allowed,
// since the old name is to go; and no option may say that the new one is not to be made, or made of
// something else, or with the mode of a new file. A backup of the old name is to stay as it is: no other name of the new file.
func (s *Syncer) usesMoves() bool {
	o := &s.cfg.Options
	return o.Delete && o.Recurse && o.Perms && s.pushed && !s.suspect && !s.place.single &&
		!(s.cfg.Filter.PerDir() && s.cfg.Target.Remote()) && // its files may keep what is at the old name, and are not known here
		!o.DryRun && !o.Backup && o.BackupDir == "" && !o.Existing && !o.IgnoreExisting && !o.Inplace && !o.Append && !o.AppendVerify &&
		o.MaxSize < 0 && o.MinSize <= 0 && !o.Relative && o.Files == nil
}

// hints are the moves of b that can be names of the transfer, and both names of each as paths of the
// push: whatever comes of the move, both are looked at. The new one is compared by content.
func (s *Syncer) hints(b *Batch) (list []Move, paths []source.Path) {
	if len(b.Moves) == 0 || !s.usesMoves() {
		return nil, nil
	}
	for _, m := range b.Moves {
		if !isName(m.From) || !isName(m.To) || within(m.From, m.To) || within(m.To, m.From) {
			continue
		}
		list = append(list, m)
		paths = append(paths,
			source.Path{Name: s.transferName(m.From), Tree: true},
			source.Path{Name: s.transferName(m.To), Tree: true, Content: true})
	}
	return list, paths
}

// isName says whether name is one of something below the root.
func isName(name string) bool {
	return name != "" && name != "." && name != ".." && path.Clean(name) == name && name[0] != '/' &&
		!strings.HasPrefix(name, "../") && strings.IndexByte(name, 0) < 0
}

// within says whether name is dir or below it.
func within(name, dir string) bool {
	return dir == "." || strings.HasPrefix(name, dir) && (len(name) == len(dir) || name[len(dir)] == '/')
}

// moves keeps of the hints those that the source bears out now, as far as it can: the old name is
// to be deleted, the new one to be brought over.
func (s *Syncer) moves(tree *source.Tree, b *Batch, hints []Move, plan *source.Plan) moves {
	m := moves{at: map[string]int{}}
	if len(hints) == 0 {
		return m
	}
	f := newFate(tree, plan)
	said, used := names{}, names{}
	for _, p := range b.Paths {
		said[p.Name] = p.Tree
	}
	for _, h := range hints {
		from, to := s.transferName(h.From), s.transferName(h.To)
		e, err := tree.Lstat(to)
		if err != nil || !e.IsDir() && !e.IsRegular() || e.Flags&flist.Linked != 0 ||
			!sameRules(tree, from, to) || excludedPath(tree, from, e.IsDir()) || excludedPath(tree, to, e.IsDir()) {
			continue
		}
		if _, known := m.at[to]; known || used[from] || !f.comes(to) || !f.goes(from) {
			continue
		}
		sure := e.IsDir() && h.Ino != 0 && h.Ino == uint64(e.Ino) && h.Dev == uint64(e.Dev) && said.cover(h.From)
		used[from], m.at[to] = true, len(m.list)
		m.list = append(m.list, moved{from: from, to: e, sure: sure})
	}
	return m
}

// excludedPath says whether name, or a directory above it, takes no part, or may take none.
func excludedPath(tree *source.Tree, name string, isDir bool) bool {
	for dir := parent(name); dir != "."; dir = parent(dir) {
		if out, err := tree.Rules().Excluded(dir, true); out || err != nil {
			return true
		}
	}
	out, err := tree.Rules().Excluded(name, isDir)
	return out || err != nil
}

// sameRules says whether both names are subject to the same rules: what is moved between others would
// keep on the target what takes no part at its new place.
func sameRules(tree *source.Tree, a, b string) bool {
	inA, errA := tree.Rules().In(parent(a))
	inB, errB := tree.Rules().In(parent(b))
	return errA == nil && errB == nil && inA == inB
}

// fate is what a push does with a name.
type fate struct {
	src                     *source.Tree
	missing, entries, trees names
}

func newFate(src *source.Tree, plan *source.Plan) fate {
	f := fate{src, names{}, names{}, names{}}
	for _, name := range plan.Missing {
		f.missing[name] = true
	}
	for i := range plan.Entries {
		f.entries[plan.Entries[i].Name] = true
	}
	for i := range plan.Trees {
		f.trees[plan.Trees[i].Name] = true
	}
	return f
}

func (f *fate) comes(name string) bool { return f.entries[name] || f.trees.cover(name) }

func (f *fate) goes(name string) bool {
	if f.missing.cover(name) || !f.trees.cover(name) {
		return f.missing.cover(name)
	}
	_, err := f.src.Lstat(name)
	return errors.Is(err, fs.ErrNotExist)
}

// names is a set of names.
type names map[string]bool

// cover says whether name or a directory above it is in n.
func (n names) cover(name string) bool {
	for ; name != ""; name = parent(name) {
		if n[name] {
			return true
		}
	}
	return false
}

// top is the new name of the move that name is part of, "" where it is part of none. What was moved
// below a directory that was moved has a word of its own.
func (m *moves) top(name string) string {
	for ; name != ""; name = parent(name) {
		if _, ok := m.at[name]; ok {
			return name
		}
	}
	return ""
}

// origin is the old name of what is at name, "" where it is none of the moves.
func (m *moves) origin(name string) (from string, sure bool) {
	top := m.top(name)
	if top == "" {
		return "", false
	}
	i := m.at[top]
	return m.list[i].from + name[len(top):], m.list[i].sure
}

// twins is what was moved, name by name.
type twins struct {
	dirs  map[string]flist.Entry // of the new places
	files []twin
}

// twin is a regular file at its new name, and the name it had. proven says that it has not
// changed since the target had it at its old name.
type twin struct {
	from   string
	entry  flist.Entry
	proven bool
}

// twins lists what the moves come to. What cannot be read is left out: the push will tell.
func (m *moves) twins(ctx context.Context, src *source.Tree, since time.Time) (twins, error) {
	w := twinWalk{moves: m, since: since.UnixNano(), recent: map[string]bool{}, taken: map[string]bool{}}
	w.out.dirs = map[string]flist.Entry{}
	if since.IsZero() {
		w.since = 0 // nothing is older
	}
	for i := range m.list {
		to := m.list[i].to
		if m.top(parent(to.Name)) != "" {
			continue // what it is below is walked
		}
		if !to.IsDir() {
			w.file(to)
			continue
		}
		if err := src.Walk(ctx, to, w.visit, func(report.Problem) {}); err != nil {
			return twins{}, err
		}
	}
	return w.out, nil
}

type twinWalk struct {
	moves  *moves
	since  int64
	recent map[string]bool // directories whose names may have changed their places since
	taken  map[string]bool // names of files, old and new
	out    twins
}

func (w *twinWalk) visit(dir flist.Entry, others []flist.Entry, _ bool) error {
	w.out.dirs[dir.Name] = dir
	// That a directory was moved says nothing about what is directly in it; that one below it
	// has changed since may mean that it came from elsewhere.
	_, top := w.moves.at[dir.Name]
	w.recent[dir.Name] = !top && (dir.Ctime >= w.since || w.recent[parent(dir.Name)])
	for _, e := range others {
		if e.IsRegular() {
			w.file(e)
		}
	}
	return nil
}

func (w *twinWalk) file(e flist.Entry) {
	from, sure := w.moves.origin(e.Name)
	if e.Flags&flist.Linked != 0 || w.taken[from] || w.taken[e.Name] {
		return
	}
	w.taken[from], w.taken[e.Name] = true, true
	proven := sure && e.Ctime < w.since && !w.recent[parent(e.Name)]
	w.out.files = append(w.out.files, twin{from, e, proven})
}
