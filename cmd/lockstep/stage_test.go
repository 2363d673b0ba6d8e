package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/cmd/internal/places"
	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

// patience is how long a script waits for what takes milliseconds on an idle machine.
const patience = 20 * time.Second

type stageKey struct{}

// stage is what a script started. It ends with the script.
type stage struct {
	daemon *syncertest.Daemon
	relay  *syncertest.Relay
	procs  map[string]*proc
}

type proc struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	err  error         // what Wait said; to be read after done
}

func newStage(e *testscript.Env) *stage {
	st := &stage{procs: map[string]*proc{}}
	e.Defer(st.end)
	return st
}

func (st *stage) end() {
	for _, p := range st.procs {
		p.cmd.Process.Kill() // an error says that it has ended
		<-p.done
	}
	if st.relay != nil {
		st.relay.Close()
	}
	if st.daemon != nil {
		st.daemon.Close()
	}
}

func stageOf(ts *testscript.TestScript) *stage { return ts.Value(stageKey{}).(*stage) }

func usage1(ts *testscript.TestScript, neg, ok bool, text string) {
	if neg || !ok {
		ts.Fatalf("usage: %s", text)
	}
}

func atoi(ts *testscript.TestScript, s string) int {
	n, err := strconv.Atoi(s)
	ts.Check(err)
	return n
}

func cmdCode(ts *testscript.TestScript, neg bool, args []string) {
	usage1(ts, neg, len(args) >= 2, "code N[|N] PROGRAM ARG...")
	checkCode(ts, args[0], ts.Exec(args[1], args[2:]...))
}

func cmdNobody(ts *testscript.TestScript, neg bool, args []string) {
	usage1(ts, neg, len(args) >= 2 && args[1] == "lockstep", "nobody N lockstep ARG...")
	// The scripts' directory of claims is not this user's.
	env := append(environ(ts), places.RunDirEnv+"=")
	cmd := lockstepCmd(ts.MkAbs("."), env, ts.Stdout(), ts.Stderr(), args[2:]...)
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	checkCode(ts, args[0], cmd.Run())
}

// checkCode fails unless err, of an exec.Cmd, tells one of the codes in want.
func checkCode(ts *testscript.TestScript, want string, err error) {
	got, err := exitCode(err)
	ts.Check(err)
	if !slices.Contains(strings.Split(want, "|"), strconv.Itoa(got)) {
		ts.Fatalf("exit code %d, want %s", got, want)
	}
}

// environ is the environment for what does not run through ts.Exec.
func environ(ts *testscript.TestScript) []string {
	env := []string{"PATH=" + ts.Getenv("PATH"), "TMPDIR=" + ts.Getenv("TMPDIR"), "LANG=C.UTF-8",
		"STATE_DIRECTORY=" + ts.Getenv("STATE_DIRECTORY"), places.RunDirEnv + "=" + ts.Getenv(places.RunDirEnv)}
	if p := ts.Getenv("RSYNC_PASSWORD"); p != "" {
		env = append(env, "RSYNC_PASSWORD="+p)
	}
	return env
}

func cmdWatch(ts *testscript.TestScript, neg bool, args []string) {
	usage1(ts, neg, len(args) >= 3, "watch NAME ARG...")
	// The kernel's limits are the machine's affair, and have tests of their own.
	start(ts, args[0], append([]string{"--watch", "--no-tune"}, args[1:]...))
}

func cmdPush(ts *testscript.TestScript, neg bool, args []string) {
	usage1(ts, neg, len(args) >= 3, "push NAME ARG...")
	start(ts, args[0], args[1:])
}

func start(ts *testscript.TestScript, name string, args []string) {
	create := func(ext string) *os.File {
		f, err := os.Create(ts.MkAbs(name + ext))
		ts.Check(err)
		return f
	}
	out, log := create(".out"), create(".log")
	defer out.Close()
	defer log.Close()
	p := &proc{cmd: lockstepCmd(ts.MkAbs("."), environ(ts), out, log, args...), done: make(chan struct{})}
	ts.Check(p.cmd.Start())
	go func() {
		defer close(p.done)
		p.err = p.cmd.Wait()
	}()
	stageOf(ts).procs[name] = p
}

func process(ts *testscript.TestScript, name string) *proc {
	p := stageOf(ts).procs[name]
	if p == nil {
		ts.Fatalf("nothing was started as %q", name)
	}
	return p
}

func cmdSignal(ts *testscript.TestScript, neg bool, args []string) {
	usage1(ts, neg, len(args) == 2, "signal NAME TERM|INT")
	sig := unix.SignalNum("SIG" + args[1])
	if sig == 0 {
		ts.Fatalf("unknown signal %q", args[1])
	}
	ts.Check(process(ts, args[0]).cmd.Process.Signal(sig))
}

func cmdEnded(ts *testscript.TestScript, neg bool, args []string) {
	usage1(ts, neg, len(args) == 2, "ended NAME N")
	p := process(ts, args[0])
	select {
	case <-p.done:
	case <-time.After(patience):
		ts.Fatalf("%s still runs; its log:\n%s", args[0], ts.ReadFile(args[0]+".log"))
	}
	ts.Logf("[%s.log]\n%s", args[0], ts.ReadFile(args[0]+".log"))
	checkCode(ts, args[1], p.err)
}

func cmdDaemon(ts *testscript.TestScript, neg bool, args []string) {
	usage1(ts, neg, len(args) >= 1, "daemon NAME=DIR;LINE..., or daemon start|stop|kill|restart")
	st := stageOf(ts)
	if st.daemon != nil {
		do := map[string]func() error{
			"start": st.daemon.Start, "stop": st.daemon.Stop, "kill": st.daemon.Kill, "restart": st.daemon.Restart,
		}[args[0]]
		if do == nil {
			ts.Fatalf("a daemon is there already")
		}
		ts.Check(do())
		return
	}
	var cfg syncertest.DaemonConfig
	for _, a := range args {
		cfg.Modules = append(cfg.Modules, module(ts, a))
	}
	d, err := syncertest.NewDaemon(cfg)
	ts.Check(err)
	st.daemon = d
	ts.Setenv("PORT", strconv.Itoa(d.Port()))
	ts.Setenv("URL", strings.TrimSuffix(d.URL(""), "/"))
	ts.Check(d.Start())
}

// module reads NAME=DIR;LINE;..., where "secret USER:PASSWORD" sets both that rsyncd.conf
// needs for one.
func module(ts *testscript.TestScript, text string) syncertest.Module {
	name, rest, _ := strings.Cut(text, "=")
	lines := strings.Split(rest, ";")
	m := syncertest.Module{Name: name, Path: ts.MkAbs(lines[0])}
	for _, line := range lines[1:] {
		secret, ok := strings.CutPrefix(line, "secret ")
		if !ok {
			m.Extra = append(m.Extra, line)
			continue
		}
		user, password, _ := strings.Cut(secret, ":")
		m.AuthUsers, m.Secrets = user, map[string]string{user: password}
	}
	return m
}

func cmdRelay(ts *testscript.TestScript, neg bool, args []string) {
	usage1(ts, neg, len(args) <= 2, "relay [stall|resume|cut|limit N|sent N|cut-after N]")
	st := stageOf(ts)
	if len(args) == 0 {
		r, err := syncertest.NewRelay(st.daemon.Addr())
		ts.Check(err)
		st.relay = r
		ts.Setenv("RELAY", "rsync://"+r.Addr())
		return
	}
	n := int64(0)
	if len(args) == 2 {
		n = int64(atoi(ts, args[1]))
	}
	switch args[0] {
	case "stall":
		st.relay.Stall()
	case "resume":
		st.relay.Resume()
	case "cut":
		st.relay.Cut()
	case "limit":
		st.relay.Limit(n)
	case "cut-after":
		st.relay.CutAfter(n)
	case "sent":
		n += st.relay.Sent()
		poll(ts, fmt.Sprintf("%d bytes sent", n), func() bool { return st.relay.Sent() >= n })
	default:
		ts.Fatalf("unknown relay command %q", args[0])
	}
}

func cmdListen(ts *testscript.TestScript, neg bool, args []string) {
	usage1(ts, neg, len(args) == 1, "listen TEXT|silent|full")
	if args[0] == "full" {
		listenFull(ts)
		return
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	over := make(chan struct{})
	go func() {
		defer close(over)
		var held []net.Conn
		for {
			c, err := l.Accept()
			if err != nil {
				break
			}
			held = append(held, c)
			if args[0] != "silent" {
				fmt.Fprintf(c, "%s\n", args[0])
				c.(*net.TCPConn).CloseWrite()
			}
		}
		for _, c := range held {
			c.Close()
		}
	}()
	ts.Defer(func() { l.Close(); <-over })
	ts.Setenv("LISTEN", "rsync://"+l.Addr().String())
}

// listenFull listens and accepts nothing: once the backlog is full the kernel drops what
// knocks, as a firewall does.
func listenFull(ts *testscript.TestScript) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	ts.Check(err)
	ts.Defer(func() { unix.Close(fd) })
	ts.Check(unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	ts.Check(unix.Listen(fd, 0))
	sa, err := unix.Getsockname(fd)
	ts.Check(err)
	addr := fmt.Sprintf("127.0.0.1:%d", sa.(*unix.SockaddrInet4).Port)
	for {
		c, err := net.DialTimeout("tcp", addr, 200*time.Millisecond)
		if err != nil {
			break
		}
		ts.Defer(func() { c.Close() })
	}
	ts.Setenv("LISTEN", "rsync://"+addr)
}

func treeOptions() syncertest.CompareOptions {
	return syncertest.CompareOptions{IgnoreOwners: os.Geteuid() != 0}
}

func cmdEqual(ts *testscript.TestScript, neg bool, args []string) {
	usage1(ts, false, len(args) == 2, "equal A B")
	diffs, err := syncertest.Compare(ts.MkAbs(args[0]), ts.MkAbs(args[1]), treeOptions())
	ts.Check(err)
	switch {
	case neg && len(diffs) == 0:
		ts.Fatalf("%s and %s are equal", args[0], args[1])
	case !neg && len(diffs) > 0:
		ts.Fatalf("%s and %s differ:\n%s", args[0], args[1], syncertest.Format(diffs))
	}
}

func cmdSoon(ts *testscript.TestScript, neg bool, args []string) {
	usage1(ts, neg, len(args) == 2, "soon A B")
	a, b := ts.MkAbs(args[0]), ts.MkAbs(args[1])
	var diffs []syncertest.Difference
	deadline := time.Now().Add(patience)
	for {
		var err error
		diffs, err = syncertest.Compare(a, b, treeOptions())
		if err == nil && len(diffs) == 0 {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%s and %s differ still: %v\n%s%s", args[0], args[1], err, syncertest.Format(diffs), stageLogs(ts))
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// stageLogs are those of all that runs, for a failure.
func stageLogs(ts *testscript.TestScript) string {
	var b strings.Builder
	for name := range stageOf(ts).procs {
		fmt.Fprintf(&b, "-- %s.log\n%s", name, ts.ReadFile(name+".log"))
	}
	return b.String()
}

func poll(ts *testscript.TestScript, what string, ok func() bool) {
	deadline := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(deadline) {
			ts.Fatalf("waited %v for: %s\n%s", patience, what, stageLogs(ts))
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func cmdAwait(ts *testscript.TestScript, neg bool, args []string) {
	usage1(ts, neg, len(args) == 2 || len(args) == 3, "await FILE REGEXP [N]")
	re, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	n := 1
	if len(args) == 3 {
		n = atoi(ts, args[2])
	}
	poll(ts, fmt.Sprintf("%d times %q in %s", n, args[1], args[0]), func() bool {
		text, err := os.ReadFile(ts.MkAbs(args[0])) // not ts.ReadFile: it may not be there yet
		return err == nil && len(re.FindAll(text, n)) == n
	})
}

// cmdQuiet is the one that waits for time: that nothing happens takes a while to see.
func cmdQuiet(ts *testscript.TestScript, neg bool, args []string) {
	usage1(ts, neg, len(args) == 2, "quiet FILE TIME")
	d, err := time.ParseDuration(args[1])
	ts.Check(err)
	before := ts.ReadFile(args[0])
	time.Sleep(d)
	if after := ts.ReadFile(args[0]); after != before {
		ts.Fatalf("%s grew by:\n%s", args[0], strings.TrimPrefix(after, before))
	}
}

func cmdJSON(ts *testscript.TestScript, neg bool, args []string) {
	usage1(ts, neg, len(args) == 1, "json FILE")
	text := ts.ReadFile(args[0])
	for line := range strings.Lines(text) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			ts.Fatalf("%v in %q", err, line)
		}
		for _, key := range []string{"time", "level", "msg"} {
			if s, _ := fields[key].(string); s == "" {
				ts.Fatalf("no %s in %q", key, line)
			}
		}
	}
	if text == "" {
		ts.Fatalf("%s is empty", args[0])
	}
}

func cmdMake(ts *testscript.TestScript, neg bool, args []string) {
	usage1(ts, neg, len(args) == 1, "make NAME")
	name, err := strconv.Unquote(`"` + args[0] + `"`)
	ts.Check(err)
	ts.Check(os.MkdirAll(filepath.Dir(ts.MkAbs(name)), 0o755))
	ts.Check(os.WriteFile(ts.MkAbs(name), []byte(name), 0o644))
}

func cmdTmpfs(ts *testscript.TestScript, neg bool, args []string) {
	usage1(ts, neg, len(args) == 1, "tmpfs DIR")
	dir := ts.MkAbs(args[0])
	ts.Check(unix.Mount("none", dir, "tmpfs", 0, "mode=755"))
	ts.Defer(func() { unix.Unmount(dir, unix.MNT_DETACH) })
}

func cmdDisk(ts *testscript.TestScript, neg bool, args []string) {
	usage1(ts, neg, len(args) == 2, "disk IMAGE DIR")
	image, dir := ts.MkAbs(args[0]), ts.MkAbs(args[1])
	if _, err := os.Stat(image); err != nil {
		ts.Check(os.WriteFile(image, nil, 0o600))
		ts.Check(os.Truncate(image, 8<<20))
		ts.Check(ts.Exec("mkfs.ext4", "-q", "-F", image))
	}
	ts.Check(ts.Exec("mount", "-o", "loop", image, dir))
	ts.Defer(func() { unix.Unmount(dir, unix.MNT_DETACH) })
}

func cmdUnmount(ts *testscript.TestScript, neg bool, args []string) {
	usage1(ts, neg, len(args) == 1, "unmount DIR")
	ts.Check(unix.Unmount(ts.MkAbs(args[0]), unix.MNT_DETACH))
}
