package filter

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// cvsExcludes is what --cvs-exclude leaves out to begin with: rsync(1), "--cvs-exclude".
const cvsExcludes = `RCS SCCS CVS CVS.adm RCSLOG cvslog.* tags TAGS .make.state .nse_depinfo
*~ #* .#* ,* _$* *$ *.old *.bak *.BAK *.orig *.rej .del-* *.a *.olb *.o *.obj *.so *.exe
*.Z *.elc *.ln core .svn/ .git/ .hg/ .bzr/`

// cvsSource is where those are from, for messages.
const cvsSource = "the CVS excludes"

// CVSExclude adds what --cvs-exclude stands for: the files .cvsignore of the directories, the default
// list, and what $HOME/.cvsignore and $CVSIGNORE add to it. rsync has them behind all other rules.
func (b *Builder) CVSExclude() error {
	for _, rule := range []string{":C", "-C"} {
		if err := b.addArg("--cvs-exclude", rule, template{}); err != nil {
			return err
		}
	}
	return nil
}

// addCVS adds the CVS excludes in the place of a rule "-C": rsync 3.5.0 exclude.c, get_cvs_excludes.
// Clearing ("!") in one of their sources empties their own list alone. To name them again changes nothing:
// rsync has one list of them.
func (b *Builder) addCVS(s statement, depth int) error {
	if slices.ContainsFunc(b.rules, func(r *rule) bool { return r.from.name == cvsSource }) {
		return nil
	}
	t := s.inner
	t.flags = s.flags
	own := Builder{Open: b.Open}
	initial := t
	initial.perishable = true
	if err := own.addText(strings.ReplaceAll(cvsExcludes, "\n", " "), initial, origin{name: cvsSource}, depth); err != nil {
		return err
	}
	if home := os.Getenv("HOME"); home != "" {
		if err := own.addHome(filepath.Join(home, ".cvsignore"), t, depth); err != nil {
			return err
		}
	}
	if err := own.addText(os.Getenv("CVSIGNORE"), t, origin{name: "$CVSIGNORE"}, depth); err != nil {
		return err
	}
	b.rules = append(b.rules, own.rules...)
	return nil
}

// addHome reads the user's file, which need not be there.
func (b *Builder) addHome(name string, t template, depth int) error {
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read CVS excludes: %w", err)
	}
	defer f.Close() // opened for reading: nothing can be lost
	return b.readFile(f, name, t, depth+1)
}
