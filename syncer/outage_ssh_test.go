package syncer_test

import (
	"testing"

	"github.com/lockstep-sync/lockstep/syncer"
	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

// What is wrong with the way to a host is named, and pushing goes on when it is mended.
func TestOutageSSH(t *testing.T) {
	for _, tt := range []struct {
		name  string
		set   func(*syncertest.SSHD, bool) error
		words []string
	}{
		{"host key changed", (*syncertest.SSHD).TrustHost, []string{"ssh-keygen -R 127.0.0.1"}},
		{"key refused", (*syncertest.SSHD).LetIn, []string{"authorized_keys", "127.0.0.1"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r, d := newSSHRig(t)
			write(t, r.in("f"), "first")
			must(t, tt.set(d, false))
			run := r.start(r.config())
			run.feed.add(syncer.Path{Name: ".", Tree: true})
			run.fails(syncer.ClassOperator, tt.words...)
			must(t, tt.set(d, true))
			run.converges()
		})
	}
}

// A host that cannot be reached is tried at least every quarter of a minute: nothing else tells that it is back.
func TestOutageSSHDown(t *testing.T) {
	t.Parallel()
	r, _ := newSSHRig(t)
	write(t, r.in("f"), "x")
	cfg := r.config()
	cfg.Rsh += " -p 1"
	run := r.start(cfg)
	run.feed.add(syncer.Path{Name: ".", Tree: true})
	run.fails(syncer.ClassTransient, "start sshd on 127.0.0.1")
	run.fails(syncer.ClassTransient, "start sshd on 127.0.0.1")
}
