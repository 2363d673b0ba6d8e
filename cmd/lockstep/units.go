package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/lockstep-sync/lockstep/cmd/internal/agent"
	"github.com/lockstep-sync/lockstep/cmd/internal/config"
	"github.com/lockstep-sync/lockstep/cmd/internal/options"
	"github.com/lockstep-sync/lockstep/syncer"
)

const unitsUsage = `lockstep units: have systemd mount what a config needs before its service is started.

Usage: lockstep units [-c FILE] DIR

  -c, --config=FILE       the config (default /etc/lockstep/lockstep.yaml)
  -h, --help              this text

It writes a drop-in below DIR, with RequiresMountsFor= of each source and each local target: for
lockstep.service, or for lockstep@NAME.service where FILE is NAME.yaml. lockstep-generator runs
it at boot and at systemctl daemon-reload (systemd.generator(7)); DIR is what that one is given.
`

// runUnits is the verb units.
func runUnits(args []string, stdout, stderr io.Writer) int {
	l := options.NewVerb()
	help, file := false, config.DefaultFile
	l.On("help", "h", func() { help = true })
	l.Text("config", "c", &file)
	err := l.Parse(args)
	if err == nil && !help && len(l.Args()) != 1 {
		err = errors.New("give one directory, where drop-ins are written")
	}
	if err != nil {
		return misused(stderr, "units", err)
	}
	if help {
		io.WriteString(stdout, unitsUsage)
		return 0
	}
	cfg, err := config.LoadEnv(file, environmentNow())
	if err != nil {
		fmt.Fprintln(stderr, err)
		return int(syncer.CodeUsage)
	}
	if err := writeDropIn(l.Args()[0], file, cfg.Syncs); err != nil {
		fmt.Fprintf(stderr, "lockstep units: %v (code %d)\n", err, syncer.CodeFile)
		return int(syncer.CodeFile)
	}
	return 0
}

// unitWord is what a unit's name may be made of (systemd.unit(5)).
var unitWord = regexp.MustCompile(`^[a-zA-Z0-9:_.\\-]+$`)

func writeDropIn(dir, file string, syncs []agent.SyncConfig) error {
	name := strings.TrimSuffix(filepath.Base(file), ".yaml")
	unit := "lockstep.service"
	if name != "lockstep" {
		unit = "lockstep@" + name + ".service"
	}
	if !unitWord.MatchString(name) {
		return fmt.Errorf("%q: no unit can have that name", file)
	}
	paths := mountedPaths(syncs)
	if len(paths) == 0 {
		return nil
	}
	var text strings.Builder
	fmt.Fprintf(&text, "# From %q, by lockstep units.\n[Unit]\n", file)
	for _, p := range paths {
		fmt.Fprintf(&text, "RequiresMountsFor=%s\n", unitQuote(p))
	}
	drop := filepath.Join(dir, unit+".d")
	if err := os.MkdirAll(drop, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(drop, "50-mounts.conf"), []byte(text.String()), 0o644)
}

// mountedPaths are what has to be mounted for syncs: sources, and targets that are local.
func mountedPaths(syncs []agent.SyncConfig) []string {
	var paths []string
	add := func(path string) {
		if filepath.IsAbs(path) {
			paths = append(paths, filepath.Clean(path))
		}
	}
	for i := range syncs {
		for k := range syncs[i].Targets {
			one := &syncs[i].Targets[k]
			add(one.Source)
			if t, err := syncer.ParseTarget(one.Target); err == nil && !t.Remote() {
				add(t.Path)
			}
		}
	}
	slices.Sort(paths)
	return slices.Compact(paths)
}

// unitQuote writes a path as unit files have it (systemd.syntax(7), systemd.unit(5) on "%").
func unitQuote(path string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range []byte(path) {
		switch {
		case c == '%':
			b.WriteString("%%")
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c == 0x7f:
			fmt.Fprintf(&b, `\x%02x`, c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}
