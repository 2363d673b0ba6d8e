package report

import (
	"errors"
	"fmt"
	"io/fs"
)

// Item flags, as the protocol carries them (rsync 3.5.0 rsync.h, ITEM_*).
const (
	ReportAtime  = 1 << 0
	ReportChange = 1 << 1 // the content differs by checksum, or a symlink or device was replaced
	ReportSize   = 1 << 2 // of regular files; of symlinks: their time cannot be set
	ReportTime   = 1 << 3
	ReportPerms  = 1 << 4
	ReportOwner  = 1 << 5
	ReportGroup  = 1 << 6
	ReportACL    = 1 << 7
	ReportXattr  = 1 << 8
	ReportCrtime = 1 << 10

	BasisTypeFollows = 1 << 11
	XnameFollows     = 1 << 12
	IsNew            = 1 << 13
	LocalChange      = 1 << 14
	Transfer         = 1 << 15

	// Deleted is ours: the name was removed from the target. It never travels.
	Deleted = 1 << 20
)

// Item is one itemized change: what happened, or in a dry run would happen, to a name.
type Item struct {
	Flags int    // the constants above
	Mode  uint32 // st_mode: the type decides the second letter
	Name  string // relative to the transfer's root, raw bytes
	Link  string // target of a symlink, or the other name of a hard link
	Size  int64  // of a regular file, bytes
	Local bool   // the target is a local directory: ">" stands where a push says "<"
}

// Stats counts one push. The zero value is an empty push.
type Stats struct {
	Files, Dirs, Links, Specials                        int64 // listed, by type
	Created, CreatedDirs, CreatedLinks, CreatedSpecials int64 // new on the target; Created counts regular files
	Devices, CreatedDevices                             int64 // which are no Specials: those are FIFOs and sockets
	Transferred                                         int64 // regular files whose data was sent
	TotalSize                                           int64 // of the regular files listed
	TransferredSize                                     int64 // of those transferred
	Literal, Matched                                    int64 // bytes sent as data, bytes the target already had
	ListBytes                                           int64 // the file list on the wire
	Sent, Received                                      int64 // everything on the wire
	Deleted                                             int64 // names removed from the target, directories included
	Moved                                               int64 // files that a peer has at a new name without their data; the old name counts as deleted
	Changed                                             int64 // items with any change, deletions apart
}

// Add adds o to s.
func (s *Stats) Add(o Stats) {
	s.Files += o.Files
	s.Dirs += o.Dirs
	s.Links += o.Links
	s.Specials += o.Specials
	s.Created += o.Created
	s.CreatedDirs += o.CreatedDirs
	s.CreatedLinks += o.CreatedLinks
	s.CreatedSpecials += o.CreatedSpecials
	s.Devices += o.Devices
	s.CreatedDevices += o.CreatedDevices
	s.Transferred += o.Transferred
	s.TotalSize += o.TotalSize
	s.TransferredSize += o.TransferredSize
	s.Literal += o.Literal
	s.Matched += o.Matched
	s.ListBytes += o.ListBytes
	s.Sent += o.Sent
	s.Received += o.Received
	s.Deleted += o.Deleted
	s.Moved += o.Moved
	s.Changed += o.Changed
}

// Problem is one path that could not be brought over, and why.
type Problem struct {
	Path string
	Err  error
}

func (p Problem) Error() string { return fmt.Sprintf("%q: %v", p.Path, p.Err) }
func (p Problem) Unwrap() error { return p.Err }

// Vanished says that the path was there when it was listed and gone when it was read:
// a normal day, and rsync's exit code 24.
func (p Problem) Vanished() bool { return errors.Is(p.Err, fs.ErrNotExist) }

// Sink receives what happens while a push runs. Any field may be nil. The functions are
// called from one goroutine at a time and must not block for long.
type Sink struct {
	Item     func(Item)
	Message  func(text string, isError bool) // text of the peer: untrusted, one line, control characters already quoted
	SSH      func(text string)               // what ssh says on its own account; nil: it is a Message
	Progress func(Progress)
	Meter    *Meter // is looked at by others meanwhile
	Verbose  int    // how much a local target says in messages, as -v counts; a peer says what it wants
}

// Progress is how far the files that travel are.
type Progress struct {
	File             string // the file in flight
	Done, Total      int64  // bytes of it
	Files, FilesLeft int64  // finished, and listed but not yet looked at
	Bytes            int64  // of file data dealt with since the push began, matched bytes included
	AllBytes         int64  // size of all regular files listed
}
