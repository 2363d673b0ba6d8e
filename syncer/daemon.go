package syncer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/internal/flist"
	"github.com/lockstep-sync/lockstep/syncer/internal/option"
	"github.com/lockstep-sync/lockstep/syncer/internal/report"
	"github.com/lockstep-sync/lockstep/syncer/internal/sender"
	"github.com/lockstep-sync/lockstep/syncer/internal/source"
	"github.com/lockstep-sync/lockstep/syncer/internal/wire"
)

// daemon is a module of an rsync daemon as a target: one connection a run.
type daemon struct {
	cfg    *Config
	addr   string
	module sender.Module
	sent   recent
	old    bool // it cannot delete single names: rsync 3.0
}

func newDaemon(cfg *Config) *daemon {
	t := cfg.Target
	return &daemon{
		cfg:    cfg,
		addr:   t.Addr(cfg.Port),
		module: sender.Module{Name: t.Module, Path: t.Path, User: t.User, Password: cfg.Password},
	}
}

// full pushes everything. The list holds the whole tree: both sides need it to number the files.
func (d *daemon) full(ctx context.Context, src *source.Tree, j job) (Report, error) {
	l := lister{src: src, prune: j.prune, since: j.since}
	top, err := src.Lstat(src.Top())
	if err != nil {
		return Report{}, report.Fail(CodePartial, fmt.Errorf("look at the source: %w", err), "")
	}
	top.Flags |= flist.Top
	if err := l.tree(ctx, top); err != nil {
		return Report{}, err
	}
	return d.run(ctx, src, l, false)
}

// partial pushes exactly what the plan says. To a peer that cannot delete single names it
// says what the directories hold that they were in, and the peer prunes those.
func (d *daemon) partial(ctx context.Context, src *source.Tree, plan source.Plan, j job) (Report, error) {
	if !d.old || len(plan.Missing) == 0 {
		rep, err := d.pushPlan(ctx, src, plan, j)
		if !errors.Is(err, sender.ErrNoMissingArgs) {
			return rep, err
		}
		d.old = true
	}
	return d.pushPlan(ctx, src, plan, j)
}

func (d *daemon) pushPlan(ctx context.Context, src *source.Tree, plan source.Plan, j job) (Report, error) {
	l := lister{src: src, prune: j.prune, since: j.since}
	for _, e := range plan.Entries {
		if !d.sent.is(&e) {
			l.entries.Add(e)
		}
	}
	for _, e := range plan.Trees {
		if err := l.tree(ctx, e); err != nil {
			return Report{}, err
		}
	}
	for _, name := range plan.Missing {
		if d.old {
			l.siblings(parent(name))
		} else {
			l.entries.Add(flist.Entry{Name: name})
		}
	}
	for _, name := range plan.Unsure {
		l.siblings(parent(name)) // the peer sees what stands there, and knows the rules
	}
	if l.entries.Len() == 0 {
		return Report{Problems: l.problems}, nil
	}
	for _, e := range plan.Parents {
		l.entries.Add(e)
	}
	return d.run(ctx, src, l, len(plan.Missing) > 0)
}

// lister makes a file list of subtrees.
type lister struct {
	src      *source.Tree
	prune    bool
	since    time.Time
	entries  sender.Entries
	problems []Problem
	pruned   bool            // a directory in it is to be pruned
	listed   map[string]bool // by siblings
}

// tree adds top with everything below it.
func (l *lister) tree(ctx context.Context, top flist.Entry) error {
	if !top.IsDir() {
		l.entries.Add(top)
		return nil
	}
	since, content := l.since.UnixNano(), top.Flags&flist.Content != 0
	visit := func(dir flist.Entry, others []flist.Entry, partial bool) error {
		if partial || !l.prune {
			setPartial(&dir)
		} else {
			l.pruned = true
		}
		l.entries.Add(dir)
		for _, e := range others {
			if e.IsRegular() && (content || !l.since.IsZero() && e.Ctime >= since) {
				e.Flags |= flist.Content
			}
			l.entries.Add(e)
		}
		return nil
	}
	return l.src.Walk(ctx, top, visit, func(p report.Problem) { l.problems = append(l.problems, p) })
}

// siblings adds the directory dir with all that is directly in it, to be pruned. One that
// cannot be read, or that is gone by now, is left alone: its own change will tell.
func (l *lister) siblings(dir string) {
	if l.listed[dir] {
		return
	}
	if l.listed == nil {
		l.listed = map[string]bool{}
	}
	l.listed[dir] = true
	self, err := l.src.Lstat(dir)
	if err != nil || !self.IsDir() {
		return
	}
	entries, problems, err := l.src.ReadDir(dir)
	if err != nil {
		problems = append(problems, Problem{Path: dir, Err: err})
	}
	l.problems = append(l.problems, problems...)
	if len(problems) > 0 {
		return
	}
	l.pruned = true
	l.entries.Add(self)
	for _, e := range entries {
		if e.IsDir() {
			e.Flags |= flist.Partial
		}
		l.entries.Add(e)
	}
}

// run pushes a list; a second run compares by content what the first one's look at size
// and time passed over although its bytes are said to have changed.
func (d *daemon) run(ctx context.Context, src *source.Tree, l lister, missing bool) (Report, error) {
	rules, err := d.cfg.Filter.Wire(false)
	if err != nil {
		return Report{}, report.Fail(CodeUsage, err, "")
	}
	j := sender.Job{
		List:   sender.NewList(l.entries),
		Delete: l.prune,
		// Deleting a directory spares what a rule protects in it only if the peer knows the rules.
		Prune:  l.pruned || missing && len(rules) > 0,
		Filter: rules,
	}
	res, err := d.push(ctx, src, &j)
	rep := reportOf(res)
	rep.Problems = append(rep.Problems, l.problems...)
	if err != nil || d.cfg.DryRun || d.cfg.Checksum {
		return rep, err
	}
	again := d.unbelieved(&j.List, &res)
	if again.Len() == 0 {
		return rep, nil
	}
	j = sender.Job{List: sender.NewList(again), IgnoreTimes: true}
	stats := rep.Stats
	res, err = d.push(ctx, src, &j)
	second := reportOf(res)
	stats.Add(transferOf(second.Stats))
	rep.Stats = stats
	rep.Problems = append(rep.Problems, second.Problems...)
	rep.Changed = append(rep.Changed, second.Changed...)
	rep.Partial = rep.Partial || second.Partial
	return rep, err
}

// unbelieved lists the files of list whose content is said to have changed and which the
// receiver did not ask for, with the directories above them.
func (d *daemon) unbelieved(list *sender.List, res *sender.Result) sender.Entries {
	var again sender.Entries
	want := map[string]bool{}
	for i := range list.Len() {
		e := list.At(i)
		if e.Flags&flist.Content != 0 && e.IsRegular() && !res.Requested[i] && !d.sent.is(e) {
			again.Add(*e)
			for dir := parent(e.Name); dir != "" && !want[dir]; dir = parent(dir) {
				want[dir] = true
			}
		}
	}
	if again.Len() == 0 {
		return again
	}
	for e := range list.All() {
		if e.IsDir() && want[e.Name] {
			dir := *e
			setPartial(&dir)
			again.Add(dir)
		}
	}
	return again
}

// setPartial marks a directory that is brought over but not pruned. With Top it would be
// implied, and the peer would not set its attributes.
func setPartial(e *flist.Entry) { e.Flags = e.Flags&^flist.Top | flist.Partial }

// parent is the directory of name, "." for a name at the top, "" for "." itself.
func parent(name string) string {
	if name == "." {
		return ""
	}
	for i := len(name) - 1; i >= 0; i-- {
		if name[i] == '/' {
			return name[:i]
		}
	}
	return "."
}

// transferOf is what a second run over listed files adds to the first one's statistics.
func transferOf(s Stats) Stats {
	return Stats{Transferred: s.Transferred, TransferredSize: s.TransferredSize, Literal: s.Literal,
		Matched: s.Matched, Sent: s.Sent, Received: s.Received, ListBytes: s.ListBytes, Changed: s.Changed}
}

func reportOf(res sender.Result) Report {
	return Report{
		Stats:       res.Stats,
		Problems:    res.Problems,
		Changed:     res.Changed,
		Partial:     res.Partial || res.IOError&wire.IOErrorGeneral != 0,
		DeletesHeld: res.IOError&wire.IOErrorDelLimit != 0,
	}
}

// makePath makes the target's directory, if need be, where its name holds wildcards: as the
// path argument such a name serves only once it is there. In a file list it is a name.
func (d *daemon) makePath(ctx context.Context, src *source.Tree) error {
	var entries sender.Entries
	name := strings.Trim(path.Clean("/"+d.module.Path), "/")
	for dir := name; dir != ""; dir = parent(dir) {
		e := flist.Entry{Name: dir, Mode: unix.S_IFDIR | 0o777, Flags: flist.Partial}
		if dir != name {
			e.Flags |= flist.Top // implied: it is there, or it is an error
		}
		entries.Add(e)
	}
	o := sender.Options{Set: option.Defaults(), Protocol: d.cfg.Protocol}
	o.Recurse, o.DryRun, o.Timeout = true, d.cfg.DryRun, d.cfg.Timeout
	said := ""
	o.Sink.Message = func(text string, isError bool) {
		if isError {
			said = text
		}
	}
	module := d.module
	module.Path = ""
	res, err := d.connect(ctx, src, o, &module, &sender.Job{List: sender.NewList(entries)})
	if err == nil && res.Partial {
		err = report.Fail(CodeFile, fmt.Errorf("make the target's directory: %s", said), "of the target only the last directory is made")
	}
	return err
}

// push does one run.
func (d *daemon) push(ctx context.Context, src *source.Tree, j *sender.Job) (sender.Result, error) {
	if d.module.Wild() {
		if j.List.Len() == 1 && !j.List.At(0).IsDir() && !strings.HasSuffix(d.module.Path, "/") {
			return sender.Result{}, report.Fail(CodeUsage, fmt.Errorf("a file's new name on a daemon cannot hold *, ? or [: %q", d.module.Path),
				"end it with a slash if it is a directory")
		}
		if err := d.makePath(ctx, src); err != nil {
			return sender.Result{}, err
		}
	}
	var batch sending
	if d.cfg.Keep {
		j.Sent = batch.add
	}
	res, err := d.connect(ctx, src, d.options(), &d.module, j)
	if err == nil && !res.Partial {
		d.sent.add(&batch)
	}
	return res, err
}

// connect dials and runs a job.
func (d *daemon) connect(ctx context.Context, src *source.Tree, o sender.Options, m *sender.Module, j *sender.Job) (sender.Result, error) {
	conn, err := d.dial(ctx)
	if err != nil {
		return sender.Result{}, err
	}
	defer conn.Close()
	return sender.Push(ctx, conn, o, m, j, src)
}

func (d *daemon) options() sender.Options {
	return sender.Options{Set: d.cfg.Options, Sink: d.cfg.Sink, Protocol: d.cfg.Protocol}
}

// dial connects within ConTimeout.
func (d *daemon) dial(ctx context.Context) (*net.TCPConn, error) {
	dialer := net.Dialer{
		Timeout:         d.cfg.ConTimeout,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 10 * time.Second, Count: 6},
	}
	c, err := dialer.DialContext(ctx, "tcp", d.addr)
	if err == nil {
		return c.(*net.TCPConn), nil
	}
	var ne net.Error
	switch {
	case ended(ctx) != nil:
		return nil, report.Fail(CodeSignal, ended(ctx), "")
	case d.cfg.ConTimeout > 0 && errors.As(err, &ne) && ne.Timeout():
		return nil, report.Fail(CodeConTimeout, fmt.Errorf("no connection to the daemon at %s within %v: %w", d.addr, d.cfg.ConTimeout, err), "")
	}
	return nil, report.Fail(CodeSocket, fmt.Errorf("connect to the daemon at %s: %w", d.addr, err),
		"is rsync --daemon running there, and the port open?")
}

// ended is why ctx is done, nil while it is not. A dialer looks at ctx's deadline itself and
// may be a moment ahead of it.
func ended(ctx context.Context) error {
	if at, ok := ctx.Deadline(); ok && ctx.Err() == nil && !time.Now().Before(at) {
		return context.DeadlineExceeded
	}
	return context.Cause(ctx)
}
