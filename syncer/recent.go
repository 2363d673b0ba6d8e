package syncer

import (
	"io"
	"maps"
	"time"

	"github.com/lockstep-sync/lockstep/syncer/internal/flist"
	"github.com/lockstep-sync/lockstep/syncer/internal/sender"
	"github.com/lockstep-sync/lockstep/syncer/internal/source"
)

const (
	// recentMax bounds what is remembered of files that were sent: about a MiB.
	recentMax = 1 << 13
	// ctimeGrain is the coarsest step of a file system's ctime, a tick of a kernel with
	// HZ=100, doubled: a file that was written within it before it was read may have been
	// written again without its ctime telling.
	ctimeGrain = 20 * time.Millisecond
	// coarseGrain is that of file systems that keep whole seconds (ext4 with inodes of 128 bytes,
	// ext3), or every second one (FAT).
	coarseGrain = 2*time.Second + ctimeGrain
	// rereadMax is the largest file that is read once more here, to find out that it need not be sent again.
	rereadMax = 16 << 20
	// fresh is how long after its last change a sent file is worth remembering: a hint that
	// is still on its way comes from a change not older than this.
	fresh = time.Minute
)

// version is a file as it was when it was read, and when that was.
type version struct {
	content                   sender.Digest
	ino, ctime, size, sec, at int64
	nsec, mode, uid, gid      uint32
	begun                     int64 // no directory above it was looked at before, by the push that brought it
}

func versionOf(e *flist.Entry, at time.Time) version {
	return version{ino: int64(e.Ino), ctime: e.Ctime, size: e.Size, sec: e.Sec, at: at.UnixNano(),
		nsec: e.Nsec, mode: e.Mode, uid: e.UID, gid: e.GID}
}

// age is how long before it was read the file was changed.
func (v *version) age() time.Duration { return time.Duration(v.at - v.ctime) }

// grain is how long before it was read a file must have been changed for its ctime to tell.
func (v *version) grain() time.Duration {
	if v.ctime%int64(time.Second) == 0 {
		return coarseGrain
	}
	return ctimeGrain
}

// recent remembers which versions of files the target has. A change that was seen while
// its file was on the way is mostly that very version: then there is nothing to do.
// The zero value remembers nothing.
type recent struct {
	versions map[string]version
}

// sending gathers what a push reads, until it is known to have arrived.
type sending struct {
	begun    time.Time
	versions map[string]version
}

func (s *sending) add(e *flist.Entry, at time.Time, content sender.Digest) {
	v := versionOf(e, at)
	v.content = content
	if v.age() > fresh || len(s.versions) >= recentMax {
		return
	}
	if s.versions == nil {
		s.versions = map[string]version{}
	}
	v.begun = s.begun.UnixNano()
	s.versions[e.Name] = v
}

// drop forgets files that did not arrive.
func (s *sending) drop(names map[string]bool) {
	for name := range names {
		delete(s.versions, name)
	}
}

// add takes in what a push brought over. Forgetting costs time, never data.
func (r *recent) add(s *sending) {
	if r.versions == nil || len(r.versions)+len(s.versions) > recentMax {
		r.versions = s.versions
		return
	}
	maps.Copy(r.versions, s.versions)
}

// is says whether the target surely has e as it is now. The stamps alone don't tell: while a long write(2) goes on, or after
// a store through mmap(2), they stay as they were when it began. So what was sent is compared with what the file holds now,
// after the hint that led here.
func (r *recent) is(src *source.Tree, e *flist.Entry) bool {
	v, ok := r.stamped(e)
	if !ok || e.Size > rereadMax {
		return false
	}
	f, _, err := src.Open(e.Name)
	if err != nil {
		return false
	}
	defer f.Close()
	return v.content.Is(io.LimitReader(f, e.Size+1))
}

// stamped is the version of e that was sent, if its stamps are the same.
func (r *recent) stamped(e *flist.Entry) (version, bool) {
	if e.Flags&flist.Linked != 0 {
		return version{}, false // the peer has to see the whole group
	}
	v, ok := r.versions[e.Name]
	now := versionOf(e, time.Unix(0, v.at))
	now.begun, now.content = v.begun, v.content
	return v, ok && e.IsRegular() && v.age() > v.grain() && v == now
}

// above says whether the target surely has the directories above the files too. A file that was made
// after its directory was looked at, and before it was read, came over and the directory's time did not.
func (r *recent) above(files, dirs []flist.Entry) bool {
	for _, f := range files {
		v, ok := r.versions[f.Name]
		for _, d := range dirs {
			dir := version{ctime: d.Ctime, at: v.begun}
			if !ok || dir.age() <= dir.grain() {
				return false
			}
		}
	}
	return true
}
