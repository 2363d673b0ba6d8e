package packaging

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

var packages = flag.Bool("packages", false, "build packages, and install them into a root directory")

// built are the packages of two versions, by format.
type built struct{ first, second map[string]string }

const firstVersion, secondVersion = "1.0.0", "1.1.0+3.gabcdef1"

// formats are how the packages of each are called.
var formats = map[string][2]string{
	"deb": {"lockstep_1.0.0-1_amd64.deb", "lockstep_1.1.0+3.gabcdef1-1_amd64.deb"},
	"rpm": {"lockstep-1.0.0-1.x86_64.rpm", "lockstep-1.1.0+3.gabcdef1-1.x86_64.rpm"},
}

// newInConfig is what the second version's config has more.
const newInConfig = "\n# new in 1.1.0\n"

var once sync.Once
var dist, source string // where they are, and a copy of the source that the second ones are built from

func TestMain(m *testing.M) {
	flag.Parse()
	code := m.Run()
	if dist != "" {
		os.RemoveAll(filepath.Dir(dist))
	}
	os.Exit(code)
}

// build gives the packages of both versions, which are built once. The second time the first version is built from a
// copy of the source, elsewhere, under another umask and time zone, and the two are compared.
func build(t *testing.T) built {
	t.Helper()
	if !*packages {
		t.Skip("building packages takes a while: make package-test does it")
	}
	once.Do(func() {
		dir, err := os.MkdirTemp("", "packages")
		must(t, err)
		dist, source = filepath.Join(dir, "dist"), filepath.Join(dir, "elsewhere", "source")
		copySource(t, source)
		pack(t, "..", dist+"/1", firstVersion, "umask 022")
		pack(t, source, dist+"/1again", firstVersion, "umask 077; export TZ=Pacific/Apia LC_ALL=C.UTF-8")
		config := filepath.Join(source, "packaging/lockstep.yaml")
		must(t, os.WriteFile(config, append(read(t, config), newInConfig...), 0o644))
		pack(t, source, dist+"/2", secondVersion, "umask 022")
	})
	b := built{map[string]string{}, map[string]string{}}
	for format, names := range formats {
		b.first[format], b.second[format] = filepath.Join(dist, "1", names[0]), filepath.Join(dist, "2", names[1])
	}
	return b
}

// TestReproducible: the same source gives the same packages, wherever they are built.
func TestReproducible(t *testing.T) {
	b := build(t)
	for format, first := range b.first {
		again := filepath.Join(dist, "1again", filepath.Base(first))
		if !bytes.Equal(read(t, first), read(t, again)) {
			t.Errorf("%s differs from build to build: diffoscope %s %s", format, first, again)
		}
	}
}

func pack(t *testing.T, source, dist, version, shell string) {
	t.Helper()
	cmd := exec.Command("sh", "-c", shell+"; exec sh packaging/build deb rpm")
	cmd.Dir = source
	cmd.Env = append(os.Environ(), "DIST="+dist, "VERSION="+version, "SOURCE_DATE_EPOCH=1700000000", "GOARCH=amd64")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("packaging/build: %v\n%s", err, out)
	}
}

// copySource copies what git has or would take, without the repository.
func copySource(t *testing.T, to string) {
	t.Helper()
	must(t, os.MkdirAll(to, 0o755))
	cmd := exec.Command("sh", "-ec", `git ls-files -z -co --exclude-standard | tar -c --null -T - | tar -x -C "$1"`, "sh", to)
	cmd.Dir = ".."
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("copy the source: %v\n%s", err, out)
	}
}

// TestVersion runs the script that finds the version, in repositories made for it.
func TestVersion(t *testing.T) {
	script, err := filepath.Abs("version")
	must(t, err)
	dir := t.TempDir()
	in := func(command string) string {
		t.Helper()
		cmd := exec.Command("sh", "-ec", command, "sh", script)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GIT_CEILING_DIRECTORIES="+filepath.Dir(dir), "GIT_CONFIG_GLOBAL=/dev/null",
			"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@b", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@b",
			"GIT_AUTHOR_DATE=1700000000 +0000", "GIT_COMMITTER_DATE=1700000000 +0000")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", command, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	commit := "git commit -q --allow-empty -m x; "
	head := func() string { return in("git rev-parse --short=7 HEAD") }
	if got := in(`sh "$1"`); got != "0.0.0" {
		t.Errorf("without a repository: %q", got)
	}
	if got, want := in("git init -q; "+commit+commit+`sh "$1"`), "0.0.0+2.g"+head(); got != want {
		t.Errorf("without a tag: %q, want %q", got, want)
	}
	if got := in(`git tag v1.2.0; sh "$1"`); got != "1.2.0" {
		t.Errorf("at a tag: %q", got)
	}
	if got, want := in(commit+`sh "$1"`), "1.2.0+1.g"+head(); got != want {
		t.Errorf("behind a tag: %q, want %q", got, want)
	}
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	must(t, err)
	return b
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
