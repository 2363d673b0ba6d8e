package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/lockstep-sync/lockstep/cmd/internal/agent"
	"github.com/lockstep-sync/lockstep/cmd/internal/options"
)

// parse reads the command line. done says that it was a question (--help, --version),
// answered on stdout.
func parse(args []string, stdout io.Writer) (s *agent.Settings, done bool, err error) {
	d := agent.Defaults()
	s = &d
	if p, ok := os.LookupEnv("RSYNC_PASSWORD"); ok {
		s.Password, s.HasPassword = p, true
	}
	help := len(args) == 1 && args[0] == "-h" // with others it is rsync's --human-readable
	if help {
		args = nil
	}
	asked := false // for the version
	l := options.New(s)
	l.On("help", "", func() { help = true })
	l.On("version", "V", func() { asked = true })
	if err := l.Parse(args); err != nil {
		return nil, false, err
	}
	switch {
	case help:
		_, err := io.WriteString(stdout, usage)
		return s, true, err
	case asked:
		_, err := fmt.Fprintln(stdout, versionText())
		return s, true, err
	}
	if err := l.Finish(os.Getenv("RSYNC_PARTIAL_DIR")); err != nil {
		return nil, false, err
	}
	return s, false, takePlaces(s, l.Args(), l.Targets())
}

// takePlaces takes the source and the targets: DST and each --target are one.
func takePlaces(s *agent.Settings, args, further []string) error {
	s.ShellEnv = os.Getenv("RSYNC_RSH")
	switch {
	case len(args) == 0:
		return errors.New("a source and a target are needed: lockstep [OPTION…] SRC DST")
	case len(args) == 1 && len(further) == 0:
		return fmt.Errorf("a target is needed after the source %q: lockstep [OPTION…] SRC DST", args[0])
	case len(args) > 2:
		return fmt.Errorf("one source and one target are needed, there are %d arguments: %q (a further target is --target=DST)", len(args), args)
	}
	targets := append(args[1:len(args):len(args)], further...)
	s.Source, s.Target, s.Also = args[0], targets[0], targets[1:]
	return nil
}
