package sender

import (
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
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
	index int32
	flags int
	basis byte
	xname string
	head  delta.Head
}

// serve answers requests until the last phase ends (rsync 3.5.0 sender.c, send_files).
func (p *push) serve() error {
	for {
		n, err := p.nextIndex()
		if err != nil {
			return fmt.Errorf("read a request: %w", err)
		}
		if n == wire.IndexDone {
			if p.phase++; p.phase > lastPhase {
				return nil
			}
			if err := p.writeIndex(wire.IndexDone); err != nil {
				return err
			}
			continue
		}
		if n < 0 || int(n) >= p.job.List.Len() {
			return fmt.Errorf("%w: file index %d, the list has %d entries", wire.ErrProtocol, n, p.job.List.Len())
		}
		if err := p.answer(n); err != nil {
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

// pass counts the files that the generator went by without a word as done.
func (p *push) pass(index int) {
	for ; p.passed < index; p.passed++ {
		if e := p.job.List.At(p.passed); e.IsRegular() && !p.res.Requested[p.passed] {
			p.prog.Bytes += e.Size
			p.prog.Files++
			p.prog.FilesLeft--
		}
	}
}

// answer reads the rest of a request and serves it.
func (p *push) answer(index int32) error {
	p.pass(int(index))
	e := p.job.List.At(int(index))
	q := request{index: index, flags: int(p.r.Short())}
	if q.flags&report.BasisTypeFollows != 0 {
		q.basis = p.r.Byte()
	}
	if q.flags&report.XnameFollows != 0 {
		q.xname = p.r.Vstring(maxXname)
	}
	transfer := q.flags&report.Transfer != 0
	if err := p.r.Err(); err != nil {
		return fmt.Errorf("read the request for %q: %w", e.Name, err)
	}
	if transfer && (!e.IsRegular() || p.phase > 1) {
		return fmt.Errorf("%w: the data of %q was asked for, mode %#o, phase %d", wire.ErrProtocol, e.Name, e.Mode, p.phase)
	}
	if !transfer || p.o.DryRun {
		p.item(e, &q)
		return p.echo(&q)
	}
	if err := p.mayAsk(index); err != nil {
		return err
	}
	q.head = delta.ReadHead(p.r, p.t.sum.Size())
	if err := p.r.Err(); err != nil {
		return fmt.Errorf("read the sum head of %q: %w", e.Name, err)
	}
	sums, err := delta.ReadSums(p.r, q.head)
	if err != nil {
		return fmt.Errorf("read the sums of %q: %w", e.Name, err)
	}
	return p.send(e, &q, sums)
}

// mayAsk bounds what a peer can make us send: a file once, and once more when it arrived damaged.
func (p *push) mayAsk(index int32) error {
	if p.phase == 0 && !p.res.Requested[index] {
		p.res.Requested[index] = true
		return nil
	}
	if p.phase == 0 || p.redone[index] {
		return fmt.Errorf("%w: the data of %q was asked for again, phase %d", wire.ErrProtocol, p.job.List.At(int(index)).Name, p.phase)
	}
	if p.redone == nil {
		p.redone = map[int32]bool{}
	}
	p.redone[index] = true
	p.res.Requested[index] = true
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
	return p.write(b)
}

// item reports what the generator said.
func (p *push) item(e *flist.Entry, q *request) {
	s := &p.res.Stats
	if q.flags&report.Transfer != 0 && p.o.DryRun {
		s.Transferred++
		s.TransferredSize += e.Size
	}
	if p.phase == 0 {
		countItem(s, e, q.flags)
	}
	if p.o.Sink.Item != nil && (p.phase == 0 || q.flags&report.Transfer == 0) {
		link := e.Link
		if q.xname != "" {
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
	default:
		s.CreatedSpecials++
	}
}

// send answers a request for data.
func (p *push) send(e *flist.Entry, q *request, sums *delta.Sums) error {
	f, err := p.src.Open(e.Name)
	if err != nil {
		return p.problem(q.index, e.Name, err)
	}
	defer f.Close()
	at := time.Now()
	before, err := p.src.Fstat(f, e.Name)
	if err != nil {
		return p.problem(q.index, e.Name, err)
	}
	p.item(e, q)
	if err := p.echo(q); err != nil {
		return err
	}
	if err := p.write(q.head.Append(p.buf[:0])); err != nil {
		return err
	}
	return p.sendData(e, f, &before, at, sums)
}

// sendData sends the tokens of an open file and the checksum of what was sent.
func (p *push) sendData(e *flist.Entry, f *os.File, before *flist.Entry, at time.Time, sums *delta.Sums) error {
	p.prog.File, p.prog.Done, p.prog.Total = e.Name, 0, before.Size
	out := &tokens{p: p, hash: p.t.sum.New()}
	// Not beyond the size it had when it was opened: a file that grows without end is
	// sent up to there, and again.
	err := p.match.Match(io.LimitReader(f, before.Size), sums, out)
	var readErr *delta.ReadError
	if err != nil && !errors.As(err, &readErr) {
		return fmt.Errorf("send %q: %w", e.Name, err)
	}
	b := wire.AppendInt32(p.buf[:0], 0)
	b = out.hash.Sum(b)
	if readErr != nil {
		// A checksum that is wrong on purpose: the receiver must not keep the file.
		for i := range p.t.sum.Size() {
			b[len(b)-1-i] ^= 0xFF
		}
		p.res.Problems = append(p.res.Problems, report.Problem{Path: e.Name, Err: readErr})
		p.ioError |= wire.IOErrorGeneral
	}
	if err := p.write(b); err != nil {
		return err
	}
	after, err := p.src.Fstat(f, e.Name)
	if err != nil || !after.SameVersion(before) || !after.SameVersion(e) {
		p.res.Changed = append(p.res.Changed, e.Name)
	} else if p.job.Sent != nil && readErr == nil {
		p.job.Sent(before, at)
	}
	s := &p.res.Stats
	s.Transferred++
	s.TransferredSize += before.Size
	p.prog.Files++
	p.prog.FilesLeft--
	p.progress(0)
	return nil
}

func (p *push) progress(n int) {
	p.prog.Done += int64(n)
	p.prog.Bytes += int64(n)
	if p.o.Sink.Progress != nil {
		p.o.Sink.Progress(p.prog)
	}
}

// tokens writes what delta.Match finds in its uncompressed form (rsync 3.5.0 token.c,
// simple_send_token).
type tokens struct {
	p    *push
	hash hash.Hash
}

func (t *tokens) Literal(data []byte) error {
	t.hash.Write(data)
	t.p.res.Stats.Literal += int64(len(data))
	if err := t.p.write(wire.AppendInt32(t.p.buf[:0], int32(len(data)))); err != nil {
		return err
	}
	t.p.progress(len(data))
	_, err := t.p.mux.Write(data)
	return err
}

func (t *tokens) Block(i int32, data []byte) error {
	t.hash.Write(data)
	t.p.res.Stats.Matched += int64(len(data))
	t.p.progress(len(data))
	return t.p.write(wire.AppendInt32(t.p.buf[:0], -(i + 1)))
}
