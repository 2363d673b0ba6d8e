package watcher

import (
	"context"
	"maps"
	"slices"
	"strconv"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

// pollReason says why a subtree has no watch.
type pollReason uint8

const (
	pollLimit      pollReason = iota + 1 // ENOSPC: max_user_watches
	pollNoInstance                       // EMFILE: max_user_instances, or open files
	pollUnreadable                       // it cannot be opened, so nobody could read it either
	pollDenied                           // it can be opened but not watched, as under SELinux
	pollTooLong                          // PATH_MAX
	pollTwice                            // its inode is watched under another path: a bind mount
	pollOther
)

func (r pollReason) String() string {
	switch r {
	case pollLimit:
		return "watch limit reached"
	case pollNoInstance:
		return "no inotify instance"
	case pollUnreadable:
		return "not readable"
	case pollDenied:
		return "watching not permitted"
	case pollTooLong:
		return "path too long"
	case pollTwice:
		return "same directory mounted twice"
	default:
		return "error"
	}
}

// maxPolledMarks is how many polled subtrees are emitted one by one; more become one change of
// the root, whose rescan is then the cheaper one.
const maxPolledMarks = 1000

// maxPollWarnings is how many polled subtrees are named in the log each time; the summary counts all.
const maxPollWarnings = 10

// polledSet is the polled subtrees by absolute path, and what has been logged of them.
type polledSet struct {
	reasons map[string]pollReason
	counts  map[pollReason]int
	before  map[string]pollReason // forgotten since the last report: no news if they come back
	named   int                   // warnings since the last report
	told    int                   // subtrees in the last summary
	limited bool                  // the limit error has been logged
}

func newPolledSet() polledSet {
	return polledSet{
		reasons: make(map[string]pollReason),
		counts:  make(map[pollReason]int),
		before:  make(map[string]pollReason),
	}
}

func (s *polledSet) add(path string, r pollReason) {
	s.reasons[path] = r
	s.counts[r]++
}

func (s *polledSet) remove(path string) {
	r := s.reasons[path]
	delete(s.reasons, path)
	if s.counts[r]--; s.counts[r] == 0 {
		delete(s.counts, r)
	}
	s.before[path] = r
}

// restart empties the set for a rebuild.
func (s *polledSet) restart() {
	for p := range s.reasons {
		s.remove(p)
	}
}

// poll notes that the subtree abs cannot be watched. It must not be in the table.
func (t *tree) poll(abs string, r pollReason, err error) {
	t.doubt(abs)
	parent, ok := t.parentNode(abs)
	if !ok {
		return
	}
	t.insert(abs, parent, inode{})
	t.polled.add(abs, r)
	if r == pollLimit || r == pollNoInstance || t.polled.before[abs] == r {
		return // told once for all, by report or open
	}
	if t.polled.named++; t.polled.named > maxPollWarnings {
		return
	}
	t.log.Warn("directory cannot be watched: changes in it are found by polling only",
		quoted("path", abs), zap.Stringer("reason", r), zap.Error(err))
}

// retry tries again to watch what is polled, and marks it. What cannot even be opened is not
// marked: nobody could compare it.
func (t *tree) retry(ctx context.Context) {
	if len(t.polled.reasons) > maxPolledMarks {
		t.doubt(t.root)
	}
	full := false
	for _, p := range slices.Sorted(maps.Keys(t.polled.reasons)) {
		was, ok := t.polled.reasons[p]
		if !ok || ctx.Err() != nil {
			continue // gone with a subtree that was retried before
		}
		if was != pollLimit || !full {
			t.retryOne(ctx, p, was)
		} else {
			t.doubt(p)
		}
		full = full || was == pollLimit && t.polled.reasons[p] == pollLimit
	}
	t.report()
}

func (t *tree) retryOne(ctx context.Context, path string, was pollReason) {
	if was == pollUnreadable && !t.readable(path) {
		return
	}
	t.addTree(ctx, path)
	t.doubt(path)
}

func (t *tree) readable(path string) bool {
	fd, err := openDir(path)
	if err == nil {
		unix.Close(fd)
	}
	return err == nil || gone(err)
}

// report logs what changed about the polled subtrees since the last report.
func (t *tree) report() {
	s := &t.polled
	clear(s.before)
	s.named = 0
	t.reportLimit()
	n := len(s.reasons)
	if n == s.told {
		return
	}
	s.told = n
	if n == 0 {
		t.log.Info("every directory is watched again", quoted("root", t.root))
		return
	}
	fields := []zap.Field{quoted("root", t.root), zap.Int("polled", n), zap.Int("watches", t.watches())}
	for _, r := range slices.Sorted(maps.Keys(s.counts)) {
		fields = append(fields, zap.Int(r.String(), s.counts[r]))
	}
	t.log.Warn("subtrees without a watch are polled", fields...)
}

// reportLimit tells once that the watch limit is reached, and how far it must be raised. Counting the
// directories costs a walk of the polled subtrees.
func (t *tree) reportLimit() {
	limited := t.polled.counts[pollLimit] > 0
	if !limited || t.polled.limited {
		t.polled.limited = limited
		return
	}
	t.polled.limited = true
	dirs := t.watches()
	for p, r := range t.polled.reasons {
		if r == pollLimit {
			dirs += t.countDirs(p)
		}
	}
	l := readLimit("watches")
	t.log.Error("inotify watch limit reached: raise "+l.name+"; until then the subtrees without a watch are polled",
		quoted("root", t.root), zap.Int("current", l.value), zap.Int("directories", dirs), zap.Int("watches", t.watches()),
		zap.String("try", "sysctl -w "+l.name+"="+strconv.Itoa(l.value+2*dirs)))
}

// countDirs counts the directories at and below abs that would be watched.
func (t *tree) countDirs(abs string) (dirs int) {
	for todo := []string{abs}; len(todo) > 0; {
		dir := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		dirs++
		fd, err := openDir(dir)
		if err != nil {
			continue
		}
		_ = readDirs(fd, t.dirents, func(name []byte) { // an estimate for the log
			child := joinPath(dir, string(name))
			if rel, ok := relPath(t.root, child); ok && !t.excluded(rel, true) {
				todo = append(todo, child)
			}
		})
		unix.Close(fd)
	}
	return dirs
}

func (t *tree) polledPaths() []string { return slices.Collect(maps.Keys(t.polled.reasons)) }

func (t *tree) watches() int { return t.size - len(t.polled.reasons) }

// quoted shows a path's bytes whatever they are.
func quoted(key, path string) zap.Field {
	if q := strconv.Quote(path); q[1:len(q)-1] != path {
		path = q // a log line keeps the bytes of a name that is not plain text
	}
	return zap.String(key, path)
}
