package syncer

import (
	"strings"

	"github.com/lockstep-sync/lockstep/syncer/internal/flist"
	"github.com/lockstep-sync/lockstep/syncer/internal/source"
)

// tellsFound says whether somebody wants to know of what is sent.
func (s *Syncer) tellsFound() bool {
	return s.cfg.Found != nil && s.cfg.Delete && !s.cfg.DryRun && !s.place.single
}

// found tells of what is in a directory of the transfer and about to be sent.
func (s *Syncer) found(dir string, entries []flist.Entry) {
	above := s.watched()
	if above != "" && dir != above && !strings.HasPrefix(dir, above+"/") {
		return // it is above what is watched
	}
	names := make([]Path, len(entries))
	for i := range entries {
		names[i] = Path{Name: s.watchName(entries[i].Name), Tree: entries[i].IsDir()}
	}
	s.cfg.Found(s.watchName(dir), names)
}

// foundPlan tells of what there is of the paths of a batch.
func (s *Syncer) foundPlan(plan *source.Plan) {
	in := map[string][]flist.Entry{}
	for _, part := range [][]flist.Entry{plan.Parents, plan.Entries, plan.Trees, plan.Levels} {
		for _, e := range part {
			if dir := parent(e.Name); dir != "" {
				in[dir] = append(in[dir], e)
			}
		}
	}
	for dir, entries := range in {
		s.found(dir, entries)
	}
}
