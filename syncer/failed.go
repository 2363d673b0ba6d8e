package syncer

import (
	"encoding/json"
	"errors"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/lockstep-sync/lockstep/syncer/internal/report"
	"github.com/lockstep-sync/lockstep/syncer/internal/wire"
)

// Failed is a path that is not on the target, and why: an entry of the ledger.
type Failed struct {
	Path   string // below WatchRoot
	Tree   bool   // it stands for everything below it, too
	Paths  int    // for how many failing paths it stands: more than one where they were too many to keep
	Reason string // one line, without control characters
	Class  Class
	Errno  syscall.Errno // 0 where none is known
	Ends   bool          // it ends the whole push: it is not sent along with others
	Count  int           // failures in a row
	First  time.Time     // when the change was seen that did not arrive
	Last   time.Time     // when it was tried last
	Next   time.Time     // when it is tried again, if nothing happens to it before
}

// failedJSON is how an entry is written down. A name need not be UTF-8, which JSON's strings are.
type failedJSON struct {
	Path      string        `json:"path,omitempty"`
	PathBytes []byte        `json:"path_bytes,omitempty"`
	Tree      bool          `json:"tree,omitempty"`
	Paths     int           `json:"paths"`
	Reason    string        `json:"reason"`
	Class     Class         `json:"class"`
	Errno     syscall.Errno `json:"errno,omitempty"`
	Ends      bool          `json:"ends,omitempty"`
	Count     int           `json:"count"`
	First     time.Time     `json:"first"`
	Last      time.Time     `json:"last"`
	Next      time.Time     `json:"next"`
}

// MarshalJSON implements json.Marshaler: "path" holds the name, or where it is not UTF-8 "path_bytes" in base64.
func (f Failed) MarshalJSON() ([]byte, error) {
	j := failedJSON{"", nil, f.Tree, f.Paths, f.Reason, f.Class, f.Errno, f.Ends, f.Count, f.First, f.Last, f.Next}
	if utf8.ValidString(f.Path) {
		j.Path = f.Path
	} else {
		j.PathBytes = []byte(f.Path)
	}
	return json.Marshal(j)
}

// UnmarshalJSON implements json.Unmarshaler.
func (f *Failed) UnmarshalJSON(b []byte) error {
	var j failedJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	if j.PathBytes != nil {
		j.Path = string(j.PathBytes)
	}
	*f = Failed{j.Path, j.Tree, j.Paths, j.Reason, j.Class, j.Errno, j.Ends, j.Count, j.First, j.Last, j.Next}
	return nil
}

// path is what is to be pushed for it. Of what is below a directory that stands for many, what was changed
// since the first of them failed is compared by content.
func (f *Failed) path() Path { return Path{Name: f.Path, Tree: f.Tree, Content: f.Paths <= 1} }

// noRoom says that the target was full.
func (f *Failed) noRoom() bool { return f.Errno == syscall.ENOSPC || f.Errno == syscall.EDQUOT }

// Remedy is what can be done about it, a clause without a full stop; "" where nothing is known.
func (f *Failed) Remedy() string {
	switch f.Errno {
	case syscall.ENOSPC:
		return "make room on the target: it is tried again by itself"
	case syscall.EDQUOT:
		return "raise the quota on the target, or make room: it is tried again by itself"
	case syscall.EACCES, syscall.EPERM:
		return "check owner, permissions and attributes (lsattr) of it and of the directory above, on the side that the reason names"
	case syscall.EROFS:
		return "mount the target for writing"
	case syscall.ENAMETOOLONG:
		return "the target's file system takes no such name: shorten or exclude it"
	case syscall.EFBIG:
		return "the target's file system takes no file of that size: exclude it"
	case syscall.EOPNOTSUPP, syscall.ENOSYS:
		return "the target's file system cannot hold it: leave out the option that asks for it, or exclude it"
	case syscall.EIO:
		return "check the disk (dmesg)"
	}
	if f.Class == ClassConfiguration {
		return "exclude it here, or allow it there"
	}
	return ""
}

// classOfErrno judges why a single path did not arrive.
func classOfErrno(n syscall.Errno) Class {
	switch n {
	case syscall.EACCES, syscall.EPERM, syscall.EROFS, syscall.ENOSPC, syscall.EDQUOT, syscall.EIO, syscall.EUCLEAN:
		return ClassOperator
	case syscall.ENAMETOOLONG, syscall.EINVAL, syscall.EILSEQ, syscall.EOPNOTSUPP, syscall.ENOSYS, syscall.EFBIG, syscall.E2BIG, syscall.EMLINK:
		return ClassConfiguration
	}
	return ClassTransient
}

// failedOf begins an entry for a problem.
func failedOf(p Problem) Failed {
	f := Failed{Path: p.Path, Paths: 1, Reason: oneLine(p.Err)}
	var refused *peerError
	switch {
	case errors.As(p.Err, &refused):
		f.Errno, f.Class = refused.errno, refused.class
	case errors.As(p.Err, &f.Errno):
		f.Class = classOfErrno(f.Errno)
	}
	return f
}

// oneLine is an error fit for a line of a log.
func oneLine(err error) string { return wire.Printable([]byte(report.Quote(err.Error()))) }
