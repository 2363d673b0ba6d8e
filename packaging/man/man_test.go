package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/lockstep-sync/lockstep/packaging/internal/helptext"
)

var program, pages string // lockstep, and the directory of its pages

func TestMain(m *testing.M) { os.Exit(withPages(m)) }

func withPages(m *testing.M) int {
	dir, err := os.MkdirTemp("", "man")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	program, pages = filepath.Join(dir, "bin", "lockstep"), filepath.Join(dir, "pages")
	os.Setenv("SOURCE_DATE_EPOCH", "1700000000")
	build := exec.Command("go", "build", "-o", program, "github.com/lockstep-sync/lockstep/cmd/lockstep")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		return 1
	}
	if err := os.Mkdir(pages, 0o755); err != nil {
		panic(err)
	}
	if err := run(program, "../../docs/config.md", pages); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

func written(t *testing.T) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(pages, "*.[15]"))
	if err != nil || len(all) < 6 {
		t.Fatalf("pages %q, %v", all, err)
	}
	return all
}

// TestLint: mandoc and groff find nothing to complain about.
func TestLint(t *testing.T) {
	for _, tool := range [][]string{{"mandoc", "-T", "lint", "-W", "warning"}, {"groff", "-man", "-wall", "-Tutf8"}} {
		if _, err := exec.LookPath(tool[0]); err != nil {
			t.Errorf("%s is missing: make deps installs it", tool[0])
			continue
		}
		for _, file := range written(t) {
			cmd := exec.Command(tool[0], append(tool[1:], file)...)
			var complaints strings.Builder
			cmd.Stderr = &complaints
			if tool[0] == "mandoc" {
				cmd.Stdout = &complaints
			}
			if err := cmd.Run(); err != nil || complaints.Len() > 0 {
				t.Errorf("%s %s: %v\n%s", tool[0], filepath.Base(file), err, complaints.String())
			}
		}
	}
}

// rendered is a page as it is read, in so many columns, as words.
func rendered(t *testing.T, file string, columns int) []string {
	t.Helper()
	cmd := exec.Command("mandoc", "-T", "utf8", "-O", fmt.Sprintf("width=%d", columns), file)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("mandoc %s: %v", file, err)
	}
	return strings.Split(regexp.MustCompile(".\b").ReplaceAllString(string(out), ""), "\n")
}

// TestWidth: in a terminal of 80 columns no line of a command's page is longer.
func TestWidth(t *testing.T) {
	for _, file := range written(t) {
		for _, line := range rendered(t, file, 78) {
			if len([]rune(line)) > 80 {
				t.Errorf("%s: %q", filepath.Base(file), line)
			}
		}
	}
}

// TestNothingLost: each word of a help text is in its page, as it was written.
func TestNothingLost(t *testing.T) {
	all, err := helptext.Read(program)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		name, args := "lockstep.1", []string{"--help"}
		if p.Verb != "" {
			name, args = "lockstep-"+p.Verb+".1", []string{p.Verb, "--help"}
		}
		out, err := exec.Command(program, args...).Output()
		if err != nil {
			t.Fatal(err)
		}
		page := map[string]int{}
		for _, w := range words(strings.Join(rendered(t, filepath.Join(pages, name), 200), "\n")) {
			page[w]++
		}
		for _, w := range words(string(out)) {
			if page[w]--; page[w] < 0 && !structure[w] && !slices.Contains(p.Names, w) {
				t.Errorf("%s lacks %q, or one of them", name, w)
			}
		}
	}
}

// structure is words that a page says in another way: as headings, or a hyphen between lockstep and a verb.
var structure = map[string]bool{"usage": true, "exit": true, "codes": true, "lockstep": true, "as": true, "in": true}

// words are what stands between spaces, without the punctuation around it.
func words(text string) []string {
	var all []string
	for _, w := range strings.Fields(text) {
		w = strings.TrimFunc(w, func(r rune) bool {
			return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("-/%@*$", r)
		})
		w = strings.ToLower(strings.TrimPrefix(w, documents))
		if w != "" && w != "-" {
			all = append(all, w)
		}
	}
	return all
}

// TestOtherNames: a verb that shares a page has one by its own name.
func TestOtherNames(t *testing.T) {
	if to, err := os.Readlink(filepath.Join(pages, "lockstep-resync.1")); err != nil || to != "lockstep-status.1" {
		t.Errorf("lockstep-resync.1 is a link to %q, %v", to, err)
	}
}

func TestEscaped(t *testing.T) {
	for in, want := range map[string]string{
		"a back\\slash":          `a back\eslash`,
		"it's '*.log=30s'":       `it's \(aq*.log=30s\(aq`,
		"--no-tune, well-known":  `\-\-no\-tune, well-known`,
		"x-y (a/b-c) 2023-11-14": `x-y (a/b\-c) 2023\-11\-14`,
		"OPTION… ~/^":            `OPTION\[u2026] \(ti/\(ha`,
	} {
		if got := escaped(in); got != want {
			t.Errorf("escaped(%q) = %q, want %q", in, got, want)
		}
	}
}

// TestMarkdown writes a document that has each kind of block.
func TestMarkdown(t *testing.T) {
	m := newPage("x", "5", "2023-11-14", "lockstep 1", "m")
	start := m.b.Len()
	err := blocks(m, strings.Split(`
## One *thing*

A paragraph with **bold**, `+"`code - here`"+`, a [link](other.md) and
[another](https://example.com/).
- first
  of two
- .second

    indented:
      code

### Sub
`+"```yaml"+`
a: 'b'

c: d
`+"```"+`
| key | type | meaning |
| --- | --- | --- |
| `+"`a`"+` | time | how \| long |
<!-- not
this -->
The end.`, "\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := `.SH "ONE *THING*"
A paragraph with \fBbold\fR, \fBcode \- here\fR, a link and another
<https://example.com/>.
.IP \(bu 3
first of two
.IP \(bu 3
.second
.PP
.RS 4
.nf
indented:
  code
.fi
.RE
.SS "Sub"
.RS 4
.nf
a: \(aqb\(aq

c: d
.fi
.RE
.TP
\fBa\fR
how | long (type: time)
.PP
The end.
`
	want = strings.Replace(want, "\n.second", "\n\\&.second", 1)
	if got := m.b.String()[start:]; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if err := blocks(m, []string{"", "```", "code"}); err == nil {
		t.Error("code without an end is taken")
	}
}

// TestDocuments: all documents of the repository can be written, whatever one of them will be used for.
func TestDocuments(t *testing.T) {
	all, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(all) == 0 {
		t.Fatalf("%q, %v", all, err)
	}
	for _, document := range all {
		text, err := configPage(document, schema{}, about{"2023-11-14", "1"})
		if err != nil {
			t.Error(err)
			continue
		}
		cmd := exec.Command("mandoc", "-T", "lint", "-W", "warning")
		cmd.Stdin = strings.NewReader(text)
		if out, err := cmd.CombinedOutput(); err != nil && !strings.Contains(string(out), "empty") {
			t.Errorf("%s: %v\n%s", document, err, out)
		}
	}
}
