package syncer

import (
	"context"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/filter"
	"github.com/lockstep-sync/lockstep/syncer/internal/flist"
	"github.com/lockstep-sync/lockstep/syncer/internal/report"
	"github.com/lockstep-sync/lockstep/syncer/internal/sender"
	"github.com/lockstep-sync/lockstep/syncer/internal/source"
)

// relink has the peer make hard links from what it has at old names to new ones; the push that
// follows deletes the old names. To the peer each file is a group of two hard links, the old
// name and the new one, with the attributes of what is at the new one. It finds the first as it
// should be, and the other missing, and makes it (rsync 3.5.0 hlink.c, finish_hard_link).
//
// What is proven to be unchanged the peer may go by size and time for, the rest it compares by
// checksum: no data travel, and none are written. Nothing depends on what comes of it. The files
// of which the peer said that it made the link are believed.
func (d *remote) relink(ctx context.Context, src *source.Tree, j *job) (Report, error) {
	var rep Report
	if len(j.moves.list) == 0 || d.noLinks {
		return rep, nil
	}
	all, err := j.moves.twins(ctx, src, j.since)
	if err != nil {
		return rep, err
	}
	j.believed = believed{}
	for _, proven := range []bool{true, false} {
		r := relinking{src: src, rules: receiverRules(&d.cfg.Options), dirs: all.dirs, job: sender.Job{Alias: map[string]string{}, WithBasis: true}}
		for i := range all.files {
			if all.files[i].proven == proven {
				r.add(&all.files[i])
			}
		}
		if len(r.job.Alias) == 0 {
			continue
		}
		stats, broke, err := d.runLinks(ctx, &r, !proven, j.believed)
		rep.Stats.Add(stats)
		rep.broke = rep.broke || broke
		if err != nil {
			return rep, err
		}
	}
	return rep, nil
}

// runLinks does one such run. Only ctx makes it an error; broke says that it ended badly, maybe in the middle of a file.
func (d *remote) runLinks(ctx context.Context, r *relinking, checksum bool, known believed) (stats Stats, broke bool, err error) {
	for name := range r.job.Alias {
		r.implied(name)
	}
	rules, err := d.cfg.Filter.Wire(d.cfg.DeleteExcluded)
	if err != nil {
		return Stats{}, false, nil // the push that follows will tell
	}
	r.job.List = sender.NewList(r.entries)
	r.job.Filter, r.job.Prune = rules, len(rules) > 0 // what stands at a new name may have to make way
	o := d.options()
	o.HardLinks, o.Checksum = true, checksum
	o.SizeOnly, o.IgnoreTimes, o.Update, o.Fuzzy, o.DelayUpdates = false, false, false, false, false
	// The files at the old names have what they have: the push that follows looks at it.
	o.ACLs, o.Xattrs, o.Atimes, o.Crtimes = false, false, false, false
	o.Sink = report.Sink{Item: func(it report.Item) {
		if from, ok := r.from[it.Name]; ok && it.Link == from && it.Flags&report.Transfer == 0 {
			r.linked = append(r.linked, it.Name)
		}
		if tell := d.cfg.Sink.Item; tell != nil && r.job.Alias[it.Name] == "" && (it.Mode&unix.S_IFMT != unix.S_IFDIR || it.Flags&report.IsNew != 0) {
			tell(it)
		}
	}}
	r.job.Touched = d.touched.add
	res, err := d.link.run(ctx, r.src, o, &r.job)
	stats = transferOf(res.Stats)
	stats.Created, stats.CreatedDirs = res.Stats.Created, res.Stats.CreatedDirs
	switch {
	case ctx.Err() != nil:
		return stats, true, context.Cause(ctx)
	case res.Refused != "", err != nil && ExitCode(Report{}, err) == CodeUnsupported:
		d.noLinks = true
	case err == nil && !res.Partial && len(res.Problems) == 0:
		stats.Moved = int64(len(r.linked))
		for _, name := range r.linked {
			known.add(r.files[name])
		}
	}
	return stats, res.Partial || err != nil && began(err), nil // whatever failed, the push does without
}

// relinking is the list of one run.
type relinking struct {
	src     *source.Tree
	rules   *filter.List // those that keep names on the target
	dirs    map[string]flist.Entry
	entries sender.Entries
	job     sender.Job
	from    map[string]string       // new names to old ones
	files   map[string]*flist.Entry // by new names
	linked  []string                // new names whose link was made
	listed  map[string]bool         // directories
}

// add lists a file under both names. What stays at the old name is none of the new one's.
func (r *relinking) add(t *twin) {
	if keeps(r.rules, t.from) || !r.above(t.entry.Name) {
		return
	}
	if r.from == nil {
		r.from, r.files = map[string]string{}, map[string]*flist.Entry{}
	}
	e := t.entry
	e.Flags |= flist.Linked
	e.More() // shared by both: its sum is made once
	r.entries.Add(e)
	old := e
	old.Name = t.from
	r.entries.Add(old)
	r.job.Alias[t.from] = e.Name
	r.from[e.Name], r.files[e.Name] = t.from, &t.entry
}

// above lists the directories above name, which the peer makes where they are missing.
func (r *relinking) above(name string) bool {
	for dir := parent(name); dir != "."; dir = parent(dir) {
		if r.listed[dir] {
			return true
		}
		e, ok := r.dirs[dir]
		if !ok {
			var err error
			if e, err = r.src.Lstat(dir); err != nil || !e.IsDir() {
				return false
			}
			r.dirs[dir] = e
		}
		setPartial(&e)
		r.list(e)
	}
	return true
}

// implied lists the directories above an old name as implied: the peer neither makes nor touches
// them (rsync 3.5.0 generator.c, recv_generator: FLAG_IMPLIED_DIR).
func (r *relinking) implied(name string) {
	for dir := parent(name); dir != "."; dir = parent(dir) {
		if r.listed[dir] {
			return
		}
		r.list(flist.Entry{Name: dir, Mode: unix.S_IFDIR | 0o755, Flags: flist.Top | flist.Partial})
	}
}

func (r *relinking) list(e flist.Entry) {
	if r.listed == nil {
		r.listed = map[string]bool{}
	}
	r.listed[e.Name] = true
	r.entries.Add(e)
}

// keeps says whether a rule keeps the file name on the target, or a directory above it.
func keeps(rules *filter.List, name string) bool {
	for dir := parent(name); dir != "."; dir = parent(dir) {
		if rules.Protected(dir, true) {
			return true
		}
	}
	return rules.Protected(name, false)
}
