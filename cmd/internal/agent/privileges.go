package agent

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"go.uber.org/zap"

	"github.com/lockstep-sync/lockstep/cmd/internal/confine"
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
	if s.LogFile != "" {
		n.Write = append(n.Write, filepath.Dir(s.LogFile)) // it is opened again, or made
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
func (all replicas) handOver(s *Settings) error {
	if s.User == "" {
		return nil
	}
	user, err := confine.ParseUser(s.User)
	if err != nil {
		return err
	}
	for _, r := range all {
		if err := r.memory.giveTo(user.UID, user.GID); err != nil {
			return fmt.Errorf("--user=%s: hand over the state: %w", s.User, err)
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
	plan := confine.Decide(n)
	rep, err := plan.Apply()
	if err != nil {
		return rep, &syncer.Failure{Code: syncer.CodeUnsupported, Err: err}
	}
	return rep, nil
}

// tunesFirst says that kernel limits must be raised before the user is changed, who could not.
func (s *Settings) tunesFirst() bool { return s.Watch && !s.NoTune && s.User != "" }

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
