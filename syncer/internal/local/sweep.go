package local

// Swept says, from push to push, where it was looked for what killed pushes left behind: everywhere with
// the first full push, in a directory when it is first written to. It is for one goroutine.
type Swept struct {
	all  bool
	dirs map[string]bool
}

// sweptMax bounds how many directories are remembered: some are looked at again then.
const sweptMax = 1 << 14

// due says whether dir is to be looked at, and notes that it was.
func (s *Swept) due(dir string) bool {
	if s == nil || s.all || s.dirs[dir] {
		return false
	}
	if s.dirs == nil || len(s.dirs) >= sweptMax {
		s.dirs = map[string]bool{}
	}
	s.dirs[dir] = true
	return true
}

// done says that a full push came to its end.
func (s *Swept) done() {
	if s != nil {
		s.all, s.dirs = true, nil
	}
}

// sweep removes from w the temporary files of killed pushes, once.
func (r *run) sweep(w *twin) {
	if r.opts.DryRun || r.t.root == nil || w.isNew || !r.opts.Swept.due(w.entry.Name) {
		return
	}
	d, err := r.t.root.Open(w.entry.Name)
	if err != nil {
		return // what is about to be done there will tell
	}
	defer d.Close()
	names, err := d.Leftovers()
	if err != nil || len(names) == 0 {
		return
	}
	r.touch(w)
	for _, name := range names {
		_ = d.Unlink(name) // what stays is no worse than it was
	}
}

// sweepTemp is sweep for --temp-dir.
func (r *run) sweepTemp() {
	if r.opts.DryRun || r.t.temp == nil || !r.opts.Swept.due("\x00--temp-dir") {
		return
	}
	names, err := r.t.temp.Leftovers()
	if err != nil {
		return
	}
	for _, name := range names {
		_ = r.t.temp.Unlink(name)
	}
}
