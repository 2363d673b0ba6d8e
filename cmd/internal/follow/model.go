package follow

import (
	"slices"
	"strings"
	"time"
	"unicode"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/lockstep-sync/lockstep/cmd/internal/api"
)

// status is what came of asking the agent.
type status struct {
	At    time.Time
	Agent api.Agent
	Err   error
}

// tick is the time that it is.
type tick time.Time

// page is what is on the screen.
type page int

const (
	list page = iota
	details
	help
)

// model is all that a picture depends on. Update gives the next one and changes nothing.
type model struct {
	theme         *theme
	width, height int
	now           time.Time

	agent  api.Agent
	asked  bool      // an answer came, of either kind
	known  bool      // agent is what one told
	heard  time.Time // when it did
	gone   error
	since  time.Time // when it went, or when it was first asked
	backAt time.Time
	away   time.Duration // how long it had been gone when it came back
	was    int           // its process before
	past   history

	page   page
	from   page // where help was asked for
	order  order
	filter string
	typing bool // a filter is being typed
	before string

	rows     []row
	selected key
	chosen   bool // by somebody; until then it is the first
	top      int  // first line of the list that is shown
	scroll   int  // first line of another page that is shown
}

// newModel is before anything is known.
func newModel(t *theme, width, height int, now time.Time) model {
	return model{theme: t, width: width, height: height, now: now, since: now}
}

// Update takes one message. The command is nil, tea.Quit or tea.Suspend.
func (m model) Update(msg tea.Msg) (model, tea.Cmd) {
	var cmd tea.Cmd
	switch msg := msg.(type) {
	case tick:
		m.now = time.Time(msg)
	case status:
		m = m.told(msg)
	case tea.WindowSizeMsg:
		if msg.Width > 0 && msg.Height > 0 { // a serial line does not know its size
			m.width, m.height = msg.Width, msg.Height
		}
	case tea.KeyMsg:
		for _, k := range single(msg) {
			if m, cmd = m.key(k); cmd != nil {
				break
			}
			m = m.settle() // the next one is about what this one shows
		}
	}
	return m.settle(), cmd
}

// told takes what an agent says, or that it says nothing.
func (m model) told(s status) model {
	m.now, m.asked = s.At, true
	if s.Err != nil {
		if m.gone == nil {
			m.since = s.At
		}
		m.gone = s.Err
		return m
	}
	if m.gone != nil && m.known {
		m.backAt, m.away, m.was = s.At, s.At.Sub(m.since), m.agent.PID
	}
	m.agent, m.known, m.heard, m.gone = s.Agent, true, s.At, nil
	m.past = m.past.seen(s.At, &m.agent)
	return m
}

// settle keeps the selection on a row and on the screen.
func (m model) settle() model {
	m.rows = rowsOf(&m.agent, m.order, m.filter)
	if !m.chosen || m.at() < 0 {
		m.chosen, m.selected = false, key{}
		if len(m.rows) > 0 {
			m.selected = m.rows[0].key
		}
		if m.page == details { // what was looked at is gone
			m.page = list
		}
		m.from = list
	}
	m.top, m.scroll = m.scrolled(), max(min(m.scroll, len(m.text())-m.bodyHeight()), 0)
	return m
}

// at is the index of the selected row, -1 if there is none.
func (m *model) at() int {
	return slices.IndexFunc(m.rows, func(r row) bool { return r.key == m.selected })
}

// single takes letters apart: what is typed or repeated fast comes in one message. What is pasted is no key.
func single(k tea.KeyMsg) []tea.KeyMsg {
	if k.Type != tea.KeyRunes || k.Alt {
		return []tea.KeyMsg{k}
	}
	keys := make([]tea.KeyMsg, len(k.Runes))
	for i, r := range k.Runes {
		keys[i] = tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune{r}, Paste: k.Paste}
	}
	return keys
}

func (m model) key(k tea.KeyMsg) (model, tea.Cmd) {
	name := k.String()
	switch {
	case name == "ctrl+c":
		return m, tea.Quit
	case name == "ctrl+z":
		return m, tea.Suspend
	case m.typing:
		return m.keyFilter(k), nil
	case name == "q":
		return m, tea.Quit
	case m.page == help:
		if to, ok := m.scrollTo(name); ok {
			m.scroll = to
			return m, nil
		}
		m.page, m.scroll = m.from, 0
	case name == "?":
		m.from, m.page, m.scroll = m.page, help, 0
	case m.page == details:
		return m.keyDetails(name), nil
	default:
		return m.keyList(name), nil
	}
	return m, nil
}

func (m model) keyList(name string) model {
	switch name {
	case "up", "k":
		m = m.move(-1)
	case "down", "j":
		m = m.move(1)
	case "pgup", "ctrl+b", "ctrl+u":
		m = m.movePage(-1)
	case "pgdown", "ctrl+f", "ctrl+d", " ":
		m = m.movePage(1)
	case "home", "g":
		m = m.move(-len(m.rows))
	case "end", "G":
		m = m.move(len(m.rows))
	case "enter", "right", "l":
		if m.at() >= 0 {
			m.page, m.chosen, m.scroll = details, true, 0
		}
	case "/":
		m.typing, m.before = true, m.filter
	case "s":
		m.order = (m.order + 1) % orders
	case "esc":
		if m.filter != "" {
			m.filter = ""
		} else {
			m.chosen = false // back to what is worst off
		}
	}
	return m
}

func (m model) keyDetails(name string) model {
	if to, ok := m.scrollTo(name); ok {
		m.scroll = to
		return m
	}
	switch name {
	case "esc", "enter", "left", "h", "backspace":
		m.page = list
	case "tab", "n":
		m = m.move(1)
		m.scroll = 0
	case "shift+tab", "p":
		m = m.move(-1)
		m.scroll = 0
	}
	return m
}

// scrollTo is the first line that is shown after a key that scrolls; settle bounds it.
func (m *model) scrollTo(name string) (to int, ok bool) {
	switch name {
	case "up", "k":
		return m.scroll - 1, true
	case "down", "j":
		return m.scroll + 1, true
	case "pgup", "ctrl+b", "ctrl+u":
		return m.scroll - m.bodyHeight(), true
	case "pgdown", "ctrl+f", "ctrl+d", " ":
		return m.scroll + m.bodyHeight(), true
	case "home", "g":
		return 0, true
	case "end", "G":
		return len(m.text()), true
	}
	return 0, false
}

// keyFilter edits the filter; what matches is shown at once.
func (m model) keyFilter(k tea.KeyMsg) model {
	switch k.Type {
	case tea.KeyEnter:
		m.typing = false
	case tea.KeyEsc:
		m.typing, m.filter = false, m.before
	case tea.KeyBackspace, tea.KeyCtrlH:
		if r := []rune(m.filter); len(r) > 0 {
			m.filter = string(r[:len(r)-1])
		}
	case tea.KeyCtrlU:
		m.filter = ""
	case tea.KeySpace:
		m.filter += " "
	case tea.KeyUp:
		m = m.move(-1)
	case tea.KeyDown:
		m = m.move(1)
	case tea.KeyRunes:
		m.filter += strings.Map(func(r rune) rune {
			if unicode.IsPrint(r) {
				return r
			}
			return -1
		}, string(k.Runes))
	}
	return m
}

// move selects another row, by so many.
func (m model) move(by int) model {
	if len(m.rows) == 0 {
		return m
	}
	at := min(max(max(m.at(), 0)+by, 0), len(m.rows)-1)
	m.selected, m.chosen = m.rows[at].key, true
	return m
}

// movePage moves by as many rows as fill the screen.
func (m model) movePage(by int) model {
	blocks := m.blocks()
	at := max(m.at(), 0)
	for room := m.bodyHeight() - 1; ; at += by {
		next := at + by
		if next < 0 || next >= len(blocks) {
			break
		}
		if room -= len(blocks[next].lines); room < 0 {
			break
		}
	}
	if at == m.at() {
		at += by // one that fills the screen
	}
	if len(blocks) == 0 {
		return m
	}
	m.selected, m.chosen = m.rows[min(max(at, 0), len(m.rows)-1)].key, true
	return m
}
