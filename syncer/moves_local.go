package syncer

import (
	"context"

	"github.com/lockstep-sync/lockstep/syncer/internal/local"
	"github.com/lockstep-sync/lockstep/syncer/internal/source"
)

// move renames on the target what moved in the source. What is proven to be unchanged below it need
// not be compared by content. With some options the target may keep at the old name what the new one
// is not to have.
func (l *localDir) move(ctx context.Context, t *local.Target, src *source.Tree, j *job) error {
	if len(j.moves.list) == 0 || l.cfg.Update || l.cfg.SizeOnly {
		return nil
	}
	list := make([]local.Move, len(j.moves.list))
	for i, m := range j.moves.list {
		list[i] = local.Move{From: m.from, Entry: m.to}
	}
	done, err := t.Moves(ctx, src, list)
	if err != nil || len(done) == 0 {
		return err
	}
	renamed := names{}
	for _, m := range done {
		renamed[m.Entry.Name] = true
	}
	all, err := j.moves.twins(ctx, src, j.since)
	known := believed{}
	for i := range all.files {
		if f := &all.files[i]; f.proven && renamed[j.moves.top(f.entry.Name)] {
			known.add(&f.entry)
		}
	}
	t.Believe(known.is)
	return err
}
