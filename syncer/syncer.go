package syncer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/lockstep-sync/lockstep/syncer/filter"
	"github.com/lockstep-sync/lockstep/syncer/internal/flist"
	"github.com/lockstep-sync/lockstep/syncer/internal/report"
	"github.com/lockstep-sync/lockstep/syncer/internal/source"
)

var (
	// ErrRoot says that the source's root is not there, or is another directory than
	// the one that was pushed before: nothing was sent and nothing deleted.
	ErrRoot = errors.New("the source is gone")
	// ErrEmptySource says that an empty source was to empty a target.
	ErrEmptySource = errors.New("the source is empty")
	// ErrUnmounted is a problem's: a file system was mounted at its path before and is not now.
	ErrUnmounted = source.ErrUnmounted
)

// sinceSlack is how much earlier than a batch was first seen its changes may have
// happened: the kernel's queue, and a clock that was set back a little.
const sinceSlack = time.Minute

// Path is a name that may differ, relative to the watched directory; "." is that directory.
type Path struct {
	Name    string
	Tree    bool // everything at or below it may differ
	Level   bool // of a directory: the names in it may differ, but not what is below its subdirectories
	Content bool // its bytes may differ whatever size and time say
}

// Batch is the paths of one push.
type Batch struct {
	Seq    uint64 // position: grows from batch to batch
	Paths  []Path
	Oldest time.Time // when the earliest of the changes was seen
	Moves  []Move    // in the order in which they happened

	// Since, where it is not zero, says that files with a ctime from then on are compared by content: they may have been
	// rewritten without size and time telling.
	Since time.Time
	// Spare are names that are not deleted, nor what is below them, unless they are among Paths: relative to
	// the watched directory.
	Spare []string
	// SpareIn are directories in which no name is deleted but what is among Paths.
	SpareIn []string
	// Gone, where it is not nil, are the names that may be deleted of Paths, with all below them. What else of Paths is gone when
	// the push begins stays, for a batch that knows of it.
	Gone map[string]bool
	// MaxDelete, where it is not nil, stands for Config.MaxDelete in this push.
	MaxDelete *int64
	// Err is what Look said: the batch is not pushed, and fails with it.
	Err error
	// Verify says that nothing is known to have changed: the target is looked at. Checksum: by content.
	Verify, Checksum bool
}

// knows says whether name is known to be gone.
func (b *Batch) knows(name string) bool {
	for ; name != ""; name = parent(name) {
		if b.Gone[name] {
			return true
		}
	}
	return false
}

// Move is a hint that what is at To was at From before, both relative to the watched
// directory. A wrong one costs time, never data.
type Move struct {
	From, To string
	// Dev and Ino are those of the directory that was seen at From; zero where none was.
	Dev, Ino uint64
}

// pusher is a target: the daemon, or the local directory. more may come later.
type pusher interface {
	full(ctx context.Context, src *source.Tree, j job) (Report, error)
	partial(ctx context.Context, src *source.Tree, plan source.Plan, j job) (Report, error)
}

// job is what a push needs to know beside its paths.
type job struct {
	prune bool // names that the source lacks are deleted
	// backupDir is --backup-dir, with the time of this push in it.
	backupDir string
	since     time.Time // files whose ctime is not before it are compared by content; zero: none

	moves    moves    // what the target may have under another name
	believed believed // what need not be compared by content
}

// mark marks a file whose content may differ because it was changed so late.
func (j *job) mark(e *flist.Entry) {
	if e.IsRegular() && !j.since.IsZero() && e.Ctime >= j.since.UnixNano() {
		e.Flags |= flist.Content
	}
}

// Syncer pushes one source to one target. Push is for one goroutine at a time.
type Syncer struct {
	cfg    Config
	place  place
	target pusher
	src    source.Options
	// watchRules decide between pushes. A push reads its own: what it began with counts to its end.
	watchRules *filter.Tree

	root     *source.Identity // who the source is; nil: not known yet
	foretold bool             // root is from an earlier run
	seen     bool             // it was judged in this one
	suspect  bool             // it was empty when it was first seen: it may not be who it seems
	pushed   bool             // a full push reached its end, if only in part
	// unreached: the last push did not reach the target. The next one asks for it before it reads the source.
	unreached bool
	resumed   bool           // an earlier run had got so far
	vanished  map[string]int // how often in a row a path was gone when it was read
	suspects  suspects
	now       func() time.Time // time.Now, but in tests
	leftover  leftovers
	unsaid    unsaid
	mounts    mounts
	links     links

	mu     sync.Mutex // guards ledger
	ledger ledger
}

// New checks cfg; nothing is opened yet but a look at the source.
func New(cfg Config) (*Syncer, error) {
	place, err := locate(cfg.Source, &cfg.Options)
	if err != nil {
		return nil, report.Fail(CodeUsage, err, "")
	}
	if cfg.Keep && !cfg.Recurse && !place.single && cfg.Files == nil {
		return nil, report.Fail(CodeUsage, fmt.Errorf("without --recursive nothing of the directory %q would be sent", cfg.Source), "")
	}
	if cfg.Filter, err = cfg.Filter.With(impliedRules(&cfg.Options)...); err != nil {
		return nil, report.Fail(CodeUsage, err, "")
	}
	if cfg.Marker != "" {
		if err := CheckMarker(cfg.Marker); err != nil {
			return nil, report.Fail(CodeUsage, err, "")
		}
	}
	if err := CheckBackupDir(cfg.BackupDir); err != nil {
		return nil, report.Fail(CodeUsage, err, "")
	}
	cfg.Sink.Meter = &report.Meter{}
	s := &Syncer{cfg: cfg, place: place, now: time.Now, vanished: map[string]int{}, leftover: leftovers{}, ledger: newLedger(rand.Float64)}
	s.ledger.restore(time.Now(), cfg.Failed)
	if err := s.recall(); err != nil {
		return nil, report.Fail(CodeUsage, err, "")
	}
	s.src = source.Options{Set: cfg.Options, Prefix: place.prefix, ListAll: cfg.Delete && cfg.Target.Remote()}
	s.src.Filter, s.src.Scope = cfg.Filter.At(place.root), place.scope
	s.watchRules = source.WatchRules(place.root, s.src)
	if cfg.HardLinks && cfg.Keep {
		s.src.Linked = s.links.add
	}
	if !cfg.Target.Remote() {
		s.target = newLocal(&s.cfg, place)
	} else if s.target, err = newRemote(&s.cfg); err != nil {
		return nil, err
	}
	return s, nil
}

// Close ends what is kept open between pushes.
func (s *Syncer) Close() error {
	if c, ok := s.target.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// dry is the target for a look at what a push would do.
func (s *Syncer) dry(cfg *Config) pusher {
	if r, ok := s.target.(*remote); ok {
		return r.with(cfg)
	}
	return newLocal(cfg, s.place)
}

// WatchRoot is the directory to watch: the paths of a batch are relative to it. What a followed
// symlink leads to (--copy-links and its like) may lie elsewhere; changes there are seen by
// full pushes alone.
func (s *Syncer) WatchRoot() string { return filepath.Join(s.place.root, s.watched()) }

// watched is the name of WatchRoot in the transfer, "" for the root.
func (s *Syncer) watched() string {
	if !s.place.single {
		return s.place.prefix
	}
	if dir := path.Dir(s.place.prefix); dir != "." {
		return dir
	}
	return ""
}

// Excluded says whether a path below WatchRoot takes no part in any push, as things are: per-directory
// files of rules are read for it. Where they cannot be read nothing is excluded, and the push tells.
// It decides about this very path: whoever walks asks for the directories above first. It is safe for
// concurrent use.
func (s *Syncer) Excluded(name string, isDir bool) bool {
	if s.place.single {
		return name != path.Base(s.place.prefix)
	}
	if isDir && !s.cfg.Recurse && s.cfg.Files == nil {
		return true
	}
	name = s.transferName(name)
	switch s.place.scope.Of(name) {
	case source.Outside:
		return true
	case source.Above:
		return false
	}
	excluded, err := s.watchRules.Excluded(name, isDir)
	return excluded && err == nil
}

// RuleDir says whether a change of a path below WatchRoot changes filter rules: it is a per-directory
// file of rules (dir-merge), or one that such a file merges. Then everything in and below dir, a directory
// of WatchRoot, may take part, or not any more, and what was known of its rules is dropped. That is where
// the file is, but for one that is merged from elsewhere. It is safe for concurrent use.
func (s *Syncer) RuleDir(name string) (dir string, ok bool) {
	if s.place.single || name == "." && s.place.prefix == "" {
		return "", false
	}
	dir, ok = s.watchRules.RuleFile(s.transferName(name))
	if !ok {
		return "", false
	}
	s.watchRules.Forget(dir)
	return s.watchName(dir), true
}

// transferName is a watched path's name in the transfer.
func (s *Syncer) transferName(name string) string {
	above := s.watched()
	switch {
	case name == "." && s.place.prefix != "":
		return s.place.prefix
	case above == "":
		return name
	}
	return above + "/" + name
}

// watchName is the other way round; what is above the watched directory becomes ".".
func (s *Syncer) watchName(name string) string {
	above := s.watched()
	if above == "" {
		return name
	}
	if rest, ok := strings.CutPrefix(name, above+"/"); ok {
		return rest
	}
	return "."
}

// Full is the batch that brings over everything.
func Full() Batch { return Batch{Paths: []Path{{Name: ".", Tree: true}}} }

// Push brings the paths of b to the target. On an error nothing is certain and all of b
// is to be pushed again; otherwise the report names what did not arrive.
func (s *Syncer) Push(ctx context.Context, b Batch) (Report, error) {
	s.cfg.Sink.Meter.Restart()
	rep, err := s.pushBatch(ctx, b)
	if err != nil {
		err = &located{error: err, source: s.WatchRoot(), target: s.cfg.Target, addr: s.addr()}
	}
	return rep, err
}

// Progress is how far the push that goes on is, or how far the last one came; paths are below WatchRoot. It is safe for
// concurrent use, and waits for nothing.
func (s *Syncer) Progress() Metered {
	m := s.cfg.Sink.Meter.Look()
	if m.Path != "" {
		m.Path = s.watchName(m.Path)
	}
	return m
}

// addr is a daemon's, or "".
func (s *Syncer) addr() string {
	if s.cfg.Target.Module == "" {
		return ""
	}
	return s.cfg.Target.Addr(s.cfg.Port)
}

func (s *Syncer) pushBatch(ctx context.Context, b Batch) (Report, error) {
	if b.Err != nil {
		return Report{}, b.Err
	}
	undo, err := s.with(&b)
	if err != nil {
		return Report{}, report.Fail(CodeUsage, err, "")
	}
	defer undo()
	src, err := s.guarded()
	if err != nil {
		return Report{}, err
	}
	if src.Filter, err = s.hiding(b.Spare); err != nil {
		return Report{}, report.Fail(CodeUsage, err, "")
	}
	if s.tellsFound() {
		src.Found = s.found
	}
	tree, err := s.open(ctx, src)
	if err != nil {
		return Report{}, err
	}
	defer tree.Close()
	var j job
	if j.backupDir, err = dated(s.cfg.BackupDir, s.now()); err != nil {
		return Report{}, report.Fail(CodeUsage, err, "")
	}
	if s.pushed && !b.Verify && !b.Oldest.IsZero() {
		// Either the clock was set since, or both are the same: the earlier one sees more.
		j.since = time.Now().Add(-time.Since(b.Oldest))
		if b.Oldest.Round(0).Before(j.since) {
			j.since = b.Oldest
		}
		j.since = j.since.Add(-sinceSlack)
	}
	if !b.Since.IsZero() {
		j.since = b.Since.Add(-sinceSlack)
	}
	if r, ok := s.target.(*remote); ok {
		r.withheld = s.withheld(b.Paths)
		r.touched = &touched{}
	}
	asked := b.Paths
	if s.cfg.Delete && s.pushed && !s.place.single {
		b.Paths = s.leftover.with(asked, s.Levels())
	}
	rep, full, err := s.push(ctx, tree, b, j)
	if err != nil && ctx.Err() != nil {
		// Whatever broke, it broke because we were told to end.
		err = &Failure{Code: CodeSignal, Err: context.Cause(ctx)}
	}
	if err == nil && full {
		s.pushed = true
		if s.cfg.DeleteUnmounted {
			s.mounts.release()
		}
	}
	if r, ok := s.target.(*remote); ok {
		rep.touched = *r.touched
	}
	s.rename(&rep)
	s.leftover.note(asked, &rep, err)
	return rep, err
}

// open opens the source, if it is who it was.
func (s *Syncer) open(ctx context.Context, o source.Options) (*source.Tree, error) {
	tree, err := source.Open(s.place.root, o)
	if err != nil {
		code := CodePartial // as rsync: a source that cannot be read is a partial transfer
		if errors.Is(err, source.ErrNoRoot) {
			err = fmt.Errorf("%w: %w", ErrRoot, err)
		} else {
			err = report.Because(err, errSource)
		}
		return nil, report.Fail(code, err, "nothing was sent and nothing deleted")
	}
	err = s.checkRoot(ctx, tree)
	if err == nil {
		err = s.reach(ctx)
	}
	if err != nil {
		tree.Close()
		return nil, err
	}
	return tree, nil
}

// Look says whether the source is there and who it was, and whether a target that could not be reached can be
// by now, as Push does before anything else. It is for Push's goroutine.
func (s *Syncer) Look(ctx context.Context) error {
	tree, err := s.open(ctx, s.src)
	if err != nil {
		return err
	}
	return tree.Close()
}

// Resume says that an earlier run brought everything to the target, and that the batches to come name all
// that changed since: no full push is waited for. It is called before the first Push.
func (s *Syncer) Resume() { s.resumed = true }

// Levels says whether the target can be looked at in levels: what --files-from and its like leave of a
// directory is no level of it.
func (s *Syncer) Levels() bool {
	c := &s.cfg
	return !s.place.single && c.Recurse && !c.PruneEmptyDirs && !c.Relative && c.Files == nil
}

// Sliced says whether all of the target can be looked at level by level. With hard links, each would bring the other
// names of its files along: many times the work where files have many names.
func (s *Syncer) Sliced() bool { return s.Levels() && !s.cfg.HardLinks }

// with sets what b asks for beyond the options, and gives what takes it back. Targets read the options
// when a push begins. Others, as Excluded, read other options meanwhile: no more than these are written.
func (s *Syncer) with(b *Batch) (undo func(), err error) {
	maxDelete, checksum, rules := s.cfg.MaxDelete, s.cfg.Checksum, s.cfg.Filter
	spare := make([]string, 0, len(b.Spare)+len(b.SpareIn))
	for _, name := range b.Spare {
		spare = append(spare, "P /"+filter.Literal(s.transferName(name)))
	}
	for _, dir := range b.SpareIn {
		spare = append(spare, "P /"+inside(s.transferName(dir)))
	}
	if s.cfg.Filter, err = rules.Behind(spare...); err != nil {
		s.cfg.Filter = rules
		return nil, fmt.Errorf("spare %q: %w", b.Spare, err)
	}
	if b.MaxDelete != nil {
		s.cfg.MaxDelete = *b.MaxDelete
	}
	if b.Verify && b.Checksum {
		s.cfg.Checksum = true
	}
	return func() { s.cfg.MaxDelete, s.cfg.Checksum, s.cfg.Filter = maxDelete, checksum, rules }, nil
}

// inside is a pattern that matches each name in a directory of the transfer.
func inside(dir string) string {
	if dir == "." {
		return "*"
	}
	return strings.NewReplacer("*", `\*`, "?", `\?`, "[", `\[`, `\`, `\\`).Replace(dir) + "/*"
}

// hiding are the rules for reading the source: what is to be spared and has something else in its place there is not sent,
// since the target would make way for it.
func (s *Syncer) hiding(spare []string) (*filter.List, error) {
	var hidden []string
	for _, name := range spare {
		if _, err := os.Lstat(filepath.Join(s.WatchRoot(), name)); err == nil {
			hidden = append(hidden, "H /"+filter.Literal(s.transferName(name)))
		}
	}
	if len(hidden) == 0 {
		return s.src.Filter, nil
	}
	rules, err := s.cfg.Filter.Behind(hidden...)
	if err != nil {
		return nil, fmt.Errorf("hide %q: %w", hidden, err)
	}
	return rules.At(s.place.root), nil
}

// guarded are the options for reading the source, with what must not be looked at: below
// a mount that went away everything seems to be deleted.
func (s *Syncer) guarded() (source.Options, error) {
	o := s.src
	if !s.cfg.Delete || s.cfg.OneFileSystem {
		return o, nil
	}
	var err error
	if o.Unmounted, o.Mounted, err = s.mounts.look(s.place.root); err != nil {
		return o, report.Fail(CodeFile, report.Because(err, errMounts), "without it an unmounted directory could look like a deleted one; nothing was sent")
	}
	if s.cfg.DeleteUnmounted {
		o.Unmounted = nil
	}
	return o, nil
}

func (s *Syncer) push(ctx context.Context, tree *source.Tree, b Batch, j job) (Report, bool, error) {
	paths := make([]source.Path, 0, len(b.Paths))
	for _, p := range b.Paths {
		if p.Name == "." && p.Tree {
			if skip, err := s.skipped(tree); skip || err != nil {
				return Report{}, true, err
			}
			begin := time.Now()
			j.prune = s.cfg.Delete && !s.suspect
			rep, err := pushAll(ctx, s.target, tree, s.place.scope, j)
			if err == nil && len(rep.Problems) == 0 {
				s.links.listed(begin)
			}
			return rep, true, err
		}
		paths = append(paths, source.Path{Name: s.transferName(p.Name), Tree: p.Tree, Level: p.Level, Content: p.Content})
	}
	hints, both := s.hints(&b)
	plan, err := tree.Plan(ctx, append(paths, both...))
	if err != nil {
		return Report{}, false, err
	}
	if s.cfg.HardLinks {
		if plan, err = s.links.complete(ctx, tree, slices.Concat(paths, both), plan); err != nil {
			return Report{}, false, err
		}
	}
	j.prune = s.cfg.Delete && !s.suspect
	if !j.prune {
		plan.Missing, plan.Unsure = nil, nil
	}
	if b.Gone != nil {
		unknown := func(name string) bool { return !b.knows(s.watchName(name)) }
		plan.Missing = slices.DeleteFunc(plan.Missing, unknown)
		plan.Unsure = slices.DeleteFunc(plan.Unsure, unknown)
	}
	if s.tellsFound() {
		s.foundPlan(&plan)
	}
	j.moves = s.moves(tree, &b, hints, &plan)
	rep, err := s.target.partial(ctx, tree, plan, j)
	rep.Problems = append(rep.Problems, plan.Problems...)
	return rep, false, err
}

// pushAll brings over everything that takes part. Where that is not one walk of a directory, but
// has directories above it that are implied, or is what a list names, it is planned like changes.
func pushAll(ctx context.Context, target pusher, tree *source.Tree, scope *source.Scope, j job) (Report, error) {
	if !scope.Implies() {
		return target.full(ctx, tree, j)
	}
	plan, err := tree.All(ctx)
	if err != nil {
		return Report{}, err
	}
	rep, err := target.partial(ctx, tree, plan, j)
	rep.Problems = append(rep.Problems, plan.Problems...)
	return rep, err
}

// skipped says that the source is a directory and --recursive is off: as in rsync it is
// passed over, with a word.
func (s *Syncer) skipped(tree *source.Tree) (bool, error) {
	if s.cfg.Recurse || s.cfg.Files != nil {
		return false, nil
	}
	top, err := tree.Lstat(tree.Top())
	if err != nil {
		return false, report.Fail(CodePartial, fmt.Errorf("look at the source: %w", err), "")
	}
	if top.IsDir() && s.cfg.Sink.Message != nil {
		s.cfg.Sink.Message("skipping directory "+report.Quote(tree.Top()), false)
	}
	return top.IsDir(), nil
}

// rename gives the paths of a report their watched names.
func (s *Syncer) rename(rep *Report) {
	for i := range rep.Problems {
		rep.Problems[i].Path = s.watchName(rep.Problems[i].Path)
	}
	for i := range rep.Changed {
		rep.Changed[i] = s.watchName(rep.Changed[i])
	}
	if paths := rep.touched.paths; paths != nil {
		rep.touched.paths = make(map[string]bool, len(paths))
		for name := range paths {
			rep.touched.paths[s.watchName(name)] = true
		}
	}
}
