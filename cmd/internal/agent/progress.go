package agent

import (
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"

	"github.com/lockstep-sync/lockstep/syncer"
)

// plainEvery is how often progress is told where there is no terminal to draw on.
const plainEvery = 5 * time.Second

// bar shows how far a push is: on a terminal a bar with files, bytes, rate and time left,
// elsewhere a line now and then.
type bar struct {
	out    io.Writer
	n      human
	pool   *mpb.Progress // nil: no terminal
	bar    *mpb.Bar
	files  atomic.Pointer[string] // drawn by the pool's goroutine
	start  time.Time
	told   time.Time
	latest syncer.Progress
}

func newBar(out io.Writer, n human) *bar {
	b := &bar{out: out, n: n, start: time.Now(), told: time.Now()}
	f, ok := out.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return b
	}
	b.pool = mpb.New(mpb.WithOutput(out), mpb.WithWidth(48), mpb.WithRefreshRate(150*time.Millisecond))
	b.bar = b.pool.AddBar(0,
		mpb.PrependDecorators(
			decor.Any(func(decor.Statistics) string { return b.drawFiles() }, decor.WCSyncSpaceR),
			decor.CountersKibiByte("% .1f of % .1f ", decor.WCSyncSpace),
		),
		mpb.AppendDecorators(
			decor.Percentage(decor.WC{W: 5}),
			decor.AverageSpeed(decor.SizeB1024(0), "  % .1f"),
			decor.OnCompleteOrOnAbort(decor.AverageETA(decor.ET_STYLE_GO, decor.WC{W: 7}), ""),
			decor.OnCompleteOrOnAbort(decor.Name(" left"), ""),
		),
	)
	return b
}

func (b *bar) update(p syncer.Progress) {
	b.latest = p
	if b.pool == nil {
		if now := time.Now(); now.Sub(b.told) >= plainEvery {
			b.told = now
			b.plain()
		}
		return
	}
	text := b.filesText(p)
	b.files.Store(&text)
	b.bar.SetTotal(max(p.AllBytes, p.Bytes+1), false)
	b.bar.SetCurrent(p.Bytes)
}

func (b *bar) drawFiles() string {
	if p := b.files.Load(); p != nil {
		return *p
	}
	return b.filesText(syncer.Progress{})
}

func (b *bar) filesText(p syncer.Progress) string {
	return fmt.Sprintf("%s of %s files", b.n.count(p.Files), b.n.count(p.Files+p.FilesLeft))
}

// plain writes one line of progress.
func (b *bar) plain() {
	p := b.latest
	fmt.Fprintf(b.out, "%s, %s of %s bytes, %s bytes/sec\n", b.filesText(p), b.n.size(p.Bytes), b.n.size(p.AllBytes),
		b.n.float(float64(p.Bytes)/max(time.Since(b.start).Seconds(), 0.001)))
}

// above prints a line over the bar.
func (b *bar) above(text string) {
	if b.pool == nil {
		fmt.Fprintln(b.out, text)
		return
	}
	fmt.Fprintln(b.pool, text)
}

// end leaves the last state on the screen: of a push that reached its end that is all of
// it, whatever had not been told yet.
func (b *bar) end(rep *syncer.Report, err error) {
	if err == nil {
		st := &rep.Stats
		b.update(syncer.Progress{Files: st.Files, Bytes: st.TotalSize, AllBytes: st.TotalSize})
	}
	switch {
	case b.pool == nil && b.latest.Files+b.latest.FilesLeft > 0:
		b.plain()
		return
	case b.pool == nil:
		return
	case err != nil:
		b.bar.Abort(b.latest.AllBytes == 0) // what never began leaves no bar
	default:
		b.bar.SetTotal(b.latest.Bytes, true)
	}
	b.pool.Wait()
}
