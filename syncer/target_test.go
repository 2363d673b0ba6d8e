package syncer

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseTarget(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want Target
	}{
		{"/mnt/mirror/", Target{Path: "/mnt/mirror/"}},
		{"./a:b", Target{Path: "./a:b"}},
		{"dir/with:colon", Target{Path: "dir/with:colon"}},
		{"mirror", Target{Path: "mirror"}},
		{"host::wwwroot", Target{Host: "host", Module: "wwwroot"}},
		{"host::wwwroot/", Target{Host: "host", Module: "wwwroot"}},
		{"backuper@host::wwwroot/a b/\n/", Target{User: "backuper", Host: "host", Module: "wwwroot", Path: "a b/\n/"}},
		{"rsync://backuper@host:8730/wwwroot/x", Target{User: "backuper", Host: "host", Port: 8730, Module: "wwwroot", Path: "x"}},
		{"RSYNC://host/m", Target{Host: "host", Module: "m"}},
		{"rsync://[2001:db8::1]:8730/m/", Target{Host: "2001:db8::1", Port: 8730, Module: "m"}},
		{"rsync://[2001:db8::1]/m/", Target{Host: "2001:db8::1", Module: "m"}},
		{"[2001:db8::1]::m/p", Target{Host: "2001:db8::1", Module: "m", Path: "p"}},
		{"u@[2001:db8::1]::m/p", Target{User: "u", Host: "2001:db8::1", Module: "m", Path: "p"}},
		{"a@b@host::m", Target{User: "a@b", Host: "host", Module: "m"}},
		{"host:path", Target{Host: "host", Path: "path"}},
		{"backuper@host:/srv/data/", Target{User: "backuper", Host: "host", Path: "/srv/data/"}},
		{"host:", Target{Host: "host"}},
		{"host:~/x y", Target{Host: "host", Path: "~/x y"}},
		{"host:-dash", Target{Host: "host", Path: "-dash"}},
		{"[2001:db8::1]:/p:q", Target{Host: "2001:db8::1", Path: "/p:q"}},
		{"u@[2001:db8::1]:", Target{User: "u", Host: "2001:db8::1"}},
		{"[x/y]:p", Target{Path: "[x/y]:p"}},
	} {
		got, err := ParseTarget(tt.in)
		if err != nil {
			t.Errorf("ParseTarget(%q): %v", tt.in, err)
			continue
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("ParseTarget(%q) (-want +got):\n%s", tt.in, diff)
		}
	}
}

func TestParseTargetRefuses(t *testing.T) {
	for in, want := range map[string]string{
		"":                      "empty",
		":x":                    "host is missing",
		"::m":                   "host is missing",
		"host::":                "module is missing",
		"host::/path":           "module is missing",
		"rsync://host":          "module is missing",
		"rsync://host:0/m":      "no port",
		"rsync://host:99999/m":  "no port",
		"rsync:///m":            "no host",
		"@host::m":              "no user name",
		"rsync://u:pw@host/m":   "a target names no password",
		"host::m\nn":            "no module name",
		"host::#list":           "no module name",
		"a\x00b":                "NUL",
		"-oProxyCommand=x:path": "begins with a dash",
		"u@-l:path":             "begins with a dash",
		"-u@host:path":          "begins with a dash",
	} {
		_, err := ParseTarget(in)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseTarget(%q): error %v, want one with %q", in, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "pw") {
			t.Errorf("the password is told: %v", err)
		}
	}
}

func FuzzParseTarget(f *testing.F) {
	for _, s := range []string{"/a", "u@h::m/p", "rsync://u@[::1]:1/m/p", "h:p", "[x]::m", "rsync://u@a:1@b/m"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := ParseTarget(s)
		if err != nil || !got.Remote() {
			return
		}
		// What was understood is understood the same when it is written out.
		again, err := ParseTarget(got.String())
		if err != nil {
			t.Fatalf("%q was read as %q, which gives %v", s, got, err)
		}
		if diff := cmp.Diff(got, again); diff != "" {
			t.Fatalf("%q was read as %q:\n%s", s, got, diff)
		}
	})
}
