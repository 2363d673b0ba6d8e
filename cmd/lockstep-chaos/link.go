package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

func linkDown(_ *world, _ *target, _ *rand.Rand) (func() error, error) {
	heal := func() error { return run("ip", "link", "set", "near", "up") }
	return heal, run("ip", "link", "set", "near", "down")
}

func cutConnections(_ *world, _ *target, _ *rand.Rand) (func() error, error) {
	return nothing, run("ss", "-K", "dst", peerHost)
}

func shape(args ...string) (func() error, error) {
	heal := func() error { return run("tc", "qdisc", "del", "dev", "near", "root") }
	return heal, run(append([]string{"tc", "qdisc", "add", "dev", "near", "root"}, args...)...)
}

func narrowLink(_ *world, _ *target, _ *rand.Rand) (func() error, error) {
	return shape("tbf", "rate", "2mbit", "burst", "8kb", "latency", "50ms")
}

func lossyLink(_ *world, _ *target, _ *rand.Rand) (func() error, error) {
	return shape("netem", "delay", "40ms", "loss", "5%")
}

// canShape tries a queueing discipline on the loopback interface of a new network namespace.
func canShape(args ...string) func() error {
	return func() error {
		if _, err := exec.LookPath("tc"); err != nil {
			return errors.New("tc is not installed: on Debian, apt-get install iproute2")
		}
		cmd := exec.Command("tc", append([]string{"qdisc", "add", "dev", "lo", "root"}, args...)...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET}
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("this kernel has no %s: %s", args[0], firstLine(out))
		}
		return nil
	}
}

// canCut makes a connection in a new network namespace and cuts it: where the kernel cannot, ss says
// nothing and does nothing.
func canCut() error {
	if _, err := exec.LookPath("ss"); err != nil {
		return errors.New("ss is not installed: on Debian, apt-get install iproute2")
	}
	return nil
}

func firstLine(text []byte) string {
	for i, c := range text {
		if c == '\n' {
			return string(text[:i])
		}
	}
	return string(text)
}
