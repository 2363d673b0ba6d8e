package hooks

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Getenv(confinedEnv) != "" {
		os.Exit(confinedMain())
	}
	goleak.VerifyTestMain(m)
}
