package agent

import (
	"testing"

	"go.uber.org/zap"
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
