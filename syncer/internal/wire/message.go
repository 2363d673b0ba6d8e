package wire

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
)

// Tag is the kind of a multiplexed frame (rsync 3.5.0 rsync.h, enum msgcode).
type Tag uint8

const (
	TagData      Tag = 0
	TagErrorXfer Tag = 1 // text; the run is partial
	TagInfo      Tag = 2
	TagError     Tag = 3
	TagWarning   Tag = 4
	TagIOError   Tag = 22 // int32 of IOError bits
	TagIOTimeout Tag = 33 // int32 seconds: the daemon's own timeout
	TagNoop      Tag = 42
	TagErrorExit Tag = 86  // nothing, or int32 exit code
	TagSuccess   Tag = 100 // int32 file index
	TagDeleted   Tag = 101 // name; of a directory with one NUL behind
	TagNoSend    Tag = 102 // int32 file index: it will not be sent
)

// IOError bits say what went wrong with whole lists of files.
const (
	IOErrorGeneral  = 1
	IOErrorVanished = 2
	IOErrorDelLimit = 4
)

const (
	tagBase     = 7
	maxFrame    = 0xFFFFFF
	maxMessage  = 64 << 10 // rsync stays below 5 KiB for text; names below 4 KiB
	sentTimeout = 86400    // the longest timeout a daemon may ask for, seconds
	maxExitCode = 255
)

// Message is a frame that is no data. Its bytes are untrusted.
type Message struct {
	Tag  Tag
	Data []byte
}

// known says whether a peer may send tag to us; what is internal to rsync's own
// processes must not come over the wire.
func (t Tag) known() bool {
	return slices.Contains([]Tag{TagData, TagErrorXfer, TagInfo, TagError, TagWarning, TagIOError,
		TagIOTimeout, TagNoop, TagErrorExit, TagSuccess, TagDeleted, TagNoSend}, t)
}

// Int32 is the payload of the messages that carry one number; ok is false for any other length.
func (m Message) Int32() (v int32, ok bool) {
	if len(m.Data) != 4 {
		return 0, false
	}
	return int32(binary.LittleEndian.Uint32(m.Data)), true
}

// ExitError says that the peer ended the run with one of rsync's exit codes.
type ExitError struct{ Code int }

func (e *ExitError) Error() string {
	return fmt.Sprintf("the rsync there gave up with exit code %d (see what it said before)", e.Code)
}

// Printable makes text from a peer fit for a log line: control characters and bytes
// that are no UTF-8 are escaped, length is bounded, the line end is dropped.
func Printable(b []byte) string {
	const limit = 1024
	for len(b) > 0 && (b[len(b)-1] == '\n' || b[len(b)-1] == '\r') {
		b = b[:len(b)-1]
	}
	cut := ""
	if len(b) > limit {
		b, cut = b[:limit], "…"
	}
	plain := true
	for _, c := range b {
		plain = plain && c >= 0x20 && c < 0x7F
	}
	if plain {
		return string(b) + cut
	}
	q := strconv.Quote(string(b))
	return q[1:len(q)-1] + cut
}
