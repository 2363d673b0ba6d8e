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
	// touchedMax bounds how many paths of a push are kept in mind one by one. More become the whole tree.
	touchedMax = 1 << 12
	// quietEnough is how many pushes in a row, in which a target had nothing to complain of, say that it is well.
	quietEnough = 3
)

// touched are the directories in which a push changed something on the target, and the names that it had to delete
// there. The zero value has none.
type touched struct {
	paths map[string]bool
	all   bool // they were too many to keep: it may be any
}

// add takes what a peer says: it may be no path of ours.
func (t *touched) add(name string) {
	if path.IsAbs(name) || name == ".." || strings.HasPrefix(name, "../") || strings.IndexByte(name, 0) >= 0 {
		return
	}
	if t.paths == nil {
		t.paths = map[string]bool{}
	}
	if t.paths[name] || t.all {
		return
	}
	if t.all = len(t.paths) >= touchedMax; !t.all {
		t.paths[name] = true
	}
}

// unsaid finds out what an rsync on the other side does not say. At its end it sets the times of the directories in
// which it changed something, and takes no notice of what comes of that (rsync 3.5.0 generator.c, touch_up_dirs). A name
// that is to be deleted it takes for gone where it cannot look at it (the same, recv_generator). So on a disk that
// fails, or became read-only right then, the push seems to have gone well. Once a target complains of
// something, these paths of the pushes before are looked at again, and so are those of the pushes that follow,
// until it has nothing to complain of any more. A look alone changes nothing in a directory, and when what it does to
// itself fails, that is said.
type unsaid struct {
	recent, older map[string]bool // touched while nothing was known to be wrong; the oldest are forgotten
	unwell        bool
	quiet         int  // pushes in a row without a complaint while unwell
	all           bool // the whole tree is to be looked at, once nothing of it is failing
}

// note learns from a push, and says what is to be looked at again.
func (u *unsaid) note(t touched, complaint bool) []string {
	if complaint {
		u.unwell, u.quiet = true, 0
	}
	if !u.unwell {
		u.remember(t.paths)
		return nil
	}
	if !complaint && (len(t.paths) > 0 || t.all) {
		u.quiet++
		u.unwell = u.quiet < quietEnough
	}
	look := maps.Clone(t.paths)
	if look == nil {
		look = map[string]bool{}
	}
	maps.Copy(look, u.recent)
	maps.Copy(look, u.older)
	u.recent, u.older = nil, nil
	u.all = u.all || t.all
	return slices.Sorted(maps.Keys(look))
}

func (u *unsaid) remember(paths map[string]bool) {
	if len(u.recent)+len(paths) > touchedMax {
		u.older, u.recent = u.recent, nil
	}
	if u.recent == nil {
		u.recent = map[string]bool{}
	}
	maps.Copy(u.recent, paths)
}

// lookAgain has the feed bring what note names. Directories above a failing path come with it, and not by themselves:
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
		for _, name := range look {
			if !above[name] {
				paths = append(paths, Path{Name: name})
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
