package syncer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/lockstep-sync/lockstep/syncer/internal/flist"
	"github.com/lockstep-sync/lockstep/syncer/internal/rate"
	"github.com/lockstep-sync/lockstep/syncer/internal/report"
	"github.com/lockstep-sync/lockstep/syncer/internal/sender"
	"github.com/lockstep-sync/lockstep/syncer/internal/source"
	"github.com/lockstep-sync/lockstep/syncer/internal/wire"
)

// remote is an rsync on another machine as a target: one run of the protocol, or two, a push.
type remote struct {
	cfg  *Config
	link link
	sent recent
	// begun is a time before the push at work looked at the source, ended when the last one was over.
	begun, ended time.Time
	// limit is --bwlimit, kept over all connections.
	limit *rate.Limiter
	// backupDir and touched are those of the push that runs.
	backupDir string
	touched   *touched

	// What is known of the peer from earlier runs.
	old     bool            // it cannot delete single names: rsync 3.0, or it is not to
	without map[string]bool // long options that it refuses and that can be done without
	noLinks bool            // it refuses what relink needs

	withheld func(name string) error // see sender.Job; nil: nothing is
	said     string                  // what the last run's peer said that is about no known path
}

// link is a way to a peer.
type link interface {
	// run does one job. Where it could not begin with ErrNoMissingArgs nothing happened.
	run(ctx context.Context, src *source.Tree, o sender.Options, j *sender.Job) (sender.Result, error)
	close() error
	probed
}

func newRemote(cfg *Config) (*remote, error) {
	r := &remote{cfg: cfg, touched: &touched{}, limit: rate.New(cfg.Options.Bwlimit), without: map[string]bool{}}
	var err error
	if cfg.Target.Shell() {
		r.link, err = newShell(cfg)
	} else {
		r.link, err = newDaemon(cfg)
	}
	return r, err
}

// Close ends what is kept open between pushes.
func (d *remote) Close() error { return d.link.close() }

// with is the same target with other options, over the same link.
func (d *remote) with(cfg *Config) *remote {
	return &remote{cfg: cfg, link: d.link, limit: d.limit, old: d.old, without: d.without, withheld: d.withheld, backupDir: d.backupDir, touched: d.touched}
}

// probe implements probed.
func (d *remote) probe(err error) func(context.Context) bool {
	return d.link.probe(err)
}

// reach implements probed.
func (d *remote) reach(ctx context.Context) error {
	return d.link.reach(ctx)
}

// full pushes everything, listing it meanwhile where that can be.
func (d *remote) full(ctx context.Context, src *source.Tree, j job) (Report, error) {
	d.backupDir = j.backupDir
	d.begun = time.Now()
	top, err := src.Lstat(src.Top())
	if err != nil {
		return Report{}, report.Fail(CodePartial, fmt.Errorf("look at the source: %w", err), "")
	}
	top.Flags |= flist.Top
	if top.IsDir() && d.inPieces(&j) {
		return d.walk(ctx, src, &walk{src: src, top: top, job: j, hollow: newHollow(&d.cfg.Options)})
	}
	l := d.lister(src, j)
	if err := l.tree(ctx, top); err != nil {
		return Report{}, err
	}
	return d.run(ctx, src, l)
}

// inPieces says whether a walk will do. Of a file with several names none is known to be in doubt
// before all of them were seen, and what a walk leaves to another run a dry run would tell twice.
func (d *remote) inPieces(j *job) bool {
	return !(d.cfg.HardLinks && !j.since.IsZero()) && !(d.cfg.DryRun && j.prune)
}

func (d *remote) lister(src *source.Tree, j job) lister {
	return lister{src: src, prune: j.prune, since: j.since, hollow: newHollow(&d.cfg.Options)}
}

// partial pushes exactly what the plan says. To a peer that cannot delete single names it
// says what the directories hold that they were in, and the peer prunes those.
func (d *remote) partial(ctx context.Context, src *source.Tree, plan source.Plan, j job) (Report, error) {
	d.backupDir = j.backupDir
	d.begun = d.ended // the plan was made meanwhile
	links, err := d.relink(ctx, src, &j)
	if err != nil {
		return links, err
	}
	rep, err := d.whole(ctx, src, plan, j)
	rep.Stats.Add(links.Stats)
	rep.broke = links.broke
	return rep, err
}

func (d *remote) whole(ctx context.Context, src *source.Tree, plan source.Plan, j job) (Report, error) {
	if !d.old || len(plan.Missing) == 0 {
		rep, err := d.pushPlan(ctx, src, plan, j)
		if !errors.Is(err, sender.ErrNoMissingArgs) {
			return rep, err
		}
		d.old = true
	}
	return d.pushPlan(ctx, src, plan, j)
}

func (d *remote) pushPlan(ctx context.Context, src *source.Tree, plan source.Plan, j job) (Report, error) {
	// A peer decides about a single name as if it was no directory, and by files of rules of its own:
	// where it may have such files, it prunes the directory that the name was in.
	perDir := d.cfg.Filter.PerDir()
	l := lister{src: src, prune: j.prune, since: j.since, believed: j.believed, hollow: newHollow(&d.cfg.Options), missing: j.prune && !d.old && !perDir, whole: perDir}
	plan, err := l.hollow.leaveOut(ctx, src, plan, j.prune)
	if err != nil {
		return Report{}, err
	}
	for _, e := range plan.Entries {
		j.believed.unmark(&e)
		if !d.sent.is(src, &e) {
			l.entries.Add(e)
		}
	}
	for _, e := range plan.Trees {
		if err := l.tree(ctx, e); err != nil {
			return Report{}, err
		}
	}
	for _, e := range plan.Levels {
		if err := l.siblings(ctx, e.Name); err != nil {
			return Report{}, err
		}
	}
	whole := d.old || perDir
	for _, name := range plan.Missing {
		if !whole {
			l.entries.Add(flist.Entry{Name: name})
			d.touched.add(name)
		} else if err := l.siblings(ctx, parent(name)); err != nil {
			return Report{}, err
		}
	}
	for _, name := range plan.Unsure {
		if err := l.siblings(ctx, parent(name)); err != nil { // the peer sees what stands there, and knows the rules
			return Report{}, err
		}
	}
	if l.entries.Len() == 0 && d.sent.above(plan.Entries, plan.Parents) {
		return Report{Problems: l.problems}, nil
	}
	for _, e := range plan.Parents {
		l.entries.Add(e)
	}
	return d.run(ctx, src, l)
}

// run pushes a list; a second run compares by content what the first one's look at size
// and time passed over although its bytes are said to have changed.
func (d *remote) run(ctx context.Context, src *source.Tree, l lister) (Report, error) {
	rules, err := d.cfg.Filter.Wire(d.cfg.DeleteExcluded)
	if err != nil {
		return Report{}, report.Fail(CodeUsage, err, "")
	}
	j := sender.Job{
		List:   sender.NewList(l.entries),
		Delete: l.prune,
		// Deleting a directory, also where it makes way for something else, spares what a rule protects
		// in it only if the peer knows the rules.
		Prune:  l.pruned || l.prune && len(rules) > 0,
		Filter: rules,
	}
	res, err := d.push(ctx, src, &j)
	rep := d.reportOf(res)
	rep.Problems = append(rep.Problems, l.problems...)
	if err != nil || !d.believes() {
		return rep, err
	}
	return d.runAgain(ctx, src, rep, d.unbelieved(src, &j.List, &res))
}

// runAgain adds to rep what a run over again does.
func (d *remote) runAgain(ctx context.Context, src *source.Tree, rep Report, again sender.Entries) (Report, error) {
	if again.Len() == 0 {
		return rep, nil
	}
	j := sender.Job{List: sender.NewList(again), IgnoreTimes: true}
	stats := rep.Stats
	if d.cfg.Backup || d.cfg.BackupDir != "" {
		// A file that is the same after all would be written anew, and its copy take the backup's place.
		cfg := *d.cfg
		cfg.Checksum, j.IgnoreTimes = true, false
		d = d.with(&cfg)
	}
	res, err := d.push(ctx, src, &j)
	second := d.reportOf(res)
	stats.Add(transferOf(second.Stats))
	rep.Stats = stats
	rep.Problems = append(rep.Problems, second.Problems...)
	rep.Changed = append(rep.Changed, second.Changed...)
	rep.Partial = rep.Partial || second.Partial
	rep.Said = cmp.Or(rep.Said, second.Said)
	return rep, err
}

// believes says whether files are compared by content although size and time agree. With some options
// the first run did so already, or the second one would pass them over as the first did.
func (d *remote) believes() bool {
	o := &d.cfg.Options
	return !o.DryRun && !o.Checksum && !o.IgnoreTimes && !o.SizeOnly && !o.IgnoreExisting && !o.Append && !o.AppendVerify
}

// unbelieved lists the files of list whose content is said to have changed and which the
// receiver did not ask for, with the directories above them.
func (d *remote) unbelieved(src *source.Tree, list *sender.List, res *sender.Result) sender.Entries {
	if list.Len() == 0 {
		return d.unbelievedOf(src, res.Passed)
	}
	var again sender.Entries
	want := map[string]bool{}
	linked := linkedInDoubt(list, res)
	for i := range list.Len() {
		e := list.At(i)
		doubt := e.Flags&flist.Content != 0 && e.IsRegular() && !res.Requested[i] && !d.sent.is(src, e)
		if e.Flags&flist.Linked != 0 {
			doubt = linked[source.InodeOf(e)]
		}
		if doubt {
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

// unbelievedOf is unbelieved for files of a walk, whose directories were forgotten.
func (d *remote) unbelievedOf(src *source.Tree, files []flist.Entry) sender.Entries {
	var again sender.Entries
	there := map[string]bool{}
	for _, e := range files {
		if d.sent.is(src, &e) || !d.addAbove(src, &again, there, e.Name) {
			continue
		}
		again.Add(e)
	}
	return again
}

// addAbove adds the directories above name, once, and says whether all are there.
func (d *remote) addAbove(src *source.Tree, to *sender.Entries, there map[string]bool, name string) bool {
	dir := parent(name)
	if dir == "" || dir == "." && src.Top() != "." {
		return true
	}
	if ok, known := there[dir]; known {
		return ok
	}
	e, err := src.Lstat(dir)
	there[dir] = err == nil && e.IsDir() && d.addAbove(src, to, there, dir)
	if there[dir] {
		setPartial(&e)
		to.Add(e)
	}
	return there[dir]
}

// linkedInDoubt are the regular files with several names one of which is said to have other content,
// if the receiver asked for none of them: each goes again with all its names, or it would lose some.
func linkedInDoubt(list *sender.List, res *sender.Result) map[source.Inode]bool {
	doubt := map[source.Inode]bool{}
	for i := range list.Len() {
		e := list.At(i)
		if e.Flags&flist.Linked == 0 || !e.IsRegular() {
			continue
		}
		id := source.InodeOf(e)
		if res.Requested[i] {
			doubt[id] = false
		} else if _, decided := doubt[id]; e.Flags&flist.Content != 0 && !decided {
			doubt[id] = true
		}
	}
	return doubt
}

// transferOf is what a second run over listed files adds to the first one's statistics.
func transferOf(s Stats) Stats {
	return Stats{Transferred: s.Transferred, TransferredSize: s.TransferredSize, Literal: s.Literal,
		Matched: s.Matched, Sent: s.Sent, Received: s.Received, ListBytes: s.ListBytes, Changed: s.Changed}
}

func (d *remote) reportOf(res sender.Result) Report {
	return Report{
		Said:        d.said,
		Stats:       res.Stats,
		Problems:    res.Problems,
		Changed:     res.Changed,
		Partial:     res.Partial || res.IOError&wire.IOErrorGeneral != 0,
		DeletesHeld: res.IOError&wire.IOErrorDelLimit != 0,
	}
}

// push does one run. An option of our own that the peer is configured to refuse is left out from
// then on.
func (d *remote) push(ctx context.Context, src *source.Tree, j *sender.Job) (sender.Result, error) {
	batch := sending{begun: d.begun}
	defer func() { d.ended = time.Now() }()
	if d.cfg.Keep {
		j.Sent = batch.add
	}
	j.Touched = d.touched.add
	blame := d.blamer(src, j)
	res, err := d.link.run(ctx, src, d.options(), j)
	for err != nil && d.canDoWithout(res.Refused) {
		if res.Refused == missingArgs {
			return res, sender.ErrNoMissingArgs
		}
		batch = sending{begun: d.begun}
		*blame = *d.blamer(src, j)
		res, err = d.link.run(ctx, src, d.options(), j)
	}
	res.Problems = append(res.Problems, blame.problems...)
	if err != nil {
		res.Problems = append(res.Problems, blame.asides...)
	}
	d.said = blame.unknown
	if err == nil && !res.Partial {
		batch.drop(blame.blamed)
		d.sent.add(&batch)
	}
	return res, err
}

// blamer listens to what the peer says in a run.
func (d *remote) blamer(src *source.Tree, j *sender.Job) *blamer {
	b := &blamer{strip: stripTarget(&d.cfg.Target), prunes: j.Delete || j.Prune}
	b.known = func(name string) bool {
		if j.List.Len() > 0 {
			return j.List.Has(name)
		}
		_, err := src.Lstat(name) // of a walk the names are forgotten
		return err == nil
	}
	b.begins = func(name string) (out []string) {
		entries, _, _ := src.ReadDir(parent(name))
		for _, e := range entries {
			if strings.HasPrefix(e.Name, name) {
				out = append(out, e.Name)
			}
		}
		return out
	}
	j.Blame, j.Aside, j.Hush, j.Withheld = b.take, b.aside, d.cfg.Keep, d.withheld
	return b
}

const missingArgs = "delete-missing-args"

// canDoWithout notes that the peer refuses an option, and says whether that is news and a
// run can do without it.
func (d *remote) canDoWithout(refused string) bool {
	switch refused {
	case missingArgs, "force", "modify-window":
	default:
		return false
	}
	known := d.without[refused]
	d.without[refused] = true
	return !known
}

func (d *remote) options() sender.Options {
	o := sender.Options{Set: d.cfg.Options, Sink: d.cfg.Sink, Protocol: d.cfg.Protocol, Limit: d.limit, Without: d.without}
	o.BackupDir = d.backupDir
	return o
}
