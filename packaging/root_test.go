package packaging

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// root is a root directory with the essential packages of the machine that the test runs on, a small Debian. What is
// run in it sees nothing else, but for /dev and a /proc of its own.
type root struct {
	*testing.T
	dir string
}

func newRoot(t *testing.T) *root {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("installing packages needs root")
	}
	if _, err := exec.LookPath("dpkg-query"); err != nil {
		t.Skip("the root directory is made from the packages of a Debian, and this is none")
	}
	r := &root{t, t.TempDir()}
	names := essential(t)
	script := `
		cd "$ROOT"
		for dir in bin sbin lib lib32 lib64 libx32; do # as on the machine: directories, or symlinks into usr
			[ ! -h /$dir ] || { mkdir -p usr/$dir && ln -s usr/$dir $dir; }
		done
		dpkg-query -L "$@" | grep -Ev '^/usr/share/(doc|man|locale|info|lintian|bash-completion)/' | grep '^/.*/' | sort -u |
			tar -c --no-recursion -P -T - | tar -x --keep-directory-symlink
		mkdir -p dev proc run tmp root var/lib/dpkg/info var/lib/dpkg/updates etc
		cp usr/share/base-passwd/passwd.master etc/passwd
		cp usr/share/base-passwd/group.master etc/group
		dpkg-query -s "$@" >var/lib/dpkg/status
		for name; do cp /var/lib/dpkg/info/"$name".list /var/lib/dpkg/info/"$name":*.list var/lib/dpkg/info/ 2>/dev/null || :; done
	`
	cmd := exec.Command("sh", append([]string{"-ec", script, "sh"}, names...)...)
	cmd.Env = append(os.Environ(), "ROOT="+r.dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("make a root directory: %v\n%s", err, out)
	}
	return r
}

// essential are the essential packages, and groupadd's, with all that they need.
func essential(t *testing.T) []string {
	t.Helper()
	out, err := exec.Command("dpkg-query", "-W", "-f", "${Package}\t${Essential}\t${Pre-Depends}, ${Depends}\n").Output()
	must(t, err)
	needs, queue := map[string]string{}, []string{"passwd"}
	for line := range strings.Lines(string(out)) {
		f := strings.Split(line, "\t")
		if needs[f[0]] = f[2]; f[1] == "yes" {
			queue = append(queue, f[0])
		}
	}
	name := regexp.MustCompile(`(?:^|[,|])\s*([a-z0-9.+-]+)`)
	taken := map[string]bool{}
	for i := 0; i < len(queue); i++ {
		for _, m := range name.FindAllStringSubmatch(needs[queue[i]], -1) {
			if _, installed := needs[m[1]]; installed && !taken[m[1]] {
				taken[m[1]] = true
				queue = append(queue, m[1])
			}
		}
		taken[queue[i]] = true
	}
	var all []string
	for name := range taken {
		all = append(all, name)
	}
	return all
}

// command is one that will run in the root directory, in a mount namespace: what is mounted for it goes with it.
func (r *root) command(args ...string) *exec.Cmd {
	script := `mount -t proc proc "$ROOT/proc" && mount --rbind /dev "$ROOT/dev" && exec chroot "$ROOT" "$@"`
	cmd := exec.Command("unshare", append([]string{"--mount", "--propagation", "private", "sh", "-ec", script, "sh"}, args...)...)
	cmd.Env = []string{"ROOT=" + r.dir, "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "DEBIAN_FRONTEND=noninteractive"}
	return cmd
}

// run gives what a command prints, and wants it to end well.
func (r *root) run(args ...string) string {
	r.Helper()
	out, err := r.command(args...).CombinedOutput()
	if err != nil {
		r.Fatalf("%q: %v\n%s", args, err, out)
	}
	return string(out)
}

// start runs a command until the function that it gives is called, which stops it as systemd would.
func (r *root) start(args ...string) (stop func()) {
	r.Helper()
	cmd := r.command(args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	must(r.T, cmd.Start())
	done := make(chan error, 1) // one: nobody may be there to take it
	go func() { done <- cmd.Wait() }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cmd.Process.Signal(syscall.SIGTERM)
		select {
		case err := <-done:
			if err != nil {
				r.Errorf("%q: %v\n%s", args, err, out.String())
			}
		case <-time.After(bound):
			cmd.Process.Kill()
			r.Errorf("%q does not end on SIGTERM", args)
			<-done
		}
	}
	r.Cleanup(stop)
	return stop
}

// bound is how long a busy machine may take for what takes milliseconds.
const bound = 30 * time.Second

func (r *root) path(name string) string { return filepath.Join(r.dir, name) }

func (r *root) write(name, text string, mode os.FileMode) {
	r.Helper()
	must(r.T, os.MkdirAll(filepath.Dir(r.path(name)), 0o755))
	must(r.T, os.WriteFile(r.path(name), []byte(text), mode))
}

func (r *root) read(name string) string {
	r.Helper()
	return string(read(r.T, r.path(name)))
}

func (r *root) has(name string) bool {
	_, err := os.Lstat(r.path(name))
	return err == nil
}

// sees waits until a file has a content.
func (r *root) sees(name, want string) {
	r.Helper()
	for end := time.Now().Add(bound); ; time.Sleep(10 * time.Millisecond) {
		b, err := os.ReadFile(r.path(name))
		if err == nil && string(b) == want {
			return
		}
		if time.Now().After(end) {
			r.Fatalf("%s is %q (%v), not %q", name, b, err, want)
		}
	}
}

// left are the paths that are lockstep's by their names.
func (r *root) left() []string {
	var all []string
	filepath.Walk(r.dir, func(path string, _ os.FileInfo, err error) error {
		rel := strings.TrimPrefix(path, r.dir)
		if err == nil && strings.Contains(rel, "lockstep") && !strings.HasPrefix(rel, "/proc") && !strings.HasPrefix(rel, "/dev") {
			all = append(all, rel)
		}
		return nil
	})
	return all
}
