package sender_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/internal/checksum"
	"github.com/lockstep-sync/lockstep/syncer/internal/flist"
	"github.com/lockstep-sync/lockstep/syncer/internal/report"
	"github.com/lockstep-sync/lockstep/syncer/internal/sender"
	"github.com/lockstep-sync/lockstep/syncer/internal/source"
	"github.com/lockstep-sync/lockstep/syncer/internal/wire"
	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

var update = flag.Bool("update", false, "record the transcripts anew from the rsync that is installed")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A transcript is a push of the real client to the real daemon. It is recorded with -update and
// played in every run: the daemon's side is said to our sender, and what our sender says must be
// what the client said.
type transcript struct {
	name   string
	args   []string // of rsync, before source and target
	names  string   // for --files-from=-
	src    func(t *testing.T, dir string)
	dst    func(t *testing.T, dir string)
	auth   bool
	module []string // lines for the module
	meddle bool     // the relay damages the word DAMAGE on its first way up

	opts    func(*sender.Options)
	job     func(*sender.Job)
	missing []string
	flags   map[string]flist.Flag // of directories; "." is Top where nothing is said

	// ours is our argument vector, without capabilities; the client's is in the transcript.
	ours []string
	// reordered says why our list is not in the client's order; then the entries are compared.
	reordered string

	code  report.Code
	items []string
	stats func(report.Stats) report.Stats // what is looked at of them
	want  report.Stats
}

const seedArg = "--checksum-seed=1"

func transcripts() []transcript {
	base := []string{"-rlpt", "--no-i-r", seedArg}
	more := func(args ...string) []string { return append(slices.Clone(base), args...) }
	hello := func(t *testing.T, dir string) { put(t, dir, "hello.txt", "hello world\n") }
	big := func(edit string) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			b := numbers(10_240)
			copy(b[3000:], edit)
			put(t, dir, "big", string(b))
			if edit == "" {
				setTime(t, filepath.Join(dir, "big"), time.Unix(1_600_000_000, 0))
			}
		}
	}
	deltaStats := func(s report.Stats) report.Stats {
		return report.Stats{Literal: s.Literal, Matched: s.Matched, Deleted: s.Deleted, Created: s.Created}
	}
	return []transcript{
		{name: "one-file", args: base, src: hello,
			ours:  []string{"--server", "-ltpr", "--modify-window=-1", "."},
			items: []string{".d..t...... ./", "<f+++++++++ hello.txt"}, stats: deltaStats, want: report.Stats{Literal: 12, Created: 1}},
		{name: "one-file-xxh128", args: base, src: hello,
			opts: func(o *sender.Options) { o.Checksums = nil },
			ours: []string{"--server", "-ltpr", "--modify-window=-1", "."}},
		{name: "one-file-protocol30", args: more("--protocol=30"), src: hello,
			opts: func(o *sender.Options) { o.Protocol = 30 },
			ours: []string{"--server", "-ltpr", "--modify-window=-1", "."}},
		{name: "one-file-protocol31", args: more("--protocol=31"), src: hello,
			opts: func(o *sender.Options) { o.Protocol = 31 },
			ours: []string{"--server", "-ltpr", "--modify-window=-1", "."}},
		{name: "nothing", args: base, src: func(*testing.T, string) {},
			ours: []string{"--server", "-ltpr", "--modify-window=-1", "."}},
		{name: "delta", args: more("--no-W"), src: big("EDIT"), dst: big(""),
			ours:  []string{"--server", "-ltpr", "--modify-window=-1", "."},
			items: []string{".d..t...... ./", "<f..t...... big"}, stats: deltaStats, want: report.Stats{Literal: 700, Matched: 10_240 - 700}},
		{name: "whole-file", args: more("-W"), src: big("EDIT"), dst: big(""),
			opts: func(o *sender.Options) { o.WholeFile = true },
			ours: []string{"--server", "-Wltpr", "--modify-window=-1", "."}},
		{name: "redo", args: base, meddle: true,
			src:  func(t *testing.T, dir string) { put(t, dir, "f", "take care of DAMAGE on the way\n") },
			ours: []string{"--server", "-ltpr", "--modify-window=-1", "."}},
		{name: "archive", args: []string{"-a", "--no-i-r", seedArg}, src: everything,
			opts: func(o *sender.Options) {
				o.Owner, o.Group, o.Devices, o.Specials, o.Checksums = true, true, true, true, nil
			},
			reordered: "the client lists names as readdir(3) gives them, we in order",
			ours:      []string{"--server", "-logDtpr", "--modify-window=-1", "."}},
		{name: "archive-protocol30", args: []string{"-a", "--no-i-r", seedArg, "--protocol=30"}, src: everything,
			opts: func(o *sender.Options) {
				o.Owner, o.Group, o.Devices, o.Specials, o.Checksums, o.Protocol = true, true, true, true, nil, 30
			},
			reordered: "the client lists names as readdir(3) gives them, we in order",
			ours:      []string{"--server", "-logDtpr", "--modify-window=-1", "."}},
		{name: "numeric-ids", args: []string{"-a", "--no-i-r", seedArg, "--numeric-ids"}, src: hello,
			opts: func(o *sender.Options) {
				o.Owner, o.Group, o.Devices, o.Specials, o.NumericIDs = true, true, true, true, true
			},
			ours: []string{"--server", "-logDtpr", "--numeric-ids", "--modify-window=-1", "."}},
		{name: "checksum", args: more("-c"), src: hello,
			dst:  func(t *testing.T, dir string) { put(t, dir, "hello.txt", "HELLO WORLD\n") },
			opts: func(o *sender.Options) { o.Checksum = true },
			ours: []string{"--server", "-ltprc", "--modify-window=-1", "."}},
		{name: "dry-run", args: more("-n", "--delete"), src: hello,
			dst:  func(t *testing.T, dir string) { put(t, dir, "gone", "x") },
			opts: func(o *sender.Options) { o.DryRun = true }, job: func(j *sender.Job) { j.Prune, j.Delete = true, true },
			ours:  []string{"--server", "-nltpr", "--delete-during", "--force", "--modify-window=-1", "."},
			items: []string{"*deleting   gone", "<f+++++++++ hello.txt"}},
		{name: "delete", args: more("--delete", "--exclude=keep"), src: hello,
			dst: func(t *testing.T, dir string) {
				for _, n := range []string{"gone", "gone dir/in", "keep"} {
					put(t, dir, n, "x")
				}
			},
			job:   func(j *sender.Job) { j.Prune, j.Delete, j.Filter = true, true, []string{"- keep"} },
			ours:  []string{"--server", "-ltpr", "--delete-during", "--force", "--modify-window=-1", "."},
			stats: deltaStats, want: report.Stats{Deleted: 3, Created: 1, Literal: 12}},
		{name: "max-delete", args: more("--delete", "--max-delete=1"), src: hello,
			dst:  func(t *testing.T, dir string) { put(t, dir, "gone1", "x"); put(t, dir, "gone2", "x") },
			opts: func(o *sender.Options) { o.MaxDelete = 1 }, job: func(j *sender.Job) { j.Prune, j.Delete = true, true },
			ours: []string{"--server", "-ltpr", "--delete-during", "--force", "--max-delete=1", "--modify-window=-1", "."},
			code: report.CodeMaxDelete},
		{name: "missing", args: more("--files-from=-", "--delete-missing-args", "--force"),
			names: "a/new.txt\na/old\ngone.txt\ngonedir\n",
			src:   func(t *testing.T, dir string) { put(t, dir, "a/new.txt", "hello world\n") },
			dst: func(t *testing.T, dir string) {
				for _, n := range []string{"a/old", "gone.txt", "gonedir/in"} {
					put(t, dir, n, "x")
				}
			},
			job:     func(j *sender.Job) { j.Delete = true },
			missing: []string{"a/old", "gone.txt", "gonedir"}, flags: map[string]flist.Flag{".": 0xFF, "a": flist.Top | flist.Partial},
			reordered: "we list missing names first, for rsync 3.4.3",
			ours:      []string{"--server", "-ltpr", "--force", "--delete-missing-args", "--modify-window=-1", "."},
			items:     []string{"*deleting   gone.txt", "*deleting   gonedir/in", "*deleting   gonedir/", "*deleting   a/old", "<f+++++++++ a/new.txt"}},
		{name: "auth", args: base, src: hello, auth: true,
			ours: []string{"--server", "-ltpr", "--modify-window=-1", "."}},
		{name: "read-only", args: base, src: hello, module: []string{"read only = yes"},
			ours: []string{"--server", "-ltpr", "--modify-window=-1", "."}, code: report.CodeUsage},
		{name: "refused-option", args: more("--delete"), src: hello, module: []string{"refuse options = delete"},
			job:  func(j *sender.Job) { j.Prune, j.Delete = true, true },
			ours: []string{"--server", "-ltpr", "--delete-during", "--force", "--modify-window=-1", "."}, code: report.CodeUnsupported},
		{name: "daemon-timeout", args: base, src: hello, module: []string{"timeout = 77"},
			ours: []string{"--server", "-ltpr", "--modify-window=-1", "."}},
		{name: "message-of-the-day", args: base, src: hello,
			ours: []string{"--server", "-ltpr", "--modify-window=-1", "."}},
	}
}

func TestTranscript(t *testing.T) {
	for _, tr := range transcripts() {
		t.Run(tr.name, func(t *testing.T) {
			if *update {
				tr.record(t)
			}
			tr.play(t)
		})
	}
}

func numbers(n int) []byte {
	var b bytes.Buffer
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, "%d\n", i)
	}
	return b.Bytes()[:n]
}

func put(t *testing.T, dir, name, content string) {
	t.Helper()
	name = filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	setTime(t, name, time.Unix(1_700_000_000, 0))
}

func setTime(t *testing.T, name string, at time.Time) {
	t.Helper()
	ts := unix.NsecToTimespec(at.UnixNano())
	if err := unix.UtimesNanoAt(unix.AT_FDCWD, name, []unix.Timespec{ts, ts}, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		t.Fatal(err)
	}
}

// everything is a tree with each type that needs no root, and odd times and names.
func everything(t *testing.T, dir string) {
	t.Helper()
	put(t, dir, "file", "one")
	put(t, dir, "empty", "")
	put(t, dir, "d/deeper/file", "two")
	put(t, dir, "d-d/x", "three")
	put(t, dir, strings.Repeat("long", 60), "four")
	put(t, dir, "d/"+strings.Repeat("longer", 42), "five")
	put(t, dir, "new\nline \xff", "six")
	setTime(t, filepath.Join(dir, "file"), time.Unix(1_700_000_000, 123_456_789))
	setTime(t, filepath.Join(dir, "empty"), time.Unix(-5, 1))
	if err := os.Symlink("some/where", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"fifo", "d/fifo"} {
		if err := unix.Mkfifo(filepath.Join(dir, name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"link", "fifo", "d/fifo", "d/deeper", "d-d", "d"} {
		setTime(t, filepath.Join(dir, name), time.Unix(1_700_000_000, 0))
	}
}

// trees makes source and target as they were when the transcript was recorded.
func (tr *transcript) trees(t *testing.T) (src, dst string) {
	t.Helper()
	src, dst = filepath.Join(t.TempDir(), "src"), filepath.Join(t.TempDir(), "dst")
	for dir, fill := range map[string]func(*testing.T, string){src: tr.src, dst: tr.dst} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if fill != nil {
			fill(t, dir)
		}
		err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() && dir == src {
				setTime(t, name, time.Unix(1_700_000_000, 0))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if dir == src {
			setTime(t, dir, time.Unix(1_700_000_000, 0))
		}
	}
	return src, dst
}

func (tr *transcript) file() string { return filepath.Join("testdata", "transcript", tr.name+".txt") }

// checksums is what the client is to offer; "" is everything.
func (tr *transcript) checksums() string {
	o := sender.Options{Checksums: []checksum.Kind{checksum.MD5}}
	if tr.opts != nil {
		tr.opts(&o)
	}
	if o.Checksums == nil {
		return ""
	}
	return "md5"
}

// record lets the real client push to the real daemon through a relay that writes down all bytes.
func (tr *transcript) record(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("transcripts are recorded by root, whose files belong to id 0")
	}
	src, dst := tr.trees(t)
	cfg := syncertest.DaemonConfig{Modules: []syncertest.Module{{Name: "m", Path: dst, Extra: tr.module}}}
	target := "m"
	if tr.auth {
		cfg.Modules[0].AuthUsers, cfg.Modules[0].Secrets, target = "alice", map[string]string{"alice": "secret"}, "alice@m"
	}
	if tr.name == "message-of-the-day" {
		motd := filepath.Join(t.TempDir(), "motd")
		if err := os.WriteFile(motd, []byte("Welcome.\n\nBe kind.\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		cfg.Extra = []string{"motd file = " + motd}
	}
	d := syncertest.StartDaemon(t, cfg)
	rec := record(t, d.Addr(), tr.meddle)
	url := strings.Replace(d.URL(target), d.Addr(), rec.addr, 1)
	cmd := exec.CommandContext(t.Context(), "rsync", append(slices.Clone(tr.args), src+"/", url)...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8", "RSYNC_PASSWORD=secret", "RSYNC_CHECKSUM_LIST=" + tr.checksums()}
	cmd.Stdin = strings.NewReader(tr.names)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if code := cmd.ProcessState.ExitCode(); code != int(tr.code) {
		t.Fatalf("rsync's exit code is %d, want %d: %s", code, tr.code, out)
	}
	chunks := rec.wait()
	version, err := exec.CommandContext(t.Context(), "rsync", "--version").Output()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	first, _, _ := strings.Cut(string(version), "\n")
	fmt.Fprintf(&b, "# %s, client and daemon\n", strings.Join(strings.Fields(first), " "))
	fmt.Fprintf(&b, "# rsync %s src/ rsync://%s/\n", strings.Join(tr.args, " "), target)
	if l := tr.checksums(); l != "" {
		fmt.Fprintf(&b, "# RSYNC_CHECKSUM_LIST=%s\n", l)
	}
	fmt.Fprintf(&b, "# exit code %d; recorded by: go test -run TestTranscript -update\n", tr.code)
	for _, s := range segments(chunks) {
		s.print(&b)
	}
	if err := os.MkdirAll(filepath.Dir(tr.file()), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(tr.file(), []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// play says the daemon's side to our sender and compares.
func (tr *transcript) play(t *testing.T) {
	t.Helper()
	client, server := load(t, tr.file())
	theirs := parseClient(t, client)
	src, _ := tr.trees(t)
	opts := sender.Options{
		Recurse: true, Links: true, Perms: true, Times: true, MaxDelete: -1,
		Protocol: sender.MaxProtocol, Checksums: []checksum.Kind{checksum.MD5},
	}
	var items []string
	opts.Sink.Item = func(it report.Item) { items = append(items, it.String()) }
	if tr.opts != nil {
		tr.opts(&opts)
	}
	format := tr.format(&opts)
	recorded, rest := theirs.list(t, format, tr)
	job := sender.Job{List: sender.NewList(tr.entries(t, src, recorded))}
	if tr.job != nil {
		tr.job(&job)
	}
	tree, err := source.Open(src, source.Options{Recurse: true, Links: true, Devices: true, Specials: true})
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Close()
	module := sender.Module{Name: "m"}
	if tr.auth {
		module.User, module.Password = "alice", func() (string, error) { return "secret", nil }
	}
	res, said, err := converse(t, server, opts, &module, &job, tree)
	if code := codeOf(res, err); code != tr.code {
		t.Errorf("exit code %d, want %d: %v", code, tr.code, err)
	}

	ours := parseClient(t, said)
	if diff := cmp.Diff(theirs.lines, ours.lines); diff != "" {
		t.Errorf("lines (-rsync +ours):\n%s", diff)
	}
	if diff := cmp.Diff(append(tr.ours, "m/"), withoutCaps(ours.args)); diff != "" {
		t.Errorf("arguments (-want +ours):\n%s", diff)
	}
	if diff := cmp.Diff(theirs.offer, ours.offer); diff != "" {
		t.Errorf("checksums offered (-rsync +ours):\n%s", diff)
	}
	if len(theirs.messages) > 0 || len(ours.messages) > 0 {
		if diff := cmp.Diff(theirs.messages, ours.messages); diff != "" {
			t.Errorf("messages (-rsync +ours):\n%s", diff)
		}
	}
	if tr.code == report.CodeUsage || tr.code == report.CodeUnsupported {
		return // how much of the list left before the error came is chance
	}
	if tr.reordered == "" {
		if diff := cmp.Diff(hex.Dump(theirs.data), hex.Dump(ours.data)); diff != "" {
			t.Errorf("data (-rsync +ours):\n%s", diff)
		}
	} else {
		mine, myRest := ours.list(t, format, tr)
		flist.Sort(recorded)
		flist.Sort(mine)
		if diff := cmp.Diff(recorded, mine); diff != "" {
			t.Errorf("list (-rsync +ours):\n%s", diff)
		}
		if diff := cmp.Diff(hex.Dump(rest), hex.Dump(myRest)); diff != "" {
			t.Errorf("data behind the list (-rsync +ours):\n%s", diff)
		}
	}
	if tr.items != nil {
		if diff := cmp.Diff(tr.items, items); diff != "" {
			t.Errorf("items (-want +got):\n%s", diff)
		}
	}
	if tr.stats != nil {
		if diff := cmp.Diff(tr.want, tr.stats(res.Stats)); diff != "" {
			t.Errorf("stats (-want +got):\n%s", diff)
		}
	}
}

func codeOf(res sender.Result, err error) report.Code {
	var f *report.Failure
	switch {
	case errors.As(err, &f):
		return f.Code
	case err != nil:
		return -1
	case res.IOError&wire.IOErrorDelLimit != 0:
		return report.CodeMaxDelete
	case res.Partial:
		return report.CodePartial
	}
	return report.CodeOK
}

func (tr *transcript) format(o *sender.Options) flist.Format {
	f := flist.Format{
		Protocol: o.Protocol, VarintFlags: true, SafeEnd: true, ID0Names: true, Links: o.Links,
		Owner: o.Owner, Group: o.Group, Devices: o.Devices, Specials: o.Specials, NumericIDs: o.NumericIDs,
	}
	if o.Checksum {
		f.SumLen = 16
	}
	return f
}

// entries lists the source as the client saw it. The size of a directory is its file system's
// affair, and so is taken from the transcript; owners are those of who recorded.
func (tr *transcript) entries(t *testing.T, src string, recorded []flist.Entry) (list sender.Entries) {
	t.Helper()
	sizes := map[string]int64{}
	for _, e := range recorded {
		sizes[e.Name] = e.Size
	}
	err := filepath.WalkDir(src, func(name string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(src, name)
		if err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(name, &st); err != nil {
			return err
		}
		e := flist.FromStat(rel, &st)
		e.UID, e.GID = 0, 0
		if e.IsSymlink() {
			if e.Link, err = os.Readlink(name); err != nil {
				return err
			}
		}
		flags, said := tr.flags[rel]
		switch {
		case flags == 0xFF: // not listed
			return nil
		case e.IsDir():
			e.Size = sizes[rel]
			e.Flags = flags
			if !said && rel == "." {
				e.Flags = flist.Top
			}
		}
		list.Add(e)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range tr.missing {
		list.Add(flist.Entry{Name: name})
	}
	return list
}

// converse runs a push whose peer says server and listens to the end.
func converse(t *testing.T, server []byte, o sender.Options, m *sender.Module, j *sender.Job, src sender.Source) (sender.Result, []byte, error) {
	t.Helper()
	ours, theirs := net.Pipe()
	var said bytes.Buffer
	var wg sync.WaitGroup
	wg.Go(func() { io.Copy(&said, theirs) })
	wg.Go(func() { theirs.Write(server) })
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	res, err := sender.Push(ctx, ours, o, m, j, src)
	ours.Close()
	theirs.Close()
	wg.Wait()
	return res, said.Bytes(), err
}

// clientSide is what a client says, taken apart.
type clientSide struct {
	lines    []string
	args     []string
	offer    string
	data     []byte
	messages []string
}

// list cuts the file list off the data: its entries, and what follows it.
func (c *clientSide) list(t *testing.T, f flist.Format, tr *transcript) ([]flist.Entry, []byte) {
	t.Helper()
	if len(c.data) == 0 {
		return nil, nil
	}
	data := bytes.NewReader(c.data)
	r := wire.NewReader(data)
	if slices.ContainsFunc(c.args, func(a string) bool { return strings.HasPrefix(a, "--delete") && !strings.Contains(a, "missing") }) {
		for n := r.Int32(); n > 0; n = r.Int32() {
			r.String(int(n))
		}
	}
	entries, _, err := flist.Decode(r, f, 1000, true)
	if err != nil {
		t.Fatalf("decode the list: %v", err)
	}
	for i := range entries {
		entries[i].Flags &^= flist.Content
	}
	rest := make([]byte, data.Len())
	io.ReadFull(data, rest)
	return entries, rest
}

func withoutCaps(args []string) []string {
	args = slices.Clone(args)
	for i, a := range args {
		if short, _, found := strings.Cut(a, "e.LsfxCIvu"); found {
			args[i] = short
		}
	}
	return args
}

// parseClient takes a client's bytes apart.
func parseClient(t *testing.T, b []byte) clientSide {
	t.Helper()
	var c clientSide
	for _, s := range clientSegments(b) {
		switch {
		case s.kind == "line":
			c.lines = append(c.lines, string(s.data))
		case s.kind == "arguments":
			c.args = strings.Split(strings.TrimSuffix(string(s.data), "\x00\x00"), "\x00")
		case s.kind == "checksums":
			c.offer = string(s.data)
		case s.tag == wire.TagData:
			c.data = append(c.data, s.data[4:]...)
		default:
			c.messages = append(c.messages, fmt.Sprintf("%d %x", s.tag, s.data[4:]))
		}
	}
	return c
}

// segment is one piece of a conversation that has a name.
type segment struct {
	up    bool // from the client
	order int  // of the chunk it ended in
	kind  string
	tag   wire.Tag
	data  []byte
}

func clientSegments(b []byte) []segment {
	var all []segment
	cut := func(kind string, n int) {
		n = min(max(n, 0), len(b))
		if n > 0 {
			all = append(all, segment{up: true, kind: kind, data: b[:n]})
			b = b[n:]
		}
	}
	for !bytes.HasPrefix(b, []byte("--server")) && len(b) > 0 {
		cut("line", bytes.IndexByte(b, '\n')+1)
	}
	cut("arguments", bytes.Index(b, []byte{0, 0})+2)
	if len(b) > 0 {
		cut("checksums", 1+int(b[0]))
	}
	return append(all, frames(b, true)...)
}

func serverSegments(b []byte) []segment {
	var all []segment
	cut := func(kind string, n int) {
		n = min(max(n, 0), len(b))
		if n > 0 {
			all = append(all, segment{kind: kind, data: b[:n]})
			b = b[n:]
		}
	}
	for ok := false; !ok && len(b) > 0; {
		n := bytes.IndexByte(b, '\n') + 1
		ok = string(b[:n]) == "@RSYNCD: OK\n"
		cut("line", n)
	}
	cut("compatibility flags", 2)
	if len(b) > 0 {
		cut("checksums", 1+int(b[0]))
	}
	cut("seed", 4)
	return append(all, frames(b, false)...)
}

func frames(b []byte, up bool) []segment {
	var all []segment
	for len(b) >= 4 {
		n := min(4+int(b[0])+int(b[1])<<8+int(b[2])<<16, len(b))
		tag := wire.Tag(b[3] - 7)
		kind := "message"
		if tag == wire.TagData {
			kind = "data"
		}
		all = append(all, segment{up: up, kind: kind, tag: tag, data: b[:n]})
		b = b[n:]
	}
	if len(b) > 0 {
		all = append(all, segment{up: up, kind: "rest", data: b})
	}
	return all
}

// segments takes a recorded conversation apart and puts the pieces of both sides into the order
// in which they were complete.
func segments(chunks []chunk) []segment {
	var all []segment
	for _, up := range []bool{true, false} {
		var b []byte
		var ends []int // by chunk: the length of the stream when it had come
		for _, c := range chunks {
			if c.up == up {
				b = append(b, c.data...)
			}
			ends = append(ends, len(b))
		}
		list := serverSegments(b)
		if up {
			list = clientSegments(b)
		}
		at := 0
		for _, s := range list {
			at += len(s.data)
			s.order, _ = slices.BinarySearch(ends, at)
			all = append(all, s)
		}
	}
	slices.SortStableFunc(all, func(a, b segment) int { return a.order - b.order })
	return all
}

// print writes a segment as hex with the text beside it.
func (s segment) print(w io.Writer) {
	mark, title := "S>", s.kind
	if s.up {
		mark = "C>"
	}
	if s.kind == "message" {
		title = fmt.Sprintf("message, tag %d", s.tag)
	}
	fmt.Fprintf(w, "\n# %s, %d bytes\n", title, len(s.data))
	for part := range slices.Chunk(s.data, 16) {
		text := strings.Map(func(r rune) rune {
			if r < 0x20 || r > 0x7E {
				return '.'
			}
			return r
		}, latin1(part))
		fmt.Fprintf(w, "%s %-47s |%s|\n", mark, strings.TrimSpace(fmt.Sprintf("% x", part)), text)
	}
}

func latin1(b []byte) string {
	r := make([]rune, len(b))
	for i, c := range b {
		r[i] = rune(c)
	}
	return string(r)
}

var hexLine = regexp.MustCompile(`^([CS])> ((?:[0-9a-f]{2} ?)+)`)

// load reads both sides of a transcript.
func load(tb testing.TB, name string) (client, server []byte) {
	tb.Helper()
	f, err := os.Open(name)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		m := hexLine.FindStringSubmatch(lines.Text())
		if m == nil {
			continue
		}
		b, err := hex.DecodeString(strings.ReplaceAll(m[2], " ", ""))
		if err != nil {
			tb.Fatal(err)
		}
		if m[1] == "C" {
			client = append(client, b...)
		} else {
			server = append(server, b...)
		}
	}
	if err := lines.Err(); err != nil || len(client) == 0 || len(server) == 0 {
		tb.Fatalf("%s: %d bytes of the client, %d of the server, %v", name, len(client), len(server), err)
	}
	return client, server
}

// chunk is what one read brought.
type chunk struct {
	up   bool
	data []byte
}

// recorder relays one connection and keeps what passes.
type recorder struct {
	addr   string
	done   sync.WaitGroup
	mu     sync.Mutex // guards chunks
	chunks []chunk
}

func record(t *testing.T, target string, meddle bool) *recorder {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	rec := &recorder{addr: l.Addr().String()}
	rec.done.Go(func() {
		defer l.Close()
		client, err := l.Accept()
		if err != nil {
			return
		}
		defer client.Close()
		server, err := net.Dial("tcp", target)
		if err != nil {
			return
		}
		defer server.Close()
		var both sync.WaitGroup
		both.Go(func() { rec.forward(server, client, false, false) })
		rec.forward(client, server, true, meddle)
		both.Wait()
	})
	return rec
}

func (r *recorder) forward(from, to net.Conn, up, meddle bool) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			r.mu.Lock()
			r.chunks = append(r.chunks, chunk{up, bytes.Clone(buf[:n])})
			r.mu.Unlock()
		}
		if i := bytes.Index(buf[:n], []byte("DAMAGE")); i >= 0 && meddle {
			buf[i], meddle = 'd', false
		}
		if _, werr := to.Write(buf[:n]); err != nil || werr != nil {
			to.(*net.TCPConn).CloseWrite()
			return
		}
	}
}

func (r *recorder) wait() []chunk {
	r.done.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.chunks
}
