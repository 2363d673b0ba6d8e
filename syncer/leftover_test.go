package syncer

import (
	"errors"
	"fmt"
	"slices"
	"testing"
)

func TestLeftovers(t *testing.T) {
	batch := []Path{{Name: "a/f"}, {Name: "a/g"}, {Name: "d", Tree: true}}
	broke := &Failure{Code: CodeStream, Err: errors.New("cut")}
	for _, tt := range []struct {
		name string
		rep  Report
		err  error
		want []string
	}{
		{"broke", Report{}, broke, []string{".", "a"}},
		{"refused files", Report{Partial: true}, nil, []string{".", "a"}},
		{"one file", Report{Problems: []Problem{{Path: "d/e/f", Err: newPeerError("rsync: [receiver] rename \"/d/e/.f.x\" (in m) -> \"d/e/f\": Input/output error (5)")}}}, nil, []string{"d/e"}},
		{"could not begin", Report{}, &Failure{Code: CodeSocket, Err: errors.New("refused")}, nil},
		{"no source", Report{}, fmt.Errorf("%w: gone", ErrRoot), nil},
		{"went well", Report{}, nil, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := leftovers{}
			l.note(batch, &tt.rep, tt.err)
			var got []string
			for _, p := range l.with(nil, true) {
				if p.Level {
					got = append(got, p.Name)
				}
			}
			if slices.Sort(got); !slices.Equal(got, tt.want) {
				t.Errorf("looks into %q, want %q", got, tt.want)
			}
			if full := []Path{{Name: ".", Tree: true}}; len(l.with(full, true)) != 1 {
				t.Error("all of the tree is looked at, and something besides")
			}
			if got := l.with(nil, false); len(l) > 0 && !slices.Equal(got, []Path{{Name: ".", Tree: true}}) {
				t.Errorf("without levels it looks at %v", got)
			}
			before := len(l)
			if l.note(batch, &Report{}, &Failure{Code: CodeSocket, Err: errors.New("refused")}); len(l) != before {
				t.Error("a push that did not begin has made one forget")
			}
			if l.note(batch, &Report{}, nil); len(l) > 0 {
				t.Errorf("after a push that went well there is %v", l)
			}
		})
	}
}

func TestLeftoversAreBounded(t *testing.T) {
	l := leftovers{}
	var many []Path
	for i := range 2 * leftoverMax {
		many = append(many, Path{Name: fmt.Sprintf("d%d/f", i)})
	}
	l.note(many, &Report{Partial: true}, nil)
	if len(l) > leftoverMax+1 {
		t.Errorf("%d directories", len(l))
	}
	if got := l.with([]Path{{Name: "x"}}, true); !slices.Equal(got, []Path{{Name: "x"}, {Name: ".", Tree: true}}) {
		t.Errorf("pushes %d paths", len(got))
	}
}

// A run that resumes looks for temporary names beside what the one before did not bring over, once.
func TestLeftoversOfAnEarlierRun(t *testing.T) {
	src, dst, s := pair(t)
	mustPush(t, s, Full())
	s = newPair(t, src, dst, func(c *Config) { c.Failed = []Failed{{Path: "c/f", Paths: 1}} })
	s.Resume()
	write(t, dst+"/a/.b.Xk3f9Q", "half")
	write(t, dst+"/c/.f.Xk3f9Q", "half")
	write(t, dst+"/other", "what nobody asked for")
	write(t, src+"/c/g", "g")
	write(t, dst+"/c/g", "g")
	write(t, src+"/a/b", "new")
	mustPush(t, s, paths("a/b"))
	for name, want := range map[string]bool{"a/.b.Xk3f9Q": false, "c/.f.Xk3f9Q": false, "c/g": true, "other": true} {
		if exists(t, dst+"/"+name) != want {
			t.Errorf("%s is there: %v", name, !want)
		}
	}
	write(t, dst+"/a/.b.Xk3f9Q", "another's")
	write(t, src+"/a/b", "newer")
	mustPush(t, s, paths("a/b"))
	if !exists(t, dst+"/a/.b.Xk3f9Q") {
		t.Error("it looks beside every path that it pushes")
	}
}
