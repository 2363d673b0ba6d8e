package sender

import (
	"context"
	"fmt"
	"time"

	"github.com/lockstep-sync/lockstep/syncer/internal/delta"
	"github.com/lockstep-sync/lockstep/syncer/internal/flist"
	"github.com/lockstep-sync/lockstep/syncer/internal/report"
	"github.com/lockstep-sync/lockstep/syncer/internal/wire"
)

const (
	lastPhase = 2 // data, redo, delayed updates: the third end of a phase ends the loop
	maxXname  = 4096
)

// request is what the generator says about one entry.
type request struct {
	index  int32
	entry  *flist.Entry
	flags  int
	basis  byte
	xname  string
	xattrs []int // places of long values in the entry's set
	skip   int64 // bytes that the receiver has and that are not to be sent
	again  bool  // it was asked for before, and arrived damaged
	head   delta.Head
}

// serve answers requests until the last phase ends (rsync 3.5.0 sender.c, send_files).
func (p *push) serve(ctx context.Context) error {
	for {
		if p.stream != nil {
			if err := p.attend(ctx); err != nil {
				return err
			}
		}
		n, err := p.nextIndex()
		if err != nil {
			return fmt.Errorf("read a request: %w", err)
		}
		if n == wire.IndexDone {
			last, err := p.endOfList()
			if err != nil {
				return err
			}
			if last {
				if p.phase++; p.phase > lastPhase {
					return nil
				}
			}
			if err := p.writeIndex(wire.IndexDone); err != nil {
				return err
			}
			continue
		}
		e, wanted := p.entry(n)
		if e == nil {
			return fmt.Errorf("%w: file index %d is not in the list", wire.ErrProtocol, n)
		}
		if err := p.answer(n, e, wanted); err != nil {
			return err
		}
	}
}

// nextIndex reads a file index, over the statistics of deletions that may stand anywhere.
func (p *push) nextIndex() (int32, error) {
	for {
		n := p.r.Index()
		if n != wire.IndexDelStats || p.r.Err() != nil {
			return n, p.r.Err()
		}
		for range 5 {
			p.r.Varint() // what was deleted was told by messages, name by name
		}
	}
}

// wants is what the peer wanted of an entry.
type wants uint8

const (
	wantedOnce  wants = 1 << iota
	wantedAgain       // it arrived damaged
)

// entry finds the entry of an index; nil: there is none.
func (p *push) entry(n int32) (*flist.Entry, *wants) {
	if p.stream != nil {
		return p.stream.at(n)
	}
	if n < 0 || int(n) >= p.job.List.Len() {
		return nil, nil
	}
	return p.job.List.At(int(n)), &p.wanted[n]
}

// endOfList takes the peer's word that it is done with a list, and says whether that ends a phase.
func (p *push) endOfList() (bool, error) {
	if p.stream != nil {
		return p.done()
	}
	if p.phase == lastPhase {
		p.res.Requested = make([]bool, len(p.wanted))
		for i, w := range p.wanted {
			p.res.Requested[i] = w != 0
		}
	}
	return true, nil
}

// pass counts the files that the generator went by without a word as done.
func (p *push) pass(index int) {
	if p.stream != nil {
		return // how many there are is not known
	}
	for ; p.seen < index; p.seen++ {
		if e := p.job.List.At(p.seen); e.IsRegular() && p.wanted[p.seen] == 0 {
			p.prog.Bytes += e.Size
			p.prog.Files++
			p.prog.FilesLeft--
		}
	}
}

// answer reads the rest of a request and serves it.
func (p *push) answer(index int32, e *flist.Entry, w *wants) error {
	p.pass(int(index))
	q := request{index: index, entry: e, flags: int(p.r.Short()), basis: basisFile}
	if q.flags&report.BasisTypeFollows != 0 {
		q.basis = p.r.Byte()
	}
	if q.flags&report.XnameFollows != 0 {
		q.xname = p.r.Vstring(maxXname)
	}
	if p.wantsXattrs(q.flags) {
		q.xattrs = p.readXattrs(e)
	}
	transfer := q.flags&report.Transfer != 0
	if err := p.r.Err(); err != nil {
		return fmt.Errorf("read the request for %q: %w", e.Name, err)
	}
	if q.flags&(report.Transfer|report.LocalChange|report.IsNew) != 0 {
		p.touched(e.Name)
	}
	if transfer && (!e.IsRegular() || p.phase > 1 || w == nil) {
		return fmt.Errorf("%w: the data of %q was asked for, mode %#o, phase %d", wire.ErrProtocol, e.Name, e.Mode, p.phase)
	}
	if !transfer || p.o.DryRun {
		p.item(e, &q)
		return p.echo(&q)
	}
	if err := p.mayAsk(e, w); err != nil {
		return err
	}
	q.again = *w&wantedAgain != 0
	q.head = delta.ReadHead(p.r, p.t.sum.Size())
	if err := p.r.Err(); err != nil {
		return fmt.Errorf("read the sum head of %q: %w", e.Name, err)
	}
	if p.appends(index) {
		q.skip = length(q.head)
		return p.send(e, &q, nil)
	}
	sums := delta.NewSums(p.r, q.head)
	sums.InPlace = p.writesOver(&q)
	if err := p.send(e, &q, sums); err != nil {
		return err
	}
	if err := sums.Rest(); err != nil { // of a file that could not be opened
		return fmt.Errorf("read the sums of %q: %w", e.Name, err)
	}
	return nil
}

// mayAsk bounds what a peer can make us send: a file once, and once more when it arrived damaged.
func (p *push) mayAsk(e *flist.Entry, w *wants) error {
	kind := wantedOnce
	if p.phase > 0 || p.stream != nil && *w != 0 { // a list of many is not done before all of it arrived
		kind = wantedAgain
	}
	if *w&kind != 0 {
		return fmt.Errorf("%w: the data of %q was asked for again, phase %d", wire.ErrProtocol, e.Name, p.phase)
	}
	*w |= kind
	return nil
}

// echo repeats a request, as the receiver wants to see each.
func (p *push) echo(q *request) error {
	b := p.w.Append(p.buf[:0], q.index)
	b = wire.AppendShort(b, uint16(q.flags))
	if q.flags&report.BasisTypeFollows != 0 {
		b = append(b, q.basis)
	}
	if q.flags&report.XnameFollows != 0 {
		b = wire.AppendVstring(b, q.xname)
	}
	if p.wantsXattrs(q.flags) {
		b = p.appendXattrs(b, q)
	}
	return p.write(b)
}

// item reports what the generator said.
func (p *push) item(e *flist.Entry, q *request) {
	s := &p.res.Stats
	if q.flags&report.Transfer != 0 && p.o.DryRun {
		s.Transferred++
		s.TransferredSize += e.Size
	}
	if p.phase == 0 && !q.again {
		countItem(s, e, q.flags)
	}
	if p.o.Sink.Item != nil && !q.again {
		link := e.Link()
		if q.xname != "" && q.flags&report.Transfer == 0 { // else it is where the basis was found
			link = q.xname
		}
		flags := q.flags
		if !p.o.Times {
			flags |= report.TimesOff
		}
		p.o.Sink.Item(report.Item{Flags: flags, Mode: e.Mode, Name: e.Name, Link: link, Size: e.Size})
	}
}

func countItem(s *report.Stats, e *flist.Entry, flags int) {
	s.Changed++
	if flags&report.IsNew == 0 {
		return
	}
	switch {
	case e.IsDir():
		s.CreatedDirs++
	case e.IsRegular():
		s.Created++
	case e.IsSymlink():
		s.CreatedLinks++
	case e.IsDevice():
		s.CreatedDevices++
	default:
		s.CreatedSpecials++
	}
}

// send answers a request for data; sums nil is one for the end of the file.
func (p *push) send(e *flist.Entry, q *request, sums *delta.Sums) error {
	if p.job.WithBasis && q.head.Count == 0 {
		return p.mux.Message(wire.TagNoSend, wire.AppendInt32(nil, q.index))
	}
	at := time.Now()
	name := p.job.local(e.Name)
	if p.job.Withheld != nil {
		if err := p.job.Withheld(name); err != nil {
			p.res.Problems = append(p.res.Problems, report.Problem{Path: name, Err: err})
			return p.mux.Message(wire.TagNoSend, wire.AppendInt32(nil, q.index))
		}
	}
	f, before, err := p.src.Open(name)
	if err != nil {
		return p.problem(q.index, name, err)
	}
	defer f.Close()
	if sums == nil {
		if before.Size < e.Size { // it was cut off meanwhile: not what may be added to
			p.res.Changed = append(p.res.Changed, name)
			return p.mux.Message(wire.TagNoSend, wire.AppendInt32(nil, q.index))
		}
		p.markAppended(q.index)
		q.skip = min(q.skip, before.Size)
	}
	p.item(e, q)
	if err := p.echo(q); err != nil {
		return err
	}
	if err := p.write(q.head.Append(p.buf[:0])); err != nil {
		return err
	}
	return p.sendData(e, f, &before, at, sums, q.skip)
}
