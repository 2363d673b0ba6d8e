package index

import (
	"golang.org/x/sys/unix"
)

// begin looks at path itself, reports it if it differs, and returns the directory where the walk begins,
// if there is one.
func (w *walk) begin(path string, differs func(Difference)) (task, bool, error) {
	if path == "." || w.x.root == nil || w.x.root.id != identityOf(&w.st) {
		return w.beginRoot(differs), true, nil
	}
	fd, err := openAt(w.root, ".", toLook)
	if err != nil {
		return task{}, false, err
	}
	defer func() { unix.Close(fd) }()
	at, parent := w.x.root, "."
	for name := range elements(path) {
		here := joinPath(parent, name)
		sub := at.child(name)
		next := -1
		if here != path && sub != nil && !w.x.excluded(here, true) {
			next = w.descend(fd, name, sub)
		}
		if next < 0 {
			return w.beginEntry(fd, at, parent, name, differs)
		}
		unix.Close(fd)
		fd, at, parent = next, sub, here
	}
	return task{}, false, nil // path has elements: not reached
}

// descend opens the directory name in fd if it is the one that the index holds as d, and to be
// listed at all; -1 if not.
func (w *walk) descend(fd int, name string, d *dir) int {
	sub, err := openAt(fd, name, toLook)
	if err != nil {
		return -1
	}
	var st unix.Stat_t
	if stat(sub, &st) == nil && identityOf(&st) == d.id && !w.foreign(&st) {
		return sub
	}
	unix.Close(sub)
	return -1
}

// foreign reports whether st is of another filesystem, and those are not ours.
func (w *walk) foreign(st *unix.Stat_t) bool {
	return w.x.cfg.OneFileSystem && uint64(st.Dev) != w.dev
}

// beginRoot makes the root's record what w.st says.
func (w *walk) beginRoot(differs func(Difference)) task {
	x, id := w.x, identityOf(&w.st)
	if x.root == nil || x.root.id != id {
		if x.root != nil {
			x.drop(x.root)
		}
		x.root = &dir{id: id, changed: true}
		x.account(0, x.root.size())
	}
	print := fingerprintOf(&w.st)
	if !settled(&w.st, w.now) {
		print = unknown
		w.scan.Unsettled = append(w.scan.Unsettled, ".")
	}
	t := task{path: ".", d: x.root, tree: x.root.changed}
	if !t.tree && !print.same(x.rootFP) {
		differs(Difference{Path: "."})
	}
	x.rootFP, x.root.changed = print, false
	return t
}

// beginEntry makes the record of one entry of the directory d, open as fd, what it is, and reports it if
// it differed.
func (w *walk) beginEntry(fd int, d *dir, parent, name string, differs func(Difference)) (task, bool, error) {
	look := lister{x: w.x}
	if err := look.lookAt(fd, parent, name); err != nil {
		return task{}, false, err
	}
	m := merger{x: w.x, report: differs, mark: true}
	m.merge(d, parent, &look.found, true)
	w.scan.Entries += look.entries
	w.unsettled(look.unsettled)
	path := joinPath(parent, name)
	if look.skipped {
		w.scan.Unreadable = append(w.scan.Unreadable, path)
	}
	sub := d.child(name)
	if sub == nil {
		return task{}, false, nil
	}
	t := task{path: path, d: sub, tree: sub.changed}
	sub.changed = false
	return t, true, nil
}
