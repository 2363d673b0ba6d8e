package syncer

import (
	"fmt"
	"path"
	"path/filepath"
	"strings"

	"github.com/lockstep-sync/lockstep/syncer/internal/report"
	"github.com/lockstep-sync/lockstep/syncer/internal/source"
)

// Decision is which filter rule decides: its text, and the option or the file and line that it is from.
type Decision struct {
	Rule, Source string
}

// Explanation says whether a path takes part in pushes, and what decides.
type Explanation struct {
	Path      string // relative to WatchRoot
	TakesPart bool
	Missing   bool     // nothing is there now: it is what would be
	Above     string   // the directory above Path that is left out, and Path with it
	Reason    string   // what decides where no rule does; "": a rule, or nothing at all
	Rule      Decision // zero: none matches
	// Kept says that a target keeps what it has there although the source has not, and by which rule.
	Kept   bool
	KeptBy Decision
}

// Explain says what decides about a path, which is relative to WatchRoot, or absolute below it. One that
// ends in a slash is a directory's, if nothing is there. Only the source is looked at.
func (s *Syncer) Explain(written string) (Explanation, error) {
	name, err := s.below(written)
	if err != nil {
		return Explanation{}, report.Fail(CodeUsage, err, "")
	}
	tree, err := source.Open(s.place.root, s.src)
	if err != nil {
		return Explanation{}, report.Fail(CodePartial, err, "")
	}
	defer tree.Close()
	x, err := tree.Explain(s.transferName(name), strings.HasSuffix(written, "/"))
	if err != nil {
		return Explanation{}, report.Fail(CodeFile, err, "")
	}
	if x.Above != "" {
		x.Above = s.watchName(x.Above)
	}
	return Explanation{
		Path: name, TakesPart: x.TakesPart, Missing: x.Missing, Above: x.Above, Reason: x.Reason,
		Rule: Decision{x.Rule.Rule, x.Rule.Source},
		Kept: x.Target.Excluded, KeptBy: Decision{x.Target.Rule, x.Target.Source},
	}, nil
}

// below is a path relative to WatchRoot.
func (s *Syncer) below(written string) (string, error) {
	if strings.IndexByte(written, 0) >= 0 {
		return "", fmt.Errorf("%q holds a NUL byte", written)
	}
	name := path.Clean(written)
	if filepath.IsAbs(name) {
		var err error
		if name, err = filepath.Rel(s.WatchRoot(), name); err != nil {
			return "", err
		}
	}
	if name == ".." || strings.HasPrefix(name, "../") || written == "" {
		return "", fmt.Errorf("%q is not below the source %q", written, s.WatchRoot())
	}
	return name, nil
}
