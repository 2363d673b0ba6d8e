package agent

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/lockstep-sync/lockstep/cmd/internal/api"
	"github.com/lockstep-sync/lockstep/debounce"
	"github.com/lockstep-sync/lockstep/state"
	"github.com/lockstep-sync/lockstep/syncer"
	"github.com/lockstep-sync/lockstep/watcher"
)

// replica is one target, with all that is its own: the queue of what is dirty there, the pushes, their
// retries, what is known of it from run to run, its log. So a target that is slow or dead costs the
// others nothing.
type replica struct {
	s      Settings
	log    *zap.Logger
	j      *journal
	push   *syncer.Syncer
	line   *debounce.Line
	feed   *feed
	memory *memory
	gate   *gate
	verify *verifier
	record *record
	pause  *pause // its sync's
	env    *environment
	teller *teller
	turn   func()        // ends the turn of a large push; nil: it has none
	gone   chan struct{} // closed when it does not run any more

	flushes flushes

	lost   bool              // what is kept beside the index is to be kept again
	around []debounce.Change // directories that the last run, which was killed, may have left something in
	all    bool              // it may have done so anywhere
}

// newReplica opens what is known of a target of u. It runs until drain is done and nothing is left.
func newReplica(s Settings, u *unit, drain context.Context) (*replica, error) {
	log := u.log.Named("push").With(zap.String("root", s.Source), zap.String("target", s.Target))
	r := &replica{s: s, log: log, j: newJournal(log), record: newRecord(u.cfg.Name, &s), pause: u.pause, env: u.env, teller: newTeller(u, &s), gone: make(chan struct{})}
	cfg, err := s.config(syncer.Sink{Item: u.env.items, Message: r.j.says, SSH: r.j.sshSays})
	if err != nil {
		return nil, err
	}
	if err := r.remember(&cfg); err != nil {
		return nil, err
	}
	if r.push, err = syncer.New(cfg); err != nil {
		r.memory.close()
		return nil, err
	}
	r.j.push, r.j.pending = r.push, r.pending
	r.line = debounce.NewLine(debounce.Config{Settle: orNone(s.Settle), MaxDelay: orNone(s.MaxDelay), Quiet: quietFor(s.Quieter)})
	r.gate = &gate{root: r.push.WatchRoot(), deletes: s.Delete, count: r.memory.count, d: newDeletions(s.DeleteLimit, s.DeleteDelay)}
	if r.memory.is() {
		r.gate.inside = r.memory.store.Names
	}
	r.verify = &verifier{every: s.VerifyEvery, checksum: s.VerifyChecksum, ended: r.verified,
		bind: func(b *syncer.Batch) {
			p := r.gate.verify(time.Now(), *b)
			*b = p.batch
			r.putOff(&p)
			r.record.pushing(b)
		}}
	r.feed = newFeed(r.line, drain)
	r.feed.verify, r.feed.pause = r.verify, r.pause
	r.feed.settled = func() { r.settled(round{taken: r.feed.taken, back: r.feed.returned, arrived: true}) }
	r.recall()
	return r, nil
}

// remember opens what an earlier run left, and lets cfg have what the syncer needs of it.
func (r *replica) remember(cfg *syncer.Config) error {
	probe, err := syncer.New(*cfg) // who knows what is watched
	if err != nil {
		return err
	}
	defer probe.Close() // nothing was opened
	excluded := func(name string, isDir bool) bool { return r.push.Excluded(name, isDir) }
	if r.memory, err = openMemory(&r.s, probe.WatchRoot(), excluded, r.log); err != nil || !r.memory.is() {
		return err
	}
	m := r.memory
	cfg.Found = m.found
	m.all = func() {
		r.lost = true
		r.line.Add(debounce.Change{Path: ".", Tree: true})
	}
	m.recall(keySource, &m.source)
	m.recall(keyMounts, &m.mounts)
	m.recall(keyFailed, &cfg.Failed)
	cfg.Root, cfg.Mounts = m.source, m.mounts
	return nil
}

// recall takes up where the last run ended.
func (r *replica) recall() {
	last := api.Verify{}
	if r.memory.is() {
		var kept gateState
		r.memory.recall(keyDeletions, &kept)
		r.gate.load(kept)
		if n := len(kept.Held); n > 0 {
			r.log.Warn("deletions are held since the last run; lockstep release lets them go", zap.Int("held", n), zap.String("first", kept.Held[0].Path))
		}
		for _, h := range kept.Free {
			r.line.Add(debounce.Change{Path: h.Path, Tree: h.Names == 0})
		}
		r.memory.recall(keyVerified, &last)
		if r.memory.known() {
			r.push.Resume()
			if r.push.Sliced() {
				r.verify.dirs = r.memory.store.Dirs
			}
		}
		if r.s.Delete && r.memory.unclean() {
			r.lookAgain()
		}
	}
	if last.Ended.IsZero() {
		last.Ended = time.Now() // the first push compares everything
	}
	r.verify.begin(last)
}

func (r *replica) close() {
	if err := r.push.Close(); err != nil {
		r.log.Warn("what was kept open did not end well", zap.Error(err))
	}
	r.memory.close()
}

// run pushes until it is drained, or until ctx ends.
func (r *replica) run(ctx context.Context) error {
	defer close(r.gone)
	defer r.endTurn()
	serving, stopServing := context.WithCancel(ctx)
	defer stopServing()
	r.memory.runs()
	r.feed.prepare = func(b syncer.Batch) syncer.Batch { return r.prepare(ctx, b) }
	if len(r.around) > 0 || r.all {
		late := time.AfterFunc(lateLook, func() {
			r.line.Add(r.around...)
			if r.all {
				r.verify.ask(false)
				r.feed.interrupt()
			}
		})
		defer late.Stop()
	}
	var g errgroup.Group
	if r.memory.is() && r.env.pairs != nil {
		g.Go(func() error { return r.control(serving, r.memory.store.Dir()) })
	}
	g.Go(func() error {
		defer stopServing()
		err := r.push.Run(ctx, r.feed, r.observe)
		if errors.Is(err, io.EOF) || errors.Is(err, errGrace) {
			return nil
		}
		return err
	})
	return g.Wait()
}

// add takes what the watcher saw.
func (r *replica) add(seen []watcher.Change, changes []debounce.Change) {
	r.memory.touch(seen)
	r.line.Add(changes...)
}

// prepare has the last word about what is pushed. A large push waits for its turn.
func (r *replica) prepare(ctx context.Context, b syncer.Batch) syncer.Batch {
	if isLarge(&b) {
		r.turn = r.env.turns.wait(ctx)
	}
	if b = r.judge(ctx, b); len(b.Paths) == 0 {
		r.endTurn()
	}
	return b
}

func (r *replica) endTurn() {
	if r.turn != nil {
		r.turn()
		r.turn = nil
	}
}

// judge narrows subtrees down to what differs, lets deletions through or keeps them back, and notes what goes.
func (r *replica) judge(ctx context.Context, b syncer.Batch) syncer.Batch {
	if b.Err = r.push.Look(ctx); b.Err == nil { // else nothing can be said about names in the source, and the push fails as the look did
		levels := r.push.Levels()
		if !levels && r.s.Delete {
			b.Paths = r.memory.spread(b.Paths, r.push.WatchRoot())
		}
		for i := range b.Paths {
			b.Paths[i].Level = b.Paths[i].Level && levels
		}
		// What was released went into the whole tree, whose comparison need not know of it.
		b = r.pass(r.memory.narrow(ctx, b, levels, r.gate.free()))
		r.keepGate(false)
		if len(b.Paths) == 0 {
			r.idle()
			return b
		}
		if r.veto(ctx, &b) {
			return b
		}
		r.memory.begin(ctx, &b)
	}
	r.record.pushing(&b)
	return b
}

// pass has the gate decide about deletions.
func (r *replica) pass(b syncer.Batch) syncer.Batch {
	p := r.gate.pass(time.Now(), b)
	r.putOff(&p)
	r.tellHeld(p.held)
	return p.batch
}

// putOff has what a batch was not let do come again.
func (r *replica) putOff(p *passed) {
	for _, l := range p.later {
		r.feed.putOff(syncer.Batch{Paths: []syncer.Path{l.path}, Oldest: p.batch.Oldest}, l.after)
	}
}

func (r *replica) tellHeld(held []api.Held) {
	if len(held) == 0 {
		return
	}
	names := int64(0)
	for _, h := range held {
		names += h.Names
	}
	r.teller.held(held)
	r.log.Error("deletions are held: they are more than --max-delete allows within an hour; lockstep release lets them go, and what comes back is held no more",
		zap.Int("paths", len(held)), zap.Int64("names", names), zap.Stringer("max_delete", r.s.DeleteLimit), zap.String("first", held[0].Path))
}

// keepGate notes what is held and released, if that is news.
func (r *replica) keepGate(spent bool) {
	if r.gate.news() || spent {
		r.memory.keep(keyDeletions, r.gate.save())
	}
}

// idle notes that there was nothing to push.
func (r *replica) idle() {
	r.record.inStep()
	if len(r.gate.held()) == 0 {
		r.j.inStep()
	}
}

// observe takes what came of a push.
func (r *replica) observe(o syncer.Outcome) {
	r.endTurn()
	r.note(&o)
	r.teller.outcome(&o, r.push.Failed())
	if !o.Batch.Verify {
		r.settled(r.round(&o))
	}
}

// round is what a push means to those who wait for it. What changed or vanished while it was read is there as it was
// after they began to wait.
func (r *replica) round(o *syncer.Outcome) round {
	rd := round{taken: r.feed.taken, back: r.feed.returned, arrived: o.Err == nil, err: r.record.failing()}
	if o.Err != nil {
		return rd
	}
	fresh := map[string]bool{}
	for _, name := range o.Report.Changed {
		fresh[name] = true
	}
	for _, p := range o.Report.Problems {
		fresh[p.Path] = p.Vanished()
	}
	for _, f := range o.Failed {
		delete(fresh, f.Path)
	}
	rd.back = slices.DeleteFunc(slices.Clone(rd.back), func(p syncer.Path) bool { return fresh[p.Name] })
	if r.s.Delete && r.push.Suspect() {
		rd.err = &api.Error{Class: syncer.ClassOperator.String(), Text: "the source was empty at the start, so that nothing is deleted", Remedy: "restart with --allow-empty if it is meant to be empty"}
	}
	return rd
}

// note takes down what came of a push.
func (r *replica) note(o *syncer.Outcome) {
	r.record.pushed(o)
	if news := r.memory.takeNews(); len(news) > 0 {
		r.line.Add(toDebounce(syncer.Batch{Paths: news}).Changes...)
	}
	if o.Batch.Verify {
		r.verify.pushed(time.Now(), o)
	}
	if o.Err != nil {
		r.memory.end(false, nil, nil)
		r.j.observe(*o)
		return
	}
	stopped := r.gate.pushed(time.Now(), &o.Batch, &o.Report)
	// A source that was not trusted with deletions has not brought about what it says.
	arrived := !o.Report.Partial && !r.push.Suspect()
	r.memory.end(arrived, o.Batch.Paths, failedPaths(o, stopped))
	r.memory.keepPlaces(r.push, r.s.Target)
	r.keepGate(r.lost || o.Report.Stats.Deleted > 0 && r.s.DeleteLimit.any())
	r.tellHeld(stopped)
	if r.lost || o.Ledger {
		r.lost = false
		r.memory.keep(keyFailed, r.push.Failed())
	}
	r.j.observe(*o)
	if r.verify.dirs == nil && r.push.Sliced() && r.memory.known() {
		r.verify.dirs = r.memory.store.Dirs
	}
}

// failedPaths are what of a push did not arrive.
func failedPaths(o *syncer.Outcome, stopped []api.Held) []state.Path {
	var failed []state.Path
	rep := &o.Report
	for _, name := range o.Batch.Spare {
		if covered(o.Batch.Paths, name) {
			failed = append(failed, state.Path{Name: name, Tree: true})
		}
	}
	for _, dir := range o.Batch.SpareIn {
		if covered(o.Batch.Paths, dir) {
			failed = append(failed, state.Path{Name: dir, Tree: true})
		}
	}
	for _, p := range rep.Problems {
		failed = append(failed, state.Path{Name: p.Path, Tree: true})
	}
	for _, name := range rep.Changed {
		failed = append(failed, state.Path{Name: name})
	}
	for _, h := range stopped {
		if h.Names > 0 { // the others are kept as what is held
			failed = append(failed, state.Path{Name: h.Path, Tree: true})
		}
	}
	return failed
}

// covered says whether name is one of paths, or below a tree of them.
func covered(paths []syncer.Path, name string) bool {
	return slices.ContainsFunc(paths, func(p syncer.Path) bool {
		return p.Name == name || p.Tree && (p.Name == "." || strings.HasPrefix(name, p.Name+"/"))
	})
}

// verified takes how a verification went.
func (r *replica) verified(v api.Verify, err error) {
	fields := []zap.Field{zap.Int64("names", v.Names), zap.Int64("mended", v.Mended), zap.Int64("deleted", v.Deleted),
		zap.Bool("checksum", v.Checksum), zap.Duration("took", rounded(v.Ended.Sub(v.Began)))}
	switch {
	case err != nil:
		r.log.Error("the target could not be verified to the end", append(fields, zap.Error(err))...)
	case v.Mended+v.Deleted > 0:
		r.log.Warn("the target was verified and mended: somebody else changed it", fields...)
	default:
		r.log.Info("the target was verified: it is as it should be", fields...)
	}
	r.memory.keep(keyVerified, v)
}

// release lets held deletions go.
func (r *replica) release() []api.Held {
	held := r.gate.release()
	changes := make([]debounce.Change, len(held))
	for i, h := range held {
		changes[i] = debounce.Change{Path: h.Path, Tree: h.Names == 0}
	}
	if len(held) > 0 {
		r.log.Info("held deletions are released", zap.Int("paths", len(held)))
	}
	r.line.Add(changes...)
	return held
}

// pending is how many paths wait for a push.
func (r *replica) pending() int {
	n, _ := r.line.Pending()
	return n
}

// tellEnd is the last line of its log.
func (r *replica) tellEnd() {
	left, oldest := r.line.Pending()
	left += int(r.feed.inFlight.Load())
	if left == 0 {
		r.log.Info("stopped, everything is sent")
		return
	}
	fields := []zap.Field{zap.Int("paths", left)}
	if !oldest.IsZero() {
		fields = append(fields, zap.Duration("oldest", rounded(time.Since(oldest))))
	}
	r.log.Warn("stopped with changes unsent; the next start sends them", fields...)
}

// lookAgain finds what is to be looked at once more after a run that was killed.
func (r *replica) lookAgain() {
	dirty := r.memory.store.Dirty()
	switch t, err := syncer.ParseTarget(r.s.Target); {
	case r.memory.known() && r.push.Levels():
		r.around = levelsAround(dirty)
	case err == nil && t.Remote(): // on a local target nobody goes on
		r.all = len(dirty) > 0
	}
}

// lateLook is when the directories of what was in flight at the end of the last run are looked at once more: a
// peer of that run, which nobody ended, may have gone on with what it had received.
const lateLook = time.Minute

// levelsAround are the directories that paths are in.
func levelsAround(paths []state.Path) []debounce.Change {
	var changes []debounce.Change
	seen := map[string]bool{}
	for _, p := range paths {
		if dir := parentOf(p.Name); p.Name != "." && !seen[dir] {
			seen[dir] = true
			changes = append(changes, debounce.Change{Path: dir, Level: true})
		}
	}
	return changes
}
