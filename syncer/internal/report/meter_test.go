package report

import "testing"

func TestMeter(t *testing.T) {
	var nobody *Meter
	nobody.Begin("x", 1).Reach(1)
	if got := nobody.Look(); got != (Metered{}) {
		t.Errorf("nobody's meter shows %+v", got)
	}
	m := &Meter{}
	m.Restart()
	large, small := m.Begin("large", 100), m.Begin("small", 10)
	large.Advance(20)
	small.Reach(5)
	small.Reach(9)
	if got := m.Look(); got.Path != "large" || got.Size != 100 || got.Sent != 20 || got.Bytes != 29 || got.Files != 0 {
		t.Errorf("on their way: %+v", got)
	}
	large.End()
	if got := m.Look(); got.Path != "small" || got.Sent != 9 || got.Files != 1 {
		t.Errorf("the other one: %+v", got)
	}
	m.Restart()
	small.End() // of a push that was given up
	if got := m.Look(); got.Path != "" || got.Files != 0 || got.Bytes != 0 || got.Since.IsZero() {
		t.Errorf("a new push: %+v", got)
	}
}
