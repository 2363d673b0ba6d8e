package follow

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/charmbracelet/lipgloss"
)

// clip cuts a text to a width in cells; mark stands for what is cut off its end.
func clip(s string, width int, mark string) string {
	if lipgloss.Width(s) <= width {
		return s
	}
	if width <= lipgloss.Width(mark) {
		return strings.Repeat(".", max(width, 0))
	}
	return lipgloss.NewStyle().MaxWidth(width-lipgloss.Width(mark)).Render(s) + mark
}

// clipFront cuts off the beginning: of a path the end tells more.
func clipFront(s string, width int, mark string) string {
	if lipgloss.Width(s) <= width {
		return s
	}
	if width <= lipgloss.Width(mark) {
		return strings.Repeat(".", max(width, 0))
	}
	for lipgloss.Width(s) > width-lipgloss.Width(mark) {
		_, n := utf8.DecodeRuneInString(s)
		s = s[n:]
	}
	return mark + s
}

// wrap breaks a text into lines of a width, at spaces where there are any; what does not fit into so many is cut off.
func wrap(s string, width, most int, mark string) []string {
	var lines []string
	line := ""
	words := strings.Fields(s)
	for i := 0; i < len(words); i++ {
		w := words[i]
		switch {
		case line == "" && lipgloss.Width(w) > width:
			head := lipgloss.NewStyle().MaxWidth(max(width, 1)).Render(w)
			if head == "" || head == w { // a cell that does not fit: there is no way to break it
				line = w
				continue
			}
			lines = append(lines, head)
			words[i] = w[len(head):]
			i--
		case line == "":
			line = w
		case lipgloss.Width(line)+1+lipgloss.Width(w) <= width:
			line += " " + w
		default:
			lines = append(lines, line)
			line = ""
			i--
		}
	}
	if line != "" {
		lines = append(lines, line)
	}
	if len(lines) > most {
		lines[most-1] = strings.TrimRight(clip(lines[most-1]+" "+lines[most], width-lipgloss.Width(mark), ""), " ") + mark
		lines = lines[:most]
	}
	return lines
}

// oneLine makes one of several problems, as errors.Join writes them.
func oneLine(s string) string {
	return strings.ReplaceAll(strings.TrimSpace(s), "\n", "; ")
}

// size writes a number of bytes.
func size(n int64) string {
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	f, unit := float64(n), -1
	for ; f >= 1000 && unit < len("KMGTPE")-1; unit++ { // 1000: no more than three digits before the point
		f /= 1024
	}
	digits := 1
	if f >= 99.95 {
		digits = 0
	}
	return fmt.Sprintf("%.*f %ciB", digits, f, "KMGTPE"[max(unit, 0)])
}

// commas groups the digits of a number.
func commas(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// count is "1 path", "1,200 paths".
func count(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return commas(n) + " " + what + "s"
}

// short writes a duration in at most six characters.
func short(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return "0"
	case d < time.Second:
		return fmt.Sprintf("%dms", d.Milliseconds())
	case d < 10*time.Second && d%time.Second != 0:
		return fmt.Sprintf("%.1fs", d.Truncate(100*time.Millisecond).Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	case d < 100*24*time.Hour:
		return fmt.Sprintf("%dd%02dh", int(d.Hours())/24, int(d.Hours())%24)
	}
	return fmt.Sprintf("%dd", int(d.Hours())/24)
}

// long writes a duration of whole seconds as people say it.
func long(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", max(int(d.Seconds()), 0))
	case d < time.Hour:
		return fmt.Sprintf("%dm %ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh %dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd %dh", int(d.Hours())/24, int(d.Hours())%24)
}

func seconds(f float64) time.Duration { return time.Duration(f * float64(time.Second)) }

// percent is of what part the whole is, 0 to 100; the whole is reached when it is reached, not before.
func percent(part, whole int64) int {
	if whole <= 0 {
		return 0
	}
	return int(min(max(float64(part)/float64(whole), 0), 1) * 100)
}
