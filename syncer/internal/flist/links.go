package flist

// inode names a file whatever its names are.
type inode struct{ dev, ino uint64 }

// firstLink is the member of a group of hard links that was sent first.
type firstLink struct {
	index int32 // in the order of sending, which is not that of file indices
	entry Entry
}

// links finds groups of hard links while entries are sent (rsync 3.5.0 flist.c,
// send_file_entry: idev_find).
type links struct {
	start  int32 // of the list; 0 where there is but one
	sent   int32 // the index that comes next
	groups map[inode]*firstLink
}

// next counts e and says whether it is of a group, and which member of that was sent before.
func (l *links) next(f *Format, e *Entry) (first *firstLink, linked bool) {
	index := l.sent
	l.sent++
	if !f.HardLinks || e.Flags&Linked == 0 || e.IsDir() || e.Missing() {
		return nil, false
	}
	key := inode{e.Dev, e.Ino}
	if first = l.groups[key]; first != nil && first.entry.Mode&typeBits == e.Mode&typeBits {
		return first, true
	}
	if l.groups == nil {
		l.groups = map[inode]*firstLink{}
	}
	// An inode number that was given away between two looks is a file of its own.
	l.groups[key] = &firstLink{index: index, entry: *e}
	return nil, true
}
