package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var lockstep, files string // the program, and the directory of its completions

func TestMain(m *testing.M) { os.Exit(withFiles(m)) }

func withFiles(m *testing.M) int {
	dir, err := os.MkdirTemp("", "completions")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	lockstep, files = filepath.Join(dir, "bin", "lockstep"), dir
	build := exec.Command("go", "build", "-o", lockstep, "github.com/lockstep-sync/lockstep/cmd/lockstep")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		return 1
	}
	if err := run(lockstep, files); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// TestOptions asks the program about each option that is completed: it takes a value as we say, or none. One
// that takes a value takes --help for it.
func TestOptions(t *testing.T) {
	all, _, err := commands(lockstep)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range all {
		for _, o := range c.options {
			if takesAll[c.name] && slices.ContainsFunc(all[0].options, func(x option) bool { return x.long+x.short == o.long+o.short }) &&
				o.long != "exclude" {
				continue // it was asked about; one of them stands for all that they are taken
			}
			for _, flag := range o.flags() {
				if flag == "-h" || flag == "--help" { // -h alone is help, whatever it is beside others
					continue
				}
				if bare := accepted(c.name, flag); bare != (o.takes == nothing || o.optional) {
					t.Errorf("lockstep %s %s stands without a value: %v", c.name, flag, bare)
				}
			}
			for _, word := range o.words {
				if !accepted(c.name, "--"+o.long+"="+word) {
					t.Errorf("lockstep %s takes no --%s=%s", c.name, o.long, word)
				}
			}
		}
	}
}

// accepted says whether the program takes an option, and help behind it. Some options of lockstep events are
// for --summary only, some for all else.
func accepted(verb, flag string) bool {
	var args []string
	if verb != "" {
		args = append(args, verb)
	}
	helped := func(args ...string) bool { return exec.Command(lockstep, args...).Run() == nil }
	return helped(append(args, flag, "--help")...) || verb == "events" && helped(append(args, "--summary", flag, "--help")...)
}

func TestShort(t *testing.T) {
	for in, want := range map[string]string{
		"by content": "by content",
		"how long a path must be quiet before it is sent (default 5ms)":               "how long a path must be quiet before it is sent",
		"a filter rule, as \"- *.tmp\"; the first rule that counts":                   "a filter rule, as \"- *.tmp\"",
		"inotify (a watch for each directory), fanotify (one mark for a file system)": "inotify (a watch for each directory), fanotify (one mark…",
	} {
		if got := short(in); got != want {
			t.Errorf("short(%q) = %q, want %q", in, got, want)
		}
	}
}

// asked is a line as it was typed up to the Tab, and what is among the answers, or is not.
var asked = []struct {
	line     string
	has, not []string
}{
	{"lockstep che", []string{"check-path"}, []string{"status", "--checksum"}},
	{"lockstep ", []string{"status", "events", "tree/"}, nil},
	{"lockstep --watch-b", []string{"--watch-backend="}, []string{"--watch"}},
	{"lockstep --log-level=w", []string{"warn"}, []string{"info", "warn.txt"}},
	{"lockstep --no-per", []string{"--no-perms"}, nil},
	{"lockstep --password-file=ser", []string{"server.pass"}, []string{"tree/"}},
	{"lockstep --state-dir=", []string{"tree/"}, []string{"server.pass"}},
	{"lockstep --delete --watch tree/ tr", []string{"tree/"}, []string{"status"}},
	{"lockstep events --e", []string{"--exclude=", "--event="}, []string{"--existing"}},
	{"lockstep events -e close_w", []string{"close_write"}, nil},
	{"lockstep status --", []string{"--json"}, []string{"--watch"}},
	{"lockstep sysctl ", []string{"tree/"}, []string{"server.pass", "status"}},
	{"lockstep check-path --cvs", []string{"--cvs-exclude"}, nil},
}

// TestShells types the lines into each shell.
func TestShells(t *testing.T) {
	for shell, complete := range map[string]func(*testing.T, string, []string) [][]string{
		"bash": inBash, "zsh": inZsh, "fish": inFish,
	} {
		t.Run(shell, func(t *testing.T) {
			t.Parallel()
			if _, err := exec.LookPath(shell); err != nil {
				t.Skipf("%s is missing: make deps installs it", shell)
			}
			dir := t.TempDir()
			for _, err := range []error{
				os.Mkdir(filepath.Join(dir, "tree"), 0o755),
				os.WriteFile(filepath.Join(dir, "server.pass"), nil, 0o600),
			} {
				if err != nil {
					t.Fatal(err)
				}
			}
			var lines []string
			for _, a := range asked {
				lines = append(lines, a.line)
			}
			for i, answers := range complete(t, dir, lines) {
				a, got := asked[i], answers
				for _, want := range a.has {
					if !slices.Contains(got, want) && !slices.Contains(got, strings.TrimRight(want, "=/")) {
						t.Errorf("%q gives %q, without %q", a.line, got, want)
					}
				}
				for _, wrong := range a.not {
					if slices.Contains(got, wrong) || slices.Contains(got, strings.TrimRight(wrong, "=/")) {
						t.Errorf("%q gives %q, with %q", a.line, got, wrong)
					}
				}
			}
		})
	}
}

// output runs a shell in dir, with the program in its PATH and none of the user's files.
func output(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HOME="+dir, "PATH="+filepath.Dir(lockstep)+":"+os.Getenv("PATH"), "TERM=dumb", "FILES="+files)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%q: %v\n%s", args, err, out)
	}
	return string(out)
}

const bashCompletion = "/usr/share/bash-completion/bash_completion"

// inBash does what bash does for a Tab: it cuts the line at spaces, "=" and ":", and calls the function.
func inBash(t *testing.T, dir string, lines []string) [][]string {
	if _, err := os.Stat(bashCompletion); err != nil {
		t.Skipf("bash-completion is missing: make deps installs it")
	}
	var all [][]string
	for _, line := range lines {
		out := output(t, dir, "bash", "--norc", "-c", `
			. `+bashCompletion+` && . "$FILES/lockstep" || exit 1
			COMP_LINE=$1 COMP_POINT=${#1} COMP_WORDS=() rest=$1
			while [[ $rest =~ ^([^=:\ ]*)(=|:|\ +|$) && -n $rest ]]; do
				[[ -z ${BASH_REMATCH[1]} ]] || COMP_WORDS+=("${BASH_REMATCH[1]}")
				[[ ${BASH_REMATCH[2]} != [=:] ]] || COMP_WORDS+=("${BASH_REMATCH[2]}")
				rest=${rest:${#BASH_REMATCH[0]}}
			done
			[[ $1 != *' ' ]] || COMP_WORDS+=("")
			COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
			compopt() { :; } # it is for an interactive shell
			_lockstep lockstep "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
			printf '%s\n' "${COMPREPLY[@]}"
		`, "bash", line)
		all = append(all, strings.Fields(out))
	}
	return all
}

func inFish(t *testing.T, dir string, lines []string) [][]string {
	var all [][]string
	for _, line := range lines {
		var answers []string
		word := line[strings.LastIndex(line, " ")+1:]
		option := word[:strings.LastIndex(word, "=")+1] // fish repeats it in front of a value
		for answer := range strings.Lines(output(t, dir, "fish", "--no-config", "-c", `source "$FILES/lockstep.fish"; complete -C $argv[1]`, line)) {
			answer, _, _ = strings.Cut(strings.TrimSpace(answer), "\t") // the description
			answers = append(answers, strings.TrimPrefix(answer, option))
		}
		all = append(all, answers)
	}
	return all
}

// inZsh types into an interactive zsh that tells what compadd, which takes the answers, is given.
func inZsh(t *testing.T, dir string, lines []string) [][]string {
	out := output(t, dir, append([]string{"zsh", "-f", "-c", `
		zmodload zsh/zpty
		zpty z zsh -f -i
		zpty -w z 'PROMPT=; stty -echo; fpath=($FILES $fpath); autoload -Uz compinit; compinit -u -D
			compadd() {
				local -a given; local i
				if [[ ${@[1,(i)(-|--)]} == *-(O|A|D)\ * ]]; then builtin compadd "$@"; return; fi
				builtin compadd -A given "$@"
				for i in $given; do print -r -- $'\''\n'\''"answer:$i"; done
				builtin compadd "$@"
			}
			tab() { _main_complete; compstate[insert]=; compstate[list]=; print -r -- $'\''\n'\''"answers""-end" }
			zle -C tab complete-word tab; bindkey "^I" tab; print "set""-up"'
		zpty -r z got '*set-up*' >/dev/null
		for line; do
			zpty -w -n z $'\C-u'"$line"$'\t'
			zpty -r z got '*answers-end*'
			print -r -- $got
		done
		zpty -d z
	`, "zsh"}, lines...)...)
	all := [][]string{nil}
	for line := range strings.Lines(out) {
		line = strings.TrimSpace(line)
		if answer, ok := strings.CutPrefix(line, "answer:"); ok {
			all[len(all)-1] = append(all[len(all)-1], answer)
		} else if line == "answers-end" {
			all = append(all, nil)
		} else if strings.Contains(line, "_lockstep") || strings.Contains(line, "bad option") {
			t.Errorf("zsh says %q", line)
		}
	}
	return all[:len(all)-1]
}
