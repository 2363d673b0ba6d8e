package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// versionSizes are about how large the files are that are replaced all the time.
var versionSizes = []int{1 << 10, 16 << 10, 200 << 10, 1 << 20, 4 << 20}

// blockSize is the unit of a version: each block says of which file and version it is, and where it
// belongs.
const blockSize = 64

// version is the content of file id in one of its versions.
func version(id, number, size int) []byte {
	blocks := max(size/blockSize, 1)
	buf := make([]byte, 0, blocks*blockSize)
	for i := range blocks {
		for range blockSize / 32 {
			for _, v := range []int{id, number, blocks, i} {
				buf = binary.LittleEndian.AppendUint64(buf, uint64(v))
			}
		}
	}
	return buf
}

// torn says what is wrong with the content of file id, or nil if it is a whole version.
func torn(id int, content []byte) error {
	if len(content) < blockSize {
		return fmt.Errorf("it has %d bytes", len(content))
	}
	number, blocks := binary.LittleEndian.Uint64(content[8:]), binary.LittleEndian.Uint64(content[16:])
	if uint64(len(content)) != blocks*blockSize {
		return fmt.Errorf("version %d has %d bytes, not %d", number, len(content), blocks*blockSize)
	}
	for at := 0; at < len(content); at += 32 {
		want := [4]uint64{uint64(id), number, blocks, uint64(at / blockSize)}
		var got [4]uint64
		for i := range got {
			got[i] = binary.LittleEndian.Uint64(content[at+8*i:])
		}
		if got != want {
			return fmt.Errorf("version %d has at offset %d file %d, version %d, %d blocks, block %d", number, at, got[0], got[1], got[2], got[3])
		}
	}
	return nil
}

func versionPath(id int) string { return filepath.Join("versions", fmt.Sprintf("v%d", id)) }

// versionWriter replaces the files, one after the other, the large ones less often.
type versionWriter struct {
	root    *os.Root
	rng     *rand.Rand
	numbers []int
}

func newVersionWriter(root *os.Root, seed uint64) (*versionWriter, error) {
	v := &versionWriter{root: root, rng: rand.New(rand.NewPCG(seed, 1)), numbers: make([]int, len(versionSizes))}
	for id := range versionSizes {
		if err := v.replace(id); err != nil {
			return nil, err
		}
	}
	return v, nil
}

// run replaces files until ctx ends.
func (v *versionWriter) run(ctx context.Context) error {
	var err error
	poll(ctx, 20*time.Millisecond, func() {
		id := min(v.rng.IntN(len(versionSizes)), v.rng.IntN(len(versionSizes)), v.rng.IntN(len(versionSizes)))
		if err == nil {
			err = v.replace(id)
		}
	})
	return err
}

func (v *versionWriter) replace(id int) error {
	v.numbers[id]++
	size := versionSizes[id]/2 + v.rng.IntN(versionSizes[id])/2
	temporary := versionPath(id) + ".new"
	if err := v.root.WriteFile(temporary, version(id, v.numbers[id], size), 0o644); err != nil {
		return err
	}
	return v.root.Rename(temporary, versionPath(id))
}

// versionWatch reads the files on a target.
type versionWatch struct {
	replica string
	fail    func(string)
	reads   atomic.Int64
}

// run reads until ctx ends.
func (v *versionWatch) run(ctx context.Context) {
	id := 0
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	poll(ctx, 5*time.Millisecond, func() {
		name := versionPath(id)
		// An open file stays the version that it is, when another takes its name.
		content, err := readSteady(filepath.Join(v.replica, name))
		if err == nil {
			v.reads.Add(1)
			if err := torn(id, content); err != nil {
				v.fail(fmt.Sprintf("%q is torn: %v", name, err))
				cancel() // once is enough
			}
		}
		id = (id + 1) % len(versionSizes)
	})
}

// readSteady reads a file; an error of the file system, which may be out of order, is one.
func readSteady(name string) ([]byte, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(f)
	return content, errors.Join(err, f.Close())
}
