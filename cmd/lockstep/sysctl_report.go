package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os/user"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/lockstep-sync/lockstep/sysctl"
)

// sysctlReport is what lockstep sysctl found and did. Its exported part is what --json prints.
type sysctlReport struct {
	Limits     []limitRow   `json:"limits"`
	Trees      []treeRow    `json:"trees,omitempty"`
	Users      []userRow    `json:"users"`
	Processes  []processRow `json:"processes"`
	Unreadable int          `json:"unreadable_processes"`
	Vanished   int          `json:"vanished_processes"`
	Partial    bool         `json:"pid_namespace"`
	Changed    []changeRow  `json:"changed,omitempty"`
	File       string       `json:"file,omitempty"`
	Persisted  []changeRow  `json:"persisted,omitempty"`
	Failed     []string     `json:"failed,omitempty"`

	uid      uint32
	mine     sysctl.Holding   // what this user has in use
	settings []sysctl.Setting // all limits, with what is advised
	lasting  []sysctl.Setting // those for a file: what is high now may be so until the next boot only
}

type limitRow struct {
	Key     string `json:"key"`
	Value   int    `json:"value"`
	InUse   *int   `json:"in_use,omitempty"` // nil where nothing counts it
	Needed  *int   `json:"needed,omitempty"`
	Advised int    `json:"advised"`
}

type treeRow struct {
	Path        string `json:"path"`
	Directories int    `json:"directories"`
}

type userRow struct {
	UID  uint32 `json:"uid"`
	Name string `json:"name"`
	holdingRow
}

type processRow struct {
	PID     int    `json:"pid"`
	UID     uint32 `json:"uid"`
	Command string `json:"command"`
	holdingRow
}

type holdingRow struct {
	Watches   int `json:"watches"`
	Instances int `json:"instances"`
	Marks     int `json:"marks"`
	Groups    int `json:"groups"`
}

type changeRow struct {
	Key string `json:"key"`
	Old int    `json:"old"`
	New int    `json:"new"`
}

func holding(h sysctl.Holding) holdingRow {
	return holdingRow{h.Watches, h.Instances, h.Marks, h.Groups}
}

// use takes in what is in use.
func (r *sysctlReport) use(u sysctl.Usage) {
	r.Unreadable, r.Vanished, r.Partial = u.Unreadable, u.Vanished, u.Partial
	r.Users, r.Processes = []userRow{}, []processRow{}
	for _, s := range u.Users() {
		r.Users = append(r.Users, userRow{s.UID, userName(s.UID), holding(s.Holding)})
		if s.UID == r.uid {
			r.mine = s.Holding
		}
	}
	for _, p := range u.Processes {
		r.Processes = append(r.Processes, processRow{p.PID, p.UID, p.Command, holding(p.Holding)})
	}
}

// rows makes a row of each limit.
func (r *sysctlReport) rows(need sysctl.Need) {
	for _, s := range r.settings {
		row := limitRow{Key: s.Key, Value: s.Old, Advised: s.New}
		switch s.Key {
		case "fs.inotify.max_user_watches", "user.max_inotify_watches":
			row.InUse, row.Needed = &r.mine.Watches, &need.Directories
		case "fs.inotify.max_user_instances", "user.max_inotify_instances":
			row.InUse, row.Needed = &r.mine.Instances, &need.Trees
		case "fs.fanotify.max_user_marks":
			row.InUse, row.Needed = &r.mine.Marks, &need.Trees
		case "fs.fanotify.max_user_groups":
			row.InUse, row.Needed = &r.mine.Groups, &need.Trees
		}
		if need.Trees == 0 {
			row.Needed = nil
		}
		r.Limits = append(r.Limits, row)
	}
}

func (r *sysctlReport) json(w io.Writer) error {
	out := json.NewEncoder(w)
	out.SetEscapeHTML(false)
	return out.Encode(r)
}

// changes prints what was done, a line each.
func (r *sysctlReport) changes(w io.Writer) error {
	var b strings.Builder
	for _, c := range r.Changed {
		fmt.Fprintf(&b, "%s: %d -> %d\n", c.Key, c.Old, c.New)
	}
	for _, c := range r.Persisted {
		fmt.Fprintf(&b, "%s: %s = %d", r.File, c.Key, c.New)
		if c.Old > 0 {
			fmt.Fprintf(&b, " (was %d)", c.Old)
		}
		b.WriteByte('\n')
	}
	if b.Len() == 0 && r.Failed == nil {
		b.WriteString("nothing to change: the limits are as advised\n")
	}
	return writeString(w, b.String())
}

// topProcesses is how many of them the table shows.
const topProcesses = 5

// table is for people.
func (r *sysctlReport) table(w io.Writer) error {
	var b strings.Builder
	r.limitTable(&b)
	if len(r.Trees) > 0 {
		rows := [][]string{{"DIRECTORIES", "TREE"}}
		for _, t := range r.Trees {
			rows = append(rows, []string{strconv.Itoa(t.Directories), plain(t.Path)})
		}
		writeTable(&b, "rl", rows)
	}
	r.usageTables(&b)
	r.remarks(&b)
	return writeString(w, b.String())
}

func (r *sysctlReport) limitTable(b *strings.Builder) {
	rows := [][]string{{"LIMIT", "NOW", "IN USE", "NEEDED", "ADVISED", ""}}
	for _, l := range r.Limits {
		verdict := "good"
		if l.Advised > l.Value {
			verdict = "raise"
		}
		rows = append(rows, []string{l.Key, strconv.Itoa(l.Value), count(l.InUse), count(l.Needed), strconv.Itoa(l.Advised), verdict})
	}
	writeTable(b, "lrrrrl", rows)
}

func (r *sysctlReport) usageTables(b *strings.Builder) {
	if len(r.Processes) == 0 {
		b.WriteString("No process is seen to watch anything.\n\n")
		return
	}
	rows := [][]string{{"WATCHES", "INSTANCES", "MARKS", "GROUPS", "USER"}}
	names := map[uint32]string{}
	for _, u := range r.Users {
		names[u.UID] = plain(u.Name)
		rows = append(rows, append(u.cells(), names[u.UID]))
	}
	writeTable(b, "rrrrl", rows)

	rows = [][]string{{"WATCHES", "INSTANCES", "MARKS", "GROUPS", "USER", "PID", "COMMAND"}}
	for _, p := range r.Processes[:min(len(r.Processes), topProcesses)] {
		rows = append(rows, append(p.cells(), names[p.UID], strconv.Itoa(p.PID), plain(p.Command)))
	}
	writeTable(b, "rrrrlrl", rows)
}

func (h holdingRow) cells() []string {
	return []string{strconv.Itoa(h.Watches), strconv.Itoa(h.Instances), strconv.Itoa(h.Marks), strconv.Itoa(h.Groups)}
}

// remarks say what the figures leave open, and what to do.
func (r *sysctlReport) remarks(b *strings.Builder) {
	fmt.Fprintf(b, "Limits count per user; IN USE, NEEDED and ADVISED are for %s (uid %d).\n", plain(userName(r.uid)), r.uid)
	if more := len(r.Processes) - topProcesses; more > 0 {
		fmt.Fprintf(b, "%s more with fewer watches (--json lists all).\n", several(more, "process", "processes"))
	}
	if r.Unreadable > 0 {
		fmt.Fprintf(b, "Not counted: %s that this user may not look into.\n", several(r.Unreadable, "process", "processes"))
	}
	if r.Vanished > 0 {
		fmt.Fprintf(b, "Not counted: %s that ended meanwhile.\n", several(r.Vanished, "process", "processes"))
	}
	if r.Partial {
		b.WriteString("Not seen: processes outside this container (PID namespace), which count as well.\n")
	}
	low := 0
	for _, l := range r.Limits {
		if l.Advised > l.Value {
			low++
		}
		if l.Needed != nil && l.InUse != nil && *l.Needed > l.Advised {
			fmt.Fprintf(b, "%s: this machine's memory allows no more; what is beyond it will be polled.\n", l.Key)
		}
	}
	if low > 0 {
		fmt.Fprintf(b, "To raise %s: lockstep sysctl --apply, or --persist for after a boot as well.\n", several(low, "limit", "limits"))
	}
}

func several(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func count(n *int) string {
	if n == nil {
		return "-"
	}
	return strconv.Itoa(*n)
}

func userName(uid uint32) string {
	id := strconv.FormatUint(uint64(uid), 10)
	u, err := user.LookupId(id)
	if err != nil {
		return id
	}
	return u.Username
}

// plain keeps what a name holds from moving the cursor about.
func plain(name string) string {
	if q := strconv.Quote(name); q != `"`+name+`"` {
		return q
	}
	return name
}

// writeTable writes rows in columns and an empty line. For each column align says r or l.
func writeTable(b *strings.Builder, align string, rows [][]string) {
	width := make([]int, len(align))
	for _, row := range rows {
		for i, cell := range row {
			width[i] = max(width[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range rows {
		var text strings.Builder
		for i, cell := range row {
			pad := strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell))
			if align[i] == 'r' {
				text.WriteString(pad + cell + "  ")
			} else {
				text.WriteString(cell + pad + "  ")
			}
		}
		b.WriteString(strings.TrimRight(text.String(), " ") + "\n")
	}
	b.WriteByte('\n')
}
