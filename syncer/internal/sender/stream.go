package sender

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sort"

	"github.com/lockstep-sync/lockstep/syncer/internal/flist"
	"github.com/lockstep-sync/lockstep/syncer/internal/option"
	"github.com/lockstep-sync/lockstep/syncer/internal/wire"
)

// Dir is a directory of a walk, with what is directly in it in the order of the list.
type Dir struct {
	Self    flist.Entry
	Entries []flist.Entry
	Broken  bool // not all of it could be read: nothing may be deleted for not being in it
}

// Walk is a whole tree that is listed while it is pushed: incremental recursion. The peer gets a
// list for each directory, and both sides forget it when the peer is done with it.
type Walk interface {
	// Begin is the beginning of a run; the same walk may serve another one after it.
	Begin(ctx context.Context) error
	// Next is the next directory, each before those in it; io.EOF comes after the last.
	Next(ctx context.Context) (Dir, error)
	// Whole is all of it at once, for a peer that wants one list; the others are not called then.
	Whole(ctx context.Context) (List, error)
}

const (
	// lookahead is how many entries may be with the peer that it was not done with when it told
	// last: enough that it never waits for us, little enough to be held.
	lookahead = 10_000
	// listOffset is NDX_FLIST_OFFSET: the list of directory k is announced by listOffset-k.
	listOffset = -101
	maxIndex   = 1<<31 - 200 // what an index can count
)

// inPieces says whether a list in pieces is offered to the peer: from 3.2 on, and only with options
// under which no entry needs one of another list, or the whole of it.
func (o *Options) inPieces(j *Job, modernPeer bool) bool {
	late := j.Prune && o.DeleteWhen != option.During || o.DelayUpdates
	other := o.HardLinks || o.ACLs || o.Xattrs || o.OneFileSystem || o.Relative || o.Checksum || o.PruneEmptyDirs || o.Files != nil
	return j.Walk != nil && modernPeer && !late && !other && o.Recurse && o.Sink.Progress == nil
}

// part is the list of one directory. Its entries have the indices from start on; start-1 is
// the directory itself.
type part struct {
	start   int32
	self    flist.Entry
	entries []flist.Entry
	wanted  []wants
}

// stream is the state of incremental recursion (rsync 3.5.0 flist.c, send_extra_file_list).
type stream struct {
	walk  Walk
	enc   *flist.Encoder
	parts []*part // in order; the peer is not done with the first one yet
	held  int     // entries in parts
	next  int32   // start of the part to come
	dirs  map[string]int32
	seen  int32 // directories that were listed: their numbers
	first bool  // a list was sent
	ended bool  // and the last one was
}

func newStream(w Walk, f flist.Format, names *idNames) *stream {
	s := &stream{walk: w, next: 1, dirs: map[string]int32{}, enc: flist.NewEncoder(f)}
	s.enc.Names(names.user, names.group)
	return s
}

// fill sends lists until the peer has enough to do.
func (p *push) fill(ctx context.Context) error {
	s := p.stream
	for !s.ended && (s.held < lookahead || len(s.parts) < 2) {
		d, err := s.walk.Next(ctx)
		if errors.Is(err, io.EOF) {
			s.ended = true
			return p.listed(func() error { return p.writeIndex(wire.IndexListEnd) })
		}
		if err != nil {
			return err
		}
		if err := p.listed(func() error { return p.sendDir(d) }); err != nil {
			return err
		}
	}
	return nil
}

// listed counts what send writes as bytes of the list.
func (p *push) listed(send func() error) error {
	start, _ := p.mux.Counts()
	err := send()
	end, _ := p.mux.Counts()
	p.res.Stats.ListBytes += end - start
	return err
}

func (p *push) sendDir(d Dir) error {
	s := p.stream
	if !s.first {
		// What the user named is a list of its own; the root stands with what is in it.
		s.first = true
		s.dirs[d.Self.Name] = 0
		s.seen = 1
		if d.Self.Name == "." {
			return p.sendPart(d.Self, append([]flist.Entry{d.Self}, d.Entries...), d.Broken)
		}
		if err := p.sendPart(d.Self, []flist.Entry{d.Self}, false); err != nil {
			return err
		}
	}
	k, ok := s.dirs[d.Self.Name]
	if !ok {
		return fmt.Errorf("the walk came to %q, which was not listed", d.Self.Name)
	}
	delete(s.dirs, d.Self.Name)
	if err := p.writeIndex(listOffset - k); err != nil {
		return err
	}
	return p.sendPart(d.Self, d.Entries, d.Broken)
}

func (p *push) sendPart(self flist.Entry, entries []flist.Entry, broken bool) error {
	s := p.stream
	if len(entries) > maxIndex-int(s.next)-1 {
		return fmt.Errorf("more than %d names", maxIndex)
	}
	for i := range entries {
		e := &entries[i]
		if e.IsDir() && !s.known(e.Name) {
			s.dirs[e.Name] = s.seen
			s.seen++
		}
		if err := p.write(s.enc.Append(p.buf[:0], e)); err != nil {
			return err
		}
		p.count(e)
	}
	ioError := int32(0)
	if broken {
		ioError = wire.IOErrorGeneral
		p.res.Broken = true
	}
	s.parts = append(s.parts, &part{start: s.next, self: self, entries: entries, wanted: make([]wants, len(entries))})
	s.held += len(entries)
	s.next += int32(len(entries)) + 1
	return p.write(s.enc.End(p.buf[:0], ioError))
}

// known says whether a directory has its number.
func (s *stream) known(name string) bool {
	_, ok := s.dirs[name]
	return ok
}

// at finds the entry of an index; wants is nil for the directory that a list is of.
func (s *stream) at(index int32) (*flist.Entry, *wants) {
	i := sort.Search(len(s.parts), func(i int) bool { return s.parts[i].start-1 > index }) - 1
	if i < 0 {
		return nil, nil
	}
	p := s.parts[i]
	switch n := int(index - p.start); {
	case n < 0:
		return &p.self, nil
	case n < len(p.entries):
		return &p.entries[n], &p.wanted[n]
	}
	return nil, nil
}

// done forgets the first list, and says whether it was the last.
func (p *push) done() (last bool, err error) {
	s := p.stream
	if len(s.parts) == 0 {
		return true, nil
	}
	first := s.parts[0]
	for i := range first.entries {
		p.passed(&first.entries[i], first.wanted[i])
	}
	s.held -= len(first.entries)
	s.parts[0] = nil
	s.parts = s.parts[1:]
	if len(s.parts) == 0 && !s.ended {
		return false, fmt.Errorf("%w: the peer is done with a list before it is sent", wire.ErrProtocol)
	}
	return len(s.parts) == 0, nil
}

// passed notes a file that the peer took for the one it has, although it is said to differ.
func (p *push) passed(e *flist.Entry, w wants) {
	if w == 0 && e.Flags&flist.Content != 0 && e.IsRegular() {
		p.res.Passed = append(p.res.Passed, *e)
	}
}
