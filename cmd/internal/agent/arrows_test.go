package agent

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

const module = "github.com/lockstep-sync/lockstep/"

// Who may know whom: a package below the module's root, and what of the module and of
// other modules it may import, tests apart. "std" alone means the standard library only.
// What is not listed may not exist: a new package needs a line here.
var arrows = map[string][]string{
	"cmd/lockstep":              {"cmd/internal/", "syncer", "sysctl", "watcher", "golang.org/x/", "github.com/spf13/pflag", "go.uber.org/zap"},
	"cmd/lockstep-bench":        {"syncer/syncertest", "watcher", "golang.org/x/sys", "golang.org/x/sync"},
	"cmd/lockstep-chaos":        {"syncer/syncertest", "golang.org/x/sys", "github.com/hanwen/go-fuse/"},
	"cmd/internal/api":          {"syncer"},
	"cmd/internal/logs":         {"cmd/internal/api", "github.com/coreos/go-systemd/", "go.uber.org/zap", "golang.org/x/sys", "golang.org/x/term"},
	"cmd/internal/follow":       {"cmd/internal/api", "cmd/internal/follow/hush", "syncer", "github.com/charmbracelet/", "github.com/muesli/termenv", "golang.org/x/sys"},
	"cmd/internal/follow/hush":  {"std"},
	"cmd/internal/daemon":       {"github.com/coreos/go-systemd/", "golang.org/x/sys"},
	"cmd/internal/hooks":        {"go.uber.org/zap", "golang.org/x/sys"},
	"cmd/internal/config":       {"cmd/internal/agent", "cmd/internal/hooks", "cmd/internal/logs", "cmd/internal/options", "cmd/internal/places", "syncer", "github.com/goccy/go-yaml"},
	"cmd/internal/control":      {"cmd/internal/api", "golang.org/x/net/netutil", "golang.org/x/sync", "golang.org/x/sys"},
	"cmd/internal/metrics":      {"cmd/internal/api", "syncer", "github.com/prometheus/client_golang/"},
	"cmd/internal/confine":      {"github.com/landlock-lsm/go-landlock/", "kernel.org/pub/linux/libs/security/libcap/", "golang.org/x/net/bpf", "golang.org/x/sys"},
	"cmd/internal/options":      {"cmd/internal/agent", "cmd/internal/confine", "cmd/internal/logs", "syncer", "watcher", "github.com/spf13/pflag"},
	"cmd/internal/places":       {"syncer", "golang.org/x/sys", "github.com/moby/sys/mountinfo"},
	"cmd/internal/agent":        {"cmd/internal/api", "cmd/internal/control", "cmd/internal/hooks", "cmd/internal/logs", "cmd/internal/confine", "cmd/internal/places", "watcher", "debounce", "state", "syncer", "syncer/filter", "sysctl", "go.uber.org/zap", "golang.org/x/", "github.com/vbauerster/mpb"},
	"internal/dirent":           {"golang.org/x/sys"},
	"state":                     {"internal/dirent", "go.etcd.io/bbolt", "github.com/zeebo/xxh3", "golang.org/x/sys", "golang.org/x/sync"},
	"watcher":                   {"watcher/internal/", "internal/dirent", "github.com/fsnotify/fsnotify", "go.uber.org/zap", "golang.org/x/sys", "golang.org/x/sync", "github.com/moby/sys/mountinfo"},
	"watcher/internal/index":    {"internal/dirent", "github.com/zeebo/xxh3", "golang.org/x/sys"},
	"watcher/internal/fanotify": {"golang.org/x/sys"},
	"debounce":                  {"std"},
	"sysctl":                    {"std"},
	"syncer":                    {"syncer/filter", "syncer/internal/", "golang.org/x/sys", "golang.org/x/sync", "github.com/moby/sys/mountinfo"},
	"syncer/filter":             {"std"},
	"syncer/syncertest":         {"golang.org/x/sys"},
	"syncer/internal/wire":      {"syncer/internal/rate", "golang.org/x/sys"},
	"syncer/internal/rate":      {"std"},
	"syncer/internal/beneath":   {"golang.org/x/sys"},
	"syncer/internal/report":    {"golang.org/x/sys"},
	"syncer/internal/meta":      {"golang.org/x/sys"},
	"syncer/internal/option":    {"syncer/filter", "golang.org/x/sys"},
	"syncer/internal/checksum":  {"github.com/cespare/xxhash", "github.com/zeebo/xxh3", "golang.org/x/crypto/md4"},
	"syncer/internal/flist":     {"syncer/internal/wire", "syncer/internal/meta", "syncer/internal/beneath", "golang.org/x/sys"},
	"syncer/internal/delta":     {"syncer/internal/wire", "syncer/internal/checksum"},
	"syncer/internal/token":     {"github.com/klauspost/compress/", "github.com/pierrec/lz4/"},
	"syncer/internal/source":    {"syncer/filter", "syncer/internal/option", "syncer/internal/meta", "syncer/internal/beneath", "syncer/internal/flist", "syncer/internal/report", "golang.org/x/sys"},
	"syncer/internal/sender": {"syncer/internal/wire", "syncer/internal/token", "syncer/internal/rate", "syncer/internal/checksum", "syncer/internal/flist", "syncer/internal/meta", "syncer/internal/delta",
		"syncer/internal/option", "syncer/internal/report", "syncer/internal/beneath", "golang.org/x/crypto/md4", "golang.org/x/sys"},
	"syncer/internal/rsh":         {"syncer/internal/wire", "golang.org/x/sys"},
	"syncer/internal/tree":        {"syncer/internal/beneath", "syncer/internal/flist", "golang.org/x/sys"},
	"syncer/internal/local":       {"syncer/filter", "syncer/internal/", "golang.org/x/sys"},
	"packaging":                   {"std"},
	"packaging/man":               {"packaging/internal/helptext"},
	"packaging/completions":       {"packaging/internal/helptext"},
	"packaging/internal/helptext": {"std"},
	"examples":                    {"std"},
	"examples/onchange":           {"watcher"},
}

// TestArrows holds the direction of imports: watcher, debounce, syncer, state and sysctl
// never know one another, and each package knows only what its line allows.
func TestArrows(t *testing.T) {
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", module+"...").Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("go list: %v\n%s", err, exit.Stderr)
		}
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimPrefix(p.ImportPath, module)
		seen[name] = true
		allowed, ok := arrows[name]
		if !ok {
			t.Errorf("package %s has no line among the arrows: say what it may import", name)
		}
		for _, imp := range p.Imports {
			if !arrowAllowed(imp, allowed) {
				t.Errorf("%s imports %s", name, imp)
			}
		}
	}
	for name := range arrows {
		if !seen[name] {
			t.Errorf("the arrows name %s, which does not exist", name)
		}
	}
}

func arrowAllowed(imp string, allowed []string) bool {
	first, _, _ := strings.Cut(imp, "/")
	if !strings.Contains(first, ".") {
		return true // the standard library
	}
	imp, own := strings.CutPrefix(imp, module)
	for _, a := range allowed {
		switch {
		case own && imp == a:
			return true
		case (!own || strings.HasSuffix(a, "/")) && strings.HasPrefix(imp, a):
			return true
		}
	}
	return false
}
