package syncer_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lockstep-sync/lockstep/syncer"
)

// farDaemon is a daemon in a network namespace of its own, at the other end of a cable.
type farDaemon struct {
	t          *testing.T
	ns, device string
	addr       string
}

func ip(t *testing.T, args ...string) error {
	t.Helper()
	out, err := exec.Command("ip", args...).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return err
}

func startFarDaemon(t *testing.T, path string) *farDaemon {
	t.Helper()
	needRoot(t)
	id := os.Getpid() % 10_000
	f := &farDaemon{t: t, ns: fmt.Sprintf("ls-out-%d", id), device: fmt.Sprintf("lso%d", id)}
	subnet := fmt.Sprintf("10.213.%d.", id%250)
	f.addr = subnet + "2:8730"
	if err := ip(t, "netns", "add", f.ns); err != nil {
		t.Skipf("needs network namespaces: %v", err)
	}
	t.Cleanup(func() { must(t, ip(t, "netns", "del", f.ns)) })
	far := f.device + "f"
	for _, args := range [][]string{
		{"link", "add", f.device, "type", "veth", "peer", "name", far, "netns", f.ns},
		{"addr", "add", subnet + "1/24", "dev", f.device}, {"link", "set", f.device, "up"},
		{"-n", f.ns, "addr", "add", subnet + "2/24", "dev", far}, {"-n", f.ns, "link", "set", far, "up"},
	} {
		if err := ip(t, args...); err != nil {
			t.Skipf("needs veth devices: %v", err)
		}
	}
	conf := filepath.Join(t.TempDir(), "rsyncd.conf")
	must(t, os.WriteFile(conf, fmt.Appendf(nil, "uid = root\ngid = root\nuse chroot = yes\n[m]\npath = %s\nread only = no\n", path), 0o600))
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, "ip", "netns", "exec", f.ns, "rsync", "--daemon", "--no-detach", "--config="+conf, "--port=8730")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	must(t, cmd.Start())
	t.Cleanup(func() { cancel(); cmd.Wait() })
	return f
}

// link pulls the cable out at the far end, or puts it in: neither side is told anything but that.
func (f *farDaemon) link(state string) {
	f.t.Helper()
	must(f.t, ip(f.t, "-n", f.ns, "link", "set", f.device+"f", state))
}

// A cable that was pulled out: nobody says that a connection is dead, and the one that was kept warm is.
func TestOutageLinkDown(t *testing.T) {
	t.Parallel()
	r := &rig{t: t, src: t.TempDir(), dst: t.TempDir()}
	write(t, r.in("f"), "first")
	far := startFarDaemon(t, r.dst)
	cfg := syncer.Config{Source: r.src + "/", Target: syncer.Target{Module: "m"}, Options: syncer.Archive(), Sink: r.sink()}
	pointAt(t, &cfg, far.addr)
	cfg.Timeout, cfg.ConTimeout = time.Second, time.Second
	run := r.run(cfg)
	far.link("down")
	run.change("f", "second")
	for range 2 {
		if e := run.fails(syncer.ClassTransient, strings.Split(far.addr, ":")[0]); e.Took > 10*time.Second {
			t.Errorf("the push took %v", e.Took)
		}
	}
	far.link("up")
	run.within(time.Now(), 4*time.Second) // the kernel, too, looks for its neighbour once a second
}
