package agent

import (
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/lockstep-sync/lockstep/syncer"
)

// A run that was killed is told from one that ended, and from one that did not begin.
func TestUnclean(t *testing.T) {
	s := Defaults()
	s.Source, s.Target, s.StateDir = t.TempDir()+"/", t.TempDir(), t.TempDir()
	open := func() *memory {
		m, err := openMemory(&s, s.Source, nil, zap.NewNop())
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	for i, step := range []struct {
		runs, ends, unclean bool
	}{{true, true, false}, {true, false, false}, {false, true, true}, {true, true, true}, {true, true, false}} {
		m := open()
		if got := m.unclean(); got != step.unclean {
			t.Errorf("step %d: unclean is %v", i, got)
		}
		if step.runs {
			m.runs()
		}
		if step.ends {
			m.close()
		} else if err := m.store.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// Where nothing is known, all that changed since the first run began is compared by content, until it has arrived.
func TestSinceUntilArrived(t *testing.T) {
	s := Defaults()
	s.Source, s.Target, s.StateDir = t.TempDir()+"/", t.TempDir(), t.TempDir()
	open := func() *memory {
		m, err := openMemory(&s, s.Source, nil, zap.NewNop())
		if err != nil {
			t.Fatal(err)
		}
		m.runs()
		return m
	}
	open().close()
	m := open()
	defer m.close()
	tree := syncer.Batch{Paths: []syncer.Path{{Name: ".", Tree: true}}}
	for i := range 2 { // the first one fails
		b := m.narrow(t.Context(), tree, true, nil)
		if b.Since.IsZero() || b.Since.After(time.Now()) {
			t.Errorf("try %d goes by content since %v", i, b.Since)
		}
		m.begin(t.Context(), &b)
		if i == 0 {
			m.end(false, nil, nil)
		} else {
			m.end(true, b.Paths, nil)
		}
	}
	if b := m.narrow(t.Context(), tree, true, nil); !b.Since.IsZero() || len(b.Paths) != 1 {
		t.Errorf("later: %+v", b)
	}
}
