package syncer

import (
	"context"
	"fmt"
	"path"

	"github.com/lockstep-sync/lockstep/syncer/internal/beneath"
	"github.com/lockstep-sync/lockstep/syncer/internal/report"
	"github.com/lockstep-sync/lockstep/syncer/internal/source"
)

// recall takes in what an earlier run knew of the source.
func (s *Syncer) recall() error {
	if s.cfg.NewSource {
		return nil
	}
	if err := s.mounts.recall(s.cfg.Mounts); err != nil || s.cfg.Root == "" {
		return err
	}
	id, err := source.ParseIdentity(s.cfg.Root)
	if err != nil {
		return fmt.Errorf("who the source was is not readable: %w", err)
	}
	s.root, s.foretold = &id, true
	return nil
}

// Root is who the source is, to be kept for Config.Root of a later run. It is "" before a full push
// reached its end, and as long as the source is suspect. It is for the goroutine that pushes.
func (s *Syncer) Root() string {
	if s.root == nil || !s.foretold && (s.suspect || !s.pushed) {
		return ""
	}
	return s.root.Text()
}

// CheckMarker says what is wrong with the name of a marker.
func CheckMarker(name string) error {
	if err := beneath.Check(name); err != nil || name == "." {
		return fmt.Errorf("the marker %q is to be the name of a file below the source (no . or .. in it)", name)
	}
	return nil
}

// checkRoot makes sure that the source is who it was. A source that is empty when it is first seen,
// while the target is not, is suspect: perhaps what belongs there is not mounted yet. It is pushed but
// deletes nothing, and another directory in its place is a new beginning, unless an earlier run knew it.
func (s *Syncer) checkRoot(ctx context.Context, tree *source.Tree) error {
	id := tree.Identity()
	same := s.root != nil && s.root.Same(id)
	if s.root != nil && !same && (s.foretold || !s.suspect) {
		return report.Fail(CodePartial,
			fmt.Errorf("%w: %q is another directory than the one pushed before: unmounted, renamed or replaced (it was %v, now it is %v)", ErrRoot, s.WatchRoot(), s.root, id),
			"nothing was sent and nothing deleted; it goes on when the directory is back; where this one is the source from now on, restart once with --new-source")
	}
	if err := s.checkMarked(tree); err != nil {
		return err
	}
	if same && s.seen {
		return nil
	}
	suspect, err := s.wouldEmpty(ctx, tree)
	if err != nil {
		return err
	}
	if suspect && !s.cfg.Keep {
		return report.Fail(CodeSelect,
			fmt.Errorf("%w: %q holds nothing, and --delete would empty %s", ErrEmptySource, s.WatchRoot(), path.Clean(s.cfg.Target.String())),
			"is it mounted? --allow-empty says that it is meant")
	}
	s.pushed = !s.seen && s.resumed && !s.cfg.NewSource && !suspect
	s.root, s.seen, s.suspect = &id, true, suspect
	return nil
}

// checkMarked makes sure that the marker is there.
func (s *Syncer) checkMarked(tree *source.Tree) error {
	if s.cfg.Marker == "" {
		return nil
	}
	if err := tree.Holds(s.cfg.Marker); err != nil {
		return report.Fail(CodePartial, fmt.Errorf("%w: the marker %q is not in %q: %w", ErrRoot, s.cfg.Marker, s.WatchRoot(), err),
			"nothing was sent and nothing deleted; is the source mounted? It goes on when the marker is there")
	}
	return nil
}

// wouldEmpty says whether the source is empty and a full push would delete something: a
// dry run asks the target.
func (s *Syncer) wouldEmpty(ctx context.Context, tree *source.Tree) (bool, error) {
	if !s.cfg.Delete || s.cfg.AllowEmpty {
		return false, nil
	}
	empty, err := tree.Empty()
	if err != nil {
		return false, report.Fail(CodePartial, fmt.Errorf("look into the source %q: %w", s.WatchRoot(), err), "")
	}
	if !empty {
		return false, nil
	}
	cfg := s.cfg
	cfg.DryRun, cfg.Keep, cfg.MaxDelete, cfg.Sink = true, false, -1, Sink{}
	rep, err := pushAll(ctx, s.dry(&cfg), tree, s.place.scope, job{prune: true, backupDir: cfg.BackupDir})
	return rep.Stats.Deleted > 0, err
}

// Suspect says that the source was empty when it was first seen and the target was not, so
// that nothing is deleted there: for the log.
func (s *Syncer) Suspect() bool { return s.suspect }
