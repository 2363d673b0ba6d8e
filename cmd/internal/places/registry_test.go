package places

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// claims is a directory of claims of the test's own, below which paths are written.
func claims(t *testing.T) (root string) {
	t.Helper()
	root = t.TempDir()
	t.Setenv(RunDirEnv, filepath.Join(root, "run"))
	for _, d := range []string{"a/sub", "b/sub", "c", "d"} {
		must(t, os.MkdirAll(filepath.Join(root, d), 0o755))
	}
	must(t, os.WriteFile(filepath.Join(root, "file"), nil, 0o644))
	must(t, os.WriteFile(filepath.Join(root, "other"), nil, 0o644))
	must(t, os.Symlink("b", filepath.Join(root, "to-b")))
	return root
}

// sync is one of source and targets below root; with a colon a target is remote.
func sync(root, source string, targets ...string) Sync {
	s := Sync{Source: root + "/" + source}
	for _, t := range targets {
		if !strings.Contains(t, ":") {
			t = root + "/" + t
		}
		s.Targets = append(s.Targets, t)
	}
	return s
}

// While some syncs run, another one may or may not.
func TestClaim(t *testing.T) {
	for name, test := range map[string]struct {
		running [][]string // source, targets
		next    []string
		want    string // "" for no refusal
	}{
		"alone":               {nil, []string{"a/", "b"}, ""},
		"the same target":     {[][]string{{"a/", "b"}}, []string{"c/", "b"}, "writes into the place"},
		"the same twice":      {[][]string{{"a/", "b"}}, []string{"a/", "b"}, "writes into the place"},
		"by a symlink":        {[][]string{{"a/", "b"}}, []string{"c/", "to-b"}, "writes into the place"},
		"below it":            {[][]string{{"a/", "b"}}, []string{"c/", "b/sub"}, "writes into the place"},
		"above it":            {[][]string{{"a/", "b/sub"}}, []string{"c/", "b"}, "writes into the place"},
		"in a new one":        {[][]string{{"a/", "new"}}, []string{"c/", "new/er"}, "writes into the place"},
		"one of two":          {[][]string{{"a/", "d", "b"}}, []string{"c/", "h::m", "b"}, "writes into the place"},
		"side by side":        {[][]string{{"a", "d"}}, []string{"c", "d"}, ""},
		"files side by side":  {[][]string{{"file", "d"}}, []string{"other", "d"}, ""},
		"a file in it":        {[][]string{{"a/", "d"}}, []string{"other", "d"}, "writes into the place"},
		"other targets":       {[][]string{{"a/", "b"}}, []string{"a/", "c"}, ""},
		"onwards":             {[][]string{{"a/", "b"}}, []string{"b/", "c"}, ""},
		"before":              {[][]string{{"b/", "c"}}, []string{"a/", "b"}, ""},
		"back":                {[][]string{{"a/", "b"}}, []string{"b/", "a"}, "round and round"},
		"back, deeper":        {[][]string{{"a/", "b"}}, []string{"b/sub/", "a/sub"}, "round and round"},
		"back by a long way":  {[][]string{{"c/", "d"}, {"a/", "b"}, {"b/", "c"}}, []string{"d/", "a"}, "round and round"},
		"back but for a part": {[][]string{{"a/sub/", "b/sub"}}, []string{"c/", "a/sub"}, ""},
		"a daemon's":          {[][]string{{"a/", "u@H::m/x/"}}, []string{"c/", "rsync://h:873/m/x"}, "writes into the place"},
		"in a daemon's":       {[][]string{{"a/", "h::m/x"}}, []string{"c", "h::m/x"}, "writes into the place"},
		"another module":      {[][]string{{"a/", "h::m"}}, []string{"c/", "h::mm"}, ""},
		"another port":        {[][]string{{"a/", "h::m"}}, []string{"c/", "rsync://h:874/m"}, ""},
		"a shell's":           {[][]string{{"a/", "u@h:/x"}}, []string{"c/", "v@h:/x/./"}, "writes into the place"},
		"another home":        {[][]string{{"a/", "u@h:x"}}, []string{"c/", "v@h:x"}, ""},
		"files there":         {[][]string{{"file", "h:/x/"}}, []string{"other", "h:/x/"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			root := claims(t)
			for _, r := range test.running {
				release, err := Claim(sync(root, r[0], r[1:]...))
				if err != nil {
					t.Fatalf("%q: %v", r, err)
				}
				defer release()
			}
			release, err := Claim(sync(root, test.next[0], test.next[1:]...))
			if err == nil {
				defer release()
			}
			switch {
			case test.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case test.want != "" && (!errors.Is(err, ErrTaken) || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "(pid ")):
				t.Errorf("error %v, want one of %q", err, test.want)
			}
		})
	}
}

// A claim ends with its release, and with its process, however that ends.
func TestClaimEnds(t *testing.T) {
	root := claims(t)
	release, err := Claim(sync(root, "a/", "b"))
	must(t, err)
	release()
	release, err = Claim(sync(root, "c/", "b"))
	must(t, err)
	release()

	child := exec.Command("/proc/self/exe", "-test.run=^TestHoldForParent$")
	child.Env = append(os.Environ(), "HOLD_FOR_PARENT="+root)
	out, err := child.StdoutPipe()
	must(t, err)
	must(t, child.Start())
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatalf("the child holds nothing: %v", err)
	}
	if _, err := Claim(sync(root, "c/", "b")); !errors.Is(err, ErrTaken) {
		t.Errorf("beside the child: %v, want %v", err, ErrTaken)
	}
	must(t, child.Process.Kill())
	child.Wait()
	release, err = Claim(sync(root, "c/", "b"))
	must(t, err)
	left, err := filepath.Glob(filepath.Join(root, "run", "*"+suffix))
	must(t, err)
	if len(left) != 1 {
		t.Errorf("claims %q, want one", left)
	}
	release()
}

// TestHoldForParent is the other process of TestClaimEnds.
func TestHoldForParent(t *testing.T) {
	root := os.Getenv("HOLD_FOR_PARENT")
	if root == "" {
		return
	}
	if _, err := Claim(sync(root, "a/", "b")); err != nil {
		t.Fatal(err)
	}
	os.Stdout.WriteString("h")
	unix.Pause()
}

// A directory of claims that others can write to is not used: they could keep every sync from running.
func TestRunDirIsOurs(t *testing.T) {
	root := claims(t)
	dir := filepath.Join(root, "open")
	must(t, os.Mkdir(dir, 0o700))
	must(t, os.Chmod(dir, 0o777))
	t.Setenv(RunDirEnv, dir)
	if _, err := Claim(sync(root, "a/", "b")); err == nil || errors.Is(err, ErrTaken) {
		t.Errorf("a directory that all write to: %v", err)
	}
	must(t, os.Symlink(filepath.Join(root, "c"), filepath.Join(root, "link")))
	t.Setenv(RunDirEnv, filepath.Join(root, "link"))
	if _, err := Claim(sync(root, "a/", "b")); err == nil {
		t.Error("a symlink is taken")
	}
}

// The targets of one sync are places of their own.
func TestTargetsApart(t *testing.T) {
	root := claims(t)
	for _, test := range []struct {
		targets []string
		fine    bool
	}{
		{[]string{"b", "c"}, true},
		{[]string{"b", "h::m", "h::n", "h:/x", "i:/x"}, true},
		{[]string{"b", "to-b"}, false},
		{[]string{"b/sub", "c", "b"}, false},
		{[]string{"h::m", "u@h::m/"}, false},
		{[]string{"h:/x/y", "h:/x"}, false},
	} {
		if err := Check(sync(root, "a/", test.targets...)); (err == nil) != test.fine {
			t.Errorf("%q: %v", test.targets, err)
		}
	}
}
