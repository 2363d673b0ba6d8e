package agent

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// Large pushes wait for one another, and for none that takes too long.
func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns()
		turns.most = 2
		begun := time.Now()
		first, second := turns.wait(t.Context()), turns.wait(t.Context())
		time.AfterFunc(time.Second, second)
		third := turns.wait(t.Context())
		if took := time.Since(begun); took != time.Second {
			t.Errorf("the third one has waited for %v, want until the second one had ended", took)
		}
		fourth := turns.wait(t.Context()) // the first one hangs
		if took := time.Since(begun); took != turnLasts {
			t.Errorf("the fourth one has waited for %v, want %v", took, turnLasts)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		turns.wait(ctx)()
		first() // at last
		third()
		fourth()
		if len(turns.since) != 0 {
			t.Errorf("%d have a turn, and nobody pushes", len(turns.since))
		}
	})
}
