package watcher

import "strings"

// Op is what happened to a name, as bits: inotify(7) and fanotify(7) have the same for the same.
type Op uint32

// The operations. A file that was made gives OpCreate, one that was renamed OpMovedFrom at its old
// name and OpMovedTo at its new one.
const (
	OpCreate Op = 1 << iota
	OpDelete
	OpModify // its bytes changed
	OpMovedFrom
	OpMovedTo
	OpAttrib     // mode, owner, times, extended attributes, link count
	OpCloseWrite // closed by one who had it open for writing
	OpOpen
	OpAccess       // read from
	OpCloseNoWrite // closed by one who had it open for reading
	OpDeleteSelf   // of a directory that is watched; its parent's OpDelete says the same
	OpMoveSelf
	OpUnmount
	OpOverflow // events were lost here
)

var opNames = [...]string{
	"CREATE", "DELETE", "MODIFY", "MOVED_FROM", "MOVED_TO", "ATTRIB", "CLOSE_WRITE", "OPEN", "ACCESS",
	"CLOSE_NOWRITE", "DELETE_SELF", "MOVE_SELF", "UNMOUNT", "Q_OVERFLOW",
}

// String names the bits as inotify(7) does, without IN_.
func (o Op) String() string {
	var names []string
	for i, name := range opNames {
		if o&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, "|")
}

func (o Op) has(bits Op) bool { return o&bits != 0 }

const (
	opsAppear    = OpCreate | OpMovedTo
	opsDisappear = OpDelete | OpMovedFrom | OpDeleteSelf | OpMoveSelf
	opsOptional  = OpOpen | OpAccess | OpCloseNoWrite
)

// An Event is what the kernel said of one name, or what a listing found that the kernel did not say.
// Those who keep trees in step want a Change instead.
type Event struct {
	Path   string // relative to the root, as in Change; "." is the root
	Op     Op     // one bit, or several where the kernel merged them
	Dir    bool   // it is, or was, a directory
	Self   bool   // told by the directory's own watch, not by that of the one above: some are told by both
	Cookie uint32 // equal in the two halves of one rename; else 0
	Found  bool   // found by listing a directory that was made or moved in, not announced
}
