package options

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/lockstep-sync/lockstep/cmd/internal/agent"
	"github.com/lockstep-sync/lockstep/syncer"
)

// addOutput: what is printed.
func (l *Line) addOutput() {
	const logs = "a service logs: log-level says how much"
	s := l.s
	l.On("verbose", "v", func() { s.Verbose++ }).onLine(logs).about("names of what is sent or deleted, and a summary")
	l.On("no-verbose", "", func() { s.Verbose = 0 })
	l.On("no-v", "", func() { s.Verbose = 0 })
	// rsync's --quiet takes no value. With one it says how long what matches must have been quiet.
	l.bare("quiet", "q", func() error { s.Quiet = true; return nil }, func(v string) error {
		q, err := agent.ParseQuiet(v)
		s.Quieter = append(s.Quieter, q)
		return err
	}).list().bareOnLine(logs).about("what matches must have been quiet for a time of its own, as '*.log=30s,5m'")
	l.Set("dry-run", "n", &s.DryRun).onLine("a service is there to act; lockstep check says what it would do").about("show what would be done, do nothing")
	l.toggle("itemize-changes", "i", &s.Itemize).onLine(logs).about("a line for each change, as rsync's")
	l.Set("stats", "", &s.Stats).onLine("lockstep status has the figures of a service").about("figures at the end")
	l.toggle("progress", "", &s.Progress).onLine("lockstep status --follow shows it").about("a progress bar")
	l.On("human-readable", "h", func() { s.Human++ }).onLine(logs).about("figures with units")
	l.On("no-human-readable", "", func() { s.Human = 0 })
	l.On("no-h", "", func() { s.Human = 0 })
}

// addWire: connections, and what goes over them.
func (l *Line) addWire() {
	s := l.s
	l.addCompression()
	l.Val("bwlimit", "", parsed(&s.Bwlimit, syncer.ParseRate)).as(Size).about("KiB a second, or as 20m")
	l.On("no-bwlimit", "", func() { s.Bwlimit = 0 })
	l.Val("timeout", "", seconds(&s.Timeout, &s.TimeoutGiven)).as(Seconds).about("give up when nothing moves for so long; 0 is never")
	l.On("no-timeout", "", func() { s.Timeout, s.TimeoutGiven = 0, true })
	l.Val("contimeout", "", seconds(&s.ConTimeout, &s.ConGiven)).as(Seconds).about("give up connecting after so long; 0 is never")
	l.On("no-contimeout", "", func() { s.ConTimeout, s.ConGiven = 0, true })
	l.Text("password-file", "", &s.PasswordFile).as(File).about("a daemon's password is its first line")
	l.Val("port", "", func(v string) (err error) {
		s.Port, err = strconv.Atoi(v)
		if err != nil {
			return fmt.Errorf("%q is no port", v)
		}
		return nil
	}).as(Number).about("a daemon's, where the target names none")
	l.Text("rsh", "e", &s.Rsh).about("the remote shell")
	l.Text("rsync-path", "", &s.RsyncPath).about("rsync behind the remote shell")
	l.Val("remote-option", "M", func(v string) error {
		if len(v) < 2 || v[0] != '-' || strings.IndexByte(v, 0) >= 0 {
			return fmt.Errorf("%q is no option: it begins with a dash", v)
		}
		s.RemoteOptions = append(s.RemoteOptions, v)
		return nil
	}).list().about("an option for the other side alone")
	l.On("ipv4", "4", func() { s.Family = 4 }).inGroup("family").about("connect by IPv4")
	l.On("ipv6", "6", func() { s.Family = 6 }).inGroup("family").about("connect by IPv6")
	l.Text("address", "", &s.Address).about("to connect from")
	l.Val("sockopts", "", func(v string) error {
		s.Sockopts = v
		return syncer.CheckSockopts(v)
	}).about("options of the sockets")
	l.number("protocol", "", &s.Protocol).about("rsync's protocol to announce: 30, 31 or 32")
	l.Set("no-prewarm", "", &s.NoPrewarm).about("open a connection to a daemon when it is needed, not ahead")
}

func (l *Line) addCompression() {
	s := l.s
	l.On("compress", "z", func() {
		l.compressed++
		s.Compress = true
	}).about("compress what is sent")
	for _, name := range []string{"no-compress", "no-z"} {
		l.On(name, "", func() { s.Compress, l.compressed = false, 0 })
	}
	for _, name := range []string{"compress-choice", "zc"} {
		l.Val(name, "", l.compressChoice).choice(append([]string{"auto"}, compressors...)...).alias("compress-choice").about("how to compress")
	}
	for _, name := range []string{"compress-level", "zl"} {
		l.Val(name, "", func(v string) error {
			s.LevelGiven = true
			return number(&s.CompressLevel)(v)
		}).as(Number).alias("compress-level").about("how hard to compress")
	}
	l.On("old-compress", "", func() { s.Compress, s.CompressChoice = true, "zlib" }).about("compress-choice zlib")
	l.On("new-compress", "", func() { s.Compress, s.CompressChoice = true, "zlibx" }).about("compress-choice zlibx")
	l.Val("skip-compress", "", func(v string) error {
		s.SkipCompress, s.SkipGiven = v, true
		return nil
	}).about("suffixes that are not compressed, as gz/jpg")
}

var compressors = []string{"zstd", "lz4", "zlibx", "zlib", "none"}

// compressChoice reads --compress-choice. "auto" is what the two sides agree upon.
func (l *Line) compressChoice(v string) error {
	switch {
	case v == "auto":
		l.s.CompressChoice, l.s.Compress = "", true
	case slices.Contains(compressors, v):
		l.s.CompressChoice, l.s.Compress = v, v != "none"
	default:
		return &syncer.Failure{Code: syncer.CodeUnsupported, Err: fmt.Errorf("%q is none of %s", v, strings.Join(compressors, ", "))}
	}
	return nil
}
