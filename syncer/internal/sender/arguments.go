package sender

import (
	"strconv"
	"strings"
	"time"

	"github.com/lockstep-sync/lockstep/syncer/internal/option"
)

// arguments is the argument vector of the peer's rsync, without a program name, up to
// the "." that ends the options: what the real client sends (rsync 3.5.0 options.c,
// server_options), but that values stand in one word with their option. What acts on the
// sender's side alone is not in it: --chmod, -L, -k, --munge-links, --fake-super, and -m,
// for which the list is made short here.
func (o *Options) arguments(j *Job, modernPeer bool) []string {
	caps := "e.LsfxCIvu"
	if o.inPieces(j, modernPeer) {
		caps = "e.iLsfxCIvu"
	}
	z, compress := o.compressArguments()
	a := arguments{"--server", "-" + o.letters(j, z) + caps}
	a.add(j.Prune && !o.Recurse, "--no-r")
	a = append(a, compress...)
	a.add(o.Devices && !o.Specials, "--no-specials")
	a.add(!o.Devices && o.Specials, "--specials")
	a.add(o.BlockSize > 0, "-B"+strconv.Itoa(o.BlockSize))
	a.add(o.Timeout > 0, "--timeout="+strconv.Itoa(int(max(1, o.Timeout/time.Second))))
	a.add(o.Bwlimit > 0, "--bwlimit="+strconv.FormatInt(max(1, (o.Bwlimit+512)/1024), 10))
	o.deleting(&a, j)
	o.writing(&a)
	o.choosing(&a, modernPeer)
	a = append(a, o.RemoteOptions...)
	return append(a, ".")
}

// arguments grows word by word.
type arguments []string

func (a *arguments) add(on bool, word string) {
	if on {
		*a = append(*a, word)
	}
}

// value adds option=text, unless there is none.
func (a *arguments) value(option, text string) { a.add(text != "", option+"="+text) }

// letters are the options of one letter, in rsync's order.
func (o *Options) letters(j *Job, z bool) string {
	var short strings.Builder
	for _, f := range []struct {
		on     bool
		letter byte
	}{
		{o.Backup || o.BackupDir != "", 'b'}, {o.Update, 'u'}, {o.DryRun, 'n'}, {o.Links, 'l'}, {j.Prune && !o.Recurse, 'd'},
		{o.KeepDirlinks, 'K'}, {o.OmitDirTimes, 'O'}, {o.OmitLinkTimes, 'J'}, {o.Fuzzy, 'y'}, {o.WholeFile, 'W'},
		{o.HardLinks, 'H'}, {o.Owner, 'o'}, {o.Group, 'g'}, {o.Devices, 'D'}, {o.Times, 't'}, {o.Atimes, 'U'},
		{o.Crtimes, 'N'}, {o.Perms || o.ACLs, 'p'}, {o.Executability && !o.Perms && !o.ACLs, 'E'}, {o.ACLs, 'A'},
		{o.Xattrs, 'X'}, {o.Recurse, 'r'}, {o.Checksum, 'c'}, {o.IgnoreTimes || j.IgnoreTimes, 'I'}, {o.Relative, 'R'},
		{o.OneFileSystem, 'x'}, {o.Sparse, 'S'}, {z, 'z'},
	} {
		if f.on {
			short.WriteByte(f.letter)
		}
	}
	return short.String()
}

// deleting adds what is to be deleted, and when.
func (o *Options) deleting(a *arguments, j *Job) {
	if j.Prune {
		*a = append(*a, map[option.When]string{
			option.During: "--delete-during", option.Before: "--delete-before",
			option.Delay: "--delete-delay", option.After: "--delete-after",
		}[o.DeleteWhen])
		a.add(o.DeleteExcluded, "--delete-excluded")
	}
	a.add(j.Delete && !o.Without["force"] || o.Force, "--force")
	a.add(j.List.missing > 0, "--delete-missing-args")
	a.add(o.MaxDelete >= 0 && (j.Delete || j.Prune), "--max-delete="+strconv.FormatInt(o.MaxDelete, 10))
	a.add(o.IgnoreErrors, "--ignore-errors")
}

// writing adds how files are written, and what becomes of old ones.
func (o *Options) writing(a *arguments) {
	a.value("--backup-dir", o.BackupDir)
	a.add(o.Suffix != "" && (o.Suffix != "~" || o.BackupDir != ""), "--suffix="+o.Suffix)
	switch {
	case o.PartialDir != "":
		a.value("--partial-dir", o.PartialDir)
		a.add(o.DelayUpdates, "--delay-updates")
	case o.DelayUpdates:
		a.add(true, "--delay-updates")
	default:
		a.add(o.Partial && !o.inplace(), "--partial")
	}
	a.value("--temp-dir", o.TempDir)
	a.add(o.Fsync, "--fsync")
	switch {
	case o.AppendVerify:
		*a = append(*a, "--append", "--append")
	case o.Append:
		a.add(true, "--append")
	case o.Inplace:
		a.add(true, "--inplace")
	}
	a.add(o.Mkpath, "--mkpath")
}

// inplace says whether files are written where they stand.
func (o *Options) inplace() bool { return o.Inplace || o.Append || o.AppendVerify }

// choosing adds which files are sent, and as whose.
func (o *Options) choosing(a *arguments, modernPeer bool) {
	a.add(o.MinSize > 0, "--min-size="+strconv.FormatInt(o.MinSize, 10))
	a.add(o.MaxSize >= 0, "--max-size="+strconv.FormatInt(o.MaxSize, 10))
	a.add(o.SizeOnly, "--size-only")
	switch {
	case o.ModifyWindow < 0:
		// Compare times to the nanosecond. Peers before 3.1.3 take the value for nonsense.
		a.add(modernPeer && !o.Without["modify-window"], "--modify-window=-1")
	case o.ModifyWindow > 0:
		a.add(true, "--modify-window="+strconv.Itoa(o.ModifyWindow))
	}
	a.add(o.CopyUnsafeLinks, "--copy-unsafe-links")
	a.add(o.SafeLinks, "--safe-links")
	a.add(o.NumericIDs, "--numeric-ids")
	a.value("--usermap", o.Usermap)
	a.value("--groupmap", o.Groupmap)
	a.add(o.IgnoreExisting, "--ignore-existing")
	a.add(o.Existing, "--existing")
	a.add(o.Relative && o.NoImpliedDirs, "--no-implied-dirs")
}
