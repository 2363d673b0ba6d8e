package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/watcher"
)

const (
	eventRate  = 50_000 // a second, of all writers
	eventQueue = 32_768
	eventShare = 100. // % of one processor
	writers    = 4
	writerDirs = 8  // each writer's own
	writerKeep = 64 // files of a writer that are there at a time
)

// eventWork is one way to make events: do is called with the count of its calls and makes so many
// events of inotify(7) with the mask that the watcher asks for.
type eventWork struct {
	name   string
	events int
	do     func(dir string, i int) error
}

// eventWorks differ in what the watcher has to do: a look at the disk for each name that came or went, the
// pairing of renames, or nothing but to merge.
func eventWorks() []eventWork {
	return []eventWork{
		{"saved", 5, func(dir string, i int) error { // as an editor saves
			name := fmt.Sprint(dir, "/", i%writerKeep)
			return errors.Join(makeFile(name+"~"), os.Rename(name+"~", name))
		}},
		{"made", 4, func(dir string, i int) error {
			err := makeFile(fmt.Sprint(dir, "/", i))
			if i >= writerKeep {
				err = errors.Join(err, unix.Unlink(fmt.Sprint(dir, "/", i-writerKeep)))
			}
			return err
		}},
		{"rewritten", 2, func(dir string, i int) error { // emptied and written, mostly one event, and closed
			return makeFile(fmt.Sprint(dir, "/", i%writerKeep))
		}},
	}
}

func works() (names []string) {
	for _, w := range eventWorks() {
		names = append(names, w.name)
	}
	return names
}

func writersOf(name string) (eventWork, error) {
	for _, w := range eventWorks() {
		if w.name == name {
			return w, nil
		}
	}
	return eventWork{}, fmt.Errorf("there is no work %q", name)
}

func makeFile(name string) error {
	fd, err := unix.Open(name, unix.O_CREAT|unix.O_TRUNC|unix.O_WRONLY|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return err
	}
	_, err = unix.Write(fd, []byte("some text\n"))
	return errors.Join(err, unix.Close(fd))
}

func writerDir(root string, writer, i int) string {
	return fmt.Sprintf("%s/writer-%d/directory-%d", root, writer, i%writerDirs)
}

func makeWriterDirs(root string) error {
	for w := range writers {
		for i := range writerDirs {
			if err := os.MkdirAll(writerDir(root, w, i), 0o755); err != nil {
				return err
			}
		}
	}
	return nil
}

// write has the writers make so many events a second for a while.
func write(work eventWork, root string, rate int, length time.Duration) (written, error) {
	ctx, cancel := context.WithTimeout(context.Background(), length)
	defer cancel()
	start := time.Now()
	var counts [writers]int
	var g errgroup.Group
	for w := range writers {
		g.Go(func() (err error) {
			counts[w], err = pace(ctx, rate/writers/work.events, func(i int) error {
				// Each directory has its own count, so that its names are as if it were alone.
				return work.do(writerDir(root, w, i), i/writerDirs)
			})
			return err
		})
	}
	err := g.Wait()
	did := written{Seconds: time.Since(start).Seconds()}
	for _, n := range counts {
		did.Events += n * work.events
	}
	return did, err
}

// events is how either backend stands a stream of events.
func (b *bench) events() error {
	for _, backend := range backends() {
		for _, work := range b.sizes.EventWork {
			if err := b.eventsOf(backend, work); err != nil {
				return fmt.Errorf("%s, files %s: %w", backend, work, err)
			}
		}
	}
	return nil
}

func (b *bench) eventsOf(backend, work string) (err error) {
	root := filepath.Join(b.dir, "events-"+backend+"-"+work)
	if err := makeWriterDirs(root); err != nil {
		return err
	}
	w, queue, err := b.watcherAlone(backend, root)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	if w.first.Backend != backend {
		fmt.Fprintf(b.progress, "no %s here … ", backend)
		return nil
	}
	before, err := workOf(w.cmd.Process.Pid)
	if err != nil {
		return err
	}
	start := time.Now()
	did, err := b.writers(work, root)
	if err != nil {
		return err
	}
	end := time.Now()
	now, drained, err := w.drained()
	if err != nil {
		return err
	}
	after, err := workOf(w.cmd.Process.Pid)
	if err != nil {
		return err
	}
	r := row{Measurement: "events", Case: fmt.Sprintf("%s, files %s%s", backend, work, queue), Samples: 1}
	r.Value, r.Lockstep = "events a second", number(float64(did.Events)/did.Seconds)
	b.add(r)
	r.Value, r.Lockstep = "received a second", number(float64(now.Events-w.first.Events)/did.Seconds)
	b.add(r)
	r.Value, r.Unit, r.Lockstep = "of a processor", "%", number(100*after.since(before).share(end.Sub(start)))
	b.add(r.atMost(eventShare))
	r.Value, r.Unit, r.Lockstep = "overflows", "", number(float64(now.Overflows))
	b.add(r.atMost(0))
	r.Value, r.Unit, r.Lockstep = "handled after the last one", "ms", number(milliseconds(max(drained.Sub(end), 0)))
	b.add(r)
	return nil
}

// writers runs them in a process of their own.
func (b *bench) writers(work, root string) (did written, err error) {
	cmd := command(b.ctx, "/proc/self/exe", work, root, strconv.Itoa(eventRate), b.sizes.EventTime.String())
	cmd.Env = append(os.Environ(), roleEnv+"=write")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return did, fmt.Errorf("write: %w: %s", err, tail(stderr.String()))
	}
	return did, json.Unmarshal(out, &did)
}

// watcherAlone is a process that does nothing but watch.
type watcherAlone struct {
	cmd    *exec.Cmd
	ask    io.WriteCloser
	answer *bufio.Scanner
	stderr strings.Builder
	first  watcher.Stats
}

// watcherAlone starts one, with a queue of the kernel's as long as is wanted, where it can be set: what
// the queue is called in the table.
func (b *bench) watcherAlone(backend, root string) (w *watcherAlone, queue string, err error) {
	if backend == "inotify" && b.sizes.EventQueue > 0 {
		queue = fmt.Sprintf(", queue of %d", b.sizes.EventQueue)
		restore, err := setLimit("max_queued_events", b.sizes.EventQueue)
		if errors.Is(err, os.ErrPermission) {
			queue = ", queue as it is"
		} else if err != nil {
			return nil, "", err
		}
		// It counts when an instance is made.
		defer func() { err = errors.Join(err, restore()) }()
	}
	w = &watcherAlone{cmd: command(b.ctx, "/proc/self/exe", backend, root)}
	w.cmd.Env = append(os.Environ(), roleEnv+"=watch")
	w.cmd.Stderr = &w.stderr
	if w.ask, err = w.cmd.StdinPipe(); err != nil {
		return nil, "", err
	}
	out, err := w.cmd.StdoutPipe()
	if err != nil {
		return nil, "", err
	}
	w.answer = bufio.NewScanner(out)
	if err := w.cmd.Start(); err != nil {
		return nil, "", err
	}
	if w.first, err = w.stats(); err != nil {
		return nil, "", errors.Join(err, w.close())
	}
	return w, queue, nil
}

// stats waits for the next line of the child's.
func (w *watcherAlone) stats() (s watcher.Stats, err error) {
	if !w.answer.Scan() {
		return s, errors.Join(errors.New("the watcher says nothing"), w.answer.Err())
	}
	return s, json.Unmarshal(w.answer.Bytes(), &s)
}

// drained waits until no further event is handled, and returns when the last one was.
func (w *watcherAlone) drained() (s watcher.Stats, at time.Time, err error) {
	at = time.Now()
	for time.Since(at) < 500*time.Millisecond {
		if _, err := io.WriteString(w.ask, "\n"); err != nil {
			return s, at, err
		}
		now, err := w.stats()
		if err != nil {
			return s, at, err
		}
		if now.Events != s.Events {
			at = time.Now()
		}
		s = now
		nap(awaitPoll)
	}
	return s, at, nil
}

// close lets it end by itself.
func (w *watcherAlone) close() error {
	limit := time.AfterFunc(stopLimit, func() { _ = w.cmd.Cancel() })
	defer limit.Stop()
	_ = w.ask.Close()
	if err := w.cmd.Wait(); err != nil {
		return fmt.Errorf("watch: %w: %s", err, tail(w.stderr.String()))
	}
	return nil
}
