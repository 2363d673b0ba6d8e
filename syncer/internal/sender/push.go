package sender

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/internal/beneath"
	"github.com/lockstep-sync/lockstep/syncer/internal/delta"
	"github.com/lockstep-sync/lockstep/syncer/internal/flist"
	"github.com/lockstep-sync/lockstep/syncer/internal/report"
	"github.com/lockstep-sync/lockstep/syncer/internal/wire"
)

// Source opens the files that the peer asks for.
type Source interface {
	// Open opens a regular file, and says what it is now.
	Open(name string) (*beneath.File, flist.Entry, error)
	// Fstat looks at an open file of that name.
	Fstat(f *beneath.File, name string) (flist.Entry, error)
	// Xattr reads an extended attribute by its full name.
	Xattr(name, attr string) ([]byte, error)
}

// Result is what a run that reached its end brought about.
type Result struct {
	Stats     report.Stats
	Problems  []report.Problem // files of ours that could not be read
	Changed   []string         // files that changed while they were read: to be sent again
	Requested []bool           // by place in Job.List: the peer asked for the data
	Passed    []flist.Entry    // of a Walk: the files marked Content that the peer did not ask for
	Partial   bool             // the peer could not do everything; it said what in messages
	IOError   int32            // wire.IOError bits that the peer reported
	Modern    bool             // the peer negotiates: it is rsync 3.2 or later
	Refused   string           // the option that the daemon is configured to refuse, without its dashes
}

// classify gives an error the exit code that rsync would give.
func classify(err error) error {
	var exit *wire.ExitError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &exit):
		return report.Fail(report.Code(exit.Code), err, "")
	case errors.Is(err, wire.ErrTimeout), errors.Is(err, os.ErrDeadlineExceeded):
		return report.Fail(report.CodeTimeout, err, "")
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return report.Fail(report.CodeSignal, err, "")
	case errors.Is(err, ErrAuth):
		return report.Fail(report.CodeStart, err, "")
	case errors.Is(err, wire.ErrProtocol):
		return report.Fail(report.CodeStream, err, "")
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return report.Fail(report.CodeStream, fmt.Errorf("the other side closed the connection: %w", err), "its log says why")
	case errors.Is(err, unix.ECONNRESET), errors.Is(err, unix.EPIPE):
		return report.Fail(report.CodeStream, fmt.Errorf("the connection broke: %w", err), "the daemon's log may say why")
	}
	var refused *RefusedError
	if errors.As(err, &refused) {
		return report.Fail(report.CodeStart, err, "")
	}
	return report.Fail(report.CodeStream, err, "")
}

// push is one run. Its one goroutine reads requests and writes answers; wire.Mux drains
// the peer beside it.
type push struct {
	o     *Options
	job   *Job
	src   Source
	mux   *wire.Mux
	r     *wire.Reader
	t     terms
	w     wire.IndexState
	buf   []byte // scratch for small writes
	res   Result
	match *delta.Matcher
	out   *tokens

	reason   error // what the peer said last that a program can decide on
	ioError  int32 // ours, to be told before the goodbye
	phase    int
	stream   *stream                 // nil: one list, job.List
	wanted   []wants                 // by index, of job.List
	appended map[int32]bool          // files whose end was sent
	asked    map[string]map[int]bool // of sets of attributes: places of the values that were asked for
	seen     int                     // entries before it are done with, as far as progress goes
	prog     report.Progress
	flight   *report.Flight
}

// run is everything from where multiplexing begins; what the daemon sent on may be in br already.
func (p *push) run(ctx context.Context, conn wire.Conn, br *bufio.Reader) error {
	p.mux = wire.NewMux(ctx, conn, br, p.o.Timeout, p.message)
	p.mux.Limit(p.o.Limit)
	defer func() {
		sent, received := p.mux.Counts()
		p.res.Stats.Sent += sent
		p.res.Stats.Received += received
		p.mux.Close()
		if p.out != nil {
			p.out.w.Close() // nothing of it can be writing any more
		}
	}()
	if p.t.protocol >= 31 {
		p.mux.AllowKeepAlive()
	}
	if p.t.refuses {
		return p.refusal()
	}
	p.r = wire.NewReader(p.mux)
	p.match = delta.NewMatcher(p.t.sum.Block(p.t.seed, p.t.seedFirst))
	var err error
	if p.out, err = newTokens(p); err != nil {
		return err
	}
	if err := p.transfer(ctx); err != nil {
		return p.mux.Reason(err)
	}
	return nil
}

// refusal waits for why the peer did not negotiate.
func (p *push) refusal() error {
	_, err := p.mux.ReadByte()
	if err == nil || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, wire.ErrProtocol) {
		err = fmt.Errorf("%w: the peer lists digests for its passwords but negotiates no checksum", wire.ErrProtocol)
	}
	return err
}

// transfer is everything within multiplexing.
func (p *push) transfer(ctx context.Context) error {
	if err := p.sendFilter(); err != nil {
		return err
	}
	if err := p.list(ctx); err != nil {
		return err
	}
	p.mux.AllowKeepAlive()
	if err := p.serve(ctx); err != nil {
		return err
	}
	return p.goodbye()
}

// sendFilter sends the rules, which a peer expects exactly when it prunes.
func (p *push) sendFilter() error {
	if !p.job.Prune {
		return nil
	}
	b := p.buf[:0]
	for _, rule := range p.job.Filter {
		b = append(wire.AppendInt32(b, int32(len(rule))), rule...)
	}
	return p.write(wire.AppendInt32(b, 0))
}

// list sends the list, or begins to.
func (p *push) list(ctx context.Context) error {
	switch {
	case p.job.Walk == nil:
	case p.t.flags&cfIncRecurse != 0:
		p.job.List = List{} // of an earlier run that did otherwise
		f := p.t.format(p.o)
		f.Inline = true
		p.stream = newStream(p.job.Walk, f, newIDNames())
		s := p.stream
		return p.job.Walk.Begin(ctx, func() {
			s.ready.Store(true)
			p.mux.Wake()
		})
	default:
		var err error
		if p.job.List, err = p.job.Walk.Whole(ctx); err != nil {
			return err
		}
		p.job.markTops(p.o)
	}
	p.wanted = make([]wants, p.job.List.Len())
	return p.sendList(ctx)
}

// sendList sends the list: missing names first, since rsync 3.4.3 takes mode 0 only
// where it is inherited from the beginning of the list; then the rest in order.
func (p *push) sendList(ctx context.Context) error {
	f := p.t.format(p.o)
	enc := flist.NewEncoder(f)
	start, _ := p.mux.Counts()
	for _, missing := range []bool{true, false} {
		if missing && p.job.List.missing == 0 {
			continue
		}
		for e := range p.job.List.All() {
			if e.Missing() != missing {
				continue
			}
			if f.SumLen > 0 && e.IsRegular() && !p.job.summed(e) {
				if err := p.digest(ctx, e); err != nil {
					return err
				}
			}
			if err := p.write(enc.Append(p.buf[:0], e)); err != nil {
				return err
			}
			p.count(e)
		}
	}
	names := newIDNames()
	b := enc.End(p.buf[:0], 0)
	b = flist.AppendIDs(b, f, p.job.List.All(), names.user, names.group)
	if err := p.write(b); err != nil {
		return err
	}
	err := p.mux.Flush()
	end, _ := p.mux.Counts()
	p.res.Stats.ListBytes += end - start
	return err
}

// count adds e to the statistics of what is listed.
func (p *push) count(e *flist.Entry) {
	s := &p.res.Stats
	switch {
	case e.Missing():
	case e.IsDir():
		s.Dirs++
	case e.IsRegular():
		s.Files++
		s.TotalSize += e.Size
		p.prog.AllBytes += e.Size
	case e.IsSymlink():
		s.Links++
		s.TotalSize += int64(len(e.Link())) // rsync 3.5.0 flist.c, make_file
	case e.IsDevice():
		s.Devices++
	default:
		s.Specials++
	}
	p.prog.FilesLeft = s.Files
}

// digest fills in e's checksum. A file that cannot be read gets an impossible one: the
// peer asks for it, and then it is told.
func (p *push) digest(ctx context.Context, e *flist.Entry) error {
	h := p.t.sum.New()
	f, _, err := p.src.Open(p.job.local(e.Name))
	if err == nil {
		// As much as is listed: a file that grows meanwhile may have no end.
		_, err = io.Copy(h, io.LimitReader(&contextReader{ctx, f}, e.Size))
		f.Close()
	}
	sum := h.Sum(nil)
	e.More().Sum = sum
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		for i := range sum {
			sum[i] ^= 0xFF
		}
	}
	return nil
}

type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c *contextReader) Read(b []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(b)
}

// write sends b as data; b may be p.buf.
func (p *push) write(b []byte) error {
	p.buf = b[:0]
	_, err := p.mux.Write(b)
	return err
}

func (p *push) writeIndex(n int32) error { return p.write(p.w.Append(p.buf[:0], n)) }

// deletesHeld begins the one sign that --max-delete stopped deletions: the I/O error bit for
// it stays within a receiving rsync, whose client exits with 0 (rsync 3.5.0 generator.c,
// generate_files).
const deletesHeld = "Deletions stopped due to --max-delete limit"

// message takes what the peer says beside its data.
func (p *push) message(m wire.Message) error {
	sink := p.o.Sink
	switch m.Tag {
	case wire.TagErrorXfer, wire.TagError, wire.TagWarning, wire.TagInfo:
		told := p.blame(m)
		p.res.Refused = cmp.Or(p.res.Refused, refusedOption(m.Data))
		if p.o.MaxDelete >= 0 && bytes.HasPrefix(m.Data, []byte(deletesHeld)) {
			p.res.IOError |= wire.IOErrorDelLimit
		}
		p.heard(m)
		if text := wire.Printable(m.Data); text != "" && sink.Message != nil {
			sink.Message(text, m.Tag != wire.TagInfo && !(told && p.job.Hush))
		}
	case wire.TagIOError:
		v, ok := m.Int32()
		if !ok {
			return fmt.Errorf("%w: I/O error message of %d bytes", wire.ErrProtocol, len(m.Data))
		}
		p.res.IOError |= v & (wire.IOErrorGeneral | wire.IOErrorVanished | wire.IOErrorDelLimit)
	case wire.TagDeleted:
		p.deleted(string(m.Data))
	}
	return nil
}

// discarded begins a message that is no error of a file by its tag, but a file is lost by it. (rsync 3.5.0 receiver.c,
// recv_files; its exit code is 0 then.)
const discarded = "Unable to create partial-dir for "

// blame takes a message that says what the peer could not do, and says whether the path is known.
func (p *push) blame(m wire.Message) (told bool) {
	switch {
	case m.Tag == wire.TagErrorXfer, m.Tag == wire.TagError && bytes.HasPrefix(m.Data, []byte(discarded)):
		told = p.job.Blame != nil && p.job.Blame(m.Data)
		p.res.Partial = p.res.Partial || !told
	case m.Tag == wire.TagError && p.job.Aside != nil:
		p.job.Aside(m.Data)
	}
	return told
}

// deleted reports a name that the peer removed; directories come with a NUL behind.
func (p *push) deleted(name string) {
	name, isDir := strings.CutSuffix(name, "\x00")
	p.res.Stats.Deleted++
	p.touched(name)
	if p.o.Sink.Item == nil {
		return
	}
	it := report.Item{Flags: report.Deleted, Name: name, Mode: 0o100644}
	if isDir {
		it.Mode = 0o040755
	}
	p.o.Sink.Item(it)
}

// touched tells in which directory the name was made, replaced or removed.
func (p *push) touched(name string) {
	if p.job.Touched != nil && !p.o.DryRun {
		p.job.Touched(path.Dir(name))
	}
}

// problem notes a file that cannot be sent and tells the peer not to wait for it.
func (p *push) problem(index int32, name string, err error) error {
	p.res.Problems = append(p.res.Problems, report.Problem{Path: name, Err: err})
	if errors.Is(err, fs.ErrNotExist) {
		p.ioError |= wire.IOErrorVanished
	} else {
		p.ioError |= wire.IOErrorGeneral
	}
	return p.mux.Message(wire.TagNoSend, wire.AppendInt32(nil, index))
}

// goodbye is the end of the last phase and the exchange after it (rsync 3.5.0 main.c,
// read_final_goodbye).
func (p *push) goodbye() error {
	if p.ioError != 0 {
		if err := p.mux.Message(wire.TagIOError, wire.AppendInt32(nil, p.ioError)); err != nil {
			return err
		}
	}
	rounds := 1
	if p.t.protocol >= 31 {
		rounds = 2
	}
	for range rounds {
		if err := p.writeIndex(wire.IndexDone); err != nil {
			return err
		}
		n, err := p.nextIndex()
		if err != nil {
			return fmt.Errorf("say goodbye: %w", err)
		}
		if n != wire.IndexDone {
			return fmt.Errorf("%w: file index %d instead of the goodbye", wire.ErrProtocol, n)
		}
	}
	return p.mux.Flush() // a peer that talks ahead never made us wait
}
