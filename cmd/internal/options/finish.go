package options

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/lockstep-sync/lockstep/syncer"
)

// Finish makes what options mean for one another, wherever each stood. partialDir is where partial files go by default:
// rsync has it from the environment.
func (l *Line) Finish(partialDir string) error {
	if l.compressed > 1 && l.s.Compress && l.s.CompressChoice == "" {
		l.s.CompressChoice = "zlibx" // -zz
	}
	if l.s.LevelGiven && l.s.CompressLevel != 0 && l.s.CompressChoice != "none" {
		l.s.Compress = true
	}
	if err := errors.Join(l.finishPartial(partialDir), l.finishBackup()); err != nil {
		return err
	}
	if l.cvs { // behind all other rules (rsync(1), --cvs-exclude)
		if err := l.s.Filter.CVSExclude(); err != nil {
			return err
		}
	}
	if l.hasFilesFrom {
		return l.finishFiles()
	}
	return nil
}

// finishPartial: where partial files go is theirs, on either side (rsync(1), --partial-dir).
func (l *Line) finishPartial(byDefault string) error {
	s := l.s
	if s.Partial && s.PartialDir == "" && !s.Inplace && !s.Append && !s.AppendVerify && !s.DelayUpdates {
		s.PartialDir = byDefault
	}
	s.PartialDir = strings.TrimRight(s.PartialDir, "/")
	if s.PartialDir == "." {
		s.PartialDir = ""
	}
	own := s.PartialDir
	if own == "" && s.DelayUpdates {
		own = ".~tmp~"
	}
	if own != "" && own[0] != '/' {
		return s.Filter.Filter("-p " + own + "/")
	}
	return nil
}

// finishBackup: a backup beside its file must have another name, it would be deleted in the
// next push, and making it changes the directory's time (rsync(1), --backup).
func (l *Line) finishBackup() error {
	s := l.s
	if !s.Backup {
		return nil
	}
	if !l.hasSuffix && s.BackupDir == "" {
		s.Suffix = "~"
	}
	switch {
	case strings.Contains(s.Suffix, "/"):
		return fmt.Errorf("--suffix %q holds a slash: --backup-dir is for another directory", s.Suffix)
	case s.Suffix == "" && s.BackupDir == "":
		return errors.New("--suffix is empty: without --backup-dir a backup would be the file itself")
	case s.BackupDir != "":
		return nil
	}
	s.OmitDirTimes = true
	if s.Delete && !s.DeleteExcluded {
		return s.Filter.Filter("P *" + s.Suffix)
	}
	return nil
}

// finishFiles reads --files-from, and brings its defaults: -R, and no -r but where it is said
// in words (rsync(1), --files-from).
func (l *Line) finishFiles() error {
	s := l.s
	names, err := readNames(l.filesFrom, l.zeroes)
	if err != nil {
		return fmt.Errorf("--files-from: %w", err)
	}
	s.Files = names
	if !l.relative {
		s.Relative = true
	}
	if !l.recurse {
		s.Recurse = false
	}
	return nil
}

// readNames reads the names of --files-from: a line each, or up to a NUL. Empty ones and
// comments are none. The result is not nil.
func readNames(file string, zeroes bool) ([]string, error) {
	if t, err := syncer.ParseTarget(file); file == "" || err != nil || t.Remote() {
		return nil, fmt.Errorf("%q is no local file: the list is read here (a name with a colon is written ./NAME)", file)
	}
	r := io.Reader(os.Stdin)
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, Unreadable(file, err)
		}
		defer f.Close()
		r = f
	}
	names := []string{}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	lines.Split(func(data []byte, end bool) (int, []byte, error) { return splitName(data, end, zeroes) })
	for lines.Scan() {
		if name := lines.Text(); name != "" && name[0] != '#' && name[0] != ';' {
			names = append(names, name)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, Unreadable(file, err)
	}
	return names, nil
}

// splitName ends a name at a NUL, or at a line's end as rsync has them: LF, CR or both.
func splitName(data []byte, end, zeroes bool) (int, []byte, error) {
	ends := "\r\n"
	if zeroes {
		ends = "\x00"
	}
	if i := bytes.IndexAny(data, ends); i >= 0 {
		return i + 1, data[:i], nil
	}
	if end && len(data) > 0 {
		return len(data), data, nil
	}
	return 0, nil, nil
}
