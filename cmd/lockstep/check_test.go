package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

// TestCheck: each target is really asked. What is wrong with one is told with it, and changes nothing anywhere.
func TestCheck(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{"good": 0o600, "bad": 0o600, "shown": 0o644} {
		password := map[string]string{"good": "sesame", "bad": "simsim", "shown": "sesame"}[name]
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(password+"\n"), mode))
	}
	for _, d := range []string{"src/sub", "empty", "module", "local"} {
		must(t, os.MkdirAll(filepath.Join(dir, d), 0o755))
	}
	must(t, os.WriteFile(dir+"/module/kept", nil, 0o644))
	users := map[string]string{"bob": "sesame"}
	d := syncertest.StartDaemon(t, syncertest.DaemonConfig{Modules: []syncertest.Module{
		{Name: "open", Path: dir + "/module"},
		{Name: "shut", Path: dir + "/module", AuthUsers: "bob", Secrets: users},
		{Name: "still", Path: dir + "/module", ReadOnly: true},
	}})
	sshd := syncertest.StartSSHD(t)
	url := func(rest string) string { return fmt.Sprintf("rsync://bob@127.0.0.1:%d/%s", d.Port(), rest) }
	for _, test := range []struct {
		target, options string
		want            string // a part of the problem; "" is none
	}{
		{url("open/"), "", ""},
		{url("open/new/"), "", ""},
		{url("shut/"), "password-file: " + dir + "/good", ""},
		{url("shut/"), "password: sesame", ""},
		{url("shut/"), "password-file: " + dir + "/bad", "auth failed"},
		{url("shut/"), "password-file: " + dir + "/shown", "must not be accessible by others"},
		{url("shut/"), "password-file: " + dir + "/none", "no such file"},
		{url("shut/"), "", "none was given"},
		{url("other/"), "", "Unknown module"},
		{url("still/"), "", "read only"},
		{"rsync://127.0.0.1:1/m/", "", "connection refused"},
		{"127.0.0.1:" + dir + "/module", "rsh: '" + sshd.Rsh() + "'", ""},
		{"127.0.0.1:" + dir + "/module", "rsync-path: no-such-rsync, rsh: '" + sshd.Rsh() + "'", "no-such-rsync"},
		{"127.0.0.1:/x", "rsh: /bin/false", "remote shell"},
		{dir + "/local", "", ""},
		{dir + "/local/new", "", ""},
		{dir + "/local/new/deep", "", "neither the target nor the directory"},
		{dir + "/local/new/deep", "mkpath: true", ""},
		{dir + "/good", "", "not a directory"},
	} {
		conf := filepath.Join(t.TempDir(), "lockstep.yaml")
		text := fmt.Sprintf("state-dir: %s/state\nsyncs:\n  - name: one\n    source: %s/src/\n    delete: true\n    targets:\n      - {to: '%s', %s}\n", dir, dir, test.target, test.options)
		must(t, os.WriteFile(conf, []byte(text), 0o600))
		code, out, errs := verb("check", "--json", "-c", conf)
		var r checkReport
		if err := json.Unmarshal([]byte(out), &r); err != nil || !r.Valid || len(r.Syncs) != 1 {
			t.Errorf("%s %s: %v: %s%s", test.target, test.options, err, out, errs)
			continue
		}
		got := r.Syncs[0].Targets[0]
		if (test.want == "") != (got.Problem == "") || !strings.Contains(got.Problem, test.want) || !got.Asked || (code == 0) != (test.want == "") || r.OK != (code == 0) {
			t.Errorf("%s %s: code %d, %+v, want %q", test.target, test.options, code, got, test.want)
		}
		if strings.Contains(out+errs, "sesame") || strings.Contains(out+errs, "simsim") {
			t.Errorf("%s shows the password:\n%s%s", test.target, out, errs)
		}
		if diff := cmp.Diff([]int{2, 2}, []int{r.Directories, r.Syncs[0].Directories}); diff != "" {
			t.Errorf("directories (-want +got):\n%s", diff)
		}
	}
	// A single file may have the target for its new name.
	conf := filepath.Join(t.TempDir(), "lockstep.yaml")
	must(t, os.WriteFile(conf, []byte(fmt.Sprintf("state-dir: none\nsyncs:\n  - source: %s/good\n    targets: [%s/bad, '%s', %s/local/]\n", dir, dir, url("open/kept"), dir)), 0o600))
	if code, out, errs := verb("check", "-c", conf); code != 0 {
		t.Errorf("code %d\n%s%s", code, out, errs)
	}
	names, err := filepath.Glob(dir + "/*/*")
	must(t, err)
	if diff := cmp.Diff([]string{dir + "/module/kept", dir + "/src/sub"}, names); diff != "" {
		t.Errorf("something was changed (-want +got):\n%s", diff)
	}
}

// TestCheckText: a screen for people, and what is wrong beside the targets.
func TestCheckText(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	conf := dir + "/lockstep.yaml"
	must(t, os.MkdirAll(dir+"/src", 0o755))
	write := func(text string) {
		must(t, os.WriteFile(conf, []byte(strings.ReplaceAll(text, "DIR", dir)), 0o600))
	}
	write(`state-dir: DIR/state
listen: 127.0.0.1:9874
listen-cert: DIR/cert
listen-key: DIR/key
defaults: {delete: true, max-delete: 5%, on-failure: [logger, x]}
syncs:
  - {name: empty, source: DIR/src/, targets: [DIR/a]}
  - {name: away, source: DIR/none/, targets: [{to: DIR/b, delete: false}, DIR/c], verify-every: 24h}
  - {name: marked, source: DIR/src, delete: false, marker: .m, targets: [DIR/d]}
`)
	code, out, errs := verb("check", "-c", conf, "--offline")
	want := `DIR/lockstep.yaml: valid, 3 syncs, 4 targets, 1 file
FAILS    listen-cert and listen-key: open DIR/cert: no such file or directory
process  user as started, confine auto, state in DIR/state, control /run/lockstep/control.sock, listens on 127.0.0.1:9874
watches  2 directories, fs.inotify.max_user_watches is N
empty: DIR/src/, keeps in step, deletes, at most 5% an hour, runs on-failure
  FAILS  the source "DIR/src/" is empty: nothing is deleted because of that, unless --allow-empty says so
  ?      DIR/a: not asked
away: DIR/none/, keeps in step, deletes on 1 of 2 targets, verifies every 24h, runs on-failure
  FAILS  the source "DIR/none/" cannot be read: no such file or directory
  ?      DIR/b: not asked
  ?      DIR/c: not asked
marked: DIR/src, keeps in step, deletes nothing, runs on-failure
  FAILS  the marker ".m" is not below the source "DIR/src": nothing is pushed without it
  ?      DIR/d: not asked
4 problems (code 1)
`
	out = strings.ReplaceAll(out, dir, "DIR")
	out = replaceNumber(out, "max_user_watches is ")
	if diff := cmp.Diff(want, out); diff != "" || code != 1 || errs != "" {
		t.Errorf("code %d, %s (-want +got):\n%s", code, errs, diff)
	}

	write("state-dir: DIR/state\nsyncs:\n" + func() string {
		var b strings.Builder
		for i := range 40 {
			fmt.Fprintf(&b, "  - {name: s%d, source: DIR, targets: ['h%d::m']}\n", i, i)
		}
		return b.String()
	}())
	code, out, _ = verb("check", "-c", conf, "--offline")
	if lines := strings.Count(out, "\n"); code != 0 || lines > 6 || !strings.Contains(out, "40 targets more were not asked") {
		t.Errorf("code %d, %d lines:\n%s", code, lines, out)
	}

	write("syncs:\n  - {source: x, targts: []}\n")
	code, out, errs = verb("check", "-c", conf)
	if code != 1 || out != "" || strings.Count(errs, "lockstep.yaml:2:") != 3 || !strings.Contains(errs, "3 errors (code 1)") {
		t.Errorf("code %d, %q, %s", code, out, errs)
	}
	code, out, errs = verb("check", "--json", "-c", conf)
	var r checkReport
	must(t, json.Unmarshal([]byte(out), &r))
	if code != 1 || errs != "" || r.Valid || r.OK || len(r.Errors) != 3 || r.Errors[0].Line != 2 || r.Errors[0].Column == 0 {
		t.Errorf("code %d, %s, %+v", code, errs, r)
	}
}

// replaceNumber puts N in the place of the number behind a text.
func replaceNumber(text, before string) string {
	head, tail, ok := strings.Cut(text, before)
	if !ok {
		return text
	}
	return head + before + "N" + strings.TrimLeft(tail, "0123456789")
}

// TestConfigVerb: what the verbs config and schema print, and when they fail.
func TestConfigVerb(t *testing.T) {
	t.Parallel()
	conf := filepath.Join(t.TempDir(), "lockstep.yaml")
	must(t, os.WriteFile(conf, []byte("syncs:\n  - {source: /srv/a, targets: [{to: 'u@h::a', password: sesame}]}\n  - {source: /srv/b, targets: [/mnt/b]}\n"), 0o644))
	for _, test := range []struct {
		args      []string
		code      int
		out, errs string // parts of them
	}{
		{[]string{"config", "-c", conf}, 0, "source: /srv/a  ", "warning: " + conf + ":2: a password stands in a file that others"},
		{[]string{"config", "-c", conf, "b"}, 0, "name: b  ", ""},
		{[]string{"config", "-c", conf, "x"}, 1, "", `there is no sync "x": there are a, b`},
		{[]string{"config", "-c", conf + "x"}, 1, "", "there is no such file"},
		{[]string{"config", "a", "b"}, 1, "", "at most one sync"},
		{[]string{"config", "--confg=x"}, 1, "", "did you mean --config?"},
		{[]string{"config", "--help"}, 0, "Usage: lockstep config", ""},
		{[]string{"schema"}, 0, `"additionalProperties": false`, ""},
		{[]string{"schema", "x"}, 1, "", "no arguments are wanted"},
		{[]string{"schema", "-h"}, 0, "Usage: lockstep schema", ""},
		{[]string{"check", "x"}, 1, "", "no arguments are wanted"},
		{[]string{"check", "-h"}, 0, "Usage: lockstep check", ""},
	} {
		code, out, errs := verb(test.args...)
		if code != test.code || !strings.Contains(out, test.out) || !strings.Contains(errs, test.errs) || test.errs == "" && test.code == 0 && strings.Contains(errs, "Usage") {
			t.Errorf("%q: code %d\n%s%s", test.args, code, out, errs)
		}
		if strings.Contains(out+errs, "sesame") {
			t.Errorf("%q shows the password:\n%s%s", test.args, out, errs)
		}
	}
}
