package state

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// pages checks how the pages of a bbolt file hang together before bbolt is let near it: bbolt believes what it reads,
// goes round in a circle of pages for ever, and overwrites what a corrupt list calls free.
// Pages carry no checksum; what is in them has ours.
//
// The layout is from bbolt v1.5.0, internal/common/page.go, meta.go and inode.go. Integers are in the machine's order.
type pages struct {
	file io.ReaderAt
	size uint64 // of a page
	end  uint64 // the first page that is not in use
	seen []bool
	bufs [][]byte // one for each level, so that keys above stay as they are
}

const (
	pageHeader  = 16 // number 8, flags 2, count 2, overflow 4
	elementSize = 16
	branchPage  = 1
	leafPage    = 2
	freePage    = 16
	metaSize    = 64
	bucketFlag  = 1
	maxLevels   = 32
)

var native = binary.NativeEndian

// checkPages returns errCorrupt, with what is wrong, if the file cannot be one that bbolt left. A file that is not there, or
// empty, is well.
func checkPages(path string) error {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return err
	}
	if err := walkPages(f, uint64(info.Size())); err != nil {
		if isSystem(err) {
			return err
		}
		return fmt.Errorf("%w: %w", errCorrupt, err)
	}
	return nil
}

func walkPages(f io.ReaderAt, size uint64) error {
	meta, err := readMeta(f)
	if err != nil {
		return err
	}
	p := pages{file: f, size: uint64(native.Uint32(meta[8:])), end: native.Uint64(meta[40:])}
	if p.size < 1024 || p.size > 1<<16 || p.end < 3 || p.end > size/p.size {
		return fmt.Errorf("a file of %d bytes has %d pages of %d", size, p.end, p.size)
	}
	p.seen = make([]bool, p.end)
	if err := p.tree(native.Uint64(meta[16:]), 0, nil, nil, true); err != nil {
		return err
	}
	if err := p.free(native.Uint64(meta[32:])); err != nil {
		return err
	}
	for i := uint64(2); i < p.end; i++ {
		if !p.seen[i] {
			return fmt.Errorf("page %d is lost", i)
		}
	}
	return nil
}

// readMeta returns the meta page of the last transaction: magic 4, version 4, page size 4, flags 4, root bucket 16, list of
// free pages 8, end 8, transaction 8, checksum 8.
func readMeta(f io.ReaderAt) (last []byte, err error) {
	for _, at := range []int64{0, int64(os.Getpagesize())} {
		b := make([]byte, metaSize)
		if _, err := f.ReadAt(b, at+pageHeader); err != nil {
			return nil, err
		}
		h := fnv.New64a()
		h.Write(b[:metaSize-8])
		if native.Uint32(b) != 0xED0CDAED || native.Uint32(b[4:]) != 2 || h.Sum64() != native.Uint64(b[metaSize-8:]) {
			continue
		}
		if last == nil || native.Uint64(b[48:]) > native.Uint64(last[48:]) {
			last = b
		}
	}
	if last == nil {
		return nil, errors.New("it is no bbolt file")
	}
	return last, nil
}

// read returns a page with what it flows over into, in the buffer of that level.
func (p *pages) read(id uint64, level int) ([]byte, error) {
	if level >= maxLevels {
		return nil, errors.New("pages are too deep")
	}
	if id < 2 || id >= p.end {
		return nil, fmt.Errorf("there is no page %d", id)
	}
	for len(p.bufs) <= level {
		p.bufs = append(p.bufs, make([]byte, p.size))
	}
	b := p.bufs[level][:p.size]
	if _, err := p.file.ReadAt(b, int64(id*p.size)); err != nil {
		return nil, fmt.Errorf("page %d: %w", id, err)
	}
	more := uint64(native.Uint32(b[12:]))
	if native.Uint64(b) != id || id+more >= p.end {
		return nil, fmt.Errorf("page %d says that it is page %d with %d more", id, native.Uint64(b), more)
	}
	for i := id; i <= id+more; i++ {
		if p.seen[i] {
			return nil, fmt.Errorf("page %d is used twice", i)
		}
		p.seen[i] = true
	}
	if more == 0 {
		return b, nil
	}
	b = make([]byte, (more+1)*p.size)
	p.bufs[level] = b
	if _, err := p.file.ReadAt(b, int64(id*p.size)); err != nil {
		return nil, fmt.Errorf("page %d: %w", id, err)
	}
	return b, nil
}

// tree checks a page and those below it. Its keys are from low on and before high, if there is one.
func (p *pages) tree(id uint64, level int, low, high []byte, top bool) error {
	b, err := p.read(id, level)
	if err == nil {
		err = p.page(b, level, low, high, top)
	}
	if err != nil && !isSystem(err) && level == 0 {
		return fmt.Errorf("page %d: %w", id, err)
	}
	return err
}

// page checks the elements of a page, each of which comes right after the one before.
func (p *pages) page(b []byte, level int, low, high []byte, top bool) error {
	flags, count := native.Uint16(b[8:]), int(native.Uint16(b[10:]))
	if flags != branchPage && flags != leafPage || flags == branchPage && count == 0 {
		return fmt.Errorf("flags %#x, %d elements", flags, count)
	}
	next := pageHeader + count*elementSize
	if next > len(b) {
		return fmt.Errorf("%d elements in %d bytes", count, len(b))
	}
	var children []uint64
	var keys [][]byte
	for i := range count {
		at := pageHeader + i*elementSize
		e := b[at : at+elementSize]
		pos, keySize, valueSize := native.Uint32(e), native.Uint32(e[4:]), uint32(0)
		if flags == leafPage {
			pos, keySize, valueSize = native.Uint32(e[4:]), native.Uint32(e[8:]), native.Uint32(e[12:])
		}
		start, size := uint64(at)+uint64(pos), uint64(keySize)+uint64(valueSize)
		if start != uint64(next) || start+size > uint64(len(b)) {
			return fmt.Errorf("element %d is at %d, not %d, of %d bytes", i, start, next, size)
		}
		next += int(size)
		key, value := b[start:start+uint64(keySize)], b[start+uint64(keySize):next]
		if bytes.Compare(key, low) < 0 || high != nil && bytes.Compare(key, high) >= 0 || i > 0 && bytes.Equal(key, low) {
			return fmt.Errorf("element %d is out of order", i)
		}
		low = key
		switch {
		case flags == branchPage:
			children, keys = append(children, native.Uint64(e[8:])), append(keys, key)
		case native.Uint32(e) == bucketFlag && top:
			if err := p.bucket(value, level); err != nil {
				return err
			}
		case native.Uint32(e) != 0 || top:
			return fmt.Errorf("element %d has flags %#x", i, native.Uint32(e))
		}
	}
	for i, child := range children {
		end := high
		if i+1 < len(keys) {
			end = keys[i+1]
		}
		if err := p.tree(child, level+1, keys[i], end, top); err != nil {
			return err
		}
	}
	return nil
}

// bucket checks what is in a bucket: root page 8, sequence 8, and a page of its own if the root is 0.
func (p *pages) bucket(value []byte, level int) error {
	if len(value) < 16 {
		return errors.New("a bucket without a root")
	}
	if root := native.Uint64(value); root != 0 {
		return p.tree(root, level+1, nil, nil, false)
	}
	if len(value) < 16+pageHeader {
		return errors.New("a bucket without a page")
	}
	return p.page(value[16:], level+1, nil, nil, false)
}

// free checks the list of free pages.
func (p *pages) free(id uint64) error {
	b, err := p.read(id, 0)
	if err != nil {
		return err
	}
	if flags := native.Uint16(b[8:]); flags != freePage {
		return fmt.Errorf("the list of free pages has flags %#x", flags)
	}
	count, list := uint64(native.Uint16(b[10:])), b[pageHeader:]
	if count == 0xffff {
		count, list = native.Uint64(list), list[8:]
	}
	if count > uint64(len(list)/8) {
		return fmt.Errorf("%d free pages in %d bytes", count, len(list))
	}
	for i := range count {
		free := native.Uint64(list[i*8:])
		if free < 2 || free >= p.end || p.seen[free] {
			return fmt.Errorf("page %d is called free", free)
		}
		p.seen[free] = true
	}
	return nil
}
