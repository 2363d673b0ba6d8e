package follow

import (
	"fmt"
	"strings"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/lipgloss"
	"github.com/muesli/termenv"
	"pgregory.net/rapid"

	"github.com/lockstep-sync/lockstep/cmd/internal/api"
	"github.com/lockstep-sync/lockstep/syncer"
)

// after is what a model becomes by more messages.
func (m model) after(msgs ...tea.Msg) model {
	for _, msg := range msgs {
		m, _ = m.Update(msg)
	}
	return m
}

// TestOrder sorts; what comes and goes while all is well moves no row.
func TestOrder(t *testing.T) {
	rows := func(m model) (names []string) {
		for _, r := range m.rows {
			names = append(names, r.sync+" "+strings.TrimSuffix(r.key.target, ".example.net::www"))
		}
		return names
	}
	m := modelOf(80, 40, true, told(idle(noon)))
	quiet := rows(m)
	b := busyAgent(noon)
	b.Syncs[2].Targets[0].State = api.StateVerifying
	if got := rows(m.after(told(b))); fmt.Sprint(got) != fmt.Sprint(quiet) {
		t.Errorf("rows moved since something is being pushed: %q, were %q", got, quiet)
	}
	m = modelOf(80, 40, true, told(brokenAgent(noon)))
	for _, want := range []struct {
		order order
		rows  string
	}{
		{byTrouble, "mail |web edge2|web deploy@standby:/srv/www|web edge1|uploads backup.example.net::uploads|uploads /mnt/mirror/uploads|/etc/ backup.example.net::etc"},
		{byConfig, "web edge1|web edge2|web deploy@standby:/srv/www|uploads backup.example.net::uploads|uploads /mnt/mirror/uploads|/etc/ backup.example.net::etc|mail "},
		{byLag, "web edge2|web edge1|web deploy@standby:/srv/www|uploads /mnt/mirror/uploads|uploads backup.example.net::uploads|/etc/ backup.example.net::etc|mail "},
		{byName, "/etc/ backup.example.net::etc|mail |uploads /mnt/mirror/uploads|uploads backup.example.net::uploads|web deploy@standby:/srv/www|web edge1|web edge2"},
		{byTrouble, "mail |web edge2|web deploy@standby:/srv/www|web edge1|uploads backup.example.net::uploads|uploads /mnt/mirror/uploads|/etc/ backup.example.net::etc"},
	} {
		if got := strings.Join(rows(m), "|"); got != want.rows || m.order != want.order {
			t.Errorf("by %s: got %s\nwant %s", m.order, got, want.rows)
		}
		m = m.after(press("s")...)
	}
}

// TestSelection stays on the target that somebody chose, and else on the first.
func TestSelection(t *testing.T) {
	m := modelOf(80, 24, true, told(idle(noon)))
	if m.selected.target != "edge1.example.net::www" {
		t.Errorf("at first: %q", m.selected)
	}
	if got := m.after(told(brokenAgent(noon))); got.selected.sync != "mail" {
		t.Errorf("nobody chose, it is not what is worst off: %q", got.selected)
	}
	m = m.after(press("down")...)
	if got := m.after(told(brokenAgent(noon))); got.selected.target != "edge2.example.net::www" {
		t.Errorf("chosen, and lost: %q", got.selected)
	}
	if got := m.after(press("jjjG")...); got.selected.target != "backup.example.net::etc" {
		t.Errorf("letters that come together: %q", got.selected)
	}
	if got := m.after(press("jjesc")...).after(press("esc")...); got.selected.target != "edge1.example.net::www" {
		t.Errorf("esc does not go back to the first: %q", got.selected)
	}
	m = m.after(press("enter")...)
	if m.page != details {
		t.Fatal("no details")
	}
	if got := m.after(press("tab", "tab")...); got.page != details || got.selected.target != "backup.example.net::uploads" {
		t.Errorf("tab: %q", got.selected)
	}
	a := idle(noon)
	a.Syncs = a.Syncs[1:]
	if got := m.after(told(a)); got.page != list || got.selected.target != "backup.example.net::uploads" {
		t.Errorf("what was looked at is gone: page %d, %q", got.page, got.selected)
	}
}

// TestFilter shows what has all words; esc brings back what was before.
func TestFilter(t *testing.T) {
	m := modelOf(80, 24, true, told(many(noon))).after(press("/edge2 SITE1")...)
	if len(m.rows) != 10 || !m.typing {
		t.Errorf("%d rows match", len(m.rows))
	}
	m = m.after(press("enter")...)
	if got := m.after(press("/x", "esc")...); got.filter != "edge2 SITE1" || got.typing {
		t.Errorf("esc does not undo: %q", got.filter)
	}
	if got := m.after(press("/", "ctrl+u", "q", "backspace", "retry", "enter")...); len(got.rows) != 10 || got.rows[0].target.State != api.StateRetrying {
		t.Errorf("by state: %d rows", len(got.rows))
	}
	if got := m.after(press("/", "ctrl+u", "nothing has this")...).View(); !strings.Contains(got, "Nothing matches") {
		t.Error(got)
	}
	if got := m.after(press("esc")...); len(got.rows) != 150 {
		t.Errorf("%d rows without a filter", len(got.rows))
	}
}

// TestKeysThatEnd are q and ctrl-c; q is a letter of a filter, too.
func TestKeysThatEnd(t *testing.T) {
	quits := func(m model, keys ...string) bool {
		var cmd tea.Cmd
		for _, k := range press(keys...) {
			m, cmd = m.Update(k)
		}
		if cmd == nil {
			return false
		}
		_, quit := cmd().(tea.QuitMsg)
		return quit
	}
	m := modelOf(80, 24, true, told(idle(noon)))
	for _, keys := range [][]string{{"q"}, {"ctrl+c"}, {"/", "ctrl+c"}, {"enter", "q"}, {"?", "q"}} {
		if !quits(m, keys...) {
			t.Errorf("%q does not quit", keys)
		}
	}
	for _, keys := range [][]string{{"/", "q"}, {"esc"}, {"x"}, {"enter", "esc"}} {
		if quits(m, keys...) {
			t.Errorf("%q quits", keys)
		}
	}
}

// TestNamesDoNotReachTheTerminal has every text of others in it that a terminal would obey.
func TestNamesDoNotReachTheTerminal(t *testing.T) {
	evil := "a\x1b[2J\x07\r\n\t\xff\u202e\u009b31m\u65e5"
	target := api.Target{Target: evil, State: evil, Text: evil, Error: &api.Error{Class: evil, Text: evil, Remedy: evil}, Transfer: &api.Transfer{Path: evil, Size: 10, Sent: 5},
		Held: []api.Held{{Path: evil, Names: 1}}, Failed: []syncer.Failed{{Path: evil, Reason: evil, Paths: 1}}, Totals: api.Totals{ByClass: map[string]int64{evil: 1}}}
	a := api.Agent{Version: evil, Config: evil, LoadError: evil, Ready: true, Syncs: []api.Sync{{Name: evil, Source: evil, State: evil, Text: evil, Error: evil, Watch: api.Watch{Backend: evil, Watches: 2}, Targets: []api.Target{target}}, {Name: evil, State: evil, Text: evil, Error: evil}}}
	for _, unicode := range []bool{true, false} {
		m := modelOf(100, 60, unicode, told(a))
		for _, m := range []model{m, m.after(press("enter")...), m.after(press("down", "enter")...), m.after(press("end", "enter")...), m.after(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("/")}, tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(strings.ToValidUTF8(evil, "")), Paste: true}),
			m.after(status{At: noon, Err: fmt.Errorf("%s", evil)}), modelOf(100, 60, unicode, status{At: noon, Err: fmt.Errorf("%s", evil)})} {
			view := m.View()
			if i := strings.IndexFunc(view, func(r rune) bool {
				return r != '\n' && r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == '\u202e' || r == '\ufffd' || !unicode && r > 0x7f
			}); i >= 0 {
				t.Errorf("unicode %v: %q in\n%s", unicode, view[i:min(i+8, len(view))], view)
			}
		}
	}
}

// TestAnythingFits presses keys at random, on screens of any size: each picture has as many lines as the screen and none is
// wider, the selected row is on it, and nothing panics.
func TestAnythingFits(t *testing.T) {
	few := func(now time.Time) api.Agent { // more than fit, and not so many that it takes its time
		a := many(now)
		a.Syncs = a.Syncs[:15]
		return a
	}
	agents := []func(time.Time) api.Agent{idle, busyAgent, brokenAgent, few, func(time.Time) api.Agent { return api.Agent{} }}
	keys := append(press("up", "down", "pgdown", "pgup", "end", "home", "enter", "esc", "backspace", "tab", "shift+tab", "ctrl+u"), press("jkgG/s?nphl e2x")...)
	rapid.Check(t, func(t *rapid.T) {
		m := newModel(themeOf(termenv.ANSI, rapid.Bool().Draw(t, "unicode")), 80, 24, noon)
		for range rapid.IntRange(1, 8).Draw(t, "steps") {
			var msg tea.Msg
			switch rapid.IntRange(0, 6).Draw(t, "kind") {
			case 0:
				msg = told(rapid.SampledFrom(agents).Draw(t, "agent")(noon))
			case 1:
				msg = tea.WindowSizeMsg{Width: rapid.IntRange(0, 200).Draw(t, "width"), Height: rapid.IntRange(0, 60).Draw(t, "height")}
			case 2:
				msg = status{At: noon.Add(time.Second), Err: errRefused}
			default:
				msg = rapid.SampledFrom(keys).Draw(t, "key")
			}
			m = m.after(msg)
			fits(t, m)
		}
	})
}

func fits(t *rapid.T, m model) {
	view := m.View()
	lines := strings.Split(view, "\n")
	if len(lines) != m.height {
		t.Fatalf("%d lines on a screen of %d by %d:\n%s", len(lines), m.width, m.height, view)
	}
	pointer := false
	for i, l := range lines {
		if w := lipgloss.Width(l); w > m.width {
			t.Fatalf("line %d has %d cells on a screen of %d by %d:\n%s", i, w, m.width, m.height, view)
		}
		pointer = pointer || strings.Contains(l, m.theme.pointer)
	}
	if m.page == list && m.known && len(m.rows) > 0 && m.height > 3 && m.width > 3 && !pointer {
		t.Fatalf("the selected row is not on the screen of %d by %d:\n%s", m.width, m.height, view)
	}
}

// TestPagesScroll reaches the end of what does not fit, and not beyond.
func TestPagesScroll(t *testing.T) {
	m := modelOf(80, 12, true, told(brokenAgent(noon)))
	for _, c := range []struct {
		open []string
		last string
	}{{[]string{"?"}, "delta and\n"}, {[]string{"down", "enter"}, "0 subtrees polled"}} {
		page := m.after(press(c.open...)...)
		end := page.after(press("end", "down", "pgdown")...)
		if strings.Contains(page.View(), c.last) || !strings.Contains(end.View(), c.last) {
			t.Errorf("%q: %q is not at the end\n%s\n%s", c.open, c.last, page.View(), end.View())
		}
		if got := end.after(press("up")...); got.View() == end.View() {
			t.Errorf("%q: it scrolled beyond the end", c.open)
		}
		if got := end.after(press("home")...); got.View() != page.View() {
			t.Errorf("%q: home is not the beginning", c.open)
		}
	}
}

// TestHistory has a sample a second, for a minute.
func TestHistory(t *testing.T) {
	m := modelOf(80, 24, true, catchingUp()...)
	k := key{"web", "edge2.example.net::www"}
	list := m.past.of[k]
	if len(list) != historySeconds || list[0].lag != 10 || list[historySeconds-1].lag != 11 {
		t.Errorf("%d samples, from %v", len(list), list[0])
	}
	before := m.past
	if m.after(status{At: noon.Add(71 * time.Second), Agent: idle(noon)}); before.of[k][historySeconds-1].lag != 11 {
		t.Error("a model that was is not as it was")
	}
	if got, _ := unicodeSigns.spark([]float64{9, 0, 1, 2, 4}, 4); got != "▁▃▅█" {
		t.Errorf("got %s", got)
	}
}

// TestSlowAnswer says how old what is shown is, until it is known that nobody answers.
func TestSlowAnswer(t *testing.T) {
	m := modelOf(80, 24, true, told(idle(noon)))
	if view := m.after(tick(noon.Add(2 * time.Second))).View(); strings.Contains(view, "slow") {
		t.Error(view)
	}
	m = m.after(tick(noon.Add(4 * time.Second)))
	if view := m.View(); !strings.Contains(view, "it is slow to answer: what is shown is 4s old") {
		t.Error(view)
	}
	if view := m.after(status{At: noon.Add(5 * time.Second), Err: errRefused}).View(); strings.Contains(view, "slow") || !strings.Contains(view, "no answer for 0s") {
		t.Error(view)
	}
}

// TestNoProcess shows what is known of targets that nobody keeps in step.
func TestNoProcess(t *testing.T) {
	a := api.Agent{Syncs: []api.Sync{{Name: "src/", Source: "src/", State: api.StateStopped, Targets: []api.Target{{Sync: "src/", Target: "dst/", State: api.StateStopped, Text: "no lockstep keeps it in step"}}}}}
	view := modelOf(80, 24, true, told(a)).View()
	if !strings.Contains(view, "□ 1 stopped") || strings.Contains(view, "pid") || strings.Contains(view, "starts") {
		t.Error(view)
	}
}

// TestTheme takes what the environment says of the terminal.
func TestTheme(t *testing.T) {
	for _, c := range []struct {
		name string
		env  map[string]string
		utf8 bool
	}{
		{"nothing set", nil, false},
		{"UTF-8", map[string]string{"LANG": "de_DE.UTF-8"}, true},
		{"utf8", map[string]string{"LC_CTYPE": "C.utf8", "LANG": "C"}, true},
		{"LC_ALL decides", map[string]string{"LC_ALL": "C", "LC_CTYPE": "C.UTF-8", "LANG": "C.UTF-8"}, false},
		{"empty is not set", map[string]string{"LC_ALL": "", "LANG": "C.UTF-8"}, true},
		{"another set", map[string]string{"LANG": "de_DE.ISO-8859-1"}, false},
		{"the console of Linux", map[string]string{"TERM": "linux", "LANG": "C.UTF-8"}, false},
	} {
		if got := utf8Terminal(func(name string) string { return c.env[name] }); got != c.utf8 {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
