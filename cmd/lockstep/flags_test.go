package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/spf13/pflag"

	"github.com/lockstep-sync/lockstep/cmd/internal/agent"
	"github.com/lockstep-sync/lockstep/cmd/internal/options"
	"github.com/lockstep-sync/lockstep/syncer"
	"github.com/lockstep-sync/lockstep/syncer/filter"
)

// optionNames are those that lockstep has, as they are written.
func optionNames() map[string]bool {
	s := agent.Defaults()
	l := options.New(&s)
	names := map[string]bool{"--help": true, "--version": true, "-V": true}
	l.Flags().VisitAll(func(f *pflag.Flag) {
		names[options.Written(f)] = true
		if f.Shorthand != "" {
			names["-"+f.Shorthand] = true
		}
	})
	return names
}

// TestExplain: rsync's options get the word that helps, all others are unknown.
func TestExplain(t *testing.T) {
	lacks := func(name string) string {
		why, ok := options.RsyncOption(name)
		if !ok || why == "" {
			t.Errorf("nobody says why there is no %s", name)
		}
		return "option " + name + " of rsync is not supported by this version of lockstep: " + why
	}
	for arg, want := range map[string]string{
		"--iconv=utf8":            lacks("--iconv"),
		"--info=progress2":        lacks("--info"),
		"--no-iconv":              lacks("--no-iconv"),
		"--no-motd":               lacks("--no-motd"),
		"--no-s":                  lacks("--no-s"),
		"-av8":                    lacks("-8"),
		"-ad":                     lacks("-d"),
		"--no-inc-recurse":        `unknown option "--no-inc-recurse": did you mean --no-inc-recursive?`,
		"--no-foo":                `unknown option "--no-foo"`,
		"--exlcude=x":             `unknown option "--exlcude"`,
		"--exlude=x":              `unknown option "--exlude": did you mean --exclude?`,
		"--compres":               `unknown option "--compres": did you mean --compress or --compress-choice or --compress-level?`,
		"--delete-afer":           `unknown option "--delete-afer": did you mean --delete-after?`,
		"--hard-link":             `unknown option "--hard-link": did you mean --hard-links?`,
		"--x\ny":                  `unknown option "--x\ny"`,
		"--no-":                   `unknown option "--no-"`,
		"-Z":                      `unknown option "-Z"`,
		"-vD=x":                   "-D: it takes no value",
		"--exclude":               "--exclude: a value is missing",
		"--port=":                 `--port: "" is no port`,
		"--max-size=1x":           `--max-size: "1x": 'x' is no unit: B, K, M, G, T or P, with B behind it for powers of 1000`,
		"--bwlimit=0.1":           `--bwlimit: "0.1": it is too small: at least 512 bytes a second, or 0 for no limit`,
		"-B200k":                  `--block-size: "200k": it is too large: at most 131072`,
		"--modify-window=1s":      `--modify-window: "1s" is no number`,
		"--chmod=D755,f644":       `--chmod: mode "f644": "f644" is neither +, - or = nor an octal number`,
		"--usermap=me":            `--usermap: "me": it is no FROM:TO`,
		"--groupmap=":             `--groupmap: it is empty: write FROM:TO`,
		"--chown=a,b":             `--chown: "a,b" is no USER:GROUP: a comma is for --usermap and --groupmap`,
		"-M":                      "--remote-option: a value is missing",
		"-Mfoo":                   `--remote-option: "foo" is no option: it begins with a dash`,
		"--sockopts=SO_FOO":       `--sockopts: socket option "SO_FOO": it is unknown: SO_KEEPALIVE, SO_REUSEADDR, SO_BROADCAST, SO_SNDBUF, SO_RCVBUF, SO_RCVLOWAT, TCP_NODELAY, IPTOS_LOWDELAY, IPTOS_THROUGHPUT`,
		"--compress-choice=gzip":  `--compress-choice: "gzip" is none of zstd, lz4, zlibx, zlib, none`,
		"--files-from=none":       `--files-from: read "none": no such file or directory`,
		"--files-from=:list":      `--files-from: ":list" is no local file: the list is read here (a name with a colon is written ./NAME)`,
		"--files-from=h:list":     `--files-from: "h:list" is no local file: the list is read here (a name with a colon is written ./NAME)`,
		"-xx":                     "--one-file-system: given twice it leaves out mount points in rsync, which lockstep cannot: once keeps them, empty",
		"--del --delete-after":    "--delete-after: --del was given before: there is one time to delete",
		"--chown=a --usermap=*:b": "--usermap: --chown was given before: put all rules into one",
		"--usermap=*:b --chown=a": "--chown: --usermap was given before: put all rules into one",
		"--chown=:a --chown=:b":   "--chown: --chown was given before: put all rules into one",
		"-b --suffix=":            "--suffix is empty: without --backup-dir a backup would be the file itself",
		"-b --suffix=/x":          `--suffix "/x" holds a slash: --backup-dir is for another directory`,
		"--backup-dir= --suffix=": "--suffix is empty: without --backup-dir a backup would be the file itself",
	} {
		args := strings.Split(arg, " ")
		if !strings.Contains(arg, " -") {
			args = []string{arg}
		}
		_, _, err := parse(args, io.Discard)
		if err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", arg, err, want)
		}
	}
}

// TestParse: the settings that command lines make.
func TestParse(t *testing.T) {
	type settings = agent.Settings
	for line, change := range map[string]func(*settings){
		"":                 func(*settings) {},
		"-a":               func(*settings) {},
		"-rlptgoD":         func(*settings) {},
		"-a --no-p":        func(s *settings) { s.Perms = false },
		"--no-p -a":        func(*settings) {},
		"--no-a -rt":       func(s *settings) { s.Options = syncer.Defaults(); s.Recurse, s.Times = true, true },
		"--no-archive":     func(s *settings) { s.Options = syncer.Defaults() },
		"-r --no-r":        func(s *settings) { s.Recurse = false },
		"--no-r -r":        func(*settings) {},
		"--no-D --devices": func(s *settings) { s.Specials = false },
		"-D --no-specials": func(s *settings) { s.Specials = false },
		"-vvv":             func(s *settings) { s.Verbose = 3 },
		"-niqcWx": func(s *settings) {
			s.DryRun, s.Itemize, s.Quiet, s.Checksum, s.WholeFile, s.OneFileSystem = true, true, true, true, true, true
		},
		"-W --no-W":             func(*settings) {},
		"--del":                 func(s *settings) { s.Delete = true },
		"--delete --max-delete": nil,
		"--max-delete=0":        func(s *settings) { s.MaxDelete, s.DeleteLimit = 0, agent.Limit{Set: true} },
		"--max-delete=-7":       func(s *settings) { s.MaxDelete, s.DeleteLimit = 0, agent.Limit{Set: true} },
		"--max-delete 9":        func(s *settings) { s.MaxDelete, s.DeleteLimit = 9, agent.Limit{Set: true, Names: 9} },
		"--timeout=30":          func(s *settings) { s.Timeout, s.TimeoutGiven = 30*time.Second, true },
		"--timeout=0":           func(s *settings) { s.TimeoutGiven = true },
		"--contimeout 1m30s":    func(s *settings) { s.ConTimeout, s.ConGiven = 90*time.Second, true },
		"--timeout=1e3":         nil,
		"--settle=0s":           func(s *settings) { s.Settle = 0 },
		"--max-delay=2s":        func(s *settings) { s.MaxDelay = 2 * time.Second },
		"--grace=1m":            func(s *settings) { s.Grace = time.Minute },
		"--port 8873":           func(s *settings) { s.Port = 8873 },
		"--port 0x1":            nil,
		"--numeric-ids --stats": func(s *settings) { s.NumericIDs, s.Stats = true, true },
		"-H -AXUNE": func(s *settings) {
			s.HardLinks, s.ACLs, s.Xattrs, s.Atimes, s.Crtimes, s.Executability = true, true, true, true, true, true
		},
		"-HAXUNSOJRm --no-H --no-A --no-X --no-U --no-N --no-S --no-O --no-J --no-R --no-m": func(*settings) {},
		"--no-p -A":                               func(s *settings) { s.ACLs = true },
		"-L -k -K --safe-links":                   func(s *settings) { s.CopyLinks, s.CopyDirlinks, s.KeepDirlinks, s.SafeLinks = true, true, true, true },
		"--copy-unsafe-links":                     func(s *settings) { s.CopyUnsafeLinks = true },
		"--munge-links":                           func(s *settings) { s.MungeLinks = true },
		"-R --no-implied-dirs":                    func(s *settings) { s.Relative, s.NoImpliedDirs = true, true },
		"--no-i-d --i-d":                          func(*settings) {},
		"-m --max-size=1.5k":                      func(s *settings) { s.PruneEmptyDirs, s.MaxSize = true, 1536 },
		"--min-size=1KB -B 700":                   func(s *settings) { s.MinSize, s.BlockSize = 1000, 700 },
		"--fake-super --fsync":                    func(s *settings) { s.FakeSuper, s.Fsync = true, true },
		"--usermap=a:b --groupmap=*:c --no-o":     func(s *settings) { s.Usermap, s.Groupmap, s.Owner = "a:b", "*:c", false },
		"--no-o --no-g --chown=a:b":               func(s *settings) { s.Usermap, s.Groupmap = "*:a", "*:b" },
		"--chown=a":                               func(s *settings) { s.Usermap = "*:a" },
		"--chown=:b":                              func(s *settings) { s.Groupmap = "*:b" },
		"--size-only -I -u":                       func(s *settings) { s.SizeOnly, s.IgnoreTimes, s.Update = true, true, true },
		"-@1":                                     func(s *settings) { s.ModifyWindow = 1 },
		"--modify-window=-1":                      func(*settings) {},
		"--existing":                              func(s *settings) { s.Existing = true },
		"--ignore-non-existing --ignore-existing": func(s *settings) { s.Existing, s.IgnoreExisting = true, true },
		"--inplace":                               func(s *settings) { s.Inplace = true },
		"--append --append-verify":                func(s *settings) { s.AppendVerify = true },
		"--append-verify --append":                func(s *settings) { s.Append = true },
		"--append --no-append":                    func(*settings) {},
		"-b":                                      func(s *settings) { s.Backup, s.Suffix, s.OmitDirTimes = true, "~", true },
		"-b --suffix=.o":                          func(s *settings) { s.Backup, s.Suffix, s.OmitDirTimes = true, ".o", true },
		"--backup-dir=old":                        func(s *settings) { s.Backup, s.BackupDir = true, "old" },
		"--backup-dir=o --suffix=.o":              func(s *settings) { s.Backup, s.BackupDir, s.Suffix = true, "o", ".o" },
		"-b --no-backup":                          func(*settings) {},
		"-P":                                      func(s *settings) { s.Partial, s.Progress = true, true },
		"-P --no-partial --no-progress":           func(*settings) {},
		"--partial-dir=.p/":                       func(s *settings) { s.Partial, s.PartialDir = true, ".p" },
		"--partial-dir=.":                         func(s *settings) { s.Partial = true },
		"-T tmp --delay-updates":                  func(s *settings) { s.TempDir, s.DelayUpdates = "tmp", true },
		"-y --mkpath --no-i-r":                    func(s *settings) { s.Fuzzy, s.Mkpath, s.NoIncRecurse = true, true, true },
		"--delete-before":                         func(s *settings) { s.Delete, s.DeleteWhen = true, syncer.DeleteBefore },
		"--delete --delete-after":                 func(s *settings) { s.Delete, s.DeleteWhen = true, syncer.DeleteAfter },
		"--del --delete-delay":                    func(s *settings) { s.Delete, s.DeleteWhen = true, syncer.DeleteDelay },
		"--delete-delay --del":                    func(s *settings) { s.Delete, s.DeleteWhen = true, syncer.DeleteDuring },
		"--delete-excluded":                       func(s *settings) { s.Delete, s.DeleteExcluded = true, true },
		"--force --ignore-errors":                 func(s *settings) { s.Force, s.IgnoreErrors = true, true },
		"-h -v":                                   func(s *settings) { s.Human, s.Verbose = 2, 1 },
		"-hh --no-h -h":                           func(*settings) {},
		"-vv --no-v -i --no-i":                    func(*settings) {},
		"-z":                                      func(s *settings) { s.Compress = true },
		"-zz":                                     func(s *settings) { s.Compress, s.CompressChoice = true, "zlibx" },
		"-zz --no-z -z":                           func(s *settings) { s.Compress = true },
		"--zc=zstd":                               func(s *settings) { s.Compress, s.CompressChoice = true, "zstd" },
		"-z --compress-choice=none":               func(s *settings) { s.CompressChoice = "none" },
		"--zc=auto":                               func(s *settings) { s.Compress = true },
		"--zl=9":                                  func(s *settings) { s.Compress, s.CompressLevel, s.LevelGiven = true, 9, true },
		"--compress-level=-5":                     func(s *settings) { s.Compress, s.CompressLevel, s.LevelGiven = true, -5, true },
		"--zl=0":                                  func(s *settings) { s.LevelGiven = true },
		"--old-compress":                          func(s *settings) { s.Compress, s.CompressChoice = true, "zlib" },
		"--new-compress":                          func(s *settings) { s.Compress, s.CompressChoice = true, "zlibx" },
		"--skip-compress=gz/z":                    func(s *settings) { s.SkipCompress, s.SkipGiven = "gz/z", true },
		"--skip-compress=":                        func(s *settings) { s.SkipGiven = true },
		"--bwlimit=20m":                           func(s *settings) { s.Bwlimit = 20 << 20 },
		"--bwlimit=3 --no-bwlimit":                func(*settings) {},
		"--timeout=9 --no-timeout":                func(s *settings) { s.TimeoutGiven = true },
		"-e ssh\x01-p2 --rsync-path=/r":           func(s *settings) { s.Rsh, s.RsyncPath = "ssh\x01-p2", "/r" },
		"-M--fake-super -M -v":                    func(s *settings) { s.RemoteOptions = []string{"--fake-super", "-v"} },
		"-4 -6":                                   func(s *settings) { s.Family = 6 },
		"-4 --address=::1 --sockopts=SO_KEEPALIVE": func(s *settings) { s.Family, s.Address, s.Sockopts = 4, "::1", "SO_KEEPALIVE" },
		"--no-prewarm --protocol=30":               func(s *settings) { s.NoPrewarm, s.Protocol = true, 30 },
	} {
		// A name among the options: it must not end them.
		got, _, err := parse(append(append([]string{"src"}, strings.Fields(line)...), "dst"), io.Discard)
		if change == nil {
			if err == nil {
				t.Errorf("%q is taken", line)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", line, err)
			continue
		}
		want := agent.Defaults()
		want.Source, want.Target = "src", "dst"
		change(&want)
		if diff := cmp.Diff(want, *got, cmpopts.IgnoreUnexported(filter.Builder{}), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%q (-want +got):\n%s", line, diff)
		}
	}
}

// TestEnvironment: what rsync takes from there.
func TestEnvironment(t *testing.T) {
	t.Setenv("RSYNC_RSH", "ssh -p 2222")
	t.Setenv("RSYNC_PARTIAL_DIR", ".rsync-tmp")
	for line, want := range map[string][2]string{ // remote shell, directory of partial files
		"src dst":                          {},
		"src h::m":                         {},
		"src h:dst":                        {"ssh -p 2222", ""},
		"-e rsh src h:dst":                 {"rsh", ""},
		"-P src dst":                       {"", ".rsync-tmp"},
		"--partial --partial-dir=p src d":  {"", "p"},
		"--partial --inplace src dst":      {},
		"--partial --append src dst":       {},
		"--partial --delay-updates src d":  {},
		"--partial-dir=p --no-partial s d": {"", "p"},
	} {
		s, _, err := parse(strings.Fields(line), io.Discard)
		if err != nil {
			t.Errorf("%q: %v", line, err)
			continue
		}
		one := s.Each()[0]
		if got := [2]string{one.Rsh, one.PartialDir}; got != want {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
	}
}

// TestOwnRules: rules that options bring along stand behind all others.
func TestOwnRules(t *testing.T) {
	for line, want := range map[string][]string{
		"-a":                                   nil,
		"--partial-dir=.p":                     {"-p .p/"},
		"--partial-dir=/p":                     nil,
		"--delay-updates":                      {"-p .~tmp~/"},
		"--delay-updates --partial-dir=p":      {"-p p/"},
		"-b":                                   nil,
		"-b --delete":                          {"-r *~"},
		"-b --suffix=.o --delete":              {"-r *.o"},
		"-b --delete-excluded":                 nil,
		"--backup-dir=b --delete":              nil,
		"--partial-dir=p --exclude=x":          {"- x", "-p p/"},
		"--delete -b --partial-dir=p --del -a": {"-p p/", "-r *~"},
	} {
		s, _, err := parse(append(strings.Fields(line), "src", "dst"), io.Discard)
		if err != nil {
			t.Errorf("%q: %v", line, err)
			continue
		}
		rules, err := s.Filter.Build().Wire(false)
		must(t, err)
		if diff := cmp.Diff(want, rules, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%q (-want +got):\n%s", line, diff)
		}
	}
}

// TestUsage: the help names every option and every exit code there is, no other, and fits
// a terminal.
func TestUsage(t *testing.T) {
	for i, line := range strings.Split(usage, "\n") {
		if n := utf8.RuneCountInString(line); n > 92 || strings.TrimRight(line, " ") != line || strings.Contains(line, "\t") {
			t.Errorf("line %d has %d columns, a tab, or blanks at its end: %q", i+1, n, line)
		}
	}
	d := agent.Defaults()
	for _, number := range []string{
		"sent (default " + d.Settle.String(), "wait (default " + d.MaxDelay.String(), "pending (default " + d.Grace.String(),
		"default " + d.LogLevel, fmt.Sprint("default ", syncer.DefaultPort),
		fmt.Sprint("with --watch ", agent.DefaultWatchTimeout.Seconds()), fmt.Sprint("with --watch ", agent.DefaultConTimeout.Seconds()),
	} {
		if !strings.Contains(usage, number) {
			t.Errorf("the help does not say %q", number)
		}
	}
	head, codes, ok := strings.Cut(usage, "\nExit codes")
	if !ok {
		t.Fatal("no exit codes")
	}
	var told []int
	for _, m := range regexp.MustCompile(`(?m)^ +(\d+)  \S`).FindAllStringSubmatch(codes, -1) {
		n, err := strconv.Atoi(m[1])
		must(t, err)
		told = append(told, n)
	}
	if diff := cmp.Diff(exitCodes(t), told); diff != "" {
		t.Errorf("exit codes (-package report +help):\n%s", diff)
	}

	named := map[string]bool{}
	for _, m := range regexp.MustCompile(`(^|[\s(,])(--?[a-zA-Z0-9@][a-z0-9-]*)`).FindAllStringSubmatch(head, -1) {
		named[m[2]] = true
	}
	// "-n -i" of the example and "no-OPTION" are no new names.
	delete(named, "--no-")
	have := optionNames()
	// Names that rsync has for the curious; what lockstep does anyway.
	other := []string{"--implied-dirs", "--i-d", "--no-i-d", "--inc-recursive", "--no-inc-recursive", "--i-r", "--no-i-r"}
	for name := range have {
		if long := "--" + strings.TrimPrefix(name, "--no-"); strings.HasPrefix(name, "--no-") && (named[long] || len(long) == 3) {
			continue // every option that has a "--no-" form is told to have it
		}
		if !named[name] && !slices.Contains(other, name) {
			t.Errorf("the help does not name %s", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(named)) {
		if !have[name] && !slices.Contains([]string{"-rlpt", "-rlptgo", "-1"}, name) {
			t.Errorf("the help names %s, which is unknown", name)
		}
	}
}

// exitCodes are the constants of type Code in package report, which cannot be imported here.
func exitCodes(t *testing.T) []int {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../../syncer/internal/report/failure.go", nil, 0)
	must(t, err)
	var codes []int
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if id, ok := spec.Type.(*ast.Ident); !ok || id.Name != "Code" {
			return true
		}
		for _, v := range spec.Values {
			code, err := strconv.Atoi(v.(*ast.BasicLit).Value)
			must(t, err)
			codes = append(codes, code)
		}
		return true
	})
	slices.Sort(codes)
	return codes
}
