package config

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/lockstep-sync/lockstep/cmd/internal/agent"
	"github.com/lockstep-sync/lockstep/cmd/internal/hooks"
	"github.com/lockstep-sync/lockstep/syncer"
	"github.com/lockstep-sync/lockstep/syncer/filter"
)

// same compares settings; their rules as they go over the wire.
var same = cmp.Options{
	cmp.Transformer("rules", func(b filter.Builder) []string {
		rules, err := b.Build().Wire(false)
		if err != nil {
			return []string{err.Error()}
		}
		return rules
	}),
	cmpopts.IgnoreUnexported(agent.Quiet{}), // its pattern has a field, too
	cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".Chmod" }, cmp.Comparer(func(a, b any) bool { return reflect.DeepEqual(a, b) })),
}

// TestValid: what configs come to, printed, is a config that comes to the same.
func TestValid(t *testing.T) {
	corpus(t, "valid", func(t *testing.T, dir string) string {
		c, err := LoadEnv(filepath.Join(dir, "lockstep.yaml"), env)
		must(t, err)
		requireSame(t, c)
		return printedConfig(t, c)
	})
}

func printedConfig(t *testing.T, c *Config) string {
	t.Helper()
	var b bytes.Buffer
	must(t, c.Print(&b, ""))
	if strings.Contains(b.String(), "hunter2") {
		t.Errorf("a password is printed:\n%s", b.String())
	}
	return b.String()
}

// requireSame loads what is printed of a config, and compares.
func requireSame(t *testing.T, c *Config) {
	t.Helper()
	again := filepath.Join(t.TempDir(), "again.yaml")
	must(t, os.WriteFile(again, []byte(printedConfig(t, c)), 0o600))
	d, err := LoadEnv(again, env)
	must(t, err)
	if diff := cmp.Diff(c.Process, d.Process); diff != "" {
		t.Errorf("the process, printed and loaded again (-want +got):\n%s", diff)
	}
	want := c.Syncs
	for i := range want {
		for k := range want[i].Targets {
			if s := &want[i].Targets[k]; s.HasPassword && d.Syncs[i].Targets[k].Password == "" {
				s.HasPassword, s.Password = false, "" // it is not printed
			}
		}
	}
	if diff := cmp.Diff(want, d.Syncs, same); diff != "" {
		t.Errorf("the syncs, printed and loaded again (-want +got):\n%s", diff)
	}
}

// loadText loads a config from its text.
func loadText(t *testing.T, text string) (*Config, error) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "lockstep.yaml")
	must(t, os.WriteFile(name, []byte(text), 0o600))
	return LoadEnv(name, env)
}

// TestSettings: what keys do, and how levels lie over one another.
func TestSettings(t *testing.T) {
	c, err := loadText(t, `
state-dir: /var/lib/x
defaults: {delete: true, perms: false, exclude: [a, b], settle: 1s, on-success: [logger, all], password-file: /etc/p}
syncs:
  - source: /srv/www/
    include: ['*.php']
    on-success: {shell: 'wc -l', timeout: 3s}
    targets:
      - u@h::www/
      - {to: /mnt/x, exclude: [c], perms: true, max-delete: 5%}
`)
	must(t, err)
	ground := agent.Defaults()
	ground.Watch, ground.Confine, ground.StateDir = true, agent.ConfineDefault, "/var/lib/x"
	ground.Source, ground.Delete, ground.Settle = "/srv/www/", true, time.Second
	first, second := ground, ground
	first.Target, first.PasswordFile, first.Perms = "u@h::www/", "/etc/p", false
	must(t, first.Filter.Exclude("a"))
	must(t, first.Filter.Exclude("b"))
	must(t, first.Filter.Include("*.php"))
	second.Target, second.DeleteLimit = "/mnt/x", agent.Limit{Set: true, Percent: 5}
	second.MaxDelete = 0
	second.Filter = filter.Builder{}
	must(t, second.Filter.Include("*.php"))
	must(t, second.Filter.Exclude("c"))
	want := []agent.SyncConfig{{
		Name: "www", Targets: []agent.Settings{first, second},
		Hooks: hooks.Set{OnSuccess: hooks.Hook{Argv: []string{"/bin/sh", "-c", "wc -l"}, Timeout: 3 * time.Second}},
	}}
	if diff := cmp.Diff(want, c.Syncs, same); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	process := agent.Process{LogLevel: "info", StateDir: "/var/lib/x", Confine: agent.ConfineDefault, Control: DefaultControl}
	if diff := cmp.Diff(process, c.Process); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestUser: who the process becomes is a setting of each sync, too.
func TestUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: only root can become somebody else")
	}
	c, err := loadText(t, "user: nobody\nconfine: 'off'\nsyncs:\n  - source: /srv/www/\n    targets: [/mnt/a]\n")
	must(t, err)
	s := c.Syncs[0].Targets[0]
	if diff := cmp.Diff([]string{"nobody", "nobody", "off", "off"}, []string{c.Process.User, s.User, c.Process.Confine, s.Confine}); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	requireSame(t, c)
	_, err = loadText(t, "user: no-such-user\nsyncs:\n  - source: /srv/www/\n    targets: [/mnt/a, /mnt/b]\n")
	if err == nil || !strings.Contains(err.Error(), "lockstep.yaml:1:1: user:") || strings.Count(err.Error(), "no-such-user") != 2 {
		t.Errorf("%v", err) // once in the message, once in the line
	}
}

// TestWhenToDelete: of two answers to one question the inner one counts.
func TestWhenToDelete(t *testing.T) {
	c, err := loadText(t, "defaults: {delete-before: true}\nsyncs:\n  - source: /srv/www/\n    targets: [{to: /mnt/a, delete-after: true}, /mnt/b, {to: /mnt/c, delete-before: false}]\n")
	must(t, err)
	var got []any
	for _, s := range c.Syncs[0].Targets {
		got = append(got, s.Delete, s.DeleteWhen)
	}
	if diff := cmp.Diff([]any{true, syncer.DeleteAfter, true, syncer.DeleteBefore, false, syncer.DeleteDuring}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestPasswordMode: a password in a file that others may read is a warning; the variables that passwords come from are told.
func TestPasswordMode(t *testing.T) {
	name := filepath.Join(t.TempDir(), "lockstep.yaml")
	text := "syncs:\n  - source: /srv/www/\n    targets:\n      - {to: 'u@h::www/', password: hunter2}\n      - {to: 'u@h::up/', password: '${PW}'}\n"
	must(t, os.WriteFile(name, []byte(text), 0o600))
	for mode, warns := range map[os.FileMode]int{0o600: 0, 0o400: 0, 0o640: 1, 0o644: 1, 0o666: 2} {
		must(t, os.Chmod(name, mode))
		c, err := LoadEnv(name, env)
		must(t, err)
		if len(c.Warnings) != warns || strings.Contains(strings.Join(c.Warnings, " "), "hunter2") {
			t.Errorf("mode %o: %q", mode, c.Warnings)
		}
		a, b := c.Syncs[0].Targets[0], c.Syncs[0].Targets[1]
		if a.Password != "hunter2" || !a.HasPassword || b.Password != "hunter2" || !b.HasPassword {
			t.Errorf("the passwords are %q and %q", a.Password, b.Password)
		}
		if diff := cmp.Diff([]string{"PW"}, c.Secrets); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

// TestNoFile: what is said of a config that is not there, or is none.
func TestNoFile(t *testing.T) {
	dir := t.TempDir()
	big := filepath.Join(dir, "big")
	must(t, os.WriteFile(big, make([]byte, maxFile+1), 0o600))
	for name, want := range map[string]string{
		filepath.Join(dir, "none"): "there is no such file",
		dir:                        "it is a directory",
		big:                        "it is larger than 256 KiB",
		filepath.Join(big, "x"):    "not a directory",
	} {
		if _, err := Load(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
}

// TestTooMuch: what is far too much is refused before it takes long.
func TestTooMuch(t *testing.T) {
	var steps strings.Builder
	for i := range 30 {
		fmt.Fprintf(&steps, "%*sa:\n", i, "")
	}
	for text, want := range map[string]string{
		steps.String():                                            "more than 20 lists and maps",
		strings.Repeat("a: b\n", 12_000):                          "more than 10000 keys and items",
		"syncs:\n" + strings.Repeat("  - a\n", 12_000):            "more than 10000 keys and items",
		"syncs: [" + strings.Repeat("{},", 60_000) + "]":          "a line of 180009 bytes",
		"syncs: " + strings.Repeat("[\n", 10_000):                 "more than 20 lists and maps",
		strings.Repeat("- ", 1000) + "a":                          "more than 20 lists and maps",
		"syncs:\n  - source: &a [x]\n    targets: [*a, *a, *a]\n": "an alias in YAML",
	} {
		if _, err := loadText(t, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q…: %v, want %q", text, err, want)
		}
	}
}

// TestPrintOne: one sync of several, or the names that there are.
func TestPrintOne(t *testing.T) {
	c, err := loadText(t, "syncs:\n  - {source: /srv/a, targets: [/mnt/a]}\n  - {source: /srv/b, targets: [/mnt/b]}\n")
	must(t, err)
	var b strings.Builder
	must(t, c.Print(&b, "b"))
	if text := b.String(); strings.Contains(text, "/srv/a") || !strings.Contains(text, "source: /srv/b") {
		t.Errorf("not b alone:\n%s", text)
	}
	if err := c.Print(&b, "c"); err == nil || !strings.Contains(err.Error(), `no sync "c": there are a, b`) {
		t.Errorf("%v", err)
	}
}

// TestExamples: the examples load, and have no warnings.
func TestExamples(t *testing.T) {
	for name, syncs := range map[string]int{"lockstep.yaml": 1, "lockstep-full.yaml": 3} {
		b, err := os.ReadFile("../../../examples/" + name)
		must(t, err)
		c, err := loadText(t, string(b))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if len(c.Syncs) != syncs || len(c.Warnings) != 0 {
			t.Errorf("%s: %d syncs, warnings %q", name, len(c.Syncs), c.Warnings)
		}
		requireSame(t, c)
	}
}
