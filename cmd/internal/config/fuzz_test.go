package config

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// FuzzLoad: whatever a file holds, it loads, and what is printed of it loads again; or it is told where it is wrong, in
// characters that can be printed.
func FuzzLoad(f *testing.F) {
	names, err := filepath.Glob("testdata/*/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range names {
		a, err := txtar.ParseFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(a.Files[0].Data)
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, part := range []string{"-from", "merge", "include", ". "} {
			if bytes.Contains(text, []byte(part)) {
				t.Skip("it could name any file of this machine, one without an end too")
			}
		}
		name := filepath.Join(dir, "lockstep.yaml")
		must(t, os.WriteFile(name, text, 0o600))
		c, err := LoadEnv(name, env)
		var all *Errors
		switch {
		case err == nil:
			var b strings.Builder
			must(t, c.Print(&b, ""))
			again := filepath.Join(dir, "again.yaml")
			must(t, os.WriteFile(again, []byte(b.String()), 0o600))
			if _, err := LoadEnv(again, env); err != nil {
				t.Errorf("what is printed does not load: %v\n%s", err, b.String())
			}
		case !errors.As(err, &all) || len(all.List) == 0:
			t.Errorf("no list of errors: %v", err)
		default:
			lines := bytes.Count(text, []byte("\n")) + 1
			for _, e := range all.List {
				if e.Line < 0 || e.Line > lines || e.Line > 0 && e.Column < 1 {
					t.Errorf("there is no such place: %v", e)
				}
			}
			for line := range strings.SplitSeq(err.Error(), "\n") {
				if Printable(line) != line {
					t.Errorf("not printable: %q", line)
				}
			}
		}
	})
}
