package local

import (
	"io"
	"path"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/filter"
	"github.com/lockstep-sync/lockstep/syncer/internal/flist"
	"github.com/lockstep-sync/lockstep/syncer/internal/source"
	"github.com/lockstep-sync/lockstep/syncer/internal/tree"
)

// readRules begins anew with what the target's own per-directory files say: as rsync's receiver,
// which reads those that it has (rsync(1), "PER-DIRECTORY RULES AND DELETE").
func (r *run) readRules() {
	r.rules = filter.NewTree(r.opts.Filter, filter.Receiver, filter.TreeConfig{Open: r.t.openRules, Top: r.src.TargetBegins})
	r.unruled = map[string]bool{}
}

// openRules is a filter.Opener.
func (t *Target) openRules(name string) (io.ReadCloser, error) {
	if !path.IsAbs(name) {
		if t.root == nil {
			return source.RuleFile(-1, unix.ENOENT)
		}
		return source.RuleFile(t.root.OpenRules(name))
	}
	return source.RuleFile(unix.Open(name, tree.RulesFlags|unix.O_CLOEXEC, 0))
}

// remembers has the rules in the directory name read before anything in it changes: what is deleted
// during the push goes by the files that were there.
func (r *run) remembers(name string) {
	if r.opts.Delete && r.opts.Filter.PerDir() {
		_, _ = r.rules.In(name) // whoever deletes asks again
	}
}

// rulesIn gives the rules for names in dir. ok is false where they are not known: nothing may be
// deleted there.
func (r *run) rulesIn(dir string) (d *filter.Dir, ok bool) {
	d, err := r.rules.In(dir)
	if err != nil && !r.unruled[dir] {
		r.unruled[dir] = true
		r.problem(dir, err)
	}
	return d, err == nil
}

// protected says whether a rule keeps name, or may.
func (r *run) protected(name string, isDir bool) bool {
	d, ok := r.rulesIn(path.Dir(name))
	return !ok || d.Excluded(name, isDir)
}

// pinned is protected for what is in a directory that goes.
func (r *run) pinned(name string, isDir bool) bool {
	d, ok := r.rulesIn(path.Dir(name))
	return !ok || d.Pinned(name, isDir)
}

// unprotectedOf are the names of found, which are in dir, that no rule keeps.
func (r *run) unprotectedOf(dir string, found []flist.Entry) []string {
	d, ok := r.rulesIn(dir)
	if !ok {
		return nil
	}
	var list []string
	for i := len(found) - 1; i >= 0; i-- {
		if e := &found[i]; !d.Excluded(e.Name, e.IsDir()) {
			list = append(list, e.Name)
		}
	}
	return list
}
