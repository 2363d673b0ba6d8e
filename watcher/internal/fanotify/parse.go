package fanotify

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Sizes of fanotify(7) "struct fanotify_event_metadata", of the header before each information
// record, and of what precedes a handle's bytes: file system id, length and type of the handle.
const (
	metadataSize = 24
	headerSize   = 4
	handleHead   = fsidSize + 8
	fsidSize     = 8

	// maxHandle is MAX_HANDLE_SZ of Linux include/linux/exportfs.h.
	maxHandle = 128
)

var errMalformed = errors.New("malformed fanotify event")

// record is one event as the kernel wrote it. It points into the buffer it was parsed from.
type record struct {
	mask uint64
	pid  int32
	name name // what it happened to; after a rename, the new name
	old  name // the old name, FAN_RENAME only
}

// name is an entry of a directory, or the directory itself: ".". The zero value is no name.
type name struct {
	dir   dirKey
	entry []byte
}

// dirKey is file system id, length, type and bytes of a directory's handle, as they lie in the
// record: the same for each event in one directory, and another for each directory.
type dirKey []byte

func (k dirKey) fsid() fsid { return fsid(k[:fsidSize]) }
func (k dirKey) handle() (int32, []byte) {
	return int32(binary.NativeEndian.Uint32(k[fsidSize+4:])), k[handleHead:]
}

// parse takes the first event from buf, which is not empty.
func parse(buf []byte) (r record, rest []byte, err error) {
	if len(buf) < metadataSize {
		return record{}, nil, fmt.Errorf("%w: %d bytes of metadata", errMalformed, len(buf))
	}
	size := uint64(binary.NativeEndian.Uint32(buf))
	version := buf[4]
	infos := uint64(binary.NativeEndian.Uint16(buf[6:]))
	if version != unix.FANOTIFY_METADATA_VERSION {
		return record{}, nil, fmt.Errorf("%w: version %d, not %d", errMalformed, version, unix.FANOTIFY_METADATA_VERSION)
	}
	if infos < metadataSize || infos > size || size > uint64(len(buf)) {
		return record{}, nil, fmt.Errorf("%w: length %d with metadata of %d in a buffer of %d", errMalformed, size, infos, len(buf))
	}
	r.mask = binary.NativeEndian.Uint64(buf[8:])
	r.pid = int32(binary.NativeEndian.Uint32(buf[20:]))
	if err := r.parseInfos(buf[infos:size]); err != nil {
		return record{}, nil, err
	}
	return r, buf[size:], nil
}

// parseInfos reads the records that follow the metadata. Types that are not known are passed over,
// as fanotify(7) asks for.
func (r *record) parseInfos(infos []byte) (err error) {
	for len(infos) > 0 {
		if len(infos) < headerSize {
			return fmt.Errorf("%w: %d bytes of a record", errMalformed, len(infos))
		}
		size := int(binary.NativeEndian.Uint16(infos[2:]))
		if size < headerSize || size > len(infos) {
			return fmt.Errorf("%w: record of %d bytes in %d", errMalformed, size, len(infos))
		}
		body := infos[headerSize:size]
		switch infos[0] {
		case unix.FAN_EVENT_INFO_TYPE_DFID_NAME, unix.FAN_EVENT_INFO_TYPE_NEW_DFID_NAME:
			r.name, err = parseName(body)
		case unix.FAN_EVENT_INFO_TYPE_OLD_DFID_NAME:
			r.old, err = parseName(body)
		case unix.FAN_EVENT_INFO_TYPE_DFID:
			r.name.dir, _, err = parseDir(body)
			r.name.entry = self
		}
		if err != nil {
			return err
		}
		infos = infos[size:]
	}
	return nil
}

// self is the entry by which the kernel names a directory itself.
var self = []byte(".")

// parseDir splits the body of a record after the handle.
func parseDir(body []byte) (dir dirKey, rest []byte, err error) {
	if len(body) < handleHead {
		return nil, nil, fmt.Errorf("%w: %d bytes before a handle", errMalformed, len(body))
	}
	size := binary.NativeEndian.Uint32(body[fsidSize:])
	if size > maxHandle || int(size) > len(body)-handleHead {
		return nil, nil, fmt.Errorf("%w: handle of %d bytes in %d", errMalformed, size, len(body)-handleHead)
	}
	end := handleHead + int(size)
	return dirKey(body[:end:end]), body[end:], nil
}

// parseName reads a directory's handle and the entry's name, ended by a NUL and padded by more.
func parseName(body []byte) (name, error) {
	dir, rest, err := parseDir(body)
	if err != nil {
		return name{}, err
	}
	end := bytes.IndexByte(rest, 0)
	if end < 0 {
		return name{}, fmt.Errorf("%w: name of %d bytes without an end", errMalformed, len(rest))
	}
	entry := rest[:end:end]
	if len(entry) == 0 || bytes.IndexByte(entry, '/') >= 0 || string(entry) == ".." {
		return name{}, fmt.Errorf("%w: name %q", errMalformed, entry)
	}
	return name{dir: dir, entry: entry}, nil
}
