package syncer

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// Of a batch that says what is known to be gone nothing else is deleted, and what is to be spared stays, also where
// something else stands at its place.
func TestBatchThatWasJudged(t *testing.T) {
	src, dst, s := pair(t)
	for _, name := range []string{"p", "q", "d/x", "c[1]/y", "c[1]/z"} {
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(src, name)), 0o755))
		write(t, filepath.Join(src, name), name)
	}
	mustPush(t, s, Full())
	for _, name := range []string{"p", "q", "d", "c[1]/y"} {
		must(t, os.RemoveAll(filepath.Join(src, name)))
	}
	write(t, filepath.Join(src, "d"), "a file")
	has := func(name string) bool {
		_, err := os.Lstat(filepath.Join(dst, name))
		return err == nil
	}
	mustPush(t, s, Batch{Paths: []Path{{Name: "p"}, {Name: "q"}}, Gone: map[string]bool{"p": true}})
	if has("p") || !has("q") {
		t.Errorf("p is there: %v, q: %v", has("p"), has("q"))
	}
	for _, b := range []Batch{Full(), {Paths: []Path{{Name: ".", Level: true}, {Name: "c[1]", Level: true}}}} {
		b.Spare, b.SpareIn = []string{"q", "d"}, []string{"c[1]"}
		mustPush(t, s, b)
		if !has("q") || !has("d/x") || !has("c[1]/y") {
			t.Errorf("q is there: %v, d/x: %v, c[1]/y: %v", has("q"), has("d/x"), has("c[1]/y"))
		}
	}
	failed := errors.New("not now")
	if _, err := s.Push(t.Context(), Batch{Paths: []Path{{Name: "q"}}, Err: failed}); !errors.Is(err, failed) || !has("q") {
		t.Error(err)
	}
	mustPush(t, s, Full())
	if has("q") || has("d/x") || has("c[1]/y") {
		t.Error("spared for ever")
	}
}
