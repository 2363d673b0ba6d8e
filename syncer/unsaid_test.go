package syncer

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

func touchedOf(names ...string) touched {
	var t touched
	for _, name := range names {
		t.add(name)
	}
	return t
}

// What is looked at, push by push.
func TestUnsaid(t *testing.T) {
	type push struct {
		touched   []string
		complaint bool
		want      []string
	}
	for _, tt := range []struct {
		name   string
		pushes []push
	}{
		{"a target that is well", []push{{[]string{"a"}, false, nil}, {nil, false, nil}, {[]string{"b"}, false, nil}}},
		{"what went before a complaint, once", []push{
			{[]string{"a"}, false, nil}, {[]string{"b", "."}, false, nil}, {[]string{"c"}, true, []string{".", "a", "b", "c"}}, {nil, true, nil},
		}},
		{"what comes behind it, until it is quiet", []push{
			{nil, true, nil}, {[]string{"a"}, false, []string{"a"}}, {nil, false, nil}, {[]string{"a"}, true, []string{"a"}},
			{[]string{"b"}, false, []string{"b"}}, {[]string{"c"}, false, []string{"c"}}, {[]string{"d"}, false, []string{"d"}}, {[]string{"e"}, false, nil},
			{nil, true, []string{"e"}},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var u unsaid
			for i, p := range tt.pushes {
				if got := u.note(touchedOf(p.touched...), p.complaint); !slices.Equal(got, p.want) {
					t.Errorf("push %d: looks at %q, want %q", i, got, p.want)
				}
			}
		})
	}
}

func TestUnsaidIsBounded(t *testing.T) {
	var u unsaid
	for i := range 5 * touchedMax {
		u.note(touchedOf(fmt.Sprint(i)), false)
	}
	last := fmt.Sprint(5*touchedMax - 1)
	if got := u.note(touched{}, true); len(got) > 2*touchedMax || !slices.Contains(got, last) {
		t.Errorf("looks at %d directories, the last one among them: %v", len(got), slices.Contains(got, last))
	}
	var many touched
	for i := range 2 * touchedMax {
		many.add(fmt.Sprint(i))
	}
	if u.note(many, true); len(many.paths) > touchedMax || !u.all {
		t.Errorf("it keeps %d paths, and looks at the whole tree: %v", len(many.paths), u.all)
	}
}

// A peer may say anything.
func TestTouchedIsBelow(t *testing.T) {
	if got := touchedOf("..", "../a", "/", "/etc", "a\x00b"); len(got.paths) > 0 {
		t.Errorf("paths of ours: %v", got.paths)
	}
	if got := touchedOf(".", "..a", "a/..b"); len(got.paths) != 3 {
		t.Errorf("of three there are %v", got.paths)
	}
}

func TestComplains(t *testing.T) {
	of := func(err error) *Report { return &Report{Problems: []Problem{{Path: "f", Err: err}}} }
	for _, tt := range []struct {
		name string
		rep  *Report
		err  error
		want bool
	}{
		{"went well", &Report{}, nil, false},
		{"of nothing that is known", &Report{Partial: true}, nil, true},
		{"broke", &Report{}, &Failure{Code: CodeStream, Err: errors.New("cut")}, false},
		{"could not begin", &Report{}, &Failure{Code: CodeSocket, Err: errors.New("refused")}, false},
		{"disk", of(newPeerError(`rsync: [receiver] mkstemp "/.f.x" (in m) failed: Input/output error (5)`)), nil, true},
		{"immutable", of(newPeerError(`rsync: [receiver] mkstemp "/.f.x" (in m) failed: Operation not permitted (1)`)), nil, true},
		{"time of a directory", of(newPeerError(`rsync: [generator] failed to set times on "/d" (in m): Read-only file system (30)`)), nil, true},
		{"owner", of(newPeerError(`rsync: [receiver] chown "/.f.x" (in m) failed: Operation not permitted (1)`)), nil, false},
		{"name too long", of(newPeerError(`rsync: [receiver] mkstemp "/.f.x" (in m) failed: File name too long (36)`)), nil, false},
		{"source", of(unix.EIO), nil, false},
	} {
		if got := complains(tt.rep, tt.err); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}
