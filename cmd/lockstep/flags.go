package main

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/lockstep-sync/lockstep/cmd/internal/agent"
)

// parse reads the command line. done says that it was a question (--help, --version),
// answered on stdout.
func parse(args []string, stdout io.Writer) (s *agent.Settings, done bool, err error) {
	d := agent.Defaults()
	s = &d
	if p, ok := os.LookupEnv("RSYNC_PASSWORD"); ok {
		s.Password, s.HasPassword = p, true
	}
	fs := pflag.NewFlagSet("lockstep", pflag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.SortFlags = false
	help := fs.BoolP("help", "h", false, "")
	version := fs.BoolP("version", "V", false, "")
	addFlags(fs, s)
	if err := fs.Parse(args); err != nil {
		return nil, false, explain(err)
	}
	switch {
	case *help:
		_, err := io.WriteString(stdout, usage)
		return s, true, err
	case *version:
		_, err := fmt.Fprintln(stdout, versionText())
		return s, true, err
	}
	switch fs.NArg() {
	case 0, 1:
		return nil, false, errors.New("a source and a target are needed: lockstep [OPTION…] SRC DST")
	case 2:
	default:
		return nil, false, fmt.Errorf("one source and one target are needed, there are %d arguments: %q", fs.NArg(), fs.Args())
	}
	s.Source, s.Target = fs.Arg(0), fs.Arg(1)
	return s, false, nil
}

// action is a flag without a value that does something where it stands: as in rsync, of
// --perms and --no-perms the later one counts.
type action struct {
	do    func(on bool)
	count int
}

func (a *action) String() string   { return "" }
func (a *action) Type() string     { return "bool" }
func (a *action) IsBoolFlag() bool { return true }
func (a *action) Set(v string) error {
	on, err := strconv.ParseBool(v)
	if err == nil {
		a.do(on)
	}
	return err
}

// value is a flag with a value that is parsed where it stands.
type value struct{ set func(string) error }

func (v value) String() string     { return "" }
func (v value) Type() string       { return "value" }
func (v value) Set(s string) error { return v.set(s) }

func addFlags(fs *pflag.FlagSet, s *agent.Settings) {
	on := func(long, short string, do func(on bool)) {
		f := fs.VarPF(&action{do: do}, long, short, "")
		f.NoOptDefVal = "true"
	}
	// part is an option that -a holds: it comes with a "--no-" form, long and short.
	part := func(long, short string, targets ...*bool) {
		set := func(v bool) func(bool) {
			return func(on bool) {
				for _, t := range targets {
					*t = v == on
				}
			}
		}
		on(long, short, set(true))
		on("no-"+long, "", set(false))
		if short != "" {
			on("no-"+short, "", set(false))
		}
	}
	val := func(long, short string, set func(string) error) { fs.VarP(value{set}, long, short, "") }

	part("archive", "a", &s.Recurse, &s.Links, &s.Perms, &s.Times, &s.Group, &s.Owner, &s.Devices, &s.Specials)
	part("recursive", "r", &s.Recurse)
	part("links", "l", &s.Links)
	part("perms", "p", &s.Perms)
	part("times", "t", &s.Times)
	part("group", "g", &s.Group)
	part("owner", "o", &s.Owner)
	part("devices", "", &s.Devices)
	part("specials", "", &s.Specials)
	on("devices-and-specials", "D", func(on bool) { s.Devices, s.Specials = on, on })
	on("no-D", "", func(on bool) { s.Devices, s.Specials = !on, !on })
	fs.Lookup("devices-and-specials").Hidden = true // rsync has the letter alone

	on("verbose", "v", func(on bool) { s.Verbose++ })
	on("quiet", "q", func(on bool) { s.Quiet = on })
	on("dry-run", "n", func(on bool) { s.DryRun = on })
	on("itemize-changes", "i", func(on bool) { s.Itemize = on })
	on("stats", "", func(on bool) { s.Stats = on })
	on("progress", "", func(on bool) { s.Progress = on })
	on("checksum", "c", func(on bool) { s.Checksum = on })
	on("whole-file", "W", func(on bool) { s.WholeFile = on })
	on("no-whole-file", "", func(on bool) { s.WholeFile = !on })
	on("no-W", "", func(on bool) { s.WholeFile = !on })
	on("one-file-system", "x", func(on bool) { s.OneFileSystem = on })
	on("numeric-ids", "", func(on bool) { s.NumericIDs = on })
	on("delete", "", func(on bool) { s.Delete = on })
	on("del", "", func(on bool) { s.Delete = on })
	on("allow-empty", "", func(on bool) { s.AllowEmpty = on })
	on("watch", "", func(on bool) { s.Watch = on })
	on("no-tune", "", func(on bool) { s.NoTune = on })

	val("max-delete", "", func(v string) (err error) {
		s.MaxDelete, err = strconv.ParseInt(v, 10, 32)
		if err != nil {
			return fmt.Errorf("%q is no number", v)
		}
		return nil
	})
	val("exclude", "", func(v string) error { return s.Filter.Exclude(v) })
	val("include", "", func(v string) error { return s.Filter.Include(v) })
	val("filter", "f", func(v string) error { return s.Filter.Filter(v) })
	val("exclude-from", "", fromFile(s.Filter.ExcludeFrom))
	val("include-from", "", fromFile(s.Filter.IncludeFrom))
	val("password-file", "", func(v string) error { s.PasswordFile = v; return nil })
	val("port", "", func(v string) (err error) {
		s.Port, err = strconv.Atoi(v)
		if err != nil {
			return fmt.Errorf("%q is no port", v)
		}
		return nil
	})
	val("timeout", "", seconds(&s.Timeout, &s.TimeoutGiven))
	val("contimeout", "", seconds(&s.ConTimeout, &s.ConGiven))
	fs.DurationVar(&s.Settle, "settle", s.Settle, "")
	fs.DurationVar(&s.MaxDelay, "max-delay", s.MaxDelay, "")
	fs.DurationVar(&s.Grace, "grace", s.Grace, "")
	fs.StringVar(&s.LogLevel, "log-level", s.LogLevel, "")
	fs.StringVar(&s.LogFormat, "log-format", s.LogFormat, "")
}

// seconds reads rsync's times: whole seconds, 0 for none; 1m30s is understood too.
func seconds(d *time.Duration, given *bool) func(string) error {
	return func(v string) error {
		*given = true
		if n, err := strconv.ParseInt(v, 10, 32); err == nil && n >= 0 && n <= math.MaxInt32 {
			*d = time.Duration(n) * time.Second
			return nil
		}
		parsed, err := time.ParseDuration(v)
		if err != nil || parsed < 0 {
			return fmt.Errorf("%q is no number of seconds", v)
		}
		*d = parsed
		return nil
	}
}

func fromFile(read func(io.Reader, string) error) func(string) error {
	return func(name string) error {
		if name == "-" {
			return read(os.Stdin, "standard input")
		}
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		return read(f, name)
	}
}

// explain says what is wrong with a command line, in its user's words.
func explain(err error) error {
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) {
		return err
	}
	name := "--" + unknown.GetSpecifiedName()
	if shorts := unknown.GetSpecifiedShortnames(); shorts != "" {
		name = "-" + unknown.GetSpecifiedName()
	}
	if rsyncOption(name) {
		return fmt.Errorf("option %s of rsync is not supported by this version of lockstep", name)
	}
	return fmt.Errorf("unknown option %s", name)
}

// rsyncOption says whether rsync 3.5 has an option that we do not.
func rsyncOption(name string) bool {
	name, _, _ = strings.Cut(name, "=")
	return strings.Contains(" "+rsyncOptions+" ", " "+strings.TrimPrefix(name, "--no-")+" ") ||
		strings.Contains(" "+rsyncOptions+" ", " "+strings.Replace(name, "--no-", "--", 1)+" ")
}

const rsyncOptions = "-H -A -X -E -S -z -u -b -d -e -k -L -K -R -m -C -F -y -P -U -N -O -J -I -B -T -M -s -0 -4 -6 -8 " +
	"--hard-links --acls --xattrs --executability --sparse --compress --update --backup --dirs --old-dirs --rsh " +
	"--copy-dirlinks --copy-links --keep-dirlinks --relative --prune-empty-dirs --cvs-exclude --fuzzy --partial " +
	"--atimes --crtimes --omit-dir-times --omit-link-times --ignore-times --block-size --temp-dir --remote-option " +
	"--secluded-args --protect-args --from0 --ipv4 --ipv6 --8-bit-output --info --debug --stderr --no-motd " +
	"--inc-recursive --backup-dir --suffix --inplace --append --append-verify --mkpath --copy-unsafe-links --safe-links " +
	"--munge-links --chmod --copy-devices --write-devices --super --fake-super --open-noatime --preallocate " +
	"--checksum-choice --rsync-path --existing --ignore-existing --remove-source-files --delete-before --delete-during " +
	"--delete-delay --delete-after --delete-excluded --ignore-missing-args --delete-missing-args --ignore-errors --force " +
	"--max-size --min-size --max-alloc --partial-dir --delay-updates --groupmap --usermap --chown --size-only " +
	"--modify-window --compare-dest --copy-dest --link-dest --compress-choice --compress-level --compress-threads " +
	"--skip-compress --files-from --trust-sender --old-args --address --sockopts --blocking-io --outbuf --human-readable " +
	"--log-file --log-file-format --early-input --list-only --bwlimit --stop-after --stop-at --fsync --write-batch " +
	"--only-write-batch --read-batch --protocol --iconv --checksum-seed --out-format --implied-dirs --insecure-links --config --daemon"

func versionText() string {
	version := "(devel)"
	if bi, ok := debug.ReadBuildInfo(); ok && bi.Main.Version != "" {
		version = bi.Main.Version
	}
	return "lockstep " + version + ", rsync protocol versions 30 to 32"
}
