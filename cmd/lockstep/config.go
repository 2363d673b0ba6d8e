package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/lockstep-sync/lockstep/cmd/internal/config"
	"github.com/lockstep-sync/lockstep/cmd/internal/options"
	"github.com/lockstep-sync/lockstep/syncer"
)

const configUsage = `lockstep config prints the settings that hold, and where each comes from.

  lockstep config                         all of ` + config.DefaultFile + `
  lockstep config -c ./new.yaml www       one sync of another file

Usage: lockstep config [-c FILE] [SYNC]

What it prints is a config again: defaults are laid out over the syncs. Behind each key is file
and line, or default. What follows from other keys, or from the machine, is a comment, and so
is a password that stands in the file.

  -c, --config=FILE       the config (default ` + config.DefaultFile + `)
  -h, --help              this text

Exit codes: 0, or 1 where the config is not valid or has no such sync.
`

// configLine is the command line of a verb about a config.
type configLine struct {
	*options.Line
	file string
	help bool
}

func newConfigLine() *configLine {
	c := &configLine{Line: options.NewVerb(), file: config.DefaultFile}
	c.Set("help", "h", &c.help)
	c.Text("config", "c", &c.file)
	return c
}

// runConfig is the verb config.
func runConfig(args []string, stdout, stderr io.Writer) int {
	l := newConfigLine()
	err := l.Parse(args)
	if err == nil && len(l.Args()) > 1 {
		err = fmt.Errorf("at most one sync is wanted, there are %d arguments: %q", len(l.Args()), l.Args())
	}
	if err != nil {
		return misused(stderr, "config", err)
	}
	if l.help {
		return printed(stderr, writeString(stdout, configUsage))
	}
	c, ok := load(l.file, stderr)
	if !ok {
		return int(syncer.CodeUsage)
	}
	if err := c.Print(stdout, first(l.Args())); err != nil {
		return misused(stderr, "config", err)
	}
	return 0
}

// load reads a config and tells what is wrong with it, or to be known.
func load(file string, stderr io.Writer) (*config.Config, bool) {
	c, err := config.Load(file)
	if err != nil {
		fmt.Fprintf(stderr, "%v\n", err)
		count := "1 error"
		var all *config.Errors
		if errors.As(err, &all) && len(all.List) != 1 {
			count = fmt.Sprintf("%d errors", len(all.List))
		}
		fmt.Fprintf(stderr, "lockstep: the config is not valid: %s (code %d)\n", count, syncer.CodeUsage)
		return nil, false
	}
	for _, w := range c.Warnings {
		fmt.Fprintf(stderr, "lockstep: warning: %s\n", w)
	}
	return c, true
}

const schemaUsage = `lockstep schema prints the JSON schema of the config, for editors.

  lockstep schema >lockstep.schema.json

and as the first line of the config, for who edits with yaml-language-server:

  # yaml-language-server: $schema=lockstep.schema.json

Usage: lockstep schema
`

// runSchema is the verb schema.
func runSchema(args []string, stdout, stderr io.Writer) int {
	l := options.NewVerb()
	help := false
	l.Set("help", "h", &help)
	err := l.Parse(args)
	if err == nil && len(l.Args()) > 0 {
		err = fmt.Errorf("no arguments are wanted, there are %q", l.Args())
	}
	switch {
	case err != nil:
		return misused(stderr, "schema", err)
	case help:
		return printed(stderr, writeString(stdout, schemaUsage))
	}
	return printed(stderr, writeString(stdout, string(config.Schema())))
}
