package local

import (
	"context"
	"errors"
	"io/fs"
	"path"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/internal/flist"
	"github.com/lockstep-sync/lockstep/syncer/internal/report"
	"github.com/lockstep-sync/lockstep/syncer/internal/source"
)

// errLeader says that there is nothing to link to.
var errLeader = errors.New("the file that it is another name of could not be brought over")

// inode tells one file of the source from another.
type inode struct{ dev, ino uint64 }

func inodeOf(e *flist.Entry) inode { return inode{e.Dev, e.Ino} }

// group is the names of one file, as far as a push has come across them. The first that it
// did not leave alone is brought over like any file; the others become links to what came of
// that. The walk makes groups; once it is made, whoever has its leader in hand writes, and
// the collector, which comes after both, reads.
type group struct {
	leader string // on the source
	place  string // on the target
	failed bool   // there is nothing at place that the others may be
}

// isLinked says whether e is a name of a group.
func (r *run) isLinked(e *flist.Entry) bool { return r.opts.HardLinks && e.Flags&flist.Linked != 0 }

// groupOf is the group of e, nil if it is in none.
func (r *run) groupOf(e *flist.Entry) *group {
	if !r.isLinked(e) {
		return nil
	}
	return r.groups[inodeOf(e)]
}

// follow makes e, if its group has a leader, a link to that, when the collector is there. If
// not, e is from now on the leader.
func (r *run) follow(ctx context.Context, w *twin, e flist.Entry, base string) bool {
	if !r.isLinked(&e) {
		return false
	}
	g := r.groups[inodeOf(&e)]
	if g == nil {
		r.groups[inodeOf(&e)] = &group{leader: e.Name, place: r.targetName(e.Name)}
		return false
	}
	r.touch(w)
	r.whenPlaced(w, func() { r.link(ctx, g, w, &e, base) })
	return true
}

// link is the collector's: it makes base in w a name of what g's leader became.
func (r *run) link(ctx context.Context, g *group, w *twin, e *flist.Entry, base string) {
	if ctx.Err() != nil {
		return
	}
	have, same, err := r.standsLinked(g, w, e, base)
	if err == nil && !same && !g.failed && !r.opts.DryRun {
		err = r.linkTo(ctx, g, w, base, have)
	}
	switch {
	case g.failed, errors.Is(err, unix.EXDEV), errors.Is(err, unix.EMLINK):
		r.lead(ctx, g, w, e, base, have)
	case err != nil:
		r.health.failure(err)
		r.failed(e.Name, err)
	default:
		r.linked(g, e, have, same)
	}
}

// standsLinked looks at base in w: have is what of e's kind stands there, and same says that
// it is the leader's file.
func (r *run) standsLinked(g *group, w *twin, e *flist.Entry, base string) (have *unix.Stat_t, same bool, err error) {
	if w.dir == nil {
		return nil, false, nil
	}
	st, err := w.dir.Lstat(base)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil || kind(st.Mode) != kind(e.Mode) {
		return nil, false, err
	}
	if g.failed {
		return &st, false, nil
	}
	leader, err := r.lstatTarget(g.place)
	if err != nil || leader == nil {
		return &st, false, err
	}
	return &st, leader.Dev == st.Dev && leader.Ino == st.Ino, nil
}

// lstatTarget looks at a name below the target's root; nil: there is none.
func (r *run) lstatTarget(name string) (*unix.Stat_t, error) {
	if r.t.root == nil {
		return nil, nil
	}
	at, err := r.t.root.OpenParent(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer at.Close()
	st, err := at.Lstat(path.Base(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return &st, err
}

func (r *run) linkTo(ctx context.Context, g *group, w *twin, base string, have *unix.Stat_t) error {
	if have != nil {
		if err := r.backup(ctx, w.dir, base, source.Join(w.entry.Name, base)); err != nil {
			return err
		}
	}
	at, err := r.t.root.OpenParent(g.place)
	if err != nil {
		return err
	}
	defer at.Close()
	return at.LinkOver(path.Base(g.place), w.dir, base)
}

// linked accounts for a name that is now the leader's file, or was before.
func (r *run) linked(g *group, e *flist.Entry, have *unix.Stat_t, same bool) {
	if e.IsRegular() {
		r.finished.Add(1)
		r.dealt.Add(e.Size)
	}
	if same {
		return // what the leader was given, it has
	}
	r.health.success()
	flags := r.t.flags(e, have, r.t.attrs(e, have), report.LocalChange|report.XnameFollows)
	it := itemOf(e, flags)
	it.Link = g.leader
	if have == nil {
		r.createdLink(e)
	}
	r.changed(it)
}

func (r *run) createdLink(e *flist.Entry) {
	switch s := &r.res.Stats; {
	case e.IsRegular():
		s.Created++
	case e.IsSymlink():
		s.CreatedLinks++
	case e.IsDevice():
		s.CreatedDevices++
	default:
		s.CreatedSpecials++
	}
}

// lead brings e over itself, since there is nothing that it could be linked to: the names to
// come are linked to it.
func (r *run) lead(ctx context.Context, g *group, w *twin, e *flist.Entry, base string, have *unix.Stat_t) {
	if !e.IsRegular() {
		r.failed(e.Name, errLeader)
		return
	}
	g.leader, g.place, g.failed = e.Name, r.targetName(e.Name), false
	f := &file{run: r, w: w, entry: *e, base: base, have: have, group: g, listed: inodeOf(e)}
	f.bring(ctx)
	if f.staged { // the next link needs it in its place
		f.staged = false
		if err := r.placeOne(ctx, w, base); err != nil {
			f.fail(ctx, err)
		}
	}
	f.account()
}

// settle notes that f is no leader to link to: it was not brought over, or another file had
// taken its name when it was opened.
func (f *file) settle() {
	if f.group != nil && (f.untried || f.problem != nil || f.refusal != nil || inodeOf(&f.entry) != f.listed) {
		f.group.failed = true
	}
}

// planFirst is standingFirst of a plan. What it moves is begun before its directory has its
// turn, whose time is to be restored whatever it looks like then.
func (r *run) planFirst(list []flist.Entry) []flist.Entry {
	list, moved := r.standingFirst(list, func(e *flist.Entry) bool {
		st, err := r.lstatTarget(r.targetName(e.Name))
		return err == nil && st != nil
	})
	for i := range moved {
		r.disturbed[path.Dir(list[i].Name)] = true
	}
	return list
}

// standingFirst moves, of each group, a name that stands on the target ahead of all of list,
// where the first does not: then the others are linked to it, and nothing is copied. It also
// says how many it moved.
func (r *run) standingFirst(list []flist.Entry, stands func(e *flist.Entry) bool) ([]flist.Entry, int) {
	if !r.opts.HardLinks {
		return list, 0
	}
	stand, missing := map[inode]bool{}, map[inode]bool{}
	var first []int
	for i := range list {
		id := inodeOf(&list[i])
		switch {
		case !r.isLinked(&list[i]) || stand[id] || r.groups[id] != nil:
		case !stands(&list[i]):
			missing[id] = true
		default:
			stand[id] = true
			if missing[id] {
				first = append(first, i)
			}
		}
	}
	if len(first) == 0 {
		return list, 0
	}
	sorted := make([]flist.Entry, 0, len(list))
	for _, i := range first {
		sorted = append(sorted, list[i])
	}
	from := 0
	for _, i := range first {
		sorted = append(sorted, list[from:i]...)
		from = i + 1
	}
	return append(sorted, list[from:]...), len(first)
}
