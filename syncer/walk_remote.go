package syncer

import (
	"context"

	"github.com/lockstep-sync/lockstep/syncer/internal/flist"
	"github.com/lockstep-sync/lockstep/syncer/internal/report"
	"github.com/lockstep-sync/lockstep/syncer/internal/sender"
	"github.com/lockstep-sync/lockstep/syncer/internal/source"
)

// walk pushes everything while it is listed.
func (d *remote) walk(ctx context.Context, src *source.Tree, w *walk) (Report, error) {
	rules, err := d.cfg.Filter.Wire(d.cfg.DeleteExcluded)
	if err != nil {
		return Report{}, report.Fail(CodeUsage, err, "")
	}
	j := sender.Job{Walk: w, Delete: w.job.prune, Prune: w.job.prune, Filter: rules}
	res, err := d.push(ctx, src, &j)
	problems := w.close()
	rep := d.reportOf(res)
	rep.Problems = append(rep.Problems, problems...)
	if err == nil && d.believes() {
		rep, err = d.runAgain(ctx, src, rep, d.unbelieved(src, &j.List, &res))
	}
	if err == nil && len(w.later) > 0 {
		rep, err = d.finish(ctx, src, w, rep)
	}
	return rep, err
}

// finish pushes the directories that a walk left out, in one list: there it can be said of each that
// not all of it is listed.
func (d *remote) finish(ctx context.Context, src *source.Tree, w *walk, rep Report) (Report, error) {
	l := d.lister(src, w.job)
	if d.cfg.HardLinks { // other names of what is in them may be anywhere
		return d.repeat(ctx, src, l, w.top, rep)
	}
	there := map[string]bool{}
	for _, e := range w.later {
		e, err := src.Lstat(e.Name)
		if err != nil || !d.addAbove(src, &l.entries, there, e.Name) {
			continue // it is gone by now
		}
		if err := l.tree(ctx, e); err != nil {
			return rep, err
		}
		if e.IsDir() {
			there[e.Name] = true
		}
	}
	if l.entries.Len() == 0 {
		return rep, nil
	}
	second, err := d.less(rep.Stats.Deleted).run(ctx, src, l)
	for _, ok := range there {
		if ok {
			second.Stats.Dirs-- // the walk had it too
		}
	}
	rep.add(second)
	return rep, err
}

// repeat pushes everything once more, now in one list.
func (d *remote) repeat(ctx context.Context, src *source.Tree, l lister, top flist.Entry, rep Report) (Report, error) {
	if err := l.tree(ctx, top); err != nil {
		return rep, err
	}
	second, err := d.less(rep.Stats.Deleted).run(ctx, src, l)
	s := &rep.Stats
	s.Files, s.Dirs, s.Links, s.Specials, s.Devices, s.TotalSize = 0, 0, 0, 0, 0, 0
	rep.Problems = nil // they come again, or are over
	rep.add(second)
	return rep, err
}

// less is the same target where so many names were deleted already, of those that may be.
func (d *remote) less(deleted int64) *remote {
	if d.cfg.MaxDelete < 0 {
		return d
	}
	cfg := *d.cfg
	cfg.MaxDelete = max(0, cfg.MaxDelete-deleted)
	return d.with(&cfg)
}
