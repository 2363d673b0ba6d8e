package syncer

import (
	"context"
	"time"

	"github.com/lockstep-sync/lockstep/syncer/internal/flist"
	"github.com/lockstep-sync/lockstep/syncer/internal/report"
	"github.com/lockstep-sync/lockstep/syncer/internal/sender"
	"github.com/lockstep-sync/lockstep/syncer/internal/source"
)

// lister makes a file list of subtrees.
type lister struct {
	src      *source.Tree
	prune    bool
	since    time.Time
	entries  sender.Entries
	problems []Problem
	pruned   bool            // a directory in it is to be pruned
	listed   map[string]bool // by siblings
	believed believed        // files that need no comparison by content
	hollow   hollow
	missing  bool // a changed directory that turns out to be hollow is to be deleted
	whole    bool // and so it is, by pruning the directory that it is in
}

// tree adds top with everything below it.
func (l *lister) tree(ctx context.Context, top flist.Entry) error {
	if !top.IsDir() {
		l.entries.Add(top)
		return nil
	}
	since, content := l.since.UnixNano(), top.Flags&flist.Content != 0
	add := func(e flist.Entry) { l.entries.Add(e) }
	visit := func(dir flist.Entry, others []flist.Entry, partial bool) error {
		if partial || !l.prune {
			setPartial(&dir)
		} else {
			l.pruned = true
		}
		l.hollow.add(dir, partial || len(others) > 0, add)
		for _, e := range others {
			if e.IsRegular() && (content || !l.since.IsZero() && e.Ctime >= since) {
				e.Flags |= flist.Content
				l.believed.unmark(&e)
			}
			l.entries.Add(e)
		}
		return nil
	}
	err := l.src.Walk(ctx, top, visit, func(p report.Problem) { l.problems = append(l.problems, p) })
	switch hollow := l.hollow.end(top.Name); {
	case err != nil || !hollow:
	case l.missing:
		l.entries.Add(flist.Entry{Name: top.Name})
	case l.whole && l.prune:
		return l.siblings(ctx, parent(top.Name))
	}
	return err
}

// siblings adds the directory dir with all that is directly in it, to be pruned. One that
// cannot be read, or that is gone by now, is left alone: its own change will tell.
func (l *lister) siblings(ctx context.Context, dir string) error {
	if l.listed[dir] {
		return nil
	}
	if l.listed == nil {
		l.listed = map[string]bool{}
	}
	l.listed[dir] = true
	self, err := l.src.Lstat(dir)
	if err != nil || !self.IsDir() {
		return nil
	}
	entries, problems, err := l.src.ReadDir(dir)
	if err != nil {
		problems = append(problems, Problem{Path: dir, Err: err})
	}
	l.problems = append(l.problems, problems...)
	if len(problems) > 0 {
		return nil
	}
	if l.prune {
		l.pruned = true
	} else {
		setPartial(&self)
	}
	l.entries.Add(self)
	for _, e := range entries {
		if e.IsDir() {
			if is, err := l.hollow.is(ctx, l.src, e.Name); err != nil {
				return err
			} else if is {
				continue
			}
			e.Flags |= flist.Partial
		}
		l.entries.Add(e)
	}
	return nil
}

// setPartial marks a directory that is brought over but not pruned. With Top it would be
// implied, and the peer would not set its attributes; one that is implied already stays so.
func setPartial(e *flist.Entry) {
	if e.Flags&flist.Partial == 0 {
		e.Flags = e.Flags&^flist.Top | flist.Partial
	}
}

// parent is the directory of name, "." for a name at the top, "" for "." itself.
func parent(name string) string {
	if name == "." {
		return ""
	}
	for i := len(name) - 1; i >= 0; i-- {
		if name[i] == '/' {
			return name[:i]
		}
	}
	return "."
}
