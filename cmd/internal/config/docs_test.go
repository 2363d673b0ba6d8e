package config

import (
	"os"
	"strings"
	"testing"

	"github.com/lockstep-sync/lockstep/cmd/internal/options"
)

// TestDocs: docs/config.md names each key that --help does not explain, or that may not stand everywhere.
func TestDocs(t *testing.T) {
	b, err := os.ReadFile("../../../docs/config.md")
	must(t, err)
	keys := []string{"include", "defaults", "syncs", "name", "source", "targets", "to", "password", "run", "shell", "timeout"}
	for i := range processKeys {
		keys = append(keys, processKeys[i].Name)
	}
	for _, h := range hookKeys {
		keys = append(keys, h.name)
	}
	for _, o := range newLoader(nil).opts.All() {
		if o.Place != options.AtTarget && o.Same == "" {
			keys = append(keys, o.Name)
		}
	}
	for _, key := range keys {
		if doc := string(b); !strings.Contains(doc, "`"+key+"`") && !strings.Contains(doc, " "+key+": ") && !strings.Contains(doc, "{"+key+": ") {
			t.Errorf("docs/config.md does not name %s", key)
		}
	}
}

// TestOptions: each option says what it is for, and none that a config takes has the name of another key.
func TestOptions(t *testing.T) {
	l := newLoader(nil)
	for _, o := range l.opts.All() {
		if o.About == "" && o.Same == "" {
			t.Errorf("%s does not say what it is for", o.Name)
		}
		if o.Place == options.OnLine && o.Why == "" {
			t.Errorf("%s does not say why it is not for a config", o.Name)
		}
		if o.Same != "" && l.opts.Lookup(o.Same) == nil {
			t.Errorf("%s is another name of %s, which is none", o.Name, o.Same)
		}
		if isHook(o.Name) || o.Name == password.Name || o.Place <= options.AtSource && l.processOption(o.Name) != nil {
			t.Errorf("%s is two keys", o.Name)
		}
	}
}
