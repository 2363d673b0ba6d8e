package agent

import (
	"path"
	"sync"
	"time"

	"github.com/lockstep-sync/lockstep/cmd/internal/api"
	"github.com/lockstep-sync/lockstep/state"
	"github.com/lockstep-sync/lockstep/syncer"
)

// sliceNames is about how many names a slice of a verification looks at: some milliseconds on a local
// disk, so that a live change hardly waits for one.
const sliceNames = 1000

// verifier compares a target with the source, while there is nothing else to do: in slices, each a batch of
// directories with the names directly in them, with a pause after each as long as it took.
type verifier struct {
	every    time.Duration // 0: only when asked
	checksum bool          // by content, also when nobody asked for that
	// dirs goes through the directories in order, beginning after one, with how many names are in each. Nil:
	// what is verified cannot be cut into slices, and is looked at in one.
	dirs func(after string, yield func(state.DirEntries) bool) error
	bind func(*syncer.Batch) // has a word about each slice
	// ended is told how a verification went; the error is that of dirs.
	ended func(api.Verify, error)

	mu    sync.Mutex // guards what follows
	asked bool
	deep  bool // this one goes by content
	on    bool
	after string // the last directory that was verified
	until string // the last one of the slice that is being pushed
	slice int64  // the names of that slice
	pause time.Time
	now   api.Verify
	last  api.Verify
}

// ask begins a verification, by content if checksum is set. One that runs begins anew if it is not of that kind.
func (v *verifier) ask(checksum bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.on && (v.deep || !checksum) {
		return
	}
	v.on, v.asked = false, true
	v.deep = v.deep && v.asked || checksum
}

// due is how long it is until a slice is to be pushed; ok is false where none is.
func (v *verifier) due(now time.Time) (wait time.Duration, ok bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case v.on:
		return max(v.pause.Sub(now), 0), true
	case v.asked:
		return 0, true
	case v.every > 0:
		return max(v.last.Ended.Add(v.every).Sub(now), 0), true
	}
	return 0, false
}

// begin is where time counts from as long as nothing was verified.
func (v *verifier) begin(last api.Verify) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.last = last
}

// next is the slice that is to be pushed now. It is empty where a verification ended.
func (v *verifier) next(now time.Time) syncer.Batch {
	b, err := v.cut(now)
	if len(b.Paths) == 0 || err != nil {
		v.ended(v.end(now), err)
		return syncer.Batch{}
	}
	v.bind(&b)
	return b
}

// cut makes a slice. The index is read while nobody has to wait for that.
func (v *verifier) cut(now time.Time) (syncer.Batch, error) {
	b, after := v.turn(now)
	if v.dirs == nil {
		return b, nil
	}
	names, until := int64(0), after
	err := v.dirs(after, func(d state.DirEntries) bool {
		b.Paths = append(b.Paths, syncer.Path{Name: d.Dir, Level: true})
		for _, name := range d.Empty {
			b.Paths = append(b.Paths, syncer.Path{Name: path.Join(d.Dir, name), Level: true})
		}
		until = d.Dir
		names += d.Entries + 1
		return names < sliceNames
	})
	v.mu.Lock()
	defer v.mu.Unlock()
	v.slice, v.until = names, until
	return b, err
}

// turn begins a verification unless one is on. It gives the directory that the next slice comes after, or where
// there are no slices the batch itself.
func (v *verifier) turn(now time.Time) (b syncer.Batch, after string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.on {
		v.deep = v.asked && v.deep || v.checksum
		v.on, v.asked, v.after, v.until = true, false, "", ""
		v.now = api.Verify{Began: now, Checksum: v.deep}
	}
	b = syncer.Batch{Verify: true, Checksum: v.deep}
	if v.dirs == nil && v.after == "" {
		b.Paths, v.until = []syncer.Path{{Name: ".", Tree: true}}, "."
	}
	return b, v.after
}

// pushed takes what came of a slice: one that failed is pushed again.
func (v *verifier) pushed(now time.Time, o *syncer.Outcome) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if o.Err != nil || !v.on {
		return
	}
	st := &o.Report.Stats
	if v.dirs == nil {
		v.slice = st.Files + st.Dirs
	}
	v.now.Names += v.slice
	v.now.Mended += max(st.Changed, st.Transferred)
	v.now.Deleted += st.Deleted
	v.after, v.pause = v.until, now.Add(o.Took)
}

// end ends it, and tells how it went.
func (v *verifier) end(now time.Time) api.Verify {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.now.Ended = now
	v.on, v.last = false, v.now
	return v.last
}

// status is the one that goes on, or else the last one; nil where there was none.
func (v *verifier) status() *api.Verify {
	v.mu.Lock()
	defer v.mu.Unlock()
	s := v.last
	if v.on {
		s = v.now
	}
	if s.Began.IsZero() {
		return nil
	}
	return &s
}
