package main

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/lockstep-sync/lockstep/packaging/internal/helptext"
)

func main() {
	program := flag.String("lockstep", "./lockstep", "the `program` whose --help is read")
	config := flag.String("config", "docs/config.md", "the `document` that lockstep.yaml(5) is made from")
	to := flag.String("to", "", "the `directory` to write to")
	flag.Parse()
	if err := run(*program, *config, *to); err != nil {
		fmt.Fprintln(os.Stderr, "man:", err)
		os.Exit(1)
	}
}

func run(program, config, to string) error {
	if to == "" {
		return errors.New("say with -to where to write the pages")
	}
	a, err := newAbout(program)
	if err != nil {
		return err
	}
	pages, err := commandPages(program, a)
	if err != nil {
		return err
	}
	keys, err := readSchema(program)
	if err != nil {
		return err
	}
	if pages["lockstep.yaml.5"], err = configPage(config, keys, a); err != nil {
		return err
	}
	for name, text := range pages {
		if err := write(filepath.Join(to, name), text); err != nil {
			return err
		}
	}
	return nil
}

// write writes a page, or a symlink to the page that it is another name of.
func write(file, text string) error {
	if strings.HasPrefix(text, ".") {
		return os.WriteFile(file, []byte(text), 0o644)
	}
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Symlink(text, file)
}

// commandPages are the pages of section 1, by file. Verbs that share a help text share a page: the others have the
// name of its file.
func commandPages(program string, a about) (map[string]string, error) {
	help, err := helptext.Read(program)
	if err != nil {
		return nil, err
	}
	s, all, out := newStyle(help), []string(nil), map[string]string{}
	for _, p := range help[1:] {
		all = append(all, "lockstep-"+p.Verb+"(1)")
		out["lockstep-"+p.Verb+".1"] = command(p, s, a, []string{"lockstep(1)", "lockstep.yaml(5)"})
		for _, other := range p.Names[1:] {
			out["lockstep-"+other+".1"] = "lockstep-" + p.Verb + ".1"
		}
	}
	also := append(all, "lockstep.yaml(5)", "rsync(1)", "rsyncd.conf(5)", "ssh(1)", "inotify(7)", "fanotify(7)")
	out["lockstep.1"] = command(help[0], s, a, also)
	return out, nil
}

// newAbout asks the program for its version, and the environment for the date.
func newAbout(program string) (about, error) {
	out, err := exec.Command(program, "--version").Output()
	if err != nil {
		return about{}, fmt.Errorf("%s --version: %w", program, err)
	}
	words := strings.Fields(strings.TrimPrefix(string(out), "lockstep "))
	if len(words) == 0 {
		return about{}, fmt.Errorf("%s --version says %q", program, out)
	}
	now := time.Now()
	if epoch := os.Getenv("SOURCE_DATE_EPOCH"); epoch != "" {
		seconds, err := strconv.ParseInt(epoch, 10, 64)
		if err != nil {
			return about{}, fmt.Errorf("SOURCE_DATE_EPOCH: %w", err)
		}
		now = time.Unix(seconds, 0)
	}
	return about{date: now.UTC().Format("2006-01-02"), version: strings.TrimSuffix(words[0], ",")}, nil
}
