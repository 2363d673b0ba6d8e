package syncer

import (
	"errors"
	"maps"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	// touchedMax bounds how many directories of a push are kept in mind one by one. More become the whole tree.
	touchedMax = 1 << 12
	// quietEnough is how many pushes in a row, in which a target had nothing to complain of, say that it is well.
	quietEnough = 3
)

// touched are the directories in which a push changed something on the target. The zero value has none.
type touched struct {
	dirs map[string]bool
	all  bool // they were too many to keep: it may be any
}

// add takes what a peer says: it may be no directory of ours.
func (t *touched) add(dir string) {
	if path.IsAbs(dir) || dir == ".." || strings.HasPrefix(dir, "../") || strings.IndexByte(dir, 0) >= 0 {
		return
	}
	if t.dirs == nil {
		t.dirs = map[string]bool{}
	}
	if t.dirs[dir] || t.all {
		return
	}
	if t.all = len(t.dirs) >= touchedMax; !t.all {
		t.dirs[dir] = true
	}
}

// unsaid finds out what an rsync on the other side does not say. At its end it sets the times of the directories in
// which it changed something, and takes no notice of what comes of that (rsync 3.5.0 generator.c, touch_up_dirs): on
// a disk that fails, or became read-only right then, the push seems to have gone well. So once a target complains of
// something, the directories of the pushes before are looked at again, and so are those of the pushes that follow,
// until it has nothing to complain of any more. A look alone changes nothing in them, and when what it does to a
// directory itself fails, that is said.
type unsaid struct {
	recent, older map[string]bool // directories changed while nothing was known to be wrong; the oldest are forgotten
	unwell        bool
	quiet         int  // pushes in a row without a complaint while unwell
	all           bool // the whole tree is to be looked at, once nothing of it is failing
}

// note learns from a push, and says which directories are to be looked at again.
func (u *unsaid) note(t touched, complaint bool) []string {
	if complaint {
		u.unwell, u.quiet = true, 0
	}
	if !u.unwell {
		u.remember(t.dirs)
		return nil
	}
	if !complaint && (len(t.dirs) > 0 || t.all) {
		u.quiet++
		u.unwell = u.quiet < quietEnough
	}
	look := maps.Clone(t.dirs)
	if look == nil {
		look = map[string]bool{}
	}
	maps.Copy(look, u.recent)
	maps.Copy(look, u.older)
	u.recent, u.older = nil, nil
	u.all = u.all || t.all
	return slices.Sorted(maps.Keys(look))
}

func (u *unsaid) remember(dirs map[string]bool) {
	if len(u.recent)+len(dirs) > touchedMax {
		u.older, u.recent = u.recent, nil
	}
	if u.recent == nil {
		u.recent = map[string]bool{}
	}
	maps.Copy(u.recent, dirs)
}

// lookAgain has the feed bring the directories that note names. Those above a failing path come with it, and not by themselves:
// they would bring it along before its time.
func (s *Syncer) lookAgain(feed Feed, o *Outcome) {
	if s.place.single {
		return // the directory that it is in is none of ours
	}
	look := s.unsaid.note(o.Report.touched, complains(&o.Report, o.Err))
	above := map[string]bool{}
	s.mu.Lock()
	for name := range s.ledger.entries {
		for ; name != "" && !above[name]; name = parent(name) {
			above[name] = true
		}
	}
	s.mu.Unlock()
	var paths []Path
	if s.unsaid.all && len(above) == 0 {
		s.unsaid.all = false
		paths = []Path{{Name: ".", Tree: true}}
	} else {
		for _, dir := range look {
			if !above[dir] {
				paths = append(paths, Path{Name: dir})
			}
		}
	}
	if len(paths) > 0 {
		feed.Defer(Batch{Paths: paths, Oldest: o.Batch.Oldest}, lookAfter)
	}
}

// complains says whether a push tells of a target that cannot be trusted to have done what it did not complain of. A
// connection that broke tells nothing of the pushes before it.
func complains(rep *Report, err error) bool {
	if rep.Partial && err == nil {
		return true
	}
	return slices.ContainsFunc(rep.Problems, func(p Problem) bool {
		var said *peerError
		if !errors.As(p.Err, &said) || said.class != ClassOperator {
			return false
		}
		return !said.attrs || said.errno != unix.EPERM // as a daemon that is not root says of owners, each time
	})
}
