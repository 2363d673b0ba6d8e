package main

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/lockstep-sync/lockstep/watcher"
)

// printer appends an occurrence to a buffer in the way that was asked for.
func (o *eventsOptions) printer() func([]byte, *occurrence) []byte {
	switch {
	case o.json:
		return printJSON
	case o.csv:
		return printCSV
	case o.hasFormat:
		parts := parseFormat(o.format, o.timefmt)
		return func(b []byte, e *occurrence) []byte {
			for _, part := range parts {
				b = part(b, e)
			}
			if o.noNewline {
				return b
			}
			return append(b, '\n')
		}
	}
	return func(b []byte, e *occurrence) []byte {
		b = append(append(b, e.watched...), ' ')
		b = append(append(b, e.events(",")...), ' ')
		return append(append(b, e.name...), '\n')
	}
}

// names are the words for what happened, as inotifywait has them.
func (o *occurrence) names() []string {
	var names []string
	for _, e := range eventNames[:eventColumns] {
		if o.op&e.op == 0 {
			continue
		}
		names = append(names, strings.ToUpper(e.name))
		if e.op&(watcher.OpCloseWrite|watcher.OpCloseNoWrite) != 0 {
			names = append(names, "CLOSE")
		}
	}
	// The kernel says no kind with these, inotify(7).
	if o.dir && o.op&(watcher.OpDeleteSelf|watcher.OpMoveSelf|watcher.OpUnmount) == 0 {
		names = append(names, "ISDIR")
	}
	return names
}

func (o *occurrence) events(between string) string { return strings.Join(o.names(), between) }

func printCSV(b []byte, o *occurrence) []byte {
	b = append(appendCSV(b, o.watched), ',')
	b = append(appendCSV(b, o.events(",")), ',')
	return append(appendCSV(b, o.name), '\n')
}

func appendCSV(b []byte, field string) []byte {
	if !strings.ContainsAny(field, ",\"\n\r") && strings.TrimSpace(field) == field {
		return append(b, field...)
	}
	return append(append(append(b, '"'), strings.ReplaceAll(field, `"`, `""`)...), '"')
}

// eventRow is an event in JSON. A path that is no UTF-8 is beside it in base64, since JSON cannot hold it.
type eventRow struct {
	Time    string   `json:"time"`
	Watched string   `json:"watched"`
	Name    string   `json:"name"`
	Path    string   `json:"path"`
	Bytes   string   `json:"path_base64,omitempty"`
	Events  []string `json:"events"`
	Dir     bool     `json:"dir"`
	Cookie  uint32   `json:"cookie,omitempty"`
	Found   bool     `json:"found,omitempty"`
}

func printJSON(b []byte, o *occurrence) []byte {
	row := eventRow{
		Time: time.Now().Format(time.RFC3339Nano), Watched: o.watched, Name: o.name, Path: o.watched + o.name,
		Events: o.names(), Dir: o.dir, Cookie: o.cookie, Found: o.found,
	}
	if !utf8.ValidString(row.Path) {
		row.Bytes = base64.StdEncoding.EncodeToString([]byte(row.Path))
	}
	text, err := json.Marshal(row)
	if err != nil {
		return b // strings and numbers can always be encoded
	}
	return append(append(b, text...), '\n')
}

type formatPart func([]byte, *occurrence) []byte

func literally(text string) formatPart {
	return func(b []byte, _ *occurrence) []byte { return append(b, text...) }
}

// parseFormat reads --format. What it does not know stands for itself, as for inotifywait.
func parseFormat(format, timefmt string) []formatPart {
	var parts []formatPart
	for format != "" {
		at := strings.IndexByte(format, '%')
		if at != 0 {
			if at < 0 {
				at = len(format)
			}
			parts, format = append(parts, literally(format[:at])), format[at:]
			continue
		}
		part, n := conversion(format, timefmt)
		parts, format = append(parts, part), format[n:]
	}
	return parts
}

// conversion reads what begins with a percent sign, and tells how long it is.
func conversion(format, timefmt string) (formatPart, int) {
	if len(format) < 2 {
		return literally("%"), 1
	}
	switch format[1] {
	case 'w':
		return func(b []byte, o *occurrence) []byte { return append(b, o.watched...) }, 2
	case 'f':
		return func(b []byte, o *occurrence) []byte { return append(b, o.name...) }, 2
	case 'e':
		return func(b []byte, o *occurrence) []byte { return append(b, o.events(",")...) }, 2
	case 'T':
		return func(b []byte, _ *occurrence) []byte { return appendTime(b, time.Now(), timefmt) }, 2
	case '0':
		return literally("\x00"), 2
	case 'n':
		return literally("\n"), 2
	case '%':
		return literally("%"), 2
	}
	if between := format[1:2]; len(format) > 2 && format[2] == 'e' {
		return func(b []byte, o *occurrence) []byte { return append(b, o.events(between)...) }, 3
	}
	return literally("%"), 1
}

// formatHasTime reports that there is a %T.
func formatHasTime(format string) bool {
	for {
		_, rest, ok := strings.Cut(format, "%")
		if !ok || rest == "" {
			return false
		}
		if rest[0] == 'T' {
			return true
		}
		format = rest
		if rest[0] == '%' {
			format = rest[1:]
		}
	}
}
