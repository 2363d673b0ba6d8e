package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

const roleEnv = "LOCKSTEP_TEST_DAEMON"

func TestMain(m *testing.M) {
	if role := os.Getenv(roleEnv); role != "" {
		os.Exit(program(role))
	}
	goleak.VerifyTestMain(m)
}

// program is what a main does with this package: it detaches, holds a PID file, is ready, and ends at SIGTERM. Its first argument is the PID
// file, its second one a file that it writes what it finds to.
func program(role string) int {
	pidFile, out := os.Args[1], os.Args[2]
	parent, code, err := Detach(DetachOptions{Paths: []string{"", pidFile}, Wait: 2 * time.Second})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	if parent {
		return code
	}
	release, err := LockPIDFile(pidFile)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 11
	}
	defer release()
	stop, cancel := signal.NotifyContext(context.Background(), unix.SIGTERM)
	defer cancel()
	switch role {
	case "fails":
		fmt.Fprintln(os.Stderr, "there is no such source")
		return 23
	case "is killed":
		_ = unix.Kill(os.Getpid(), unix.SIGKILL)
	case "is slow":
		for n := 0; stop.Err() == nil; n++ { // it talks on when the parent has gone
			fmt.Fprintln(os.Stderr, n)
			if n == 1 {
				_ = os.WriteFile(out, []byte(findings()), 0o600)
			}
			time.Sleep(100 * time.Millisecond)
		}
		return 0
	}
	fmt.Fprintln(os.Stderr, "a word before")
	if err := Ready(); err != nil {
		return 4
	}
	fmt.Fprintln(os.Stderr, "a word after")
	if err := os.WriteFile(out+".temp", []byte(findings()), 0o600); err != nil {
		return 5
	}
	if err := os.Rename(out+".temp", out); err != nil {
		return 5
	}
	<-stop.Done()
	return 0
}

// findings are what a daemon has of where it came from.
func findings() string {
	var b strings.Builder
	sid, err := unix.Getsid(0)
	dir, dirErr := os.Getwd()
	mask := unix.Umask(0)
	unix.Umask(mask)
	fmt.Fprintf(&b, "leader %v\ndir %s\numask %03o\n", sid == os.Getpid(), dir, mask)
	for fd := range 3 {
		name, _ := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
		fmt.Fprintf(&b, "%d %s\n", fd, name)
	}
	name, fdErr := os.Readlink("/proc/self/fd/3")
	fmt.Fprintf(&b, "pipe left %v\nenv %q\n", fdErr == nil && strings.HasPrefix(name, "pipe:"), os.Getenv(childEnv))
	if err := errors.Join(err, dirErr); err != nil {
		fmt.Fprintln(&b, err)
	}
	return b.String()
}
