package watcher

import (
	"context"
	"errors"
	"slices"

	"go.uber.org/zap"
)

// The backends of Config.Backend.
const (
	// BackendAuto is fanotify where a probe has shown that it works, else inotify. With OnEvent it is
	// inotify: fanotify merges events, and their order is lost.
	BackendAuto = "auto"
	// BackendInotify watches each directory, by fsnotify.
	BackendInotify = "inotify"
	// BackendFanotify marks the filesystem. It needs CAP_SYS_ADMIN and CAP_DAC_READ_SEARCH; where it is
	// not to be had, inotify is used, and a warning says why.
	BackendFanotify = "fanotify"
)

// choose takes the backend for the root that was just found.
func (s *session) choose(ctx context.Context) {
	s.backend.close()
	s.backend.wait()
	want := s.w.cfg.Backend
	if want == BackendInotify || want == BackendAuto && s.announce != nil {
		s.useInotify(ctx)
		return
	}
	f, err := s.tryFanotify(ctx)
	if err != nil {
		s.fallBack(ctx, err)
		return
	}
	s.backend, s.fellBack = f, ""
}

func (s *session) useInotify(ctx context.Context) {
	s.backend = s.inotify
	if s.w.cfg.Tune != nil && !s.tuned {
		s.w.cfg.Tune(ctx)
	}
	s.tuned = true
}

func (s *session) tryFanotify(ctx context.Context) (*fan, error) {
	f, err := newFan(ctx, &s.ground, s.w.cfg.Ops)
	if err != nil {
		return nil, err
	}
	if err := f.markMounts(s.mounts); err != nil {
		f.close()
		f.wait()
		return nil, err
	}
	return f, nil
}

// fallBack takes inotify, and says why, once.
func (s *session) fallBack(ctx context.Context, err error) {
	s.useInotify(ctx)
	if s.fellBack == err.Error() {
		return
	}
	s.fellBack = err.Error()
	level := zap.WarnLevel
	if s.w.cfg.Backend == BackendAuto {
		level = zap.InfoLevel
	}
	s.log.Log(level, "inotify is used: fanotify does not work here", quoted("root", s.root), zap.Error(err))
}

// insteadOfFailed replaces fanotify when it fails later: privileges were lost, or a filesystem was
// mounted that it cannot watch, or that was the root's.
func (s *session) insteadOfFailed(ctx context.Context) {
	f, ok := s.backend.(*fan)
	if !ok || f.up() {
		return
	}
	f.close()
	f.reading.Wait()
	f.handle(ctx, func() bool { return true }) // it may know more about contents than a comparison finds
	f.wait()
	if err := f.failure(); !errors.Is(err, errUnmarked) {
		s.fallBack(ctx, err)
		return
	}
	s.choose(ctx)
}

// remotes are the places where events do not tell everything: they are compared every PollInterval.
func (s *session) remotes() []string {
	if s.remoteRoot {
		return []string{s.root}
	}
	if s.oneFS {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(s.mounts.remote), func(p string) bool {
		rel, ok := relPath(s.root, p)
		return !ok || s.excluded(rel, true)
	})
}

// blind are the places of which not all changes are told, relative to the root.
func (s *session) blind() []string {
	places := append(s.backend.polledPaths(), s.remotes()...)
	for i, p := range places {
		places[i], _ = relPath(s.root, p)
	}
	return places
}

// warnRemote names them, each once.
func (s *session) warnRemote() {
	for _, p := range s.remotes() {
		if !slices.Contains(s.remoteTold, p) {
			s.remoteTold = append(s.remoteTold, p)
			s.log.Warn("network or FUSE filesystem: changes made elsewhere give no event; it is compared at intervals",
				quoted("path", p), zap.Duration("interval", s.w.cfg.PollInterval))
		}
	}
}
