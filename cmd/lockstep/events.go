package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/lockstep-sync/lockstep/cmd/internal/logs"
	"github.com/lockstep-sync/lockstep/sysctl"
	"github.com/lockstep-sync/lockstep/watcher"
)

const eventsUsage = `lockstep events tells what happens to files, in the place of inotifywait and inotifywatch.

  lockstep events -mrq -e create,delete,modify,move,attrib --format '%w %e %f' /abc/
  lockstep events -q -e close_write /etc/hosts && echo written      once, then end

Usage: lockstep events [OPTION…] PATH…

Options, output and exit codes are inotifywait's. What is better: with -r no file is missed
in a directory that was just made; a PATH that is a file is watched by its name, also when
another one takes its place. Each directory among the PATHs takes an inotify instance.

What is watched
  -r, --recursive        directories with all below them
  -P, --no-dereference   a PATH that is a symlink, not what it points to
      --fromfile=FILE    the PATHs in FILE, one a line; - is the standard input
  @PATH                  leave out PATH with all below it, on the line or in FILE
      --exclude=REGEXP   leave out events of paths that match the extended regular
                         expression; --excludei=REGEXP: whatever their case
      --include=REGEXP   leave out all others; --includei=REGEXP. Of all four the last
                         one counts

Which events
  -e, --event=LIST       these only: access, modify, attrib, close_write, close_nowrite, close,
                         open, moved_to, moved_from, move, move_self, create, delete,
                         delete_self, unmount, all_events
  -m, --monitor          go on after the first event
  -t, --timeout=SECONDS  end when none came for so long (0, the default: never)

What is printed
  -c, --csv              fields separated by commas, in quotes where they need it
      --json             an object a line: time, watched, name, path, events, dir, cookie
                         (equal for both halves of a rename), found (by looking, not told)
      --format=FORMAT    %w the directory, or file, watched; %f the name in it; %e the events,
                         %Xe with X between them; %T the time; %0 NUL; %n a new line; %% %
      --timefmt=FORMAT   of %T, as in strftime(3);   --no-newline   none behind --format
  -o, --outfile=FILE     at the end of FILE, not on the standard output
  -q, --quiet            no messages; twice: no events either

      --summary          inotifywatch's table when --timeout is over, or on SIGINT or SIGTERM:
  -z, --zero             with rows and columns of zeros
  -a, --ascending=EVENT  sorted by EVENT or total (-d, --descending=total is the default)
  -v, --verbose          say how much is watched, and for how long
  -h, --help             this text

Exit codes, as in inotifywait(1)
   0  an event came (--summary: all went well)
   1  something went wrong, or what was watched went away without -e asking for that
   2  --timeout was over first
`

// runner is what is needed of a watcher.Watcher.
type runner interface {
	Run(context.Context, func([]watcher.Change)) error
	Stats() watcher.Stats
}

// eventsCommand is one lockstep events. Tests have watchers of their own.
type eventsCommand struct {
	eventsOptions
	newWatcher     func(watcher.Config) (runner, error)
	stdout, stderr io.Writer
}

// The exit codes, which are not rsync's.
const (
	eventsCame     = 0
	eventsFailed   = 1
	eventsTimedOut = 2
)

func runEvents(args []string, stdout, stderr io.Writer) int {
	c := eventsCommand{stdout: stdout, stderr: stderr, newWatcher: func(cfg watcher.Config) (runner, error) { return watcher.New(cfg) }}
	return c.run(args)
}

func (c *eventsCommand) run(args []string) int {
	if err := c.parse(args); err != nil {
		return misused(c.stderr, "events", err)
	}
	if c.help {
		return c.failed(writeString(c.stdout, eventsUsage))
	}
	sources, err := c.sources()
	if err == nil {
		err = enoughInstances(len(sources))
	}
	if err != nil {
		return c.failed(err)
	}
	out := logs.ForTerminal(c.stdout)
	if c.outfile != "" {
		f, err := os.OpenFile(c.outfile, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o666)
		if err != nil {
			return c.failed(unopened(c.outfile, err))
		}
		defer f.Close()
		out = f
	}
	ctx, stop := context.WithCancel(context.Background())
	if c.summary {
		ctx, stop = signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	}
	defer stop()
	code, err := c.watch(ctx, sources, out)
	if err != nil {
		return c.failed(err)
	}
	return code
}

// enoughInstances tells in one line what would else fail for each directory.
func enoughInstances(need int) error {
	limits, err := sysctl.Read("")
	if err != nil || need <= limits.MaxUserInstances {
		return nil
	}
	return fmt.Errorf("%d directories take an inotify instance each, and fs.inotify.max_user_instances is %d: raise it (lockstep sysctl --apply), or watch what they are in with --recursive",
		need, limits.MaxUserInstances)
}

// failed tells what went wrong, if anything, and gives the exit code.
func (c *eventsCommand) failed(err error) int {
	if err == nil {
		return eventsCame
	}
	fmt.Fprintf(c.stderr, "lockstep: %v\n", err)
	return eventsFailed
}

func (c *eventsCommand) say(format string, args ...any) {
	if c.quiet == 0 {
		fmt.Fprintf(c.stderr, format+"\n", args...)
	}
}

// news is what a watcher has to say: events, or, once, that all is watched.
type news struct {
	from   *eventSource
	events []watcher.Event
	ready  bool
	err    error
}

// watch runs a watcher for each source, until the end of what was asked for, and waits for them.
func (c *eventsCommand) watch(ctx context.Context, sources []*eventSource, out io.Writer) (int, error) {
	level := "warn"
	if c.quiet > 1 {
		level = "error"
	}
	logging, err := logs.New(logs.Options{Level: level, Format: logs.Console, Stderr: c.stderr})
	if err != nil {
		return eventsFailed, err
	}
	defer logging.Close()
	c.say("%s", c.words(startingWait, startingSummary))
	l := &listening{eventsCommand: c, sources: sources, out: bufio.NewWriter(out), print: c.printer(), table: newEventTable()}
	if c.summary && c.zero {
		for _, s := range sources {
			l.table.expect(s) // before anybody watches: it reads directories
		}
	}
	for _, s := range sources {
		cfg := s.config(&c.eventsOptions)
		cfg.Logger = logging.Logger()
		if s.runner, err = c.newWatcher(cfg); err != nil {
			return eventsFailed, err
		}
	}
	ctx, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	all := make(chan news)
	for _, s := range sources {
		send := func(n news) {
			select {
			case all <- n:
			case <-ctx.Done():
			}
		}
		s.tell = send
		running.Go(func() {
			var once sync.Once
			if err := s.runner.Run(ctx, func([]watcher.Change) { once.Do(func() { send(news{from: s, ready: true}) }) }); err != nil {
				send(news{from: s, err: err})
			}
		})
	}
	return l.loop(ctx, all)
}

// words picks what inotifywait or inotifywatch says: scripts wait for it.
func (c *eventsCommand) words(wait, summary string) string {
	if c.summary {
		return summary
	}
	return wait
}

const (
	startingWait    = "Setting up watches."
	startingSummary = "Establishing watches..."
	startedWait     = "Watches established."
	startedSummary  = "Finished establishing watches, now collecting statistics."
)

// listening is the goroutine that prints.
type listening struct {
	*eventsCommand
	sources []*eventSource
	out     *bufio.Writer
	print   func([]byte, *occurrence) []byte
	table   *eventTable
	ready   int // sources all of which is watched
	timer   *time.Timer
	buf     []byte
}

func (l *listening) loop(ctx context.Context, all <-chan news) (int, error) {
	l.timer = time.NewTimer(time.Hour)
	l.timer.Stop()
	defer l.timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return l.end(eventsCame)
		case <-l.timer.C:
			return l.end(eventsTimedOut)
		case n := <-all:
			code, ended, err := l.take(n)
			if err == nil {
				err = l.out.Flush()
			}
			if err != nil {
				return eventsFailed, err
			}
			if ended {
				return code, nil
			}
		}
	}
}

// take handles one piece of news; ended says that it was the last.
func (l *listening) take(n news) (code int, ended bool, err error) {
	switch {
	case n.err != nil:
		return eventsFailed, true, n.err
	case n.ready:
		return eventsFailed, false, l.watched(n.from)
	}
	for _, e := range n.events {
		if e.Op == watcher.OpOverflow {
			l.overflowed()
		}
		for _, o := range n.from.occurrences(e) {
			code, ended, err := l.happened(&o)
			if ended || err != nil {
				return code, ended, err
			}
		}
	}
	return eventsCame, false, nil
}

// watched notes that all of a source is watched, and says so when it was the last one.
func (l *listening) watched(s *eventSource) error {
	if stats := s.runner.Stats(); stats.Watches == 0 && stats.Polled > 0 {
		return fmt.Errorf("couldn't watch %q: no inotify instance or watch is left (see lockstep sysctl)", s.arg)
	}
	if l.ready++; l.ready < len(l.sources) {
		return nil
	}
	if l.summary && l.verbose {
		l.say("Total of %d watches.", l.watches())
	}
	l.say("%s", l.words(startedWait, startedSummary))
	if l.summary && l.verbose && l.timeout > 0 {
		l.say("Will listen for events for %d seconds.", int(l.timeout/time.Second))
	}
	l.again()
	return nil
}

func (l *listening) watches() (sum int) {
	for _, s := range l.sources {
		sum += s.runner.Stats().Watches
	}
	return sum
}

// again starts the time in which something must come.
func (l *listening) again() {
	if l.timeout > 0 {
		l.timer.Reset(l.timeout)
	}
}

func (l *listening) overflowed() {
	if l.quiet < 2 {
		fmt.Fprintln(l.stderr, "lockstep: the kernel's queue overflowed: events were lost (lockstep sysctl tells of max_queued_events)")
	}
}

// happened counts or prints what happened, if it is wanted.
func (l *listening) happened(o *occurrence) (code int, ended bool, err error) {
	if o.op&l.wanted() == 0 || !l.filter.wants(o.watched+o.name) {
		// As for inotifywait a watch that is gone is the end of waiting, but not of listening.
		return eventsFailed, o.gone() && !l.monitor && !l.summary, nil
	}
	if l.summary {
		l.table.count(o, l.wanted())
		return eventsCame, false, nil
	}
	if l.quiet < 2 {
		l.buf = l.print(l.buf[:0], o)
		if _, err := l.out.Write(l.buf); err != nil {
			return eventsFailed, true, err
		}
	}
	l.again()
	return eventsCame, !l.monitor, nil
}

// end is at the timeout, or on a signal, which --summary alone waits for.
func (l *listening) end(code int) (int, error) {
	if !l.summary {
		return code, nil
	}
	if l.table.empty() {
		l.say("No events occurred.")
		return eventsCame, nil
	}
	l.table.write(l.out, &l.eventsOptions)
	return eventsCame, l.out.Flush()
}

func unopened(name string, err error) error {
	var pe *os.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	return fmt.Errorf("open %q: %w", name, err)
}
