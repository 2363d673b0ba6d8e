package agent

import (
	"errors"

	"github.com/lockstep-sync/lockstep/cmd/internal/places"
	"github.com/lockstep-sync/lockstep/syncer"
)

// isRemote says whether rsync would take a source for one on another machine.
func isRemote(source string) bool {
	t, err := syncer.ParseTarget(source)
	return err == nil && t.Remote()
}

// places is where the sync reads and writes.
func (s *Settings) places() places.Sync {
	return places.Sync{
		Source: s.Source, Targets: append([]string{s.Target}, s.Also...), Port: s.Port,
		Delete: s.Delete, OneFileSystem: s.OneFileSystem, Relative: s.Relative, Listed: s.Files != nil,
	}
}

// claim takes the targets for as long as the sync runs. Where others cannot be seen, warn gets why, and the
// sync runs nevertheless.
func (s *Settings) claim(warn func(error)) (release func(), err error) {
	release, err = places.Claim(s.places())
	switch {
	case errors.Is(err, places.ErrTaken):
		return nil, &syncer.Failure{Code: syncer.CodeFile, Err: err}
	case err != nil:
		warn(err)
		return func() {}, nil
	}
	return release, nil
}
