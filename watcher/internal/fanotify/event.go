package fanotify

import (
	"errors"

	"golang.org/x/sys/unix"
)

// Event is what happened to a name. Paths are slash separated, relative to the root, "." is the root,
// and they are bytes, maybe not UTF-8.
type Event struct {
	// Path is the name concerned. It is empty where a rename led out of the root, or to where nothing
	// is wanted, and where events were lost.
	Path string
	// From is the old name after FAN_RENAME, empty where that was outside. Without FAN_RENAME
	// (Group.Pairs) FAN_MOVED_FROM and FAN_MOVED_TO come alone, each with its own name as Path.
	From string
	// Mask has the FAN_ bits, without FAN_ONDIR; several where events were merged. On ".",
	// FAN_RENAME, FAN_MOVED_FROM, FAN_MOVED_TO, FAN_CREATE and FAN_DELETE may be of a directory above
	// the root: look at the root's identity.
	Mask uint64
	// Dir: the name is, or was, a directory's. A rename of one is about all below both names.
	Dir bool
	// Deep: it happened somewhere below Path (or From), deeper than a path can name.
	Deep bool
	// Err tells why events could not be resolved; nil where the kernel's queue was full.
	Err error
}

// Lost reports whether events were lost, by the kernel (queue overflow) or because they could not be
// resolved: anything may have changed.
func (e Event) Lost() bool { return e.Mask&unix.FAN_Q_OVERFLOW != 0 }

// Gone reports whether the event is a rename out of what is watched.
func (e Event) Gone() bool { return e.Path == "" && e.From != "" }

// spot is a name seen from the root.
type spot struct {
	path string // empty: outside
	deep bool
}

func (d dir) spot(entry []byte) spot {
	switch d.place {
	case inside:
		switch {
		case string(entry) == ".":
			return spot{path: d.path}
		case d.path == ".":
			return spot{path: string(entry)}
		}
		return spot{path: d.path + "/" + string(entry)}
	case deeper:
		return spot{path: d.path, deep: true}
	case above:
		if string(entry) == d.path {
			return spot{path: "."}
		}
	}
	return spot{}
}

// translator makes events of records. It belongs to the goroutine that reads.
type translator struct {
	resolver
	cache dirCache
	pid   int32
	batch []Event

	resolved, dropped, lost uint64
}

// add translates one record. An error ends the reading.
func (t *translator) add(r *record) error {
	if r.mask&unix.FAN_Q_OVERFLOW != 0 {
		t.lose(nil)
		return nil
	}
	if r.pid == t.pid && r.mask&^(accesses|unix.FAN_ONDIR) == 0 {
		return nil // that is us, looking at what changed
	}
	to, err := t.find(r.name)
	if err != nil {
		return t.failed(err)
	}
	from, err := t.find(r.old)
	if err != nil {
		return t.failed(err)
	}
	if to.path == "" && from.path == "" {
		t.dropped++
		return nil
	}
	isDir := r.mask&unix.FAN_ONDIR != 0
	if isDir && r.mask&moves != 0 {
		t.cache = t.cache.emptied()
	}
	e := Event{Path: to.path, From: from.path, Mask: r.mask &^ unix.FAN_ONDIR, Dir: isDir, Deep: to.deep || from.deep}
	if e.Deep && e.Path != "" && e.From != "" { // no pair: neither name stands for the other
		t.batch = append(t.batch, Event{From: e.From, Mask: e.Mask, Dir: isDir, Deep: from.deep})
		e.From, e.Deep = "", to.deep
	}
	t.batch = append(t.batch, e)
	return nil
}

// find tells where a name is.
func (t *translator) find(n name) (spot, error) {
	if n.dir == nil {
		return spot{}, nil
	}
	d, ok := t.cache.get(n.dir)
	if !ok {
		var err error
		d, err = t.resolve(n.dir)
		t.resolved++
		switch {
		case errors.Is(err, errNotMounted):
			return spot{}, nil
		case err != nil:
			return spot{}, err
		}
		t.cache.put(n.dir, d)
	}
	return d.spot(n.entry), nil
}

// failed gives up where privileges are gone, for they do not come back; of the rest, descriptors and
// memory may.
func (t *translator) failed(err error) error {
	if errors.Is(err, ErrPrivilege) {
		return err
	}
	t.lose(err)
	return nil
}

// lose tells once per batch that events were lost: the place of an overflow says nothing, and what
// it asks for, a look at everything, comes after the batch.
func (t *translator) lose(err error) {
	t.cache = t.cache.emptied()
	t.lost++
	for i := range t.batch {
		if t.batch[i].Lost() {
			return
		}
	}
	t.batch = append(t.batch, Event{Mask: unix.FAN_Q_OVERFLOW, Err: err})
}
