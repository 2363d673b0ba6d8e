package agent

import (
	"errors"
	"reflect"
	"slices"

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

// claim takes the targets of a sync for as long as it runs. Where others cannot be seen, warn gets why, and the
// sync runs nevertheless.
func claim(targets []Settings, warn func(error)) (release func(), err error) {
	var releases []func()
	release = func() {
		for _, r := range releases {
			r()
		}
	}
	for _, one := range together(targets) {
		r, err := places.Claim(one)
		switch {
		case errors.Is(err, places.ErrTaken):
			release()
			return nil, &syncer.Failure{Code: syncer.CodeFile, Err: err}
		case err != nil:
			warn(err)
		default:
			releases = append(releases, r)
		}
	}
	return release, nil
}

// together are the places of targets, those in one whose settings are the same as far as places go: a claim for
// each target would have each look at all the others.
func together(targets []Settings) (list []places.Sync) {
	for i := range targets {
		one := targets[i].places()
		at := slices.IndexFunc(list, func(o places.Sync) bool {
			o.Targets = one.Targets
			return reflect.DeepEqual(o, one)
		})
		if at < 0 {
			list = append(list, one)
			continue
		}
		list[at].Targets = append(list[at].Targets, one.Targets...)
	}
	return list
}
