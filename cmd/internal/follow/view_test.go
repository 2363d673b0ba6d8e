package follow

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/lipgloss"
	"github.com/google/go-cmp/cmp"
	"github.com/muesli/termenv"

	"github.com/lockstep-sync/lockstep/cmd/internal/api"
)

var update = flag.Bool("update", false, "write the pictures in testdata anew")

var errRefused = errors.New("dial unix /run/lockstep/control.sock: connect: connection refused")

// modelOf is what is shown of an agent on a screen without colours.
func modelOf(width, height int, unicode bool, msgs ...tea.Msg) model {
	m := newModel(themeOf(termenv.Ascii, unicode), width, height, noon)
	for _, msg := range msgs {
		m, _ = m.Update(msg)
	}
	return m
}

func told(a api.Agent) status { return status{At: noon, Agent: a} }

// press is what comes of keys: names as bubbletea has them, others letter by letter.
func press(names ...string) (msgs []tea.Msg) {
	known := map[string]tea.KeyType{"enter": tea.KeyEnter, "esc": tea.KeyEsc, "up": tea.KeyUp, "down": tea.KeyDown, "pgdown": tea.KeyPgDown, "pgup": tea.KeyPgUp, "end": tea.KeyEnd,
		"home": tea.KeyHome, "backspace": tea.KeyBackspace, "tab": tea.KeyTab, "shift+tab": tea.KeyShiftTab, "ctrl+c": tea.KeyCtrlC, "ctrl+u": tea.KeyCtrlU, "ctrl+z": tea.KeyCtrlZ}
	for _, n := range names {
		if t, ok := known[n]; ok {
			msgs = append(msgs, tea.KeyMsg{Type: t})
			continue
		}
		for _, r := range n {
			msgs = append(msgs, tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune{r}})
		}
	}
	return msgs
}

// catchingUp is a minute in which a target fell behind, and caught up.
func catchingUp() (msgs []tea.Msg) {
	for i := range 70 {
		at := noon.Add(time.Duration(i) * time.Second)
		a := idle(at)
		t := &a.Syncs[0].Targets[1]
		t.State, t.Text, t.Lag, t.Paths, t.InFlight = api.StatePushing, "paths to be pushed", float64(i), 40*i, 20
		if i > 40 {
			t.Lag, t.Paths = float64(40-(i-40)), 80*(70-i)
		}
		msgs = append(msgs, status{At: at, Agent: a}, status{At: at.Add(time.Second / 2), Agent: a})
	}
	return msgs
}

// TestPictures compares whole screens with those in testdata.
func TestPictures(t *testing.T) {
	away := []tea.Msg{told(brokenAgent(noon)), status{At: noon.Add(3 * time.Second), Err: errRefused}, tick(noon.Add(20 * time.Second))}
	pictures := []struct {
		name   string
		height int
		msgs   []tea.Msg
	}{
		{"idle", 24, []tea.Msg{told(idle(noon))}},
		{"busy", 24, []tea.Msg{told(busyAgent(noon))}},
		{"broken", 40, []tea.Msg{told(brokenAgent(noon))}},
		{"many", 30, []tea.Msg{told(many(noon))}},
		{"gone", 24, away},
		{"back", 16, append(away[:len(away):len(away)], status{At: noon.Add(25 * time.Second), Agent: func() api.Agent { a := idle(noon); a.PID = 4390; return a }()})},
		{"nobody", 12, []tea.Msg{status{At: noon, Err: errRefused}, tick(noon.Add(90 * time.Second))}},
		{"details", 44, append([]tea.Msg{told(brokenAgent(noon))}, press("G", "g", "down", "enter")...)},
		{"details-partial", 36, append([]tea.Msg{told(brokenAgent(noon))}, press("/partial", "enter", "enter")...)},
		{"catching-up", 24, catchingUp()},
		{"catching-up-details", 24, append(catchingUp(), press("down", "enter")...)},
		{"help", 30, append([]tea.Msg{told(idle(noon))}, press("?")...)},
		{"filter", 16, append([]tea.Msg{told(many(noon))}, press("/site04 edge")...)},
	}
	for _, p := range pictures {
		for _, width := range []int{40, 80, 160} {
			name := fmt.Sprintf("%s-%d", p.name, width)
			t.Run(name, func(t *testing.T) {
				golden(t, name, modelOf(width, p.height, true, p.msgs...))
			})
		}
	}
	t.Run("manual-80", func(t *testing.T) {
		a := brokenAgent(noon)
		a.LoadError, a.Syncs = "", a.Syncs[:2]
		m := modelOf(80, 22, true, told(a))
		golden(t, "manual-80", m)
		if manual, err := os.ReadFile("../../../docs/follow.md"); err != nil || !strings.Contains(string(manual), "\n"+m.View()+"\n") {
			t.Errorf("docs/follow.md shows another picture than this (%v):\n%s", err, m.View())
		}
	})
	t.Run("broken-80-ascii", func(t *testing.T) {
		m := modelOf(80, 40, false, told(brokenAgent(noon)))
		golden(t, "broken-80-ascii", m)
		if view := m.View(); strings.ContainsFunc(view, func(r rune) bool { return r >= 0x7f }) {
			t.Errorf("not all of it is ASCII:\n%s", view)
		}
	})
}

// golden compares a picture with the one in testdata, after it was seen to fit the screen.
func golden(t *testing.T, name string, m model) {
	t.Helper()
	got := m.View()
	lines := strings.Split(got, "\n")
	if len(lines) != m.height {
		t.Errorf("%d lines on a screen of %d", len(lines), m.height)
	}
	for _, l := range lines {
		if w := lipgloss.Width(l); w > m.width {
			t.Errorf("a line of %d cells on a screen of %d: %q", w, m.width, l)
		}
	}
	file := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.WriteFile(file, []byte(got+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got+"\n"); diff != "" {
		t.Errorf("%s (-want +got; go test -update writes it anew):\n%s", file, diff)
	}
}
