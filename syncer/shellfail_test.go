package syncer_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/lockstep-sync/lockstep/syncer"
	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

// What ssh says is told once: before the error to somebody who reads both, and in the error where
// it is to stand for itself. That a stream ended is no news of a shell that says why.
func TestSSHSaysItOnce(t *testing.T) {
	t.Parallel()
	for _, refuse := range []struct {
		what string
		do   func(*syncertest.SSHD) error
		says string
	}{
		{"key", func(d *syncertest.SSHD) error { return d.LetIn(false) }, "Permission denied (publickey)"},
		{"host key", func(d *syncertest.SSHD) error { return d.TrustHost(false) }, "Host key verification failed"},
	} {
		for _, keep := range []bool{false, true} {
			r, d := newSSHRig(t)
			must(t, refuse.do(d))
			cfg := r.config()
			cfg.Keep = keep
			var said []string
			if keep {
				cfg.Sink.SSH = func(text string) { said = append(said, text) }
			}
			_, err := r.push(cfg)
			if err == nil {
				t.Fatal("no error")
			}
			if !keep {
				said = r.messages
			} else if len(r.messages) > 0 {
				t.Errorf("%s: told as the target's words: %q", refuse.what, r.messages)
			}
			if !slices.ContainsFunc(said, func(s string) bool { return strings.Contains(s, refuse.says) }) {
				t.Errorf("%s, kept %v: said %q", refuse.what, keep, said)
			}
			if strings.Contains(err.Error(), refuse.says) != keep || strings.Contains(err.Error(), "EOF") {
				t.Errorf("%s, kept %v: %v", refuse.what, keep, err)
			}
			if keep && (len(said) != 1 || strings.Contains(said[0], "@@")) {
				t.Errorf("%s: %d lines: %q", refuse.what, len(said), said)
			}
		}
	}
}

// Of a renamed directory on a peer the files are told as moved.
func TestMovesCounted(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, name := range []string{"d/1", "d/2", "stays"} {
		write(t, r.in(name), noise(1, 5000))
		touch(t, r.in(name), old())
	}
	cfg := r.config()
	cfg.Delete, cfg.Keep = true, true
	s := r.syncer(cfg)
	r.mustBeWhole(s.Push(t.Context(), syncer.Full()))
	m := &mover{rig: r}
	m.mv("d", "g")
	rep, err := s.Push(t.Context(), m.batch)
	r.mustBeWhole(rep, err)
	if rep.Stats.Moved != 2 {
		t.Errorf("%+v, want 2 moved", rep.Stats)
	}
}
