package packaging

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

const config = "/etc/lockstep/lockstep.yaml"

// TestDeb installs, uses, upgrades, removes and purges the .deb.
func TestDeb(t *testing.T) {
	b := build(t)
	t.Parallel()
	r := newRoot(t)
	one, two := r.takes(b.first["deb"]), r.takes(b.second["deb"])

	r.run("dpkg", "-i", one)
	r.installed(firstVersion)
	r.keepsInStep()
	r.serves()

	r.run("dpkg", "-i", two)
	r.reports(secondVersion)
	if !strings.HasSuffix(r.read(config), newInConfig) {
		t.Errorf("a config that nobody changed is not the new version's: %q", r.read(config))
	}
	r.write(config, mine, 0o600)
	r.run("dpkg", "--force-confdef", "--force-confold", "-i", one)
	if r.read(config) != mine || !r.has(config+".dpkg-dist") {
		t.Errorf("a config that was changed is %q, and the package's beside it: %v", r.read(config), r.has(config+".dpkg-dist"))
	}

	calls := r.systemd()
	r.run("dpkg", "--force-confdef", "--force-confold", "-i", two)
	wantCalls(t, "an upgrade", calls(), "daemon-reload", "try-restart lockstep.service lockstep@*.service")
	r.run("dpkg", "-r", "lockstep")
	wantCalls(t, "a removal", calls(), "stop lockstep.service lockstep@*.service",
		"disable --quiet lockstep.service", "disable --quiet lockstep@www.service", "daemon-reload")
	if r.has("/usr/bin/lockstep") || r.read(config) != mine || !r.has("/var/lib/lockstep") {
		t.Errorf("a removal takes the program (it is there: %v) and keeps config and state (it is there: %v)",
			r.has("/usr/bin/lockstep"), r.has("/var/lib/lockstep"))
	}
	r.run("dpkg", "-P", "lockstep")
	r.wantLeft("/etc/systemd/system/multi-user.target.wants/lockstep.service", // our systemctl removes no symlinks
		"/etc/systemd/system/multi-user.target.wants/lockstep@www.service")
}

// TestRPM does the same with the .rpm, which knows no purge.
func TestRPM(t *testing.T) {
	b := build(t)
	t.Parallel()
	if _, err := exec.LookPath("rpm"); err != nil {
		t.Skip("rpm is missing: make deps installs it")
	}
	r := newRoot(t)
	rpm := func(args ...string) {
		t.Helper()
		// Of the packages of this root rpm knows nothing.
		args = append([]string{"--root", r.dir, "--dbpath", "/var/lib/rpm", "--nodeps"}, args...)
		if out, err := exec.Command("rpm", args...).CombinedOutput(); err != nil || strings.Contains(string(out), "scriptlet failed") {
			t.Fatalf("rpm %q: %v\n%s", args, err, out)
		}
	}
	rpm("-i", b.first["rpm"])
	r.installed(firstVersion)
	r.keepsInStep()

	calls := r.systemd()
	rpm("-U", b.second["rpm"])
	r.reports(secondVersion)
	wantCalls(t, "an upgrade", calls(), "daemon-reload", "try-restart lockstep.service lockstep@*.service")
	if !strings.HasSuffix(r.read(config), newInConfig) {
		t.Errorf("a config that nobody changed is not the new version's: %q", r.read(config))
	}
	r.write(config, mine, 0o600)
	rpm("-U", "--oldpackage", b.first["rpm"])
	if r.read(config) != mine || !r.has(config+".rpmnew") {
		t.Errorf("a config that was changed is %q, and the package's beside it: %v", r.read(config), r.has(config+".rpmnew"))
	}
	calls()
	rpm("-e", "lockstep")
	wantCalls(t, "a removal", calls(), "stop lockstep.service lockstep@*.service",
		"disable --quiet lockstep.service", "disable --quiet lockstep@www.service", "daemon-reload")
	if r.has("/usr/bin/lockstep") || !r.has(config+".rpmsave") || !r.has("/var/lib/lockstep") {
		t.Errorf("a removal leaves %q", r.left())
	}
}

const mine = "syncs:\n  - name: www\n    source: /srv/www/\n    targets: [/srv/mirror/]\n"

// takes copies a file into the root directory.
func (r *root) takes(file string) string {
	r.Helper()
	name := "/tmp/" + filepath.Base(strings.ReplaceAll(file, "lockstep", "l"))
	r.write(name, string(read(r.T, file)), 0o644)
	return name
}

// installed looks at what is there after an installation, with the eyes of somebody who has just done it.
func (r *root) installed(version string) {
	r.Helper()
	r.reports(version)
	for _, name := range []string{
		config, "/etc/lockstep/conf.d", "/usr/lib/sysctl.d/60-lockstep.conf",
		"/usr/share/man/man1/lockstep.1.gz", "/usr/share/man/man1/lockstep-events.1.gz", "/usr/share/man/man5/lockstep.yaml.5.gz",
		"/usr/share/bash-completion/completions/lockstep", "/usr/share/fish/vendor_completions.d/lockstep.fish",
		"/usr/share/lockstep/lockstep.schema.json", "/usr/share/doc/lockstep/copyright", "/usr/share/doc/lockstep/README.md",
		"/usr/share/doc/lockstep/docs/safety.md", "/usr/share/doc/lockstep/examples/rsyncd.conf",
	} {
		if !r.has(name) {
			r.Errorf("%s is not there", name)
		}
	}
	units, err := filepath.Glob("../examples/*.service")
	must(r.T, err)
	for _, unit := range units {
		if name := "/usr/lib/systemd/system/" + filepath.Base(unit); !r.has(name) {
			r.Errorf("%s is not there", name)
		}
	}
	if info, err := os.Stat(r.path(config)); err != nil || info.Mode().Perm() != 0o600 {
		r.Errorf("%s, which may hold passwords: %v, %v", config, info.Mode(), err)
	}
	if !regexp.MustCompile(`(?m)^lockstep:`).MatchString(r.read("/etc/group")) {
		r.Error("there is no group lockstep")
	}
	// The config that came along is in force for nothing, and says so; without its marks it is valid.
	out, err := r.command("lockstep", "check").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "syncs:") {
		r.Errorf("lockstep check says %v, %s", err, out)
	}
	text := regexp.MustCompile(`(?m)^# ?`).ReplaceAllString(r.read(config)[strings.Index(r.read(config), "\n\n"):], "")
	r.write("/tmp/conf.d/more.yaml", "syncs:\n  - {name: more, source: /srv/more/, targets: [/srv/moremirror/]}\n", 0o600)
	r.write("/tmp/all.yaml", strings.ReplaceAll(text, newInConfig, ""), 0o600)
	if out := r.run("lockstep", "config", "-c", "/tmp/all.yaml"); !strings.Contains(out, "web2:/var/www/") {
		r.Errorf("lockstep config of the example: %s", out)
	}
}

func (r *root) reports(version string) {
	r.Helper()
	if out := r.run("lockstep", "--version"); !strings.HasPrefix(out, "lockstep "+version+",") {
		r.Errorf("the version is %q, not %s", out, version)
	}
}

// keepsInStep uses the program.
func (r *root) keepsInStep() {
	r.Helper()
	r.write("/srv/www/index.html", "one", 0o644)
	stop := r.start("lockstep", "--watch", "--delete", "--no-tune", "/srv/www/", "/srv/mirror")
	r.sees("/srv/mirror/index.html", "one")
	r.write("/srv/www/index.html", "two", 0o644)
	r.sees("/srv/mirror/index.html", "two")
	if out := r.run("lockstep", "status"); !strings.Contains(out, "everything is on the target") {
		r.Errorf("status: %s", out)
	}
	stop()
}

// serves does what the README says about a service: ten lines, a start, a target that breaks and is mended, and another start.
func (r *root) serves() {
	r.Helper()
	readme := string(read(r.T, "../README.md"))
	_, text, _ := strings.Cut(readme, "```yaml\n")
	text, _, _ = strings.Cut(text, "```")
	module := r.TempDir()
	d := syncertest.StartDaemon(r.T, syncertest.DaemonConfig{Modules: []syncertest.Module{{Name: "www", Path: module, AuthUsers: "backuper", Secrets: map[string]string{"backuper": "secret"}}}})
	url := strings.Replace(d.URL("www"), "rsync://", "rsync://backuper@", 1)
	before := r.read(config)
	r.write(config, strings.Replace(text, "backuper@mirror.example.com::www/", url, 1), 0o600)
	r.write("/etc/lockstep/server.pass", "secret\n", 0o600)
	r.write("/srv/www/index.html", "one", 0o644)
	r.write("/mnt/backup/.mounted", "", 0o644)
	r.run("lockstep", "check")

	stop := r.start("lockstep", "agent")
	r.sees("/mnt/backup/www/index.html", "one")
	r.write("/srv/www/index.html", "two", 0o644)
	r.run("lockstep", "flush", "--wait", "--timeout=30s", "www")
	for _, file := range []string{r.path("/mnt/backup/www/index.html"), filepath.Join(module, "index.html")} {
		if got := string(read(r.T, file)); got != "two" {
			r.Errorf("the flush says that all is there, and %s holds %q", file, got)
		}
	}
	must(r.T, d.Stop())
	r.write("/srv/www/index.html", "three", 0o644)
	r.sees("/mnt/backup/www/index.html", "three")
	r.says("retrying: .*(?s:.*)remedy +", "lockstep", "status", "www", url)
	must(r.T, d.Start())
	r.run("lockstep", "flush", "--wait", "--timeout=30s", "www")
	if got := string(read(r.T, filepath.Join(module, "index.html"))); got != "three" {
		r.Errorf("after the outage the daemon has %q", got)
	}
	r.says("in-step: everything is on the target", "lockstep", "status", "www", url)
	r.says(`(?s)"known": true.*"known": true`, "lockstep", "status", "--json")
	stop()

	stop = r.start("lockstep", "agent")
	r.says(`(?s)"last_success".*"last_success"`, "lockstep", "status", "--json")
	// What arrived within the second before the stop is compared by content.
	if out := r.run("lockstep", "status", "--json"); !regexp.MustCompile(`(?s)"literal_bytes": 0.*"literal_bytes": 0`).MatchString(out) {
		r.Errorf("after a restart something was sent: %s", out)
	}
	stop()
	r.write(config, before, 0o600)
	must(r.T, os.Remove(r.path("/etc/lockstep/server.pass")))
}

// says waits until a command prints what matches.
func (r *root) says(want string, args ...string) {
	r.Helper()
	wanted := regexp.MustCompile(want)
	for end := time.Now().Add(bound); ; time.Sleep(50 * time.Millisecond) {
		out, _ := r.command(args...).CombinedOutput() // what it is about may be broken on purpose
		if wanted.Match(out) {
			return
		}
		if time.Now().After(end) {
			r.Fatalf("%q says %s, and not %q", args, out, want)
		}
	}
}

// systemd makes the root one where systemd runs, by the look of it, and units are enabled. It gives what its
// systemctl was asked for since it was last looked at.
func (r *root) systemd() func() []string {
	r.Helper()
	r.write("/run/systemd/system/.keep", "", 0o644)
	r.write("/usr/bin/systemctl", "#!/bin/sh\necho \"$*\" >>/tmp/systemctl\n", 0o755)
	wants := "/etc/systemd/system/multi-user.target.wants"
	must(r.T, os.MkdirAll(r.path(wants), 0o755))
	for link, unit := range map[string]string{"lockstep.service": "lockstep.service", "lockstep@www.service": "lockstep@.service"} {
		must(r.T, os.Symlink("/usr/lib/systemd/system/"+unit, r.path(wants+"/"+link)))
	}
	return func() []string {
		b, _ := os.ReadFile(r.path("/tmp/systemctl"))
		os.Remove(r.path("/tmp/systemctl"))
		return strings.Split(strings.TrimSpace(string(b)), "\n")
	}
}

func wantCalls(t *testing.T, when string, got []string, want ...string) {
	t.Helper()
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%s calls systemctl %q, want %q", when, got, want)
	}
}

// wantLeft holds that nothing of lockstep's is left, but for these.
func (r *root) wantLeft(but ...string) {
	r.Helper()
	for _, path := range r.left() {
		known := false
		for _, b := range but {
			known = known || path == b
		}
		if !known {
			r.Errorf("%s is left", path)
		}
	}
}
