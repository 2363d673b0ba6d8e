package local

import "path"

const (
	// backupSuffix is what --backup appends where neither --suffix nor --backup-dir is given.
	backupSuffix = "~"
	// delayDir is where --delay-updates keeps files where --partial-dir says nothing else.
	delayDir = ".~tmp~"
)

// implied is o with what its options imply for how files are written (rsync 3.5.0 options.c,
// parse_arguments). The rules that some bring are among the Filter's already.
func implied(o Options) Options {
	if o.BackupDir != "" && path.Clean(o.BackupDir) == "." {
		o.BackupDir, o.Backup = "", true
	}
	o.Backup = o.Backup || o.BackupDir != ""
	if o.DeleteExcluded {
		o.Filter = o.Filter.DeleteExcluded()
	}
	if o.Backup && o.BackupDir == "" {
		o.OmitDirTimes = true // a backup changes the time of the directory that it is in
		if o.Suffix == "" {
			o.Suffix = backupSuffix
		}
	}
	o.Inplace = o.Inplace || o.Append || o.AppendVerify
	if o.Inplace {
		o.Partial, o.PartialDir, o.DelayUpdates = false, "", false
		return o
	}
	if o.DelayUpdates && o.PartialDir == "" {
		o.PartialDir = delayDir
	}
	if o.PartialDir != "" {
		if o.PartialDir = path.Clean(o.PartialDir); o.PartialDir == "." {
			o.PartialDir = ""
		}
		o.Partial = true
	}
	return o
}
