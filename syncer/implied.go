package syncer

import "path"

// impliedRules are the filter rules that other options bring, on both sides, behind the user's
// (rsync 3.5.0 options.c, parse_arguments, and compat.c, setup_protocol): backups in the tree are
// not deleted for not being in the source, and what is half transferred is neither sent nor
// deleted.
func impliedRules(o *Options) []string {
	var rules []string
	dir := path.Clean(o.BackupDir)
	if o.Delete && !o.DeleteExcluded && (o.Backup || o.BackupDir != "") && dir == "." {
		suffix := o.Suffix
		if suffix == "" {
			suffix = "~"
		}
		rules = append(rules, "P *"+suffix)
	}
	partial := o.PartialDir
	if partial == "" && o.DelayUpdates {
		partial = ".~tmp~"
	}
	if partial = path.Clean(partial); partial != "." && partial[0] != '/' {
		rules = append(rules, "-p "+partial+"/")
	}
	return rules
}
