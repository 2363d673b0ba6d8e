package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/lockstep-sync/lockstep/cmd/internal/agent"
	"github.com/lockstep-sync/lockstep/syncer"
)

// addOutput: what is printed.
func (l *line) addOutput() {
	s := l.s
	l.on("verbose", "v", func() { s.Verbose++ })
	l.on("no-verbose", "", func() { s.Verbose = 0 })
	l.on("no-v", "", func() { s.Verbose = 0 })
	// rsync's --quiet takes no value. With one it says how long what matches must have been quiet.
	l.flags.VarPF(value{func(v string) error {
		if v == given {
			s.Quiet = true
			return nil
		}
		q, err := agent.ParseQuiet(v)
		s.Quieter = append(s.Quieter, q)
		return err
	}}, "quiet", "q", "").NoOptDefVal = given
	l.set("dry-run", "n", &s.DryRun)
	l.toggle("itemize-changes", "i", &s.Itemize)
	l.set("stats", "", &s.Stats)
	l.toggle("progress", "", &s.Progress)
	l.on("human-readable", "h", func() { s.Human++ })
	l.on("no-human-readable", "", func() { s.Human = 0 })
	l.on("no-h", "", func() { s.Human = 0 })
}

// addWire: connections, and what goes over them.
func (l *line) addWire() {
	s := l.s
	l.addCompression()
	l.val("bwlimit", "", parsed(&s.Bwlimit, syncer.ParseRate))
	l.on("no-bwlimit", "", func() { s.Bwlimit = 0 })
	l.val("timeout", "", seconds(&s.Timeout, &s.TimeoutGiven))
	l.on("no-timeout", "", func() { s.Timeout, s.TimeoutGiven = 0, true })
	l.val("contimeout", "", seconds(&s.ConTimeout, &s.ConGiven))
	l.on("no-contimeout", "", func() { s.ConTimeout, s.ConGiven = 0, true })
	l.text("password-file", "", &s.PasswordFile)
	l.val("port", "", func(v string) (err error) {
		s.Port, err = strconv.Atoi(v)
		if err != nil {
			return fmt.Errorf("%q is no port", v)
		}
		return nil
	})
	l.text("rsh", "e", &s.Rsh)
	l.text("rsync-path", "", &s.RsyncPath)
	l.val("remote-option", "M", func(v string) error {
		if len(v) < 2 || v[0] != '-' || strings.IndexByte(v, 0) >= 0 {
			return fmt.Errorf("%q is no option: it begins with a dash", v)
		}
		s.RemoteOptions = append(s.RemoteOptions, v)
		return nil
	})
	l.on("ipv4", "4", func() { s.Family = 4 })
	l.on("ipv6", "6", func() { s.Family = 6 })
	l.text("address", "", &s.Address)
	l.val("sockopts", "", func(v string) error {
		s.Sockopts = v
		return syncer.CheckSockopts(v)
	})
	l.val("protocol", "", number(&s.Protocol))
	l.set("no-prewarm", "", &s.NoPrewarm)
}

func (l *line) addCompression() {
	s := l.s
	l.on("compress", "z", func() {
		l.compressed++
		s.Compress = true
	})
	for _, name := range []string{"no-compress", "no-z"} {
		l.on(name, "", func() { s.Compress, l.compressed = false, 0 })
	}
	for _, name := range []string{"compress-choice", "zc"} {
		l.val(name, "", l.compressChoice)
	}
	for _, name := range []string{"compress-level", "zl"} {
		l.val(name, "", func(v string) error {
			s.LevelGiven = true
			return number(&s.CompressLevel)(v)
		})
	}
	l.on("old-compress", "", func() { s.Compress, s.CompressChoice = true, "zlib" })
	l.on("new-compress", "", func() { s.Compress, s.CompressChoice = true, "zlibx" })
	l.val("skip-compress", "", func(v string) error {
		s.SkipCompress, s.SkipGiven = v, true
		return nil
	})
}

// compressChoice reads --compress-choice. "auto" is what the two sides agree upon.
func (l *line) compressChoice(v string) error {
	known := []string{"zstd", "lz4", "zlibx", "zlib", "none"}
	switch {
	case v == "auto":
		l.s.CompressChoice, l.s.Compress = "", true
	case slices.Contains(known, v):
		l.s.CompressChoice, l.s.Compress = v, v != "none"
	default:
		return &syncer.Failure{Code: syncer.CodeUnsupported, Err: fmt.Errorf("%q is none of %s", v, strings.Join(known, ", "))}
	}
	return nil
}
