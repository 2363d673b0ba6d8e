package options

import (
	"errors"
	"fmt"
	"strings"

	"github.com/lockstep-sync/lockstep/cmd/internal/agent"
	"github.com/lockstep-sync/lockstep/cmd/internal/confine"
	"github.com/lockstep-sync/lockstep/cmd/internal/logs"
	"github.com/lockstep-sync/lockstep/syncer"
	"github.com/lockstep-sync/lockstep/watcher"
)

// addOptions adds all options but --help and --version. Which of them have a "--no-" form is
// as in rsync.
func (l *Line) addOptions() {
	l.addWatching()
	l.addSelection()
	l.addAttributes()
	l.addComparison()
	l.addWriting()
	l.addDeletion()
	l.addOutput()
	l.addWire()
}

func (l *Line) addWatching() {
	s := l.s
	l.Set("watch", "", &s.Watch).onLine("a service always watches").about("push, then keep in step")
	l.Val("target", "", func(v string) error {
		l.targets = append(l.targets, v)
		return nil
	}).list().onLine("targets: is the list of a sync's targets").about("a further target")
	l.Set("no-tune", "", &s.NoTune).process().about("leave the kernel's inotify limits alone")
	l.duration("settle", &s.Settle).about("how long a path must be quiet before it is sent")
	l.duration("max-delay", &s.MaxDelay).about("how long a path that is never quiet may wait")
	l.duration("grace", &s.Grace).source().about("how long a stop may take to send what is pending")
	l.Text("watch-backend", "", &s.WatchBackend).choice(watcher.BackendAuto, watcher.BackendInotify, watcher.BackendFanotify).source().
		about("how the kernel is asked for changes")
	l.duration("poll-interval", &s.PollInterval).source().about("how often what cannot be watched is compared")
	l.Val("index", "", func(v string) error {
		s.NoIndex = v == "off"
		if v != "on" && v != "off" {
			return fmt.Errorf("%q: it is on or off", v)
		}
		return nil
	}).choice("on", "off").isSwitched(&s.NoIndex).source().about("keep an index of the tree, 25 to 30 bytes a file")
	l.Text("state-dir", "", &s.StateDir).process().about("where is kept what the targets were brought to")
	l.duration("verify-every", &s.VerifyEvery).about("compare with the target itself every so often")
	l.Set("verify-checksum", "", &s.VerifyChecksum).about("verify by content")
	l.Text("control", "", &s.Control).process().about("a control socket")
	l.Text("user", "", &s.User).process().about("become NAME[:GROUP]")
	l.Text("confine", "", &s.Confine).choice(confine.Levels()...).process().about("how much is taken from the process")
	l.Text("log-level", "", &s.LogLevel).choice(logs.Levels()...).process().about("from which level on is logged")
	l.Text("log-format", "", &s.LogFormat).choice(logs.Formats()...).process().about("the form of log lines")
	l.Set("daemon", "", &s.Daemon).onLine("how a process is started is told where it is started").about("return when it watches, and go on in the background")
	l.Text("pid-file", "", &s.PIDFile).onLine("how a process is started is told where it is started").about("hold a file with the process's number")
	l.Text("log-file", "", &s.LogFile).process().about("log there instead of to standard error; SIGUSR1 opens it again")
}

// addSelection: what takes part.
func (l *Line) addSelection() {
	s := l.s
	l.toggle("archive", "a", &s.Recurse, &s.Links, &s.Perms, &s.Times, &s.Group, &s.Owner, &s.Devices, &s.Specials).isMany().about("-rlptgoD, the default, of which others take a part away")
	// -a does not ask for recursion where there is a --files-from; -r does.
	l.toggle("recursive", "r", &s.Recurse, &l.recurse).about("directories with their content")
	l.toggle("links", "l", &s.Links).about("symlinks as symlinks")
	l.toggle("devices", "", &s.Devices).about("device files")
	l.toggle("specials", "", &s.Specials).about("FIFOs and sockets")
	l.Set("", "D", &s.Devices, &s.Specials)
	l.unset("D", "", &s.Devices, &s.Specials)
	l.Try("one-file-system", "x", func() error {
		if s.OneFileSystem {
			return errors.New("given twice it leaves out mount points in rsync, which lockstep cannot: once keeps them, empty")
		}
		s.OneFileSystem = true
		return nil
	}).isBool(&s.OneFileSystem).source().about("stay on the source's file system")
	l.unset("one-file-system", "x", &s.OneFileSystem)
	l.Set("copy-links", "L", &s.CopyLinks).source().about("what symlinks point to")
	l.Set("copy-unsafe-links", "", &s.CopyUnsafeLinks).source().about("what symlinks that lead out of the source point to")
	l.Set("safe-links", "", &s.SafeLinks).about("leave out symlinks that lead out of the source")
	l.Set("copy-dirlinks", "k", &s.CopyDirlinks).source().about("symlinks to directories as directories")
	l.toggle("munge-links", "", &s.MungeLinks).about("undo what a daemon's munge symlinks did")
	l.On("relative", "R", func() { s.Relative, l.relative = true, true }).source().about("with the path as written")
	for _, name := range []string{"no-relative", "no-R"} {
		l.On(name, "", func() { s.Relative, l.relative = false, true })
	}
	for _, name := range []string{"implied-dirs", "i-d"} {
		l.On(name, "", func() { s.NoImpliedDirs = false }).alias("implied-dirs").source().about("with relative, also the directories above")
		l.On("no-"+name, "", func() { s.NoImpliedDirs = true })
	}
	l.Val("files-from", "", func(v string) error {
		l.filesFrom, l.hasFilesFrom = v, true
		return nil
	}).as(File).source().about("only the names in this file")
	// As in rsync it counts for the files of rules behind it, and for --files-from anywhere.
	l.On("from0", "0", func() { l.zeroes, s.Filter.Zeroes = true, true }).isBool(&l.zeroes).about("names in the files of names and rules end with a NUL")
	l.On("no-from0", "", func() { l.zeroes, s.Filter.Zeroes = false, false })
	l.toggle("prune-empty-dirs", "m", &s.PruneEmptyDirs).about("no directories without content")
	l.Val("max-size", "", parsed(&s.MaxSize, syncer.ParseSize)).as(Size).about("no larger files")
	l.Val("min-size", "", parsed(&s.MinSize, syncer.ParseSize)).as(Size).about("no smaller files")
	l.Val("exclude", "", func(v string) error { return s.Filter.Exclude(v) }).list().about("leave out what matches")
	l.Val("include", "", func(v string) error { return s.Filter.Include(v) }).list().about("do not leave out what matches")
	l.Val("filter", "f", func(v string) error { return s.Filter.Filter(v) }).list().about("a filter rule; the first that matches counts")
	l.Try("", "F", l.perDirectory)
	l.Set("cvs-exclude", "C", &l.cvs).about("leave out what CVS does")
	l.Val("exclude-from", "", fromFile(s.Filter.ExcludeFrom)).list().as(File).about("read patterns to leave out from a file")
	l.Val("include-from", "", fromFile(s.Filter.IncludeFrom)).list().as(File).about("read patterns to keep from a file")
	l.Set("allow-empty", "", &s.AllowEmpty).source().about("let an empty source empty the target")
	l.Set("delete-unmounted", "", &s.DeleteUnmounted).source().about("delete what was on a file system that was unmounted below the source")
	l.Set("new-source", "", &s.NewSource).source().about("take the source as it is now, although another directory stood there")
	l.Val("marker", "", func(v string) error {
		s.Marker = v
		return syncer.CheckMarker(v)
	}).source().about("push only while this name below the source is there")
}

// perDirectory is -F: once for the files, a second time to leave them out themselves.
func (l *Line) perDirectory() error {
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
func (l *Line) addAttributes() {
	s := l.s
	l.toggle("perms", "p", &s.Perms).about("permissions")
	l.toggle("times", "t", &s.Times).about("times of modification")
	l.toggle("group", "g", &s.Group).about("groups")
	l.toggle("owner", "o", &s.Owner).about("owners")
	l.toggle("hard-links", "H", &s.HardLinks).about("names of one file stay names of one file")
	l.Set("acls", "A", &s.ACLs, &s.Perms).about("ACLs") // ACLs are permissions
	l.unset("acls", "A", &s.ACLs)
	l.toggle("xattrs", "X", &s.Xattrs).about("extended attributes")
	l.toggle("atimes", "U", &s.Atimes).about("times of access")
	l.toggle("crtimes", "N", &s.Crtimes).about("times of creation")
	l.Set("executability", "E", &s.Executability).about("whether files are executable")
	l.toggle("omit-dir-times", "O", &s.OmitDirTimes).about("no times of directories")
	l.toggle("omit-link-times", "J", &s.OmitLinkTimes).about("no times of symlinks")
	l.toggle("numeric-ids", "", &s.NumericIDs).about("owners and groups by number, not by name")
	l.Set("fake-super", "", &s.FakeSuper).about("keep owners, devices and the like in extended attributes")
	l.Val("chmod", "", func(v string) error {
		c, err := syncer.ParseChmod(v)
		s.Chmod = append(s.Chmod, c...)
		return err
	}).list().about("change permissions, as D755,F644")
	l.Val("usermap", "", func(v string) error { return l.mapIDs("--usermap", v, &s.Usermap, &l.usermap, &s.Owner) }).about("give files of some users to others")
	l.Val("groupmap", "", func(v string) error { return l.mapIDs("--groupmap", v, &s.Groupmap, &l.groupmap, &s.Group) }).about("give files of some groups to others")
	l.Val("chown", "", l.chown).about("give all to USER:GROUP")
}

// mapIDs reads a --usermap or --groupmap, or what --chown makes of itself. There is one map,
// of whoever gave it; a rule for ids that are not kept would do nothing.
func (l *Line) mapIDs(option, v string, to, by *string, keep *bool) error {
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
func (l *Line) chown(v string) error {
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
func (l *Line) addComparison() {
	s := l.s
	l.toggle("checksum", "c", &s.Checksum).about("compare by checksum, not by size and time")
	l.Set("size-only", "", &s.SizeOnly).about("compare by size alone")
	l.Set("ignore-times", "I", &s.IgnoreTimes).about("compare all by content")
	l.number("modify-window", "@", &s.ModifyWindow).about("times may differ by so many seconds")
	l.Set("update", "u", &s.Update).about("no file that is newer on the target")
	l.Set("existing", "", &s.Existing).about("only files that are on the target")
	l.Set("ignore-non-existing", "", &s.Existing).same("existing")
	l.Set("ignore-existing", "", &s.IgnoreExisting).about("only files that are not on the target")
}

// addWriting: how files are written.
func (l *Line) addWriting() {
	s := l.s
	l.toggle("whole-file", "W", &s.WholeFile).about("send whole files, no deltas")
	l.Val("block-size", "B", parsed(&s.BlockSize, syncer.ParseBlockSize)).as(Size).about("of deltas")
	l.toggle("sparse", "S", &s.Sparse).about("write holes for zeros")
	l.toggle("inplace", "", &s.Inplace).about("write into the file itself")
	l.On("append", "", func() { s.Append, s.AppendVerify = true, false }).about("write at a file's end")
	l.On("append-verify", "", func() { s.Append, s.AppendVerify = false, true }).about("write at a file's end, and check all of it")
	l.unset("append", "", &s.Append, &s.AppendVerify)
	l.Set("backup", "b", &s.Backup).about("keep what is replaced or deleted")
	l.unset("backup", "", &s.Backup)
	l.Val("backup-dir", "", func(v string) error {
		s.BackupDir, s.Backup = v, true
		return syncer.CheckBackupDir(v)
	}).about("keep what is replaced or deleted in this directory")
	l.Val("suffix", "", func(v string) error {
		s.Suffix, l.hasSuffix = v, true
		return nil
	}).about("of the names of backups")
	l.toggle("partial", "", &s.Partial).about("keep half a file for the next run")
	l.Val("partial-dir", "", func(v string) error {
		s.PartialDir, s.Partial = v, true
		return nil
	}).about("keep half a file there")
	l.Set("", "P", &s.Partial, &s.Progress)
	l.Text("temp-dir", "T", &s.TempDir).about("write files there first")
	l.toggle("delay-updates", "", &s.DelayUpdates).about("put all in place at the end")
	l.Set("fsync", "", &s.Fsync).about("wait until it is on the disk")
	l.Set("keep-dirlinks", "K", &s.KeepDirlinks).about("a symlink to a directory on the target is a directory")
	l.toggle("fuzzy", "y", &s.Fuzzy).about("look for a similar file to start from")
	l.toggle("mkpath", "", &s.Mkpath).about("make all of the target's path")
	for _, name := range []string{"inc-recursive", "i-r"} {
		l.On(name, "", func() { s.NoIncRecurse = false }).alias("inc-recursive").about("list directories while files are sent")
		l.On("no-"+name, "", func() { s.NoIncRecurse = true })
	}
}

// addDeletion: what is deleted, and when.
func (l *Line) addDeletion() {
	s := l.s
	l.Set("delete", "", &s.Delete).about("delete from the target what is not in the source")
	l.deletes("del", syncer.DeleteDuring).same("delete-during")
	l.deletes("delete-before", syncer.DeleteBefore).about("delete before files are sent")
	l.deletes("delete-during", syncer.DeleteDuring).about("delete while files are sent")
	// rsync's --delete-delay takes no value. With one it is a time of grace.
	l.bare("delete-delay", "", func() error { return l.deleteWhen("delete-delay", syncer.DeleteDelay) }, duration(&s.DeleteDelay)).
		as(Duration).inGroup(whenToDelete).about("delete what has been gone for so long; without a time, after files are sent")
	l.deletes("delete-after", syncer.DeleteAfter).about("delete after files are sent, and look for it then")
	l.Set("delete-excluded", "", &s.Delete, &s.DeleteExcluded).isBool(&s.DeleteExcluded).about("delete also what the rules leave out")
	l.toggle("ignore-errors", "", &s.IgnoreErrors).about("delete even if something could not be read")
	l.toggle("force", "", &s.Force).about("delete a directory where a file is to be, whatever is in it")
	l.Val("max-delete", "", func(v string) error {
		limit, err := agent.ParseLimit(v)
		s.DeleteLimit, s.MaxDelete = limit, limit.Names
		return err
	}).as(Limit).about("delete no more names in any hour, or no more than such a part, until they are released")
}

// deletes adds an option that says when to delete. Two of them must agree, but that both
// --delete-during and --delete-delay look for what to delete during the push.
func (l *Line) deletes(name string, when syncer.When) *Option {
	return l.Try(name, "", func() error { return l.deleteWhen(name, when) }).inGroup(whenToDelete)
}

// whenToDelete is the group of the options that say it.
const whenToDelete = "when to delete"

func (l *Line) deleteWhen(name string, when syncer.When) error {
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
