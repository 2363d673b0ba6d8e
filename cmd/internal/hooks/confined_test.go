package hooks

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/lockstep-sync/lockstep/cmd/internal/confine"
)

const confinedEnv = "LOCKSTEP_TEST_CONFINED"

// confinedMain is a process that takes from itself what --confine=strict takes, and runs a hook then.
func confinedMain() int {
	plan := confine.Decide(confine.Needs{Level: confine.Strict, Watch: true, Exec: true})
	rep, err := plan.Apply()
	if err != nil {
		fmt.Println(err)
		return 3
	}
	fmt.Println(rep)
	r := NewRunner(Set{BeforePush: shell("grep -E '^(NoNewPrivs|Seccomp):' /proc/self/status; unshare -m true || echo denied; exit 1")}, zap.NewNop())
	fmt.Println(r.run(context.Background(), newWaiting(Event{Kind: BeforePush})).said)
	return 0
}

// With no_new_privs and the filter of system calls hooks run all the same, and are held by both.
func TestConfined(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), confinedEnv+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, want := range []string{"NoNewPrivs:\t1", "Seccomp:\t2", "denied"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("no %q in:\n%s", want, out)
		}
	}
}
