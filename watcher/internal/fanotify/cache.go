package fanotify

// maxDirs bounds the directories that are remembered: some 25 MB with paths of 50 bytes.
const maxDirs = 1 << 17

// keepDirs is the size up to which an emptied cache keeps its memory: emptying a map costs what it
// once held.
const keepDirs = 1 << 10

// place is where a directory is, seen from the root.
type place uint8

const (
	outside place = iota // elsewhere, not wanted, or removed: nothing that happens in it is told
	inside               // the root or below it: path is relative to the root
	deeper               // below path, where no path reaches: it would be longer than PATH_MAX
	above                // above the root: path is the entry that leads there
)

// dir is what is known of a directory.
type dir struct {
	place place
	path  string
}

// dirCache remembers where directories are, by their handles. It belongs to the goroutine that reads
// events. That answers may be kept, though directories move:
//
//   - A directory is resolved at one moment. When it, or one above it, is renamed later, the event of
//     that rename is queued, or merged into one that is still queued: either way it is read after the
//     resolving, and empties the cache. So an answer is the present path, or the path before a rename
//     whose event is still to be read.
//   - An event that is told under such an old path, or that is dropped because its directory just
//     went out of the root, is followed by that rename's event, and that makes whoever is told look
//     at all below both of its names. What came to be before the rename is read is found by that.
//   - A rename that has both names outside changes no answer, unless it is of a directory above the
//     root. Places are not mixed up by those that are removed: handles have a generation number.
//   - When events are lost a rename may be among them, and the cache is emptied.
//   - What mounting and unmounting change, the caller tells (Forget).
type dirCache map[string]dir

func (c dirCache) get(k dirKey) (d dir, ok bool) {
	d, ok = c[string(k)] // without a copy of the key
	return d, ok
}

func (c dirCache) put(k dirKey, d dir) {
	if len(c) >= maxDirs {
		for victim := range c { // any: the order is random
			delete(c, victim)
			break
		}
	}
	c[string(k)] = d
}

// emptied returns the cache for further use.
func (c dirCache) emptied() dirCache {
	if len(c) > keepDirs {
		return make(dirCache)
	}
	clear(c)
	return c
}
