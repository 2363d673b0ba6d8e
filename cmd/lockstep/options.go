package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/lockstep-sync/lockstep/cmd/internal/agent"
	"github.com/lockstep-sync/lockstep/syncer"
)

// addOptions adds all options but --help and --version. Which of them have a "--no-" form is
// as in rsync.
func (l *line) addOptions() {
	l.addWatching()
	l.addSelection()
	l.addAttributes()
	l.addComparison()
	l.addWriting()
	l.addDeletion()
	l.addOutput()
	l.addWire()
}

func (l *line) addWatching() {
	s := l.s
	l.set("watch", "", &s.Watch)
	l.val("target", "", func(v string) error {
		l.targets = append(l.targets, v)
		return nil
	})
	l.set("no-tune", "", &s.NoTune)
	l.val("settle", "", duration(&s.Settle))
	l.val("max-delay", "", duration(&s.MaxDelay))
	l.val("grace", "", duration(&s.Grace))
	l.text("watch-backend", "", &s.WatchBackend)
	l.val("poll-interval", "", duration(&s.PollInterval))
	l.val("index", "", func(v string) error {
		s.NoIndex = v == "off"
		if v != "on" && v != "off" {
			return fmt.Errorf("%q: it is on or off", v)
		}
		return nil
	})
	l.text("state-dir", "", &s.StateDir)
	l.val("verify-every", "", duration(&s.VerifyEvery))
	l.set("verify-checksum", "", &s.VerifyChecksum)
	l.text("user", "", &s.User)
	l.text("confine", "", &s.Confine)
	l.text("log-level", "", &s.LogLevel)
	l.text("log-format", "", &s.LogFormat)
}

// addSelection: what takes part.
func (l *line) addSelection() {
	s := l.s
	l.toggle("archive", "a", &s.Recurse, &s.Links, &s.Perms, &s.Times, &s.Group, &s.Owner, &s.Devices, &s.Specials)
	// -a does not ask for recursion where there is a --files-from; -r does.
	l.toggle("recursive", "r", &s.Recurse, &l.recurse)
	l.toggle("links", "l", &s.Links)
	l.toggle("devices", "", &s.Devices)
	l.toggle("specials", "", &s.Specials)
	l.set("", "D", &s.Devices, &s.Specials)
	l.unset("D", "", &s.Devices, &s.Specials)
	l.try("one-file-system", "x", func() error {
		if s.OneFileSystem {
			return errors.New("given twice it leaves out mount points in rsync, which lockstep cannot: once keeps them, empty")
		}
		s.OneFileSystem = true
		return nil
	})
	l.unset("one-file-system", "x", &s.OneFileSystem)
	l.set("copy-links", "L", &s.CopyLinks)
	l.set("copy-unsafe-links", "", &s.CopyUnsafeLinks)
	l.set("safe-links", "", &s.SafeLinks)
	l.set("copy-dirlinks", "k", &s.CopyDirlinks)
	l.toggle("munge-links", "", &s.MungeLinks)
	l.on("relative", "R", func() { s.Relative, l.relative = true, true })
	for _, name := range []string{"no-relative", "no-R"} {
		l.on(name, "", func() { s.Relative, l.relative = false, true })
	}
	for _, name := range []string{"implied-dirs", "i-d"} {
		l.on(name, "", func() { s.NoImpliedDirs = false })
		l.on("no-"+name, "", func() { s.NoImpliedDirs = true })
	}
	l.val("files-from", "", func(v string) error {
		l.filesFrom, l.hasFilesFrom = v, true
		return nil
	})
	// As in rsync it counts for the files of rules behind it, and for --files-from anywhere.
	l.on("from0", "0", func() { l.zeroes, s.Filter.Zeroes = true, true })
	l.on("no-from0", "", func() { l.zeroes, s.Filter.Zeroes = false, false })
	l.toggle("prune-empty-dirs", "m", &s.PruneEmptyDirs)
	l.val("max-size", "", parsed(&s.MaxSize, syncer.ParseSize))
	l.val("min-size", "", parsed(&s.MinSize, syncer.ParseSize))
	l.val("exclude", "", func(v string) error { return s.Filter.Exclude(v) })
	l.val("include", "", func(v string) error { return s.Filter.Include(v) })
	l.val("filter", "f", func(v string) error { return s.Filter.Filter(v) })
	l.try("", "F", l.perDirectory)
	l.set("cvs-exclude", "C", &l.cvs)
	l.val("exclude-from", "", fromFile(s.Filter.ExcludeFrom))
	l.val("include-from", "", fromFile(s.Filter.IncludeFrom))
	l.set("allow-empty", "", &s.AllowEmpty)
	l.set("delete-unmounted", "", &s.DeleteUnmounted)
	l.set("new-source", "", &s.NewSource)
	l.val("marker", "", func(v string) error {
		s.Marker = v
		return syncer.CheckMarker(v)
	})
}

// perDirectory is -F: once for the files, a second time to leave them out themselves.
func (l *line) perDirectory() error {
	l.perDir++
	switch l.perDir {
	case 1:
		return l.s.Filter.Filter("dir-merge /.rsync-filter")
	case 2:
		return l.s.Filter.Filter("exclude .rsync-filter")
	}
	return nil
}

// addAttributes: what is kept of it.
func (l *line) addAttributes() {
	s := l.s
	l.toggle("perms", "p", &s.Perms)
	l.toggle("times", "t", &s.Times)
	l.toggle("group", "g", &s.Group)
	l.toggle("owner", "o", &s.Owner)
	l.toggle("hard-links", "H", &s.HardLinks)
	l.set("acls", "A", &s.ACLs, &s.Perms) // ACLs are permissions
	l.unset("acls", "A", &s.ACLs)
	l.toggle("xattrs", "X", &s.Xattrs)
	l.toggle("atimes", "U", &s.Atimes)
	l.toggle("crtimes", "N", &s.Crtimes)
	l.set("executability", "E", &s.Executability)
	l.toggle("omit-dir-times", "O", &s.OmitDirTimes)
	l.toggle("omit-link-times", "J", &s.OmitLinkTimes)
	l.toggle("numeric-ids", "", &s.NumericIDs)
	l.set("fake-super", "", &s.FakeSuper)
	l.val("chmod", "", func(v string) error {
		c, err := syncer.ParseChmod(v)
		s.Chmod = append(s.Chmod, c...)
		return err
	})
	l.val("usermap", "", func(v string) error { return l.mapIDs("--usermap", v, &s.Usermap, &l.usermap, &s.Owner) })
	l.val("groupmap", "", func(v string) error { return l.mapIDs("--groupmap", v, &s.Groupmap, &l.groupmap, &s.Group) })
	l.val("chown", "", l.chown)
}

// mapIDs reads a --usermap or --groupmap, or what --chown makes of itself. There is one map,
// of whoever gave it; a rule for ids that are not kept would do nothing.
func (l *line) mapIDs(option, v string, to, by *string, keep *bool) error {
	if *by != "" {
		return fmt.Errorf("%s was given before: put all rules into one", *by)
	}
	if v == "" {
		return errors.New("it is empty: write FROM:TO")
	}
	if err := syncer.CheckIDMap(v); err != nil {
		return err
	}
	*to, *by, *keep = v, option, true
	return nil
}

// chown reads --chown=USER:GROUP: the simple form of the two maps.
func (l *line) chown(v string) error {
	user, group, _ := strings.Cut(v, ":")
	if strings.Contains(v, ",") {
		return fmt.Errorf("%q is no USER:GROUP: a comma is for --usermap and --groupmap", v)
	}
	if user != "" {
		if err := l.mapIDs("--chown", "*:"+user, &l.s.Usermap, &l.usermap, &l.s.Owner); err != nil {
			return err
		}
	}
	if group != "" {
		return l.mapIDs("--chown", "*:"+group, &l.s.Groupmap, &l.groupmap, &l.s.Group)
	}
	return nil
}

// addComparison: which files are sent.
func (l *line) addComparison() {
	s := l.s
	l.toggle("checksum", "c", &s.Checksum)
	l.set("size-only", "", &s.SizeOnly)
	l.set("ignore-times", "I", &s.IgnoreTimes)
	l.val("modify-window", "@", number(&s.ModifyWindow))
	l.set("update", "u", &s.Update)
	l.set("existing", "", &s.Existing)
	l.set("ignore-non-existing", "", &s.Existing)
	l.set("ignore-existing", "", &s.IgnoreExisting)
}

// addWriting: how files are written.
func (l *line) addWriting() {
	s := l.s
	l.toggle("whole-file", "W", &s.WholeFile)
	l.val("block-size", "B", parsed(&s.BlockSize, syncer.ParseBlockSize))
	l.toggle("sparse", "S", &s.Sparse)
	l.toggle("inplace", "", &s.Inplace)
	l.on("append", "", func() { s.Append, s.AppendVerify = true, false })
	l.on("append-verify", "", func() { s.Append, s.AppendVerify = false, true })
	l.unset("append", "", &s.Append, &s.AppendVerify)
	l.set("backup", "b", &s.Backup)
	l.unset("backup", "", &s.Backup)
	l.val("backup-dir", "", func(v string) error {
		s.BackupDir, s.Backup = v, true
		return syncer.CheckBackupDir(v)
	})
	l.val("suffix", "", func(v string) error {
		s.Suffix, l.hasSuffix = v, true
		return nil
	})
	l.toggle("partial", "", &s.Partial)
	l.val("partial-dir", "", func(v string) error {
		s.PartialDir, s.Partial = v, true
		return nil
	})
	l.set("", "P", &s.Partial, &s.Progress)
	l.text("temp-dir", "T", &s.TempDir)
	l.toggle("delay-updates", "", &s.DelayUpdates)
	l.set("fsync", "", &s.Fsync)
	l.set("keep-dirlinks", "K", &s.KeepDirlinks)
	l.toggle("fuzzy", "y", &s.Fuzzy)
	l.toggle("mkpath", "", &s.Mkpath)
	for _, name := range []string{"inc-recursive", "i-r"} {
		l.on(name, "", func() { s.NoIncRecurse = false })
		l.on("no-"+name, "", func() { s.NoIncRecurse = true })
	}
}

// addDeletion: what is deleted, and when.
func (l *line) addDeletion() {
	s := l.s
	l.set("delete", "", &s.Delete)
	l.deletes("del", syncer.DeleteDuring)
	l.deletes("delete-before", syncer.DeleteBefore)
	l.deletes("delete-during", syncer.DeleteDuring)
	// rsync's --delete-delay takes no value. With one it is a time of grace.
	l.flags.VarPF(value{func(v string) error {
		if v == given {
			return l.deleteWhen("delete-delay", syncer.DeleteDelay)
		}
		return duration(&s.DeleteDelay)(v)
	}}, "delete-delay", "", "").NoOptDefVal = given
	l.deletes("delete-after", syncer.DeleteAfter)
	l.set("delete-excluded", "", &s.Delete, &s.DeleteExcluded)
	l.toggle("ignore-errors", "", &s.IgnoreErrors)
	l.toggle("force", "", &s.Force)
	l.val("max-delete", "", func(v string) error {
		limit, err := agent.ParseLimit(v)
		s.DeleteLimit, s.MaxDelete = limit, limit.Names
		return err
	})
}

// deletes adds an option that says when to delete. Two of them must agree, but that both
// --delete-during and --delete-delay look for what to delete during the push.
func (l *line) deletes(name string, when syncer.When) {
	l.try(name, "", func() error { return l.deleteWhen(name, when) })
}

func (l *line) deleteWhen(name string, when syncer.When) error {
	group := when
	if when == syncer.DeleteDelay {
		group = syncer.DeleteDuring
	}
	if l.when != "" && l.whenGroup != group {
		return fmt.Errorf("%s was given before: there is one time to delete", l.when)
	}
	l.when, l.whenGroup = "--"+name, group
	l.s.Delete, l.s.DeleteWhen = true, when
	return nil
}
