package watcher

import (
	"strings"
	"time"
)

// foundNames are names that were announced because a listing found them, and of which the kernel's own
// announcement may still be queued.
type foundNames struct {
	names map[string]bool // relative
	last  time.Time
}

// foundFor is how long an announcement may stay queued. A later one is told twice.
const foundFor = 10 * time.Second

// tell announces events in the order in which they came.
func (t *tree) tell(all []event) {
	if t.announce == nil {
		return
	}
	if time.Since(t.found.last) > foundFor {
		t.found.names = nil
	}
	for _, e := range all {
		if e.op.has(OpOverflow) {
			t.announce(Event{Path: ".", Op: OpOverflow, Dir: true})
			continue
		}
		rel, ok := relPath(t.root, cleanName(e.name))
		if !ok || rel != "." && (t.excluded(rel, e.dir) || t.known(rel, e.op)) {
			continue
		}
		t.announce(Event{Path: rel, Op: e.op, Dir: e.dir, Self: e.self, Cookie: e.cookie})
	}
}

// known says whether rel's creation was told as something that was found.
func (t *tree) known(rel string, op Op) bool {
	if len(t.found.names) == 0 || !op.has(OpCreate|opsDisappear) || !t.found.names[rel] {
		return false
	}
	delete(t.found.names, rel)
	return op == OpCreate
}

// announceFound tells what a listing of a directory found that was made or moved in. Of what happened
// in it before it was watched there are no events; to whom waits for a file to be complete, it
// may be: if not, the writer's own closing is told.
func (t *tree) announceFound(rel string, dir, regular bool) {
	if t.announce == nil || t.silent {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.found.names == nil {
		t.found.names = make(map[string]bool)
	}
	t.found.names[strings.Clone(rel)], t.found.last = true, time.Now()
	t.announce(Event{Path: rel, Op: OpCreate, Dir: dir, Found: true})
	if regular {
		t.announce(Event{Path: rel, Op: OpModify, Found: true})
		t.announce(Event{Path: rel, Op: OpCloseWrite, Found: true})
	}
}
