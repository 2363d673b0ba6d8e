package agent

import (
	"io"
	"os"
	"testing"

	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/lockstep-sync/lockstep/cmd/internal/logs"
	"github.com/lockstep-sync/lockstep/cmd/internal/places"
)

func TestMain(m *testing.M) {
	// Syncs of other tests, and real ones, are none of ours.
	dir, err := os.MkdirTemp("", "lockstep-run-")
	if err != nil {
		panic(err)
	}
	os.Setenv(places.RunDirEnv, dir)
	os.Setenv("STATE_DIRECTORY", dir+"/state")
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(dir)
		os.Exit(code)
	}))
}

// debugLog is a log of all there is, in w.
func debugLog(t testing.TB, w io.Writer) *zap.Logger {
	t.Helper()
	l, err := logs.New(logs.Options{Level: "debug", Format: logs.Console, Stderr: w})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Logger()
}
