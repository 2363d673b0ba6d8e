package confine

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"kernel.org/pub/linux/libs/security/libcap/cap"
)

func names(keep []cap.Value) string {
	var out []string
	for _, c := range keep {
		out = append(out, strings.TrimPrefix(c.String(), "cap_"))
	}
	return strings.Join(out, " ")
}

func TestCapabilities(t *testing.T) {
	nobody := &User{Name: "nobody", UID: 65534, GID: 65534}
	root := &User{Name: "root"}
	for _, test := range []struct {
		name  string
		needs Needs
		want  string
	}{
		{"daemon once", Needs{Owners: true, Devices: true}, "dac_read_search"},
		{"daemon watch", Needs{Watch: true}, "dac_read_search sys_admin"},
		{"daemon watch by inotify", Needs{Watch: true, Inotify: true}, "dac_read_search"},
		{"times of access", Needs{Atimes: true}, "dac_read_search fowner"},
		{"xattrs to a daemon", Needs{Xattrs: true}, "dac_read_search sys_admin"},
		{"user watch", Needs{User: nobody, Watch: true}, "dac_read_search"},
		{"user fanotify", Needs{User: nobody, Watch: true, Fanotify: true}, "dac_read_search sys_admin"},
		{"user xattrs", Needs{User: nobody, Xattrs: true}, "dac_read_search"},
		{"root by name", Needs{User: root, Watch: true}, "dac_read_search sys_admin"},
		{"local", Needs{Local: true, Owners: true}, "chown dac_override dac_read_search fowner fsetid sys_resource"},
		{"local without owners", Needs{Local: true}, "chown dac_override dac_read_search fowner fsetid sys_resource"},
		{"local -a -X", Needs{Local: true, Owners: true, Devices: true, Xattrs: true}, "chown dac_override dac_read_search fowner fsetid sys_admin sys_resource mknod setfcap"},
		{"user local", Needs{User: nobody, Local: true, Owners: true, Devices: true}, "chown dac_override dac_read_search fowner fsetid mknod"},
		{"user local without owners", Needs{User: nobody, Local: true}, "dac_read_search"},
		{"user local -X", Needs{User: nobody, Local: true, Owners: true, Xattrs: true}, "chown dac_override dac_read_search fowner fsetid setfcap"},
	} {
		if got := names(Decide(test.needs).Keep); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
}

func TestDecide(t *testing.T) {
	type taken struct {
		Bound, NoNewPrivs, Seccomp, Reads bool
		Landlock                          string // the beginning of why not
	}
	for _, test := range []struct {
		name  string
		needs Needs
		want  taken
	}{
		{"off", Needs{Level: Off}, taken{Landlock: "off"}},
		{"daemon", Needs{Level: Auto}, taken{Bound: true, NoNewPrivs: true, Seccomp: true}},
		{"daemon strict", Needs{Level: Strict}, taken{Bound: true, NoNewPrivs: true, Seccomp: true, Reads: true}},
		{"daemon strict -L", Needs{Level: Strict, ReadsAnywhere: true}, taken{Bound: true, NoNewPrivs: true, Seccomp: true}},
		{"shell", Needs{Level: Auto, Exec: true}, taken{Landlock: "off: a remote shell"}},
		{"shell strict", Needs{Level: Strict, Exec: true}, taken{Bound: true, NoNewPrivs: true, Seccomp: true, Reads: true, Landlock: "off: a remote shell"}},
		{"local", Needs{Level: Auto, Local: true}, taken{Bound: true, NoNewPrivs: true, Seccomp: true, Landlock: "off: a target that"}},
		{"local strict", Needs{Level: Strict, Local: true}, taken{Bound: true, NoNewPrivs: true, Seccomp: true, Reads: true}},
	} {
		p := Decide(test.needs)
		got := taken{p.Bound, p.NoNewPrivs, p.Seccomp, p.Landlock.Reads, p.Landlock.Off}
		if test.want.Landlock != "" && strings.HasPrefix(got.Landlock, test.want.Landlock) {
			got.Landlock = test.want.Landlock
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

// TestNothingIsLostUnsaid: who asks for nothing loses nothing, and each loss is told.
func TestNothingIsLostUnsaid(t *testing.T) {
	nobody := &User{UID: 65534, GID: 65534}
	for _, test := range []struct {
		name  string
		needs Needs
		want  []string // a word of each
	}{
		{"auto", Needs{Level: Auto, Watch: true, Tune: true, Local: true, Xattrs: true, Owners: true}, nil},
		{"auto, shell", Needs{Level: Auto, Watch: true, Exec: true}, nil},
		{"user", Needs{Level: Auto, User: nobody, Watch: true, Tune: true, Xattrs: true, Local: true}, []string{"fanotify", "limits", "trusted", "others"}},
		{"user, by name", Needs{Level: Auto, User: nobody, Watch: true, Fanotify: true, Local: true, Owners: true}, nil},
		{"strict", Needs{Level: Strict, Watch: true, ReadsAnywhere: true}, []string{"restart", "symlinks"}},
		{"strict, shell", Needs{Level: Strict, Watch: true, Exec: true}, []string{"sudo"}},
	} {
		got := Decide(test.needs).Lost
		if len(got) != len(test.want) {
			t.Errorf("%s: lost %q, want %q", test.name, got, test.want)
			continue
		}
		for i, word := range test.want {
			if !strings.Contains(got[i], word) {
				t.Errorf("%s: lost %q, want %q", test.name, got[i], word)
			}
		}
	}
}

func TestPlanLacks(t *testing.T) {
	had := Needs{Level: Auto, Watch: true, Inotify: true, Read: []string{"/src"}, Write: []string{"/state"}}
	tests := []struct {
		name string
		had  Needs
		more func(*Needs)
		want []string
	}{
		{"the same", had, func(*Needs) {}, nil},
		{"below what there is", had, func(n *Needs) { n.Write = append(n.Write, "/state/x") }, nil},
		{"a place", had, func(n *Needs) { n.Write = append(n.Write, "/statement") }, []string{"writing below /statement"}},
		{"a hook", had, func(n *Needs) { n.Exec = true }, []string{"running programs"}},
		{"fanotify", had, func(n *Needs) { n.Inotify = false }, []string{"cap_sys_admin"}},
		{"nothing was taken", Needs{Level: Off}, func(n *Needs) { n.Exec, n.Local = true, true }, nil},
	}
	for _, tt := range tests {
		p, n := Decide(tt.had), tt.had
		n.Write = slices.Clone(n.Write)
		tt.more(&n)
		if diff := cmp.Diff(tt.want, p.Lacks(n)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}
