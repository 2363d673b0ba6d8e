package watcher

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// TestScripts runs each testdata/*.txt. A line is one or more commands separated by "; ", done at
// once; the indented lines below it are the changes it must give, no more and no less:
// flags (T Tree, C Content, - none; a small letter leaves it to timing) and a path. Paths are below the root, ../out is outside;
// a "quoted" one may hold any byte. Before the first command, "exclude NAME" leaves out a base
// name, "exclude NAME/" a directory's, and "before COMMAND" runs before the watcher does.
func TestScripts(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			runScript(t, file)
		})
	}
}

// step is one line of commands and the changes expected.
type step struct {
	line string
	want []string
}

func runScript(t *testing.T, file string) {
	dir := t.TempDir()
	root := filepath.Join(dir, "root")
	mkdir(t, root)
	mkdir(t, filepath.Join(dir, "out"))
	steps, excluded := parseScript(t, file, root)
	h := start(t, Config{Root: root, Excluded: func(path string, isDir bool) bool {
		base := filepath.Base(path)
		return excluded[base] || isDir && excluded[base+"/"]
	}})
	for _, s := range steps {
		for command := range strings.SplitSeq(s.line, "; ") {
			if err := runCommand(root, command); err != nil {
				t.Fatalf("%s: %v", command, err)
			}
		}
		h.sync()
		got := render(h.take())
		if !slices.EqualFunc(s.want, got, matches) {
			t.Errorf("%s (-want +got):\n%s", s.line, cmp.Diff(s.want, got))
		}
	}
}

func parseScript(t *testing.T, file, root string) (steps []step, excluded map[string]bool) {
	text, err := os.ReadFile(file)
	must(t, err)
	excluded = make(map[string]bool)
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, "\n")
		before, isBefore := strings.CutPrefix(line, "before ")
		name, isExclude := strings.CutPrefix(line, "exclude ")
		switch {
		case strings.TrimSpace(line) == "" || line[0] == '#':
		case isExclude:
			excluded[name] = true
		case isBefore:
			must(t, runCommand(root, before))
		case line[0] == '\t':
			s := &steps[len(steps)-1]
			s.want = append(s.want, line[1:])
			slices.SortFunc(s.want, byPath)
		default:
			steps = append(steps, step{line: line})
		}
	}
	return steps, excluded
}

// render shows changes as scripts write them, without those that another one covers.
func render(changes map[string]Change) (lines []string) {
	for _, c := range changes {
		if coveredIn(changes, c) {
			continue
		}
		flags := ""
		if c.Tree {
			flags += "T"
		}
		if c.Content {
			flags += "C"
		}
		if flags == "" {
			flags = "-"
		}
		path := c.Path
		if q := strconv.Quote(path); q != `"`+path+`"` || strings.Contains(path, " ") {
			path = q
		}
		lines = append(lines, flags+" "+path)
	}
	slices.SortFunc(lines, byPath)
	return lines
}

// byPath orders rendered changes without regard to their flags.
func byPath(a, b string) int {
	_, pa, _ := strings.Cut(a, " ")
	_, pb, _ := strings.Cut(b, " ")
	return strings.Compare(pa, pb)
}

// matches compares a change with what a script wants.
func matches(want, got string) bool {
	must, _, _ := strings.Cut(want, " ")
	have, _, _ := strings.Cut(got, " ")
	for _, flag := range []string{"T", "C"} {
		has := strings.Contains(have, flag)
		optional := strings.Contains(must, strings.ToLower(flag))
		if !optional && has != strings.Contains(must, flag) {
			return false
		}
	}
	return byPath(want, got) == 0
}

// coveredIn is the dumbest version of changeSet.covered.
func coveredIn(changes map[string]Change, c Change) bool {
	for _, a := range slices.Collect(maps.Values(changes)) {
		below := a.Path != c.Path && (a.Path == "." || strings.HasPrefix(c.Path, a.Path+"/"))
		if below && a.Tree && (a.Content || !c.Content) {
			return true
		}
	}
	return false
}

func runCommand(root, command string) error {
	words, err := splitWords(command)
	if err != nil {
		return err
	}
	args := words[1:]
	at := func(i int) string { return root + "/" + args[i] }
	switch words[0] {
	case "mkdir":
		return os.MkdirAll(at(0), 0o755)
	case "write":
		return os.WriteFile(at(0), []byte(args[1]), 0o644)
	case "rewrite": // same size, same mtime, same inode
		return rewrite(at(0))
	case "append":
		return appendFile(at(0), args[1])
	case "rm":
		return os.RemoveAll(at(0))
	case "mv":
		return unix.Rename(at(0), at(1)) // os.Rename refuses to replace a directory
	case "exchange":
		return unix.Renameat2(unix.AT_FDCWD, at(0), unix.AT_FDCWD, at(1), unix.RENAME_EXCHANGE)
	case "link":
		return os.Link(at(0), at(1))
	case "symlink":
		return os.Symlink(args[0], at(1))
	case "mkfifo":
		return unix.Mkfifo(at(0), 0o600)
	case "chmod":
		mode, err := strconv.ParseUint(args[1], 8, 32)
		return errors.Join(err, os.Chmod(at(0), fs.FileMode(mode)))
	case "touch":
		return os.Chtimes(at(0), time.Unix(1, 0), time.Unix(1, 0))
	case "truncate":
		return os.Truncate(at(0), 0)
	}
	return fmt.Errorf("unknown command %q", words[0])
}

func splitWords(s string) (words []string, err error) {
	for s = strings.TrimSpace(s); s != ""; s = strings.TrimSpace(s) {
		word, _, _ := strings.Cut(s, " ")
		raw := word
		if s[0] == '"' {
			if raw, err = strconv.QuotedPrefix(s); err != nil {
				return nil, err
			}
			if word, err = strconv.Unquote(raw); err != nil {
				return nil, err
			}
		}
		words, s = append(words, word), s[len(raw):]
	}
	return words, nil
}

func appendFile(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// rewrite changes a file's bytes and nothing that lstat shows but ctime.
func rewrite(path string) error {
	st, err := os.Stat(path)
	if err != nil {
		return err
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	for i := range b {
		b[i]++
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Close(), os.Chtimes(path, st.ModTime(), st.ModTime()))
}
