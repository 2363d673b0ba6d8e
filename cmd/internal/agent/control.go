package agent

import (
	"context"
	"path/filepath"

	"go.uber.org/zap"

	"github.com/lockstep-sync/lockstep/cmd/internal/control"
)

// controlName is the socket of a target's directory of state: who may enter that may steer the process.
const controlName = "control.sock"

// Socket is the control socket of a pair, where a lockstep --watch runs for it.
func (p Pair) Socket() string { return filepath.Join(p.Dir, controlName) }

// control serves the process's control socket in the state of a target until ctx is done.
func (r *replica) control(ctx context.Context, dir string) error {
	path := filepath.Join(dir, controlName)
	l, err := control.Listen(path, "")
	if err != nil {
		r.log.Warn("there is no control socket: the process cannot be seen or steered", zap.String("path", path), zap.Error(err))
		return nil
	}
	return control.Serve(ctx, l, control.Handler(r.env.pairs, nil))
}
