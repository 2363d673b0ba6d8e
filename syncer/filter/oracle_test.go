package filter

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

// The real rsync is the judge: the tests in this file give it and the package the same rules.

var oracleCases = flag.Int("filter.cases", 8, "random trees to compare with the real rsync")

// needRsync returns the program. A missing one is a failure, so that CI cannot pass without it.
func needRsync(t *testing.T) string {
	t.Helper()
	syncertest.SkipUnderRace(t, "the package has no goroutines, and the program's are not ours")
	if testing.Short() {
		t.Skip("compares with the real rsync; not in -short")
	}
	program, err := exec.LookPath("rsync")
	if err != nil {
		t.Fatalf("this test compares with the real rsync: %v; install it or use -short", err)
	}
	return program
}

// runRsync returns what rsync prints, one line an element, and whether it succeeded.
func runRsync(t *testing.T, program string, args ...string) ([]string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, stderr.String())
	}
	return strings.Split(stdout.String(), "\n"), nil
}

var escapedByte = regexp.MustCompile(`\\#[0-7]{3}`)

// unescape turns a name as rsync prints it into its bytes.
func unescape(printed string) string {
	return escapedByte.ReplaceAllStringFunc(printed, func(s string) string {
		n, _ := strconv.ParseUint(s[2:], 8, 8) // the expression lets nothing else through
		return string([]byte{byte(n)})
	})
}

func TestLikeRsync(t *testing.T) {
	program := needRsync(t)
	for i := range *oracleCases {
		t.Run(fmt.Sprintf("seed%d", i), func(t *testing.T) {
			t.Parallel()
			compareWithRsync(t, program, uint64(i))
		})
	}
}

// TestPatternsLikeRsync compares patternTests, and what stands above those paths, with the program.
func TestPatternsLikeRsync(t *testing.T) {
	program := needRsync(t)
	for i, test := range patternTests {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			t.Parallel()
			rules := mustList(t, "- "+test.pattern)
			for _, tr := range pack(append(slices.Clone(test.yes), test.no...)) {
				src := t.TempDir()
				tr.write(t, src)
				args := []string{"-rn8", "--out-format=%o|%n|", "--filter=- " + test.pattern, src + "/", src + "/none"}
				lines, err := runRsync(t, program, args...)
				if err != nil {
					t.Fatal(err)
				}
				want, _ := parseRun(t, lines)
				if diff := cmp.Diff(want, tr.sent(rules), cmpopts.EquateEmpty()); diff != "" {
					t.Errorf("pattern %q: sent (-rsync +filter):\n%s", test.pattern, diff)
				}
			}
		})
	}
}

// TestSyntaxLikeRsync compares which rules are understood. What they mean is left to TestLikeRsync.
func TestSyntaxLikeRsync(t *testing.T) {
	program := needRsync(t)
	dir := t.TempDir()
	g := &generator{Rand: rand.New(rand.NewPCG(1, 2)), dir: dir}
	for range 10 * *oracleCases {
		o := option{name: pick(g, "filter", "filter", "filter", "filter", "exclude", "include"), value: g.syntax()}
		if g.IntN(4) == 0 {
			// A space behind a rule's name is a matter of TestWordsUnlikeRsync.
			modifiers := pick(g, "", "-", "+", "w", "w", "C", "s", "e-", "/p", "n+w", "r")
			o = option{name: "filter", value: "." + modifiers + " " + filepath.Join(dir, "rules")}
			for range 1 + g.IntN(3) {
				line := g.syntax()
				if strings.ContainsAny(modifiers, "w") {
					line = strings.ReplaceAll(line, " ", "_")
				}
				o.lines += line + pick(g, "\n", "\n", "\r\n", "\r", "\t", " ")
			}
			if err := os.WriteFile(filepath.Join(dir, "rules"), []byte(o.lines), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		_, err := build([]option{o})
		_, rsyncErr := runRsync(t, program, "-rn", o.arg(), dir+"/", dir+"/none")
		if (err != nil) != (rsyncErr != nil) {
			t.Errorf("rule %v:\nwe say     %v\nrsync says %v", o, err, rsyncErr)
		}
	}
}

// syntax returns something like a rule.
func (g *generator) syntax() string {
	var text strings.Builder
	text.WriteString(pick(g, "+", "-", "!", "H", "S", "P", "R", ".", "exclude", "include", "clear", "hide", "show", "protect", "risk",
		"merge", ":", ":", "dir-merge", "#", ";", "x", "", "Hide", "excluded"))
	for range g.IntN(5) {
		text.WriteString(pick(g, ",", " ", "_", "/", "!", "s", "r", "p", "x", "e", "n", "w", "-", "+", "a", "\t"))
	}
	text.WriteString(pick(g, "", "", " ", "_", " a", "_a", " /a"))
	return text.String()
}

// TestWordsUnlikeRsync holds the one difference in syntax: rsync(1) says of a merge file of words that
// "- foo + bar" are two rules, rsync 3.5.0 ends a rule at that space and then misses its pattern. We do
// what the manual says. If rsync learns it, this test tells.
func TestWordsUnlikeRsync(t *testing.T) {
	program := needRsync(t)
	dir := t.TempDir()
	o := option{name: "filter", value: ".w " + filepath.Join(dir, "rules"), lines: "- foo + bar"}
	if err := os.WriteFile(filepath.Join(dir, "rules"), []byte(o.lines), 0o600); err != nil {
		t.Fatal(err)
	}
	rules, err := build([]option{o})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"- foo", "+ bar"}, wire(rules)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, err := runRsync(t, program, "-rn", o.arg(), dir+"/", dir+"/none"); err == nil {
		t.Error("this rsync accepts it as well: remove the remark, and the exception in TestSyntaxLikeRsync")
	}
}

func compareWithRsync(t *testing.T, program string, seed uint64) {
	dir := t.TempDir()
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 1)), dir: dir}
	source, target := tree{}, tree{}
	source.grow(g, "", 0)
	target.grow(g, "", 0)
	src, dst := filepath.Join(dir, "src"), filepath.Join(dir, "dst")
	source.write(t, src)

	for range 5 {
		if err := os.RemoveAll(dst); err != nil {
			t.Fatal(err)
		}
		target.write(t, dst)
		options := g.options(t)
		args := []string{"-rii8", "--delete", "--out-format=%o|%n|%i"}
		for _, o := range options {
			args = append(args, o.arg())
		}
		rules, err := build(options)
		lines, rsyncErr := runRsync(t, program, append(args, src+"/", dst)...)
		if (err != nil) != (rsyncErr != nil) {
			t.Fatalf("rules %v:\nwe say    %v\nrsync says %v", options, err, rsyncErr)
		}
		if err != nil {
			continue
		}
		wantSent, wantDeleted := parseRun(t, lines)
		gotSent := source.sent(rules.At(src))
		if diff := cmp.Diff(wantSent, gotSent, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("rules %v: sent (-rsync +filter):\n%s", options, diff)
		}
		gotDeleted := target.deleted(rules.At(dst), gotSent)
		if diff := cmp.Diff(wantDeleted, gotDeleted, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("rules %v: deleted (-rsync +filter):\n%s", options, diff)
		}
	}
}

// parseRun reads lines like "send|name|>f+++++++++" and "del.|dir/|*deleting". Others are remarks.
func parseRun(t *testing.T, lines []string) (sent, deleted []string) {
	t.Helper()
	root := false
	for _, line := range lines {
		if i := strings.LastIndexByte(line, '|'); i >= 0 {
			line = line[:i] // the itemized change, asked for so that unchanged names are listed as well
		}
		name, isSent := strings.CutPrefix(line, "send|")
		name, isDeleted := strings.CutPrefix(name, "del.|")
		name = strings.TrimSuffix(unescape(name), "/")
		switch {
		case isSent && name == ".":
			root = true // never excluded, whatever the rules say
		case isSent:
			sent = append(sent, name)
		case isDeleted:
			deleted = append(deleted, name)
		}
	}
	if !root {
		t.Errorf("rsync did not send the root: %q", lines)
	}
	slices.Sort(sent)
	slices.Sort(deleted)
	return sent, deleted
}
