package follow

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"github.com/lockstep-sync/lockstep/cmd/internal/api"
)

// fakeEnv has the test binary follow an agent whose status is a file: what a terminal is to show is run as a program of its own.
const fakeEnv = "LOCKSTEP_FOLLOW_FAKE"

// justStart as such a file has it end at once.
const justStart = "start"

func TestMain(m *testing.M) {
	switch file := os.Getenv(fakeEnv); file {
	case "":
	case justStart:
		if v, ok := os.LookupEnv("CI"); ok {
			fmt.Printf("CI is %q\n", v)
			os.Exit(1)
		}
		fmt.Println("started, CI is not set")
		os.Exit(0)
	default:
		os.Exit(followFile(file))
	}
	goleak.VerifyTestMain(m)
}

func followFile(file string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	fetch := func(context.Context) (a api.Agent, err error) {
		b, err := os.ReadFile(file)
		if err != nil {
			return a, fmt.Errorf("dial unix /run/lockstep/control.sock: connect: connection refused")
		}
		if strings.HasPrefix(string(b), "panic") {
			return a, panicky{}
		}
		return a, json.Unmarshal(b, &a)
	}
	if err := Run(ctx, fetch, Options{Out: os.Stdout, Terminal: os.Getenv("LOCKSTEP_FOLLOW_PLAIN") == ""}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// panicky is an error that breaks whoever shows it.
type panicky struct{}

func (panicky) Error() string { panic("shown") }
