package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"go.uber.org/zap"

	"github.com/lockstep-sync/lockstep/cmd/internal/api"
	"github.com/lockstep-sync/lockstep/cmd/internal/control"
)

// controlName is the socket of a target's directory of state: who may enter that may steer.
const controlName = "control.sock"

// control serves the control socket of one replica until ctx is done.
func (r *replica) control(ctx context.Context, dir string) error {
	path := filepath.Join(dir, controlName)
	l, err := control.Listen(path, "")
	if err != nil {
		r.log.Warn("there is no control socket: status, release and resync cannot be asked for", zap.String("path", path), zap.Error(err))
		return nil
	}
	return control.Serve(ctx, l, control.Handler(pairService{r}, nil))
}

// Socket is the control socket of a pair.
func (p Pair) Socket() string { return filepath.Join(p.Dir, controlName) }

// pairService is what can be asked of a single target by its own socket: how it is doing, and to mend it. For the
// rest it takes the socket of the process.
type pairService struct{ r *replica }

func (p pairService) Status() api.Agent {
	t := p.r.status()
	t.Sync = t.Source
	return api.Agent{
		PID: os.Getpid(), Since: t.Since, Goroutines: t.Goroutines, Ready: true,
		Syncs: []api.Sync{{Name: t.Source, Source: t.Source, State: t.State, Text: t.Text, Watch: api.Watch{Ready: true}, Targets: []api.Target{t}}},
	}
}

func (p pairService) is(sync, target string) error {
	if sync != "" && sync != p.r.s.Source || target != "" && target != p.r.s.Target {
		return fmt.Errorf("sync %q with target %q: %w", sync, target, api.ErrUnknown)
	}
	return nil
}

func (p pairService) Release(sync, target string) ([]api.Released, error) {
	if err := p.is(sync, target); err != nil {
		return nil, err
	}
	return []api.Released{{Sync: p.r.s.Source, Target: p.r.s.Target, Held: p.r.release()}}, nil
}

func (p pairService) Resync(sync, target, path string, checksum bool) error {
	if path != "" && path != "." {
		return errors.ErrUnsupported
	}
	if err := p.is(sync, target); err != nil {
		return err
	}
	p.r.verify.ask(checksum)
	p.r.feed.interrupt()
	return nil
}

// errWhole says that something is asked of a process.
var errWhole = fmt.Errorf("the socket of a single target does not do that; that of the process does, see --control: %w", errors.ErrUnsupported)

func (p pairService) Flush(context.Context, string) ([]api.Flushed, error) { return nil, errWhole }
func (p pairService) Pause(string) error                                   { return errWhole }
func (p pairService) Resume(string) error                                  { return errWhole }
func (p pairService) Queue(string, string, int) ([]api.Queued, error)      { return nil, errWhole }
func (p pairService) Reload(context.Context) (api.Reloaded, error)         { return api.Reloaded{}, errWhole }
func (p pairService) Stop()                                                {}
func (p pairService) LogLevel(string, string) (map[string]string, error)   { return nil, errWhole }
