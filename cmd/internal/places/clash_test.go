package places

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestClashes: of a list of syncs those that cannot run beside one another.
func TestClashes(t *testing.T) {
	list := []Sync{
		{Source: "/srv/a/", Targets: []string{"/srv/b"}},
		{Source: "/srv/b/", Targets: []string{"/srv/c"}}, // what comes from a goes on
		{Source: "/srv/x/", Targets: []string{"h::m/a"}},
		{Source: "/srv/c/", Targets: []string{"/srv/a"}}, // and comes round
		{Source: "/srv/y/", Targets: []string{"h::m/a/b/"}},
		{Source: "/srv/z/", Targets: []string{"h::m/c"}},
		{Source: "/srv/z/", Targets: []string{":"}}, // no target
		{Source: "/srv/z/", Targets: []string{"H::m/c"}},
	}
	want := []Clash{{A: 1, B: 3, Round: true}, {A: 2, B: 4}, {A: 5, B: 7}}
	if diff := cmp.Diff(want, Clashes(list)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
