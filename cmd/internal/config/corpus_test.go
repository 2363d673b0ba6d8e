package config

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "write what is printed into testdata")

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// corpus runs test for each archive below testdata: its files are in dir, and what test returns is to be its last
// file, "want". In both, dir is $WORK.
func corpus(t *testing.T, kind string, test func(t *testing.T, dir string) string) {
	t.Helper()
	names, err := filepath.Glob("testdata/" + kind + "/*.txtar")
	must(t, err)
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(name)
			must(t, err)
			dir, want := t.TempDir(), ""
			for i, f := range a.Files {
				if f.Name == "want" {
					want, a.Files = string(f.Data), a.Files[:i]
					break
				}
				path := filepath.Join(dir, f.Name)
				must(t, os.MkdirAll(filepath.Dir(path), 0o755))
				must(t, os.WriteFile(path, []byte(strings.ReplaceAll(string(f.Data), "$WORK", dir)), 0o600))
			}
			got := strings.ReplaceAll(test(t, dir), dir, "$WORK")
			if !strings.HasSuffix(got, "\n") {
				got += "\n"
			}
			if *update {
				a.Files = append(a.Files, txtar.File{Name: "want", Data: []byte(got)})
				must(t, os.WriteFile(name, txtar.Format(a), 0o644))
				return
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		})
	}
	if len(names) == 0 {
		t.Fatalf("there is nothing in testdata/%s", kind)
	}
}

// env is an environment with one variable.
func env(name string) (string, bool) {
	return map[string]string{"PW": "hunter2", "CREDENTIALS_DIRECTORY": "/run/credentials"}[name], name == "PW" || name == "CREDENTIALS_DIRECTORY"
}

// TestBroken: what is wrong is told with file, line and column, all of it, and nothing of it loads. No password is shown, and
// nothing that a terminal would obey.
func TestBroken(t *testing.T) {
	count := 0
	corpus(t, "broken", func(t *testing.T, dir string) string {
		count++
		c, err := LoadEnv(filepath.Join(dir, "lockstep.yaml"), env)
		if err == nil || c != nil {
			t.Fatalf("it loads: %+v", c)
		}
		var all *Errors
		if !errors.As(err, &all) || len(all.List) == 0 {
			t.Fatalf("no list of errors: %v", err)
		}
		for _, e := range all.List {
			if e.Line == 0 && !strings.Contains(e.Message, "there is not one sync") || len(strings.Fields(e.Message)) < 4 {
				t.Errorf("no place, or no sentence: %v", e)
			}
		}
		text := err.Error()
		if strings.Contains(text, "hunter2") {
			t.Errorf("it shows the password:\n%s", text)
		}
		for line := range strings.SplitSeq(text, "\n") {
			if Printable(line) != line || strings.HasPrefix(line, "lockstep: all is well") {
				t.Errorf("not printable: %q", line)
			}
		}
		return text
	})
	if count < 60 {
		t.Errorf("%d broken files are too few", count)
	}
}
