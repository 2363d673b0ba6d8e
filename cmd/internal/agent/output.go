package agent

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/lockstep-sync/lockstep/syncer"
)

// printer writes a push's output as rsync does.
type printer struct {
	s    *Settings
	out  *bufio.Writer
	errw io.Writer
	bar  *bar // nil without --progress
}

func newPrinter(s *Settings, out, errw io.Writer) *printer {
	p := &printer{s: s, out: bufio.NewWriter(out), errw: errw}
	if s.Progress && !s.Quiet {
		p.bar = newBar(out, human(s.Human))
	}
	return p
}

// PrintItem gives the function that prints items as the settings ask: nil prints none.
func PrintItem(s *Settings, out io.Writer) func(syncer.Item) {
	if s.Quiet || !s.Itemize && s.Verbose == 0 {
		return nil
	}
	return func(it syncer.Item) {
		if line := itemLine(s, it); line != "" {
			fmt.Fprintln(out, line)
		}
	}
}

// itemLine is the line of one item: itemized with -i; else, with -v, the name of what was
// created, sent or deleted. As in rsync new attributes alone are told of directories, not
// of files (rsync 3.5.0 log.c, maybe_log_item).
func itemLine(s *Settings, it syncer.Item) string {
	line := it.String()
	switch {
	case s.Itemize:
		return line
	case line[0] == '.' && line[1] != 'd':
		return ""
	}
	return it.NameLine()
}

func (p *printer) sink() syncer.Sink {
	sink := syncer.Sink{Verbose: p.s.Verbose, Message: func(text string, isError bool) {
		if isError {
			p.flush()
			fmt.Fprintln(p.errw, text)
		} else if !p.s.Quiet {
			p.line(text)
		}
	}}
	if items := PrintItem(p.s, nil); items != nil && !p.s.Quiet {
		sink.Item = func(it syncer.Item) {
			if line := itemLine(p.s, it); line != "" {
				p.line(line)
			}
		}
	}
	if p.bar != nil {
		sink.Progress = p.bar.update
	}
	return sink
}

func (p *printer) line(text string) {
	if p.bar != nil {
		p.bar.above(text)
		return
	}
	p.out.WriteString(text)
	p.out.WriteByte('\n')
}

func (p *printer) flush() { p.out.Flush() }

// end finishes what is on the screen.
func (p *printer) end(rep *syncer.Report, err error) {
	if p.bar != nil {
		p.bar.end(rep, err)
	}
	p.flush()
}

func (p *printer) error(err error) {
	p.flush()
	fmt.Fprintf(p.errw, "lockstep: %v\n", err)
}

// summary is what rsync prints at the end: with --stats the whole, with -v two lines.
func (p *printer) summary(rep *syncer.Report, took time.Duration) {
	if p.s.Quiet {
		return
	}
	defer p.flush()
	st, n := &rep.Stats, human(p.s.Human)
	if p.s.Stats {
		p.stats(st)
	}
	if p.s.Verbose == 0 && !p.s.Stats {
		return
	}
	moved := st.Sent + st.Received
	rate := float64(moved) / max(took.Seconds(), 0.001)
	speedup := float64(st.TotalSize) / float64(max(moved, 1))
	fmt.Fprintf(p.out, "\nsent %s bytes  received %s bytes  %s bytes/sec\n", n.size(st.Sent), n.size(st.Received), n.float(rate))
	dry := ""
	if p.s.DryRun {
		dry = " (DRY RUN)"
	}
	fmt.Fprintf(p.out, "total size is %s  speedup is %s%s\n", n.size(st.TotalSize), n.float(speedup), dry)
}

func (p *printer) stats(st *syncer.Stats) {
	n := human(p.s.Human)
	w := func(format string, args ...any) { fmt.Fprintf(p.out, format+"\n", args...) }
	w("")
	w("Number of files: %s", n.kinds(st.Files, st.Dirs, st.Links, st.Devices, st.Specials))
	w("Number of created files: %s", n.kinds(st.Created, st.CreatedDirs, st.CreatedLinks, st.CreatedDevices, st.CreatedSpecials))
	w("Number of deleted files: %s", n.count(st.Deleted))
	w("Number of regular files transferred: %s", n.count(st.Transferred))
	w("Total file size: %s bytes", n.size(st.TotalSize))
	w("Total transferred file size: %s bytes", n.size(st.TransferredSize))
	w("Literal data: %s bytes", n.size(st.Literal))
	w("Matched data: %s bytes", n.size(st.Matched))
	w("File list size: %s", n.size(st.ListBytes))
	w("Total bytes sent: %s", n.size(st.Sent))
	w("Total bytes received: %s", n.size(st.Received))
}

// kinds is "3 (reg: 1, dir: 2)".
func (h human) kinds(reg, dir, link, dev, special int64) string {
	var parts []string
	for _, k := range []struct {
		name string
		n    int64
	}{{"reg", reg}, {"dir", dir}, {"link", link}, {"dev", dev}, {"special", special}} {
		if k.n > 0 {
			parts = append(parts, k.name+": "+h.count(k.n))
		}
	}
	all := h.count(reg + dir + link + dev + special)
	if len(parts) == 0 {
		return all
	}
	return all + " (" + strings.Join(parts, ", ") + ")"
}
