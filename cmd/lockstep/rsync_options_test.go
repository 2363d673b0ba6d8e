package main

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/lockstep-sync/lockstep/cmd/internal/agent"
	"github.com/lockstep-sync/lockstep/cmd/internal/options"
	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

// TestRsyncOptions holds docs/rsync-options.md against the installed rsync, and the program
// against the table: each option of rsync --help has a row; what a row says is supported is
// taken, all else is refused as rsync's, with a reason.
func TestRsyncOptions(t *testing.T) {
	syncertest.NeedRsync(t)
	table := optionTable(t)
	out, err := exec.Command("rsync", "--help").Output()
	must(t, err)
	asked := 0
	for line := range strings.Lines(string(out)) {
		if !strings.HasPrefix(line, "-") {
			continue
		}
		names, _, _ := strings.Cut(line, "  ") // what it does stands behind
		for name := range strings.FieldsFuncSeq(names, func(r rune) bool { return r == ',' || r == ' ' }) {
			name, _, _ = strings.Cut(name, "=")
			if name == "(*)" {
				continue
			}
			asked++
			if _, ok := table[name]; !ok {
				t.Errorf("docs/rsync-options.md has no row for %s", name)
			}
		}
	}
	if asked < 200 || len(table) < 200 {
		t.Errorf("only %d options found in a table of %d:\n%s", asked, len(table), out)
	}
	for name, supported := range table {
		checkOption(t, name, supported)
	}
	// Other names of theirs, and those that help does not list.
	for name, want := range map[string]bool{
		"--zc": true, "--zl": true, "--i-d": true, "--no-i-d": true, "--new-compress": true, "--old-compress": true, "--implied-dirs": true,
		"--zt": false, "--cc": false, "--protect-args": false, "--daemon": true, "--server": false, "--time-limit": false, "--log-format": true,
	} {
		checkOption(t, name, want)
	}
}

// optionTable is which options of the table are supported.
func optionTable(t *testing.T) map[string]bool {
	t.Helper()
	doc, err := os.ReadFile("../../docs/rsync-options.md")
	must(t, err)
	table := map[string]bool{}
	name := regexp.MustCompile("`(--?[^`= ]+)[^`]*`")
	for line := range strings.Lines(string(doc)) {
		cells := strings.Split(strings.ReplaceAll(line, `\|`, "/"), "|")
		if len(cells) != 5 || !strings.HasPrefix(cells[1], " `-") {
			continue
		}
		verdict := regexp.MustCompile("^ (yes|no)[ :;,]").FindStringSubmatch(cells[2])
		if verdict == nil {
			t.Fatalf("neither yes nor no: %s", line)
		}
		for _, m := range name.FindAllStringSubmatch(cells[1], -1) {
			table[m[1]] = verdict[1] == "yes"
		}
	}
	return table
}

// checkOption gives an option to the parser.
func checkOption(t *testing.T, name string, supported bool) {
	t.Helper()
	if name == "--no-OPTION" {
		return
	}
	arg := name
	if v, ok := sampleValue(t, name); ok {
		arg = name + "=" + v
		if !strings.HasPrefix(name, "--") {
			arg = name + v
		}
	}
	_, _, err := parse([]string{arg, "src", "dst"}, io.Discard)
	switch {
	case supported && err != nil:
		t.Errorf("the table says that %s is supported: %v", name, err)
	case !supported && (err == nil || !strings.HasPrefix(err.Error(), "option "+name+" of rsync is not supported by this version of lockstep: ")):
		t.Errorf("the table says that %s is not supported: %v", name, err)
	}
}

// sampleValue is a value for an option that takes one.
func sampleValue(t *testing.T, name string) (string, bool) {
	t.Helper()
	s := agent.Defaults()
	l := options.New(&s)
	long := strings.TrimPrefix(name, "--")
	f := l.Flags().Lookup(long)
	if f == nil && len(name) == 2 {
		f = l.Flags().ShorthandLookup(name[1:])
	}
	if f == nil || f.NoOptDefVal != "" {
		return "", false
	}
	return valueOf(t, f), true
}

func valueOf(t *testing.T, f *pflag.Flag) string {
	t.Helper()
	if strings.HasSuffix(f.Name, "-from") {
		file := filepath.Join(t.TempDir(), "list")
		must(t, os.WriteFile(file, []byte("a\n"), 0o600))
		return file
	}
	known := map[string]string{
		"chmod": "a+r", "usermap": "a:b", "groupmap": "a:b", "chown": "a:b", "filter": "- x", "sockopts": "SO_KEEPALIVE",
		"compress-choice": "zstd", "zc": "lz4", "remote-option": "-v",
	}
	if v, ok := known[f.Name]; ok {
		return v
	}
	return "31"
}
