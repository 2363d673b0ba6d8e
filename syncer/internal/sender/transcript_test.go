package sender_test

import (
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
	"github.com/lockstep-sync/lockstep/syncer/internal/option"
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
	pieces bool     // the list goes in pieces

	opts    func(*sender.Options)
	job     func(*sender.Job)
	missing []string
	flags   map[string]flist.Flag // of directories; "." is Top where nothing is said

	// ours is our argument vector, without capabilities; the client's is in the transcript.
	ours []string
	// reordered says why our list is not in the client's order; then the entries are compared.
	reordered string

	code  report.Code
	held  bool // --max-delete stopped deletions: the client exits with 0, we see it
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
			ours: []string{"--server", "-lWtpr", "--modify-window=-1", "."}},
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
			ours: []string{"--server", "-logDtpr", "--modify-window=-1", "--numeric-ids", "."}},
		{name: "checksum", args: more("-c"), src: hello,
			dst:  func(t *testing.T, dir string) { put(t, dir, "hello.txt", "HELLO WORLD\n") },
			opts: func(o *sender.Options) { o.Checksum = true },
			ours: []string{"--server", "-ltprc", "--modify-window=-1", "."}},
		{name: "dry-run", args: more("-n", "--delete"), src: hello,
			dst:  func(t *testing.T, dir string) { put(t, dir, "gone", "x") },
			opts: func(o *sender.Options) { o.DryRun = true }, job: func(j *sender.Job) { j.Prune, j.Delete = true, true },
			ours:  []string{"--server", "-nltpr", "--delete-during", "--force", "--modify-window=-1", "."},
			items: []string{"*deleting   gone", ".d..t...... ./", "<f+++++++++ hello.txt"}},
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
			code: report.CodeOK, held: true},
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
			items:     []string{"*deleting   gone.txt", "*deleting   gonedir/in", "*deleting   gonedir/", "*deleting   a/old", ".d..t...... a/", "<f+++++++++ a/new.txt"}},
		{name: "auth", args: base, src: hello, auth: true,
			ours: []string{"--server", "-ltpr", "--modify-window=-1", "."}},
		{name: "hard-links", args: more("-H"), src: linkedNames,
			dst:       func(t *testing.T, dir string) { put(t, dir, "d/second", "other") },
			opts:      func(o *sender.Options) { o.HardLinks = true },
			reordered: "the client lists names as readdir(3) gives them, we in order",
			ours:      []string{"--server", "-lHtpr", "--modify-window=-1", "."}},
		{name: "acls", args: more("-A"), src: withACLs,
			opts:      func(o *sender.Options) { o.ACLs = true },
			reordered: "the client lists names as readdir(3) gives them, we in order",
			ours:      []string{"--server", "-ltpAr", "--modify-window=-1", "."}},
		{name: "xattrs", args: more("-X"), src: withXattrs,
			opts:      func(o *sender.Options) { o.Xattrs = true },
			reordered: "the client lists names as readdir(3) gives them, we in order",
			ours:      []string{"--server", "-ltpXr", "--modify-window=-1", "."}},
		{name: "hard-links-acls-xattrs", args: more("-HAX"),
			src: func(t *testing.T, dir string) {
				linkedNames(t, dir)
				withACLs(t, dir)
				withXattrs(t, dir)
			},
			opts:      func(o *sender.Options) { o.HardLinks, o.ACLs, o.Xattrs = true, true, true },
			reordered: "the client lists names as readdir(3) gives them, we in order",
			ours:      []string{"--server", "-lHtpAXr", "--modify-window=-1", "."}},
		{name: "pieces", args: []string{"-a", seedArg}, src: chain, pieces: true,
			opts:  func(o *sender.Options) { o.Owner, o.Group, o.Devices, o.Specials = true, true, true, true },
			ours:  []string{"--server", "-logDtpr", "--modify-window=-1", "."},
			items: []string{".d..t...... ./", "cd+++++++++ d/", "cd+++++++++ d/e/", "<f+++++++++ d/e/f", "cd+++++++++ d/e/empty/"}},
		{name: "pieces-protocol30", args: []string{"-a", seedArg, "--protocol=30"}, src: chain, pieces: true,
			opts: func(o *sender.Options) {
				o.Owner, o.Group, o.Devices, o.Specials, o.Protocol = true, true, true, true, 30
			},
			ours: []string{"--server", "-logDtpr", "--modify-window=-1", "."}},
		{name: "pieces-redo", args: []string{"-rlpt", seedArg}, meddle: true, pieces: true,
			src:  func(t *testing.T, dir string) { put(t, dir, "d/f", "take care of DAMAGE on the way\n") },
			ours: []string{"--server", "-ltpr", "--modify-window=-1", "."}},
		{name: "pieces-delete", args: []string{"-rlpt", seedArg, "--delete"}, src: chain, pieces: true,
			dst:  func(t *testing.T, dir string) { put(t, dir, "d/gone", "x"); put(t, dir, "d/e/gone/too", "x") },
			job:  func(j *sender.Job) { j.Prune, j.Delete = true, true },
			ours: []string{"--server", "-ltpr", "--delete-during", "--force", "--modify-window=-1", "."}},
		{name: "pieces-hard-links-acls-xattrs", args: []string{"-aHAX", seedArg}, src: spread, pieces: true,
			reordered: "the client lists names as readdir(3) gives them, we in order",
			opts: func(o *sender.Options) {
				o.Owner, o.Group, o.Devices, o.Specials, o.HardLinks, o.ACLs, o.Xattrs = true, true, true, true, true, true, true
			},
			ours: []string{"--server", "-lHogDtpAXr", "--modify-window=-1", "."}},
		{name: "append", args: more("--append"), src: big("EDIT"), dst: beginning,
			opts:  func(o *sender.Options) { o.Append, o.Inplace = true, true },
			ours:  []string{"--server", "-ltpr", "--append", "--modify-window=-1", "."},
			stats: deltaStats, want: report.Stats{Literal: 10_240 - 5000}},
		{name: "append-verify", args: more("--append-verify"), src: big(""), dst: beginning,
			opts:  func(o *sender.Options) { o.AppendVerify, o.Inplace = true, true },
			ours:  []string{"--server", "-ltpr", "--append", "--append", "--modify-window=-1", "."},
			stats: deltaStats, want: report.Stats{Literal: 10_240 - 5000}},
		{name: "append-verify-redo", args: more("--append-verify", "--no-W"), src: big("EDIT"), dst: beginning,
			opts: func(o *sender.Options) { o.AppendVerify, o.Inplace = true, true },
			ours: []string{"--server", "-ltpr", "--append", "--append", "--modify-window=-1", "."}},
		{name: "inplace", args: more("--inplace", "--no-W"), src: shuffled, dst: big(""),
			opts: func(o *sender.Options) { o.Inplace = true },
			ours: []string{"--server", "-ltpr", "--inplace", "--modify-window=-1", "."}},
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
	set := option.Defaults()
	set.Recurse, set.Links, set.Perms, set.Times = true, true, true, true
	opts := sender.Options{Set: set, Protocol: sender.MaxProtocol, Checksums: []checksum.Kind{checksum.MD5}}
	var items []string
	opts.Sink.Item = func(it report.Item) { items = append(items, it.String()) }
	if tr.opts != nil {
		tr.opts(&opts)
	}
	format := tr.format(&opts)
	recorded, rest := theirs.list(t, format)
	list := sender.NewList(tr.entries(t, src, recorded, format))
	job := sender.Job{List: list}
	if tr.pieces {
		job = sender.Job{Walk: walkOf(&list)}
	}
	if tr.job != nil {
		tr.job(&job)
	}
	tree, err := source.Open(src, source.Options{Set: option.Set{Recurse: true, Links: true, Devices: true, Specials: true}})
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Close()
	module := sender.Module{Name: "m"}
	if tr.auth {
		module.User, module.Password = "alice", func() (string, error) { return "secret", nil }
	}
	res, said, err := converse(t, server, opts, &module, &job, tree)
	if held := res.IOError&wire.IOErrorDelLimit != 0; held != tr.held {
		t.Errorf("deletions held %v, want %v", held, tr.held)
	}
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
	// We offer neither md4, whose seed goes where it likes, nor sha1, which is slow.
	if diff := cmp.Diff(strings.TrimSuffix(theirs.offer[1:], " md4 sha1"), ours.offer[1:]); diff != "" {
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
		mine, myRest := ours.list(t, format)
		sortLinks(recorded)
		sortLinks(mine)
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
	case res.Partial:
		return report.CodePartial
	}
	return report.CodeOK
}

func (tr *transcript) format(o *sender.Options) flist.Format {
	f := flist.Format{
		Protocol: o.Protocol, VarintFlags: true, SafeEnd: true, ID0Names: true, Links: o.Links,
		Owner: o.Owner, Group: o.Group, Devices: o.Devices, Specials: o.Specials, NumericIDs: o.NumericIDs,
		HardLinks: o.HardLinks, ACLs: o.ACLs, Xattrs: o.Xattrs, Inline: tr.pieces,
	}
	if o.Checksum {
		f.SumLen = 16
	}
	return f
}

// entries lists the source as the client saw it. The size of a directory is its file system's
// affair, and so is taken from the transcript; owners are those of who recorded.
func (tr *transcript) entries(t *testing.T, src string, recorded []flist.Entry, f flist.Format) (list sender.Entries) {
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
			if e.More().Link, err = os.Readlink(name); err != nil {
				return err
			}
		}
		readMeta(t, &e, name, &st, f)
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
