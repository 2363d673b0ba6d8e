package local

import (
	"context"

	"github.com/lockstep-sync/lockstep/syncer/internal/rate"
)

// pace has the workers' copies keep --bwlimit together; nil: there is none. A reflink moves no
// bytes and does not wait.
func pace(bytesPerSecond int64) func(ctx context.Context, n int) (int, error) {
	limit := rate.New(bytesPerSecond)
	if limit == nil {
		return nil
	}
	return func(ctx context.Context, n int) (int, error) {
		n = limit.Piece(n)
		if limit.Wait(ctx.Done(), n) != nil {
			return 0, context.Cause(ctx)
		}
		return n, nil
	}
}
