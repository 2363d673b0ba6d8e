package sender

import (
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"github.com/lockstep-sync/lockstep/syncer/internal/beneath"
	"github.com/lockstep-sync/lockstep/syncer/internal/delta"
	"github.com/lockstep-sync/lockstep/syncer/internal/flist"
	"github.com/lockstep-sync/lockstep/syncer/internal/option"
	"github.com/lockstep-sync/lockstep/syncer/internal/report"
	"github.com/lockstep-sync/lockstep/syncer/internal/token"
	"github.com/lockstep-sync/lockstep/syncer/internal/wire"
)

// sendData sends the tokens of an open file from skip on, and the checksum of what was sent.
func (p *push) sendData(e *flist.Entry, f *beneath.File, before *flist.Entry, at time.Time, sums *delta.Sums, skip int64) error {
	p.prog.File, p.prog.Done, p.prog.Total = e.Name, 0, before.Size
	p.flight = p.o.Sink.Meter.Begin(p.job.local(e.Name), before.Size)
	defer p.flight.End()
	fresh := before.Size
	if sums != nil && sums.Count > 0 {
		fresh = 0
	}
	p.out.begin(e, fresh)
	// Not beyond the size it had when it was opened: a file that grows without end is
	// sent up to there, and again.
	err := p.skip(f, skip)
	if err == nil {
		err = p.matchFile(io.LimitReader(f, before.Size-skip), before.Size-skip, sums)
	}
	var readErr *delta.ReadError
	if err == nil || errors.As(err, &readErr) {
		err = p.out.w.End()
	}
	if err != nil {
		return fmt.Errorf("send %q: %w", e.Name, err)
	}
	b := p.out.hash.Sum(p.buf[:0])
	sent := Digest{Kind: p.t.sum}
	copy(sent.Sum[:], b)
	if readErr != nil {
		// A checksum that is wrong on purpose: the receiver must not keep the file.
		for i := range b {
			b[i] ^= 0xFF
		}
		p.res.Problems = append(p.res.Problems, report.Problem{Path: p.job.local(e.Name), Err: readErr})
		p.ioError |= wire.IOErrorGeneral
	}
	if err := p.write(b); err != nil {
		return err
	}
	after, err := p.src.Fstat(f, p.job.local(e.Name))
	if err != nil || !after.SameVersion(before) || !after.SameVersion(e) {
		p.res.Changed = append(p.res.Changed, p.job.local(e.Name))
	} else if p.job.Sent != nil && readErr == nil && skip == 0 {
		p.job.Sent(before, at, sent)
	}
	s := &p.res.Stats
	s.Transferred++
	s.TransferredSize += before.Size
	p.prog.Files++
	p.prog.FilesLeft--
	p.progress(0)
	return nil
}

// matchFile sends the tokens of a file of that size.
func (p *push) matchFile(file io.Reader, size int64, sums *delta.Sums) error {
	if !p.readsAhead(size) {
		p.out.digest = p.out.hash
		return p.match.Match(file, sums, p.out)
	}
	a := newAhead(file, p.out.hash)
	defer a.close()
	p.out.digest = io.Discard
	return p.match.Match(a, sums, p.out)
}

func (p *push) progress(n int) {
	p.prog.Done += int64(n)
	p.prog.Bytes += int64(n)
	p.flight.Advance(int64(n))
	if p.o.Sink.Progress != nil {
		p.o.Sink.Progress(p.prog)
	}
}

// tokens sends what delta.Match finds, and hashes it.
type tokens struct {
	p      *push
	w      token.Writer
	hash   hash.Hash
	digest io.Writer    // hash, or nothing where reading does that
	skip   *option.Skip // files that are not worth compressing; nil without compression
	held   int          // bytes of blocks that matched since the last flush
}

// flushMatched is how many bytes of blocks that matched the receiver may have to wait for: they
// are a few bytes on the wire but work for it, which it can do while the file is read here.
const flushMatched = 16 << 20

func newTokens(p *push) (*tokens, error) {
	w, err := token.NewWriter(p.t.compress, p.t.level, p.t.protocol, p.mux)
	if err != nil {
		return nil, err
	}
	t := &tokens{p: p, w: w, hash: p.t.sum.New()}
	if p.t.compress != token.Plain {
		// A daemon's "dont compress" is about what it sends (rsyncd.conf(5)): a push does not
		// know it.
		t.skip = p.o.Skip()
	}
	return t, nil
}

// begin begins a file, of which fresh bytes are known to be literal.
func (t *tokens) begin(e *flist.Entry, fresh int64) {
	t.hash.Reset()
	t.held = 0
	t.w.Begin(fresh, t.skip != nil && t.skip.Match(e.Name))
}

func (t *tokens) Literal(data []byte) error {
	t.digest.Write(data)
	t.p.res.Stats.Literal += int64(len(data))
	t.p.progress(len(data))
	return t.w.Literal(data)
}

func (t *tokens) Block(i int32, data []byte) error {
	t.digest.Write(data)
	t.p.res.Stats.Matched += int64(len(data))
	t.p.progress(len(data))
	if err := t.w.Block(i, data); err != nil {
		return err
	}
	if t.held += len(data); t.held < flushMatched {
		return nil
	}
	t.held = 0
	if err := t.w.Flush(); err != nil {
		return err
	}
	return t.p.mux.Flush()
}
