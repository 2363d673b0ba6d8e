package agent

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/state"
	"github.com/lockstep-sync/lockstep/syncer"
	"github.com/lockstep-sync/lockstep/watcher"
)

// NoState is --state-dir where nothing is to be kept.
const NoState = "none"

// DefaultStateDir is where state is kept when nobody says where: what systemd made for the unit, or the
// place that hier(7) and the XDG base directories have for it. "" if there is none.
func DefaultStateDir() string {
	if dir, _, _ := strings.Cut(os.Getenv("STATE_DIRECTORY"), ":"); dir != "" { // systemd.exec(5)
		return dir
	}
	if os.Geteuid() == 0 {
		return "/var/lib/lockstep"
	}
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "lockstep")
	}
	if home := os.Getenv("HOME"); home != "" {
		return filepath.Join(home, ".local/state/lockstep")
	}
	return ""
}

// What is kept beside the index, by key.
const (
	keyOptions   = "options"   // a hash of what decides what the target should look like
	keyTarget    = "target"    // who a local target is
	keySource    = "source"    // who the source is
	keyMounts    = "mounts"    // where file systems were mounted below it
	keyFailed    = "failed"    // []syncer.Failed
	keyDeletions = "deletions" // gateState
	keyVerified  = "verified"  // api.Verify
	keyRunning   = "running"   // whether a run began that has not ended
	keyBegan     = "began"     // when the last run began that knew the target, or the first one of those that did not
)

// memory is what a replica knows of its target from run to run. The methods of a nil memory do nothing.
// The syncer's goroutine owns it, but for touch and count.
type memory struct {
	store *state.Store
	log   *zap.Logger
	// all is called when nothing is known any more: everything is to be pushed.
	all func()

	running bool          // this run began
	since   time.Time     // keyBegan of earlier runs
	begun   bool          // the whole tree was told of
	whole   bool          // and is compared with the target itself, which is not done
	push    *state.Push   // of the batch that is being pushed
	batch   []syncer.Path // its paths
	failed  error         // why what goes on cannot be noted: told
	source  string        // as keySource has it
	mounts  []string      // as keyMounts has it
	target  string        // as keyTarget has it

	mu       sync.Mutex    // guards what follows
	news     []syncer.Path // that a push found and that nothing was known of
	unstored error         // why that cannot be noted
}

func (m *memory) is() bool { return m != nil }

// openMemory opens what an earlier run left of root, the directory that is watched. A nil memory, without an
// error, keeps nothing.
func openMemory(s *Settings, root string, excluded func(string, bool) bool, log *zap.Logger) (*memory, error) {
	dir, given := s.stateDir(), s.StateDir != ""
	if given && dir == "" {
		return nil, nil
	}
	store, opened, err := state.Open(state.Config{
		Dir: dir, Source: s.Source, Target: s.Target, Root: root,
		Excluded: excluded, OneFileSystem: s.OneFileSystem,
	})
	switch {
	case errors.Is(err, state.ErrBusy):
		return nil, fmt.Errorf("another lockstep keeps %q in step with %q: %w", s.Target, s.Source, err)
	case err != nil && given:
		return nil, fmt.Errorf("--state-dir: %w", err)
	case err != nil:
		log.Warn("nothing is remembered from run to run: each start compares everything with the target (--state-dir=DIR says where it can be kept)", zap.Error(err))
		return nil, nil
	}
	m := &memory{store: store, log: log}
	if opened.Rebuilt != "" {
		log.Warn("what was known of the target is lost, everything is compared with it", zap.String("reason", opened.Rebuilt))
	}
	if err := m.check(s); err != nil {
		store.Close()
		return nil, err
	}
	return m, nil
}

// stateDir is where state is kept, "" if it is not.
func (s *Settings) stateDir() string {
	switch s.StateDir {
	case NoState:
		return ""
	case "":
		return DefaultStateDir()
	}
	return s.StateDir
}

// giveTo makes what is kept another user's, so that the process can go on with it as that user.
func (m *memory) giveTo(uid, gid int) error {
	if !m.is() {
		return nil
	}
	dir := m.store.Dir()
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := os.Lchown(filepath.Join(dir, e.Name()), uid, gid); err != nil {
			return err
		}
	}
	return os.Lchown(dir, uid, gid)
}

// check forgets what was known if it is about another target, or about other options.
func (m *memory) check(s *Settings) error {
	for key, now := range map[string]string{keyOptions: fingerprint(s), keyTarget: targetIdentity(s.Target)} {
		var was string
		known, err := m.store.Get(key, &was)
		if err != nil {
			return err
		}
		if known && was == now {
			continue
		}
		if m.store.Known() {
			reason := "it is not known for which options and which target"
			if known {
				reason = map[string]string{
					keyOptions: "the options are not those of the last run",
					keyTarget:  "another directory stands at the target's place",
				}[key]
			}
			m.log.Info("everything is compared with the target", zap.String("reason", reason))
			if err := m.store.Forget(); err != nil {
				return err
			}
		}
		if err := m.store.Put(key, now); err != nil {
			return err
		}
	}
	m.target = targetIdentity(s.Target)
	return nil
}

// fingerprint is a hash of the options that decide what a target should look like.
func fingerprint(s *Settings) string {
	o := s.Options
	rules, err := s.Filter.Build().Wire(o.DeleteExcluded)
	o.Filter = nil
	o.MaxDelete, o.Bwlimit, o.Timeout, o.ConTimeout, o.Rsh, o.RsyncPath = 0, 0, 0, 0, "", ""
	o.Compress, o.CompressChoice, o.CompressLevel, o.LevelGiven, o.SkipCompress, o.SkipGiven = false, "", 0, false, "", false
	o.Family, o.Address, o.Sockopts, o.NoPrewarm, o.NoIncRecurse = 0, "", "", false, false
	o.Backup, o.BackupDir, o.Suffix, o.Partial, o.PartialDir, o.TempDir = false, "", "", false, "", ""
	sum := sha256.Sum256(fmt.Appendf(nil, "%+v %q %v %v", o, rules, err, s.DeleteUnmounted))
	return hex.EncodeToString(sum[:8])
}

// targetIdentity tells one local directory from another at the same place; "" of what is remote, or not there.
func targetIdentity(target string) string {
	t, err := syncer.ParseTarget(target)
	if err != nil || t.Remote() {
		return ""
	}
	var st unix.Stat_t
	var fs unix.Statfs_t
	if unix.Stat(t.Path, &st) != nil || unix.Statfs(t.Path, &fs) != nil {
		return ""
	}
	return fmt.Sprintf("inode %d of file system %x:%x", st.Ino, fs.Fsid.Val[0], fs.Fsid.Val[1])
}

func (m *memory) close() {
	if !m.is() {
		return
	}
	if m.running {
		m.keep(keyRunning, false)
	}
	if err := m.store.Close(); err != nil {
		m.log.Warn("what is known of the target was not kept in full", zap.Error(err))
	}
}

// unclean says that the last run was killed.
func (m *memory) unclean() (was bool) {
	m.recall(keyRunning, &was)
	return was
}

// runs notes that a run begins.
func (m *memory) runs() {
	if m.is() {
		m.running = true
		m.keep(keyRunning, true)
		if m.recall(keyBegan, &m.since); m.since.IsZero() || m.known() {
			m.keep(keyBegan, time.Now())
		}
	}
}

// known says that the index tells what the target was last brought to.
func (m *memory) known() bool { return m.is() && m.store.Known() }

// touch takes changes as they are seen.
func (m *memory) touch(changes []watcher.Change) {
	if !m.is() {
		return
	}
	paths := make([]state.Path, len(changes))
	for i, c := range changes {
		paths[i] = state.Path{Name: c.Path, Tree: c.Tree}
	}
	m.store.Touch(paths)
}

// count is how many names the target has at and below path, and altogether. Where they are not known for
// sure, it is how many the source had in the push that goes on, or was just done.
func (m *memory) count(path string) (names, total int64, known bool) {
	if !m.is() {
		return 0, 0, false
	}
	if path != "." {
		var err error
		if names, err = m.store.Count(path); err != nil {
			return 0, 0, false
		}
	}
	return names, m.store.Total(), m.known() && !m.store.Doubted(path)
}

// narrowMost is up to how many paths the tree is narrowed down to. Beyond it a comparison with the target
// costs little more than the list of them.
const narrowMost = 1 << 17

var errTooMany = errors.New("too many differ")

// narrow puts in place of the whole tree, when it is told of for the first time, what of it differs from what
// the target was brought to. Later subtrees are pushed as such: they are told of where events were lost, or are new. The
// names of a directory that differs are looked at, if the target can be looked at in levels: what a peer left there that
// was killed is not known here. always are paths that are pushed whatever is known of them.
func (m *memory) narrow(ctx context.Context, b syncer.Batch, levels bool, always []syncer.Path) syncer.Batch {
	root := syncer.Path{Name: ".", Tree: true}
	at := slices.IndexFunc(b.Paths, func(p syncer.Path) bool { return p.Name == root.Name && p.Tree })
	if !m.is() || m.begun && !m.whole || at < 0 {
		return b
	}
	// What was pushed before may have been rewritten while nobody looked. That holds until the tree has arrived,
	// however often it is tried.
	b.Since = m.since
	m.begun, m.whole = true, m.whole || !m.known()
	if m.whole {
		return b
	}
	paths := append(slices.Delete(slices.Clone(b.Paths), at, at+1), always...)
	scan, err := m.store.Differs(ctx, []state.Path{{Name: ".", Tree: true}}, func(list []state.Path) error {
		if len(paths)+len(list) > narrowMost {
			return errTooMany
		}
		for _, p := range list {
			paths = append(paths, syncer.Path{Name: p.Name, Tree: p.Tree, Level: levels && !p.Tree, Content: true})
		}
		return nil
	})
	switch {
	case errors.Is(err, errTooMany):
		m.log.Info("so much differs that everything is compared with the target", zap.Int("more_than", narrowMost))
		m.whole = true
		return b
	case errors.Is(err, state.ErrRebuilt):
		m.whole = true
		m.trouble(err)
		return b
	case err != nil:
		m.begun = false
		if ctx.Err() == nil {
			m.log.Warn("the source could not be compared with what is known of the target", zap.Error(err))
		}
		return b
	}
	m.log.Info("compared with what the target was last brought to", zap.Int64("entries", scan.Entries),
		zap.Int64("differ", scan.Differs), zap.Duration("took", rounded(scan.Took)))
	b.Paths, b.Since = paths, time.Time{}
	return b
}

// spread puts in the place of levels, for a target that cannot be looked at in such, the names in them that the source
// has lost. The index knows all that the target has.
func (m *memory) spread(paths []syncer.Path, root string) []syncer.Path {
	for _, p := range paths { // what is appended has no level
		if !p.Level || p.Tree || !m.known() {
			continue
		}
		names, _, err := m.store.Names(p.Name)
		if err != nil {
			m.trouble(err)
			return paths
		}
		var st unix.Stat_t
		for _, base := range names {
			if name := path.Join(p.Name, base); isGone(unix.Lstat(filepath.Join(root, name), &st)) {
				paths = append(paths, syncer.Path{Name: name})
			}
		}
	}
	return paths
}

// begin is called before a batch is pushed, with all that is pushed.
func (m *memory) begin(ctx context.Context, b *syncer.Batch) {
	if !m.is() || len(b.Paths) == 0 {
		return
	}
	paths := make([]state.Path, len(b.Paths))
	for i, p := range b.Paths {
		paths[i] = state.Path{Name: p.Name, Tree: p.Tree}
	}
	var err error
	if m.push, err = m.store.Begin(ctx, paths); err != nil && ctx.Err() == nil {
		m.trouble(err)
	} else if err == nil && m.failed != nil {
		m.log.Info("what is known of the target is kept again")
		m.failed = nil
	}
	m.batch = b.Paths
}

// found takes names in dir that the push that goes on is about to send. Any goroutine may call it.
func (m *memory) found(dir string, names []syncer.Path) {
	list := make([]state.Path, len(names))
	for i, p := range names {
		list[i] = state.Path{Name: p.Name, Tree: p.Tree}
	}
	news, err := m.store.Found(dir, list)
	if len(news) == 0 && err == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range news {
		m.news = append(m.news, syncer.Path{Name: p.Name, Tree: p.Tree, Content: true})
	}
	if m.unstored == nil {
		m.unstored = err
	}
}

// takeNews is what pushes found since it was asked last, and nothing was known of. It is pushed like a change: whoever
// was to tell of it may never do so, if it goes again before.
func (m *memory) takeNews() []syncer.Path {
	if !m.is() {
		return nil
	}
	m.mu.Lock()
	news, err := m.news, m.unstored
	m.news, m.unstored = nil, nil
	m.mu.Unlock()
	if err != nil {
		m.trouble(err)
	}
	return news
}

// end is called after it, with what did not arrive of what was pushed. Of a batch the syncer may have left out
// what waits for its time.
func (m *memory) end(arrived bool, pushed []syncer.Path, failed []state.Path) {
	if !m.is() {
		return
	}
	if slices.ContainsFunc(pushed, func(p syncer.Path) bool { return p.Tree && p.Name == "." }) {
		m.whole = false
	}
	if m.push == nil {
		return
	}
	if arrived {
		went := make(map[string]bool, len(pushed))
		for _, p := range pushed {
			went[p.Name] = true
		}
		for _, p := range m.batch {
			if !went[p.Name] {
				failed = append(failed, state.Path{Name: p.Name, Tree: p.Tree})
			}
		}
		m.push.Done(failed)
	} else {
		m.push.Abandon()
	}
	m.push, m.batch = nil, nil
}

// trouble tells that something could not be noted, once for as long as it lasts. Pushing goes on: what is
// not known is compared with the target after a restart.
func (m *memory) trouble(err error) {
	if errors.Is(err, state.ErrRebuilt) {
		m.log.Warn("what was known of the target is lost, everything is compared with it", zap.Error(err))
		m.source, m.mounts, m.target = "", nil, "" // to be kept again
		m.all()
		return
	}
	if m.failed == nil {
		m.log.Error("what goes on cannot be noted: pushing goes on, and after a crash more is compared with the target than need be", zap.Error(err))
	}
	m.failed = err
}

// keep writes a value that outlives a restart.
func (m *memory) keep(key string, v any) {
	if !m.is() {
		return
	}
	if err := m.store.Put(key, v); err != nil {
		m.trouble(err)
	}
}

// keepPlaces notes who source and target are, and what is mounted below the source, if that is news.
func (m *memory) keepPlaces(push *syncer.Syncer, target string) {
	if !m.is() {
		return
	}
	if m.target == "" { // the first push made it
		if m.target = targetIdentity(target); m.target != "" {
			m.keep(keyTarget, m.target)
		}
	}
	if root := push.Root(); root != m.source {
		m.source = root
		m.keep(keySource, root)
	}
	if mounts := push.Mounts(); !slices.Equal(mounts, m.mounts) {
		m.mounts = slices.Clone(mounts)
		m.keep(keyMounts, m.mounts)
	}
}

// recall reads one; v stays as it is if there is none.
func (m *memory) recall(key string, v any) {
	if !m.is() {
		return
	}
	if _, err := m.store.Get(key, v); err != nil {
		m.log.Warn("something that was kept cannot be read", zap.String("what", key), zap.Error(err))
	}
}

// Pair is a source and a target whose state is kept.
type Pair struct{ Source, Target, Dir string }

// Pairs lists those whose state is in dir.
func Pairs(dir string) ([]Pair, error) {
	list, err := state.Inspect(dir)
	if err != nil {
		return nil, err
	}
	pairs := make([]Pair, len(list))
	for i, p := range list {
		pairs[i] = Pair{p.Source, p.Target, p.Path}
	}
	return pairs, nil
}
