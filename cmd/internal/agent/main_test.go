package agent

import (
	"os"
	"testing"

	"go.uber.org/goleak"

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
