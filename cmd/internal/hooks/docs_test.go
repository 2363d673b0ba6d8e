package hooks_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/lockstep-sync/lockstep/cmd/internal/config"
	"github.com/lockstep-sync/lockstep/cmd/internal/hooks"
)

// documented are the hooks of the example in docs/hooks.md, as a config has them.
func documented(t *testing.T) hooks.Set {
	t.Helper()
	text, err := os.ReadFile("../../../docs/hooks.md")
	if err != nil {
		t.Fatal(err)
	}
	var example strings.Builder
	for line := range strings.Lines(string(text)) {
		if l, ok := strings.CutPrefix(line, "    "); ok {
			example.WriteString(l)
		} else if example.Len() > 0 {
			break
		}
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "lockstep.yaml")
	conf := strings.ReplaceAll(example.String(), "/srv/", dir+"/")
	conf = strings.ReplaceAll(conf, "/run/maintenance", dir+"/maintenance")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(file)
	if err != nil {
		t.Fatalf("%v\n%s", err, conf)
	}
	return c.Syncs[0].Hooks
}

// What the documentation shows does what it says.
func TestDocumented(t *testing.T) {
	bin, set := t.TempDir(), documented(t)
	for _, name := range []string{"systemctl", "mail", "logger"} {
		script := `#!/bin/sh
{ printf '` + name + `'; for a; do printf ' <%s>' "$a"; done; echo; [ ` + name + ` != mail ] || cat; } >>` + bin + `/said
`
		if err := os.WriteFile(filepath.Join(bin, name), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	core, logs := observer.New(zap.WarnLevel)
	r := hooks.NewRunner(set, zap.New(core))
	events := []struct {
		e    hooks.Event
		want string
	}{
		{hooks.Event{Kind: hooks.Success, Paths: []string{"a", "nginx/site.conf"}}, "systemctl <reload> <nginx>\n"},
		{hooks.Event{Kind: hooks.Success, Paths: []string{"a", "x/nginx/y"}}, ""},
		{hooks.Event{Kind: hooks.Failure, Source: "/abc/", Target: "h::m", Facts: map[string]string{"ERROR": "no\nspace", "REMEDY": "make room"}},
			"mail <-s> <lockstep: h::m> <root>\nno space\nmake room\n/abc/\n"},
		{hooks.Event{Kind: hooks.Recovered}, "logger <-t> <lockstep-hook> <it is over>\n"},
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	defer func() { cancel(); <-done }()
	for _, x := range events {
		os.Remove(filepath.Join(bin, "said"))
		r.Tell(x.e)
		if err := r.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		said, _ := os.ReadFile(filepath.Join(bin, "said"))
		if diff := cmp.Diff(x.want, string(said)); diff != "" {
			t.Errorf("%v (-want +got):\n%s", x.e.Kind, diff)
		}
	}
	if err := r.Before(t.Context(), hooks.Event{}); err != nil {
		t.Errorf("before-push: %v", err)
	}
	maintenance := set.BeforePush.Argv[2]
	maintenance = maintenance[strings.LastIndexByte(maintenance, ' ')+1:]
	if err := os.WriteFile(maintenance, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := r.Before(t.Context(), hooks.Event{}); err == nil {
		t.Error("before-push lets go while somebody works there")
	}
	if set.OnSuccess.Timeout != 20*time.Second || set.OnFailure.Timeout != time.Minute || logs.Len() > 0 {
		t.Errorf("%+v, log: %v", set, logs.All())
	}
}
