package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"maps"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/spf13/pflag"

	"github.com/lockstep-sync/lockstep/cmd/internal/agent"
	"github.com/lockstep-sync/lockstep/syncer"
	"github.com/lockstep-sync/lockstep/syncer/filter"
)

// options are those that lockstep has, as they are written.
func options() map[string]bool {
	s := agent.Defaults()
	fs := pflag.NewFlagSet("", pflag.ContinueOnError)
	addFlags(fs, &s)
	names := map[string]bool{"--help": true, "-h": true, "--version": true, "-V": true}
	fs.VisitAll(func(f *pflag.Flag) {
		names[written(f)] = true
		if f.Shorthand != "" {
			names["-"+f.Shorthand] = true
		}
	})
	return names
}

// TestRsyncOptions: each option that rsync's help names is ours too, or is refused as
// rsync's; and none is both.
func TestRsyncOptions(t *testing.T) {
	requireRsync(t)
	have := options()
	out, err := exec.Command("rsync", "--help").Output()
	must(t, err)
	n := 0
	for line := range strings.Lines(string(out)) {
		if !strings.HasPrefix(line, "-") {
			continue
		}
		names, _, _ := strings.Cut(line, "  ") // what it does stands behind
		for name := range strings.FieldsFuncSeq(names, func(r rune) bool { return r == ',' || r == ' ' }) {
			name, _, _ = strings.Cut(name, "=")
			if !strings.HasPrefix(name, "-") || name == "--no-OPTION" {
				continue
			}
			n++
			if !have[name] && !rsyncOption(name) {
				t.Errorf("%q is called unknown", name)
			}
		}
	}
	if n < 150 {
		t.Errorf("only %d options found in:\n%s", n, out)
	}
	for name := range have {
		if rsyncOption(name) && name != "-h" {
			t.Errorf("%q is called unsupported", name)
		}
	}
}

// TestExplain: rsync's options get the word that helps, all others are unknown.
func TestExplain(t *testing.T) {
	for arg, want := range map[string]string{
		"--compress":       "option --compress of rsync is not supported by this version of lockstep",
		"--bwlimit=3":      "option --bwlimit of rsync is not supported by this version of lockstep",
		"--no-compress":    "option --no-compress of rsync is not supported by this version of lockstep",
		"--no-z":           "option --no-z of rsync is not supported by this version of lockstep",
		"--no-inc-recurse": `unknown option "--no-inc-recurse"`,
		"--no-foo":         `unknown option "--no-foo"`,
		"--x\ny":           `unknown option "--x\ny"`,
		"-avz":             "option -z of rsync is not supported by this version of lockstep",
		"-ah":              "option -h of rsync is not supported by this version of lockstep",
		"-@2":              "option -@ of rsync is not supported by this version of lockstep",
		"-Z":               `unknown option "-Z"`,
		"-vD=x":            "-D: it takes no value",
		"--exclude":        "--exclude: a value is missing",
		"--port=":          `--port: "" is no port`,
	} {
		_, _, err := parse([]string{arg}, io.Discard)
		if err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", arg, err, want)
		}
	}
}

// TestParse: the settings that command lines make.
func TestParse(t *testing.T) {
	type settings = agent.Settings
	for line, change := range map[string]func(*settings){
		"":                 func(*settings) {},
		"-a":               func(*settings) {},
		"-rlptgoD":         func(*settings) {},
		"-a --no-p":        func(s *settings) { s.Perms = false },
		"--no-p -a":        func(*settings) {},
		"--no-a -rt":       func(s *settings) { s.Options = syncer.Defaults(); s.Recurse, s.Times = true, true },
		"--no-archive":     func(s *settings) { s.Options = syncer.Defaults() },
		"-r --no-r":        func(s *settings) { s.Recurse = false },
		"--no-r -r":        func(*settings) {},
		"--no-D --devices": func(s *settings) { s.Specials = false },
		"-D --no-specials": func(s *settings) { s.Specials = false },
		"-vvv":             func(s *settings) { s.Verbose = 3 },
		"-niqcWx": func(s *settings) {
			s.DryRun, s.Itemize, s.Quiet, s.Checksum, s.WholeFile, s.OneFileSystem = true, true, true, true, true, true
		},
		"-W --no-W":             func(*settings) {},
		"--del":                 func(s *settings) { s.Delete = true },
		"--delete --max-delete": nil,
		"--max-delete=0":        func(s *settings) { s.MaxDelete = 0 },
		"--max-delete=-7":       func(s *settings) { s.MaxDelete = 0 },
		"--max-delete 9":        func(s *settings) { s.MaxDelete = 9 },
		"--timeout=30":          func(s *settings) { s.Timeout, s.TimeoutGiven = 30*time.Second, true },
		"--timeout=0":           func(s *settings) { s.TimeoutGiven = true },
		"--contimeout 1m30s":    func(s *settings) { s.ConTimeout, s.ConGiven = 90*time.Second, true },
		"--timeout=1e3":         nil,
		"--settle=0s":           func(s *settings) { s.Settle = 0 },
		"--max-delay=2s":        func(s *settings) { s.MaxDelay = 2 * time.Second },
		"--grace=1m":            func(s *settings) { s.Grace = time.Minute },
		"--port 8873":           func(s *settings) { s.Port = 8873 },
		"--port 0x1":            nil,
		"--numeric-ids --stats": func(s *settings) { s.NumericIDs, s.Stats = true, true },
	} {
		// A name among the options: it must not end them.
		got, _, err := parse(append(append([]string{"src"}, strings.Fields(line)...), "dst"), io.Discard)
		if change == nil {
			if err == nil {
				t.Errorf("%q is taken", line)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", line, err)
			continue
		}
		want := agent.Defaults()
		want.Source, want.Target = "src", "dst"
		change(&want)
		if diff := cmp.Diff(want, *got, cmpopts.IgnoreUnexported(filter.Builder{})); diff != "" {
			t.Errorf("%q (-want +got):\n%s", line, diff)
		}
	}
}

// TestUsage: the help names every option and every exit code there is, no other, and fits
// a terminal.
func TestUsage(t *testing.T) {
	for i, line := range strings.Split(usage, "\n") {
		if n := utf8.RuneCountInString(line); n > 92 || strings.TrimRight(line, " ") != line || strings.Contains(line, "\t") {
			t.Errorf("line %d has %d columns, a tab, or blanks at its end: %q", i+1, n, line)
		}
	}
	d := agent.Defaults()
	for _, number := range []string{
		"sent (default " + d.Settle.String(), "wait (default " + d.MaxDelay.String(), "pending (default " + d.Grace.String(),
		"default " + d.LogLevel, "default " + d.LogFormat, fmt.Sprint("default ", syncer.DefaultPort),
		fmt.Sprint("with --watch ", agent.DefaultWatchTimeout.Seconds()), fmt.Sprint("with --watch ", agent.DefaultConTimeout.Seconds()),
	} {
		if !strings.Contains(usage, number) {
			t.Errorf("the help does not say %q", number)
		}
	}
	head, codes, ok := strings.Cut(usage, "\nExit codes")
	if !ok {
		t.Fatal("no exit codes")
	}
	var told []int
	for _, m := range regexp.MustCompile(`(?m)^ +(\d+)  \S`).FindAllStringSubmatch(codes, -1) {
		n, err := strconv.Atoi(m[1])
		must(t, err)
		told = append(told, n)
	}
	if diff := cmp.Diff(exitCodes(t), told); diff != "" {
		t.Errorf("exit codes (-package report +help):\n%s", diff)
	}

	named := map[string]bool{}
	for _, m := range regexp.MustCompile(`(^|[\s(,])(--?[a-zA-Z][a-z-]*)`).FindAllStringSubmatch(head, -1) {
		named[m[2]] = true
	}
	// "-n -i" of the example and "no-OPTION" are no new names.
	delete(named, "--no-")
	have := options()
	for name := range have {
		if long := "--" + strings.TrimPrefix(name, "--no-"); strings.HasPrefix(name, "--no-") && (named[long] || len(long) == 3) {
			continue // every option that has a "--no-" form is told to have it
		}
		if !named[name] && name != "--del" && name != "--no-archive" {
			t.Errorf("the help does not name %s", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(named)) {
		if !have[name] && name != "-rlpt" && name != "-rlptgo" {
			t.Errorf("the help names %s, which is unknown", name)
		}
	}
}

// exitCodes are the constants of type Code in package report, which cannot be imported here.
func exitCodes(t *testing.T) []int {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../../syncer/internal/report/failure.go", nil, 0)
	must(t, err)
	var codes []int
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if id, ok := spec.Type.(*ast.Ident); !ok || id.Name != "Code" {
			return true
		}
		for _, v := range spec.Values {
			code, err := strconv.Atoi(v.(*ast.BasicLit).Value)
			must(t, err)
			codes = append(codes, code)
		}
		return true
	})
	slices.Sort(codes)
	return codes
}
