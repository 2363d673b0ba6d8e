package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/lockstep-sync/lockstep/syncer"
)

// Once pushes the source to each target in turn and returns rsync's exit code, the first one that is not
// 0. It writes to out what rsync would, and errors to errw.
func Once(ctx context.Context, s Settings, out, errw io.Writer) syncer.Code {
	p := newPrinter(&s, out, errw)
	rights, err := s.confine()
	if err != nil {
		p.error(err)
		return syncer.ExitCode(syncer.Report{}, err)
	}
	if s.Verbose > 1 && !s.Quiet {
		p.line(rights.String())
		p.flush()
	}
	code := syncer.CodeOK
	for _, one := range s.Each() {
		if c := once(ctx, one, out, errw); code == syncer.CodeOK {
			code = c
		}
	}
	return code
}

func once(ctx context.Context, s Settings, out, errw io.Writer) syncer.Code {
	p := newPrinter(&s, out, errw)
	cfg, err := s.config(p.sink())
	if err != nil {
		p.error(err)
		return syncer.CodeUsage
	}
	push, err := syncer.New(cfg)
	if err != nil {
		p.error(err)
		return syncer.ExitCode(syncer.Report{}, err)
	}
	defer push.Close() // nothing is kept after one push
	if !s.DryRun {
		release, err := claim([]Settings{s}, func(err error) { // no concern of most
			if s.Verbose == 0 {
				return
			}
			p.error(fmt.Errorf("whether another sync writes to the same place is not known: %w", err))
		})
		if err != nil {
			p.error(err)
			return syncer.ExitCode(syncer.Report{}, err)
		}
		defer release()
	}
	start := time.Now()
	rep, err := push.Push(ctx, syncer.Full())
	p.end(&rep, err)
	told := map[string]bool{}
	for _, problem := range rep.Problems {
		if !told[problem.Path] {
			told[problem.Path] = true
			p.error(fmt.Errorf("not brought over: %w", problem))
		}
	}
	code := syncer.ExitCode(rep, err)
	if err == nil {
		p.summary(&rep, time.Since(start))
	}
	switch {
	case err != nil:
		p.error(fmt.Errorf("%w (code %d)", err, code))
	case code != syncer.CodeOK:
		p.error(errors.New(code.Words()))
	}
	return code
}
