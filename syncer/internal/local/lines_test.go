package local

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func requireSameLines(t testing.TB, want, got []string) {
	t.Helper()
	if diff := cmp.Diff(slices.Sorted(slices.Values(want)), slices.Sorted(slices.Values(got))); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}
