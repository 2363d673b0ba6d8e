package agent

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.uber.org/zap"

	"github.com/lockstep-sync/lockstep/cmd/internal/confine"
	"github.com/lockstep-sync/lockstep/cmd/internal/places"
	"github.com/lockstep-sync/lockstep/syncer"
	"github.com/lockstep-sync/lockstep/watcher"
)

// needs are what the process has to be able to do for these settings, which are valid.
func (s *Settings) needs() (confine.Needs, error) {
	n := confine.Needs{
		Level:    cmp.Or(s.Confine, confine.Off),
		Watch:    s.Watch,
		Fanotify: s.WatchBackend == watcher.BackendFanotify,
		Inotify:  s.WatchBackend == watcher.BackendInotify,
		Tune:     s.Watch && !s.NoTune,

		Owners: s.Owner || s.Group, Devices: s.Devices, Xattrs: s.Xattrs, Atimes: s.Atimes,
		ReadsAnywhere: s.CopyLinks || s.CopyUnsafeLinks || s.CopyDirlinks,
		Read:          []string{s.Source},
	}
	if s.PasswordFile != "" && s.PasswordFile != "-" {
		n.Read = append(n.Read, filepath.Dir(s.PasswordFile)) // the file may be replaced
	}
	if dir := s.stateDir(); s.Watch && dir != "" {
		n.Write = append(n.Write, dir)
	}
	if dir, err := places.Dir(); s.Watch && err == nil { // claims are made and removed; one that fails says so itself
		n.Write = append(n.Write, dir)
	}
	for _, file := range []string{s.LogFile, s.PIDFile} { // one is made anew, one is removed
		if file != "" {
			n.Write = append(n.Write, filepath.Dir(file))
		}
	}
	for _, one := range s.Each() {
		if err := one.addNeeds(&n); err != nil {
			return n, err
		}
	}
	var err error
	if s.User != "" {
		n.User, err = confine.ParseUser(s.User)
	}
	return n, err
}

// addNeeds adds what one target takes.
func (s *Settings) addNeeds(n *confine.Needs) error {
	target, err := syncer.ParseTarget(s.Target)
	switch {
	case err != nil:
		return err
	case !target.Remote():
		n.Local = true
		n.Write = append(n.Write, s.writes(target.Path)...)
	case target.Shell() || s.Rsh != "":
		n.Exec = true
	}
	n.Secret = n.Secret || target.Remote() && !target.Shell()
	return nil
}

// writes are the places where a local target is written. Relative ones are below it.
func (s *Settings) writes(target string) []string {
	places := []string{target}
	for _, dir := range []string{s.TempDir, s.BackupDir, s.PartialDir} {
		if strings.HasPrefix(dir, "/") {
			places = append(places, dir)
		}
	}
	return places
}

// handOver gives what is kept of each target to the user that the process becomes.
func (all replicas) handOver(user *confine.User) error {
	for _, r := range all {
		if err := r.memory.giveTo(user.UID, user.GID); err != nil {
			return fmt.Errorf("--user=%s: hand over the state: %w", user, err)
		}
	}
	return nil
}

// confine takes from the process what these settings do not need. After an error it should end.
func (s *Settings) confine() (confine.Report, error) {
	n, err := s.needs()
	if err != nil {
		return confine.Report{}, err
	}
	return apply(n)
}

func apply(n confine.Needs) (confine.Report, error) {
	plan := confine.Decide(n)
	rep, err := plan.Apply()
	if err != nil {
		return rep, &syncer.Failure{Code: syncer.CodeUnsupported, Err: err}
	}
	return rep, nil
}

// needs are what the process has to be able to do for all syncs.
func (p *Process) needs(syncs []SyncConfig) (confine.Needs, error) {
	n := confine.Needs{Level: cmp.Or(p.Confine, confine.Off), Inotify: true}
	if dir, err := places.Dir(); err == nil { // for syncs that come later
		n.Write = append(n.Write, dir)
	}
	for i := range syncs {
		for k := range syncs[i].Targets {
			one, err := syncs[i].Targets[k].needs()
			if err != nil {
				return n, err
			}
			n = add(n, one)
		}
		n.Exec = n.Exec || syncs[i].Hooks.Any()
	}
	for _, file := range []string{p.LogFile, p.PIDFile, p.Control, p.Listen} {
		if strings.HasPrefix(file, "/") {
			n.Write = append(n.Write, filepath.Dir(file))
		}
	}
	for _, file := range []string{p.ListenCert, p.ListenKey, p.ListenClientCA, p.ListenToken} {
		if file != "" {
			n.Read = append(n.Read, filepath.Dir(file))
		}
	}
	var err error
	if p.User != "" {
		n.User, err = confine.ParseUser(p.User)
	}
	return n, err
}

// add is what both need.
func add(n, o confine.Needs) confine.Needs {
	n.Watch, n.Fanotify, n.Inotify, n.Tune = n.Watch || o.Watch, n.Fanotify || o.Fanotify, n.Inotify && o.Inotify, n.Tune || o.Tune
	n.Exec, n.Local, n.Secret = n.Exec || o.Exec, n.Local || o.Local, n.Secret || o.Secret
	n.Owners, n.Devices, n.Xattrs, n.Atimes = n.Owners || o.Owners, n.Devices || o.Devices, n.Xattrs || o.Xattrs, n.Atimes || o.Atimes
	n.ReadsAnywhere = n.ReadsAnywhere || o.ReadsAnywhere
	for _, dir := range o.Read {
		if !slices.Contains(n.Read, dir) {
			n.Read = append(n.Read, dir)
		}
	}
	for _, dir := range o.Write {
		if !slices.Contains(n.Write, dir) {
			n.Write = append(n.Write, dir)
		}
	}
	return n
}

// logPrivileges tells once what the process may still do.
func logPrivileges(log *zap.Logger, rep confine.Report) {
	log.Info("privileges", zap.String("user", rep.User), zap.String("capabilities", rep.Capabilities),
		zap.Bool("no_new_privs", rep.NoNewPrivs), zap.String("landlock", rep.Landlock),
		zap.String("seccomp", rep.Seccomp), zap.Strings("lost", rep.Lost))
}

// checkConfine: --user is for root, and a level of confinement is one that there is.
func (s *Settings) checkConfine(c *checker) {
	switch s.Confine {
	case "", confine.Off, confine.Auto, confine.Strict:
	default:
		c.check(true, "--confine %q: it is %s", s.Confine, strings.Join(confine.Levels(), ", "))
	}
	if s.User == "" {
		return
	}
	c.check(os.Geteuid() != 0, "--user=%s needs root: only root can become somebody else", s.User)
	if _, err := confine.ParseUser(s.User); err != nil {
		c.check(true, "--user: %v", err)
	}
}
