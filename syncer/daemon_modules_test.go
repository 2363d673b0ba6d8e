package syncer_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lockstep-sync/lockstep/syncer"
	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

// What a module's configuration makes of a push is the same as with the real client, in full and
// in partial pushes, with old protocols and new ones.
func TestInteropModules(t *testing.T) {
	needRoot(t)
	for _, tt := range []struct {
		name   string
		chroot bool
		extra  []string
	}{
		{"chroot", true, nil},
		{"no chroot", false, nil},
		{"munge symlinks", false, []string{"munge symlinks = yes"}},
		{"munge symlinks, chroot", true, []string{"munge symlinks = yes"}},
		{"incoming chmod", true, []string{"incoming chmod = D2750,F640"}},
		{"exclude", true, []string{"exclude = *.o"}},
		{"numeric ids", true, []string{"numeric ids = no"}},
		{"as nobody", false, []string{"uid = nobody", "gid = nogroup"}},
		{"dont compress", true, []string{"dont compress = *"}},
	} {
		for _, protocol := range []int{30, 31, 32} {
			t.Run(fmt.Sprint(tt.name, " ", protocol), func(t *testing.T) {
				t.Parallel()
				theirs := filepath.Join(t.TempDir(), "theirs")
				mkdir(t, theirs)
				r := newRig(t, func(c *syncertest.DaemonConfig) {
					c.Chroot = tt.chroot
					c.Modules = append(c.Modules, syncertest.Module{Name: "theirs", Path: theirs})
					for i := range c.Modules {
						c.Modules[i].Extra = append(c.Modules[i].Extra, tt.extra...)
					}
				})
				for _, dir := range []string{r.dst, theirs} {
					if err := os.Chmod(dir, 0o777); err != nil {
						t.Fatal(err)
					}
				}
				for _, name := range []string{"a", "b.o", "d/e/f", "d/e/g.o", "d/h"} {
					write(t, r.in(name), "content of "+name)
				}
				link(t, "/etc/hosts", r.in("absolute"))
				link(t, "../../up", r.in("d/upward"))
				link(t, "a", r.in("beside"))
				truncateTimes(t, r.src)
				args := []string{"-az", "--delete", "--modify-window=-1", fmt.Sprint("--protocol=", protocol), r.src + "/", r.daemon.URL("theirs")}
				cfg := r.config()
				cfg.Delete, cfg.Compress, cfg.Protocol, cfg.Keep = true, true, protocol, true
				s := r.syncer(cfg)

				same := func(b syncer.Batch) {
					t.Helper()
					out, want := r.rsync(args...)
					rep, err := s.Push(t.Context(), b)
					whole := b.Paths[0].Name == "." // what the module refuses is not in the other push
					if code := syncer.ExitCode(rep, err); err != nil || whole && int(code) != want {
						t.Errorf("exit code %d, rsync's is %d; error %v, messages %q, rsync says\n%s", code, want, err, r.messages, out)
					}
					requireAlike(t, theirs, r.dst, !strings.HasPrefix(tt.name, "as nobody"))
				}
				same(syncer.Full())
				write(t, r.in("a"), "new content of a")
				remove(t, r.in("d/e"), r.in("beside"))
				link(t, "/somewhere/else", r.in("d/new"))
				truncateTimes(t, r.src)
				same(syncer.Batch{Paths: []syncer.Path{{Name: "a"}, {Name: "d/e", Tree: true}, {Name: "beside"}, {Name: "d/new"}, {Name: "d"}, {Name: "."}}})
			})
		}
	}
}
