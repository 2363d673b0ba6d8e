package sender

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sort"
	"sync/atomic"

	"github.com/lockstep-sync/lockstep/syncer/internal/flist"
	"github.com/lockstep-sync/lockstep/syncer/internal/option"
	"github.com/lockstep-sync/lockstep/syncer/internal/wire"
)

// Dir is a directory of a walk, with what is directly in it in the order of the list. Only the
// first one may be Partial: of others it is known too late, and a walk leaves them out.
type Dir struct {
	Self    flist.Entry
	Entries []flist.Entry
}

// Walk is a whole tree that is listed while it is pushed: incremental recursion. The peer gets a
// list for each directory, and both sides forget it when the peer is done with it.
type Walk interface {
	// Begin is the beginning of a run; the same walk may serve another one after it. It calls
	// ready, from any goroutine but not from Next, whenever Next has something new.
	Begin(ctx context.Context, ready func()) error
	// Next is the next directory, each before those in it; io.EOF comes after the last. It does
	// not wait: ErrNotYet says that there is none so far.
	Next(ctx context.Context) (Dir, error)
	// Whole is all of it at once, for a peer that wants one list; the others are not called then.
	Whole(ctx context.Context) (List, error)
}

// ErrNotYet says that a Walk is not there yet.
var ErrNotYet = errors.New("not read yet")

const (
	// lookahead is how many entries may be with the peer that it was not done with when it told
	// last: enough that it never waits for us, little enough to be held.
	lookahead = 10_000
	// listOffset is NDX_FLIST_OFFSET: the list of directory k is announced by listOffset-k.
	listOffset = -101
	maxIndex   = 1<<31 - 200 // what an index can count
)

// inPieces says whether a list in pieces is offered to the peer: from 3.2 on, and only where neither
// it (rsync 3.5.0 compat.c, set_allow_inc_recurse) nor we need the whole of it.
func (o *Options) inPieces(j *Job, modernPeer bool) bool {
	late := j.Prune && (o.DeleteWhen == option.Before || o.DeleteWhen == option.After) || o.DelayUpdates
	other := o.NoIncRecurse || o.OneFileSystem || o.Relative || o.PruneEmptyDirs || o.Files != nil
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
	held  int     // entries in parts, and the parts themselves
	next  int32   // start of the part to come
	dirs  map[string]int32
	seen  int32       // directories that were listed: their numbers
	first bool        // a list was sent
	ended bool        // and the last one was
	ready atomic.Bool // the walk has something new, maybe
}

func newStream(w Walk, f flist.Format, names *idNames) *stream {
	s := &stream{walk: w, next: 1, dirs: map[string]int32{}, enc: flist.NewEncoder(f)}
	s.enc.Names(names.user, names.group)
	return s
}

// fill sends lists until the peer has enough to do, or there is none yet.
func (p *push) fill(ctx context.Context) error {
	s := p.stream
	for s.wants() {
		s.ready.Store(false)
		d, err := s.walk.Next(ctx)
		switch {
		case errors.Is(err, ErrNotYet):
			return nil
		case errors.Is(err, io.EOF):
			s.ended = true
			return p.writeListed(p.w.Append(p.buf[:0], wire.IndexListEnd))
		case err != nil:
			return err
		}
		if err := p.sendDir(ctx, d); err != nil {
			return err
		}
	}
	return nil
}

// wants says whether the peer is to have another list. It is done with one only when it has the next
// (rsync 3.5.0 generator.c, generate_files).
func (s *stream) wants() bool { return !s.ended && (s.held < lookahead || len(s.parts) < 2) }

// attend sends lists until there is a request to read. What the peer does before it has many names
// or all is its own affair: with hard links nothing, so neither side is waited for alone.
func (p *push) attend(ctx context.Context) error {
	s := p.stream
	for {
		if err := p.fill(ctx); err != nil || !s.wants() {
			return err
		}
		if data, err := p.mux.Await(s.ready.Load); data || err != nil {
			return err
		}
	}
}

// writeListed counts b as bytes of the list.
func (p *push) writeListed(b []byte) error {
	p.res.Stats.ListBytes += int64(len(b))
	return p.write(b)
}

func (p *push) sendDir(ctx context.Context, d Dir) error {
	s := p.stream
	if !s.first {
		// What the user named is a list of its own; the root stands with what is in it.
		s.first = true
		s.dirs[d.Self.Name] = 0
		s.seen = 1
		if d.Self.Name == "." {
			return p.sendPart(ctx, d.Self, append([]flist.Entry{d.Self}, d.Entries...))
		}
		if err := p.sendPart(ctx, d.Self, []flist.Entry{d.Self}); err != nil {
			return err
		}
	}
	k, ok := s.dirs[d.Self.Name]
	if !ok {
		return fmt.Errorf("the walk came to %q, which was not listed", d.Self.Name)
	}
	delete(s.dirs, d.Self.Name)
	if err := p.writeListed(p.w.Append(p.buf[:0], listOffset-k)); err != nil {
		return err
	}
	return p.sendPart(ctx, d.Self, d.Entries)
}

func (p *push) sendPart(ctx context.Context, self flist.Entry, entries []flist.Entry) error {
	s := p.stream
	if len(entries) > maxIndex-int(s.next)-1 {
		return fmt.Errorf("more than %d names", maxIndex)
	}
	s.enc.Begin(s.next)
	for i := range entries {
		e := &entries[i]
		if e.IsDir() && !s.known(e.Name) {
			s.dirs[e.Name] = s.seen
			s.seen++
		}
		if p.o.Checksum && e.IsRegular() {
			if err := p.digest(ctx, e); err != nil {
				return err
			}
		}
		if err := p.writeListed(s.enc.Append(p.buf[:0], e)); err != nil {
			return err
		}
		p.count(e)
	}
	s.parts = append(s.parts, &part{start: s.next, self: self, entries: entries, wanted: make([]wants, len(entries))})
	s.held += len(entries) + 1
	s.next += int32(len(entries)) + 1
	return p.writeListed(s.enc.End(p.buf[:0], 0))
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
	s.held -= len(first.entries) + 1
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
