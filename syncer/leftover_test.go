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
